import { formatCount, formatMoney, formatOdds, formatSigned, formatTime } from '../format.js';
import { html } from '../html.js';
import { fits, tickerRoom } from '../layout.js';
import { Component } from '../vendor/preact.js';
import { betOf, bookResult, legsText, outcomeOf, tierOf } from '../wager.js';
import { Icon } from './icons.js';

/** @typedef {import('../store.js').Row} Row */

const COLUMNS = [
  ['time', 'Time'], ['what', 'What'], ['wager', 'Wager'], ['customer', 'Customer'], ['agent', 'Agent'], ['bet', 'Bet on'],
  ['odds', 'Odds'], ['stake', 'Stake'], ['towin', 'To win'], ['book', 'Book'],
];
const HINTS = /** @type {Record<string, string>} */ ({
  odds: 'Decimal; of several legs their product', towin: 'The customer’s profit if it wins', book: 'What the book won (+) or lost (−)',
});
/** The least room of a column of amounts, in characters. */
const AMOUNT_CHARS_MIN = 9;

/** @typedef {{wagers: import('../store.js').State['wagers'], width: number, error?: import('../store.js').ServerError, stale: boolean, on: Record<string, any>}} Props */

/** @extends {Component<Props>} */
export class Ticker extends Component {
  /** @param {Props} next */
  shouldComponentUpdate(next) {
    const { wagers, width, error, stale } = this.props;
    return next.wagers !== wagers || next.width !== width || next.error !== error || next.stale !== stale;
  }

  render() {
    return panel(this.props);
  }
}

/** @param {Props} props */
function panel({ wagers, width, error, stale, on }) {
  const { loaded, rows, paused, pointed, heldCount } = wagers;
  return html`<section class=${`panel ticker ${stale ? 'is-stale' : ''}`} aria-labelledby="ticker-title">
    <header class="panel-head">
      <h2 id="ticker-title">Wagers <span class="dim">the book’s view</span></h2>
      ${(paused || (pointed && heldCount > 0)) && html`<span class="held">${paused ? `${formatCount(heldCount)} held back` : `${formatCount(heldCount)} new ↑`}</span>`}
      ${(rows.length > 0 || paused) && html`<button type="button" class="button" aria-pressed=${paused ? 'true' : 'false'} onClick=${paused ? on.resume : on.pause}>
        <${Icon} name=${paused ? 'play' : 'pause'} />${paused ? 'Go on' : 'Pause'}
      </button>`}
    </header>
    <div class="scroll" tabindex="0" role="region" aria-label="Wagers, newest first">
      ${rows.length ? html`<div onPointerEnter=${() => on.point(true)} onPointerLeave=${() => on.point(false)}>${table(rows, width)}</div>` : html`<p class="empty">${emptyText(loaded, error)}</p>`}
    </div>
  </section>`;
}

/** @param {Row[]} rows @param {number} width */
function table(rows, width) {
  const chars = charsOfColumns(rows);
  const style = Object.fromEntries(Object.entries(chars).map(([name, count]) => [`--${name}`, `${count}`]));
  return html`<div class=${`table ${isFlood(rows) ? 'is-flood' : ''} ${shapeOf(tickerRoom(width), chars)}`} style=${style} role="table" aria-label="Wagers">
    <div class="row row-head" role="row">
      ${COLUMNS.map(([name, title]) => html`<span role="columnheader" class=${`c-${name}`} title=${HINTS[name]} key=${name}>${title}</span>`)}
    </div>
    ${rows.map((row) => (row.data === null ? html`<${GapRow} key=${row.id} />` : html`<${WagerRow} key=${row.id} row=${row} />`))}
  </div>`;
}

/** How many characters the columns of numbers need. @param {Row[]} rows */
function charsOfColumns(rows) {
  let number = 0;
  let stake = 0;
  let toWin = 0;
  let book = 0;
  for (const { data } of rows) {
    if (data === null) continue;
    number = Math.max(number, data.wagerNumber ?? 0);
    stake = Math.max(stake, data.amount);
    toWin = Math.max(toWin, data.toWin ?? 0);
    book = Math.max(book, Math.abs(bookResult(data) ?? 0));
  }
  const chars = (/** @type {string} */ text) => Math.max(AMOUNT_CHARS_MIN, text.length);
  return { number: Math.max(6, String(number).length + 1), stake: chars(formatMoney(stake)), towin: chars(formatMoney(toWin)), book: chars(formatSigned(book)) };
}

/** Other columns and gaps, in pixels: all of them, and those that remain when there is less room. */
const ALL_PX = 60 + 76 + 66 + 46 + 120 + 52 + 9 * 10;
const FEW_PX = 60 + 76 + 66 + 120 + 52 + 6 * 10;
const PATH_PX = 200;

/** @param {number} roomPx @param {{number: number, stake: number, towin: number, book: number}} chars */
function shapeOf(roomPx, { number, stake, towin, book }) {
  if (fits(roomPx, ALL_PX + PATH_PX, [number, stake, towin, book])) return 'is-roomy';
  if (fits(roomPx, ALL_PX, [number, stake, towin, book])) return '';
  return fits(roomPx, FEW_PX, [stake, book]) ? 'is-short' : 'is-cards';
}

/** More than forty rows a second. @param {Row[]} rows */
function isFlood(rows) {
  return rows.length > 40 && rows[0].atMs - rows[40].atMs < 1000;
}

/** @param {boolean} loaded @param {import('../store.js').ServerError | undefined} error */
function emptyText(loaded, error) {
  if (error) return error.message;
  return loaded ? 'No wagers yet. Each one appears here as soon as the book accepts it.' : 'Waiting for the first wagers …';
}

/** @extends {Component<{row: Row}>} */
class WagerRow extends Component {
  /** @param {{row: Row}} next */
  shouldComponentUpdate(next) {
    return next.row !== this.props.row;
  }

  render() {
    const { data, atMs, fresh } = this.props.row;
    const { label, tone } = outcomeOf(data);
    const profit = bookResult(data);
    return html`<div role="row" class=${`row tier-${tierOf(data.amount)} row-${tone} ${fresh ? 'is-fresh' : ''}`}>
      <span role="cell" class="c-time">${formatTime(atMs)}</span>
      <span role="cell" class="c-what"><span class=${`chip chip-${tone}`}>${label}</span></span>
      <span role="cell" class="c-wager">${data.wagerNumber === undefined ? data.wagerId : `#${data.wagerNumber}`}</span>
      <span role="cell" class="c-customer">${data.customerId}</span>
      <span role="cell" class="c-agent" title=${data.agentPath}>${agent(data)}</span>
      <span role="cell" class="c-bet" title=${legsText(data.legs)}>${bet(data)}</span>
      <span role="cell" class="c-odds">${formatOdds(data.odds)}</span>
      <span role="cell" class="c-stake figure">${formatMoney(data.amount)}</span>
      <span role="cell" class="c-towin figure">${data.toWin === undefined ? '' : formatMoney(data.toWin)}</span>
      <span role="cell" class=${`c-book figure tone-${tone}`}>${profit === undefined ? '' : formatSigned(profit)}</span>
    </div>`;
  }
}

/** The path as far as there is room for it; the agent itself always. @param {{agentId: string, agentPath?: string}} wager */
function agent({ agentId, agentPath = '' }) {
  const above = agentPath.slice(0, agentPath.lastIndexOf('/') + 1);
  return html`<span class="above">${above}</span>${agentPath.slice(above.length) || agentId}`;
}

/** @param {any} wager */
function bet(wager) {
  const { main, rest } = betOf(wager);
  return html`${wager.freePlay && html`<span class="tag">free</span> `}<b>${main}</b> <span class="dim">${rest}</span>`;
}

function GapRow() {
  return html`<div role="row" class="gap"><span role="cell">The connection was away for too long: wagers between here and the rows above are not shown.</span></div>`;
}
