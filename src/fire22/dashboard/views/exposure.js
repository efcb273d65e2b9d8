// What the book stands to lose: markets by liability, and what each result would bring.

import { formatCount, formatMoney, formatOdds, formatSigned } from '../format.js';
import { html } from '../html.js';
import { charsOf, fits, screenRoom } from '../layout.js';
import { marketName } from '../wager.js';
import { HeldScreen } from './held.js';
import { Crumbs, documentsOf } from './screen.js';

/** @typedef {import('../store.js').State} State */

/** @param {{state: State, stale: boolean}} props */
export function Exposure({ state, stale }) {
  const all = documentsOf(state, 'exposure');
  const total = all.find(({ key }) => key === '')?.data;
  const markets = all.filter(({ data }) => data.outcomes !== undefined).sort((one, other) => other.data.liability - one.data.liability);
  return html`<${HeldScreen} items=${markets} title="Exposure" topic="exposure" state=${state} stale=${stale} empty=${total?.grossPotentialPayout ? 'Wagers are open here, on markets that the book does not tell.' : 'No open wagers here.'}
    aside=${html`<${Crumbs} screen="exposure" state=${state} />`}
    render=${(/** @type {import('../hold.js').HeldItem[]} */ rows) => html`
      ${total && html`<${Total} total=${total} />`}
      <div class=${`grid-table exposure ${isTable(state.width, markets) ? '' : 'is-cards'}`} role="table" aria-label="Markets by liability, the book’s view">
        <div role="row" class="grid-row grid-head"><span role="columnheader">Market</span><span role="columnheader">Book P&L by outcome</span>
          <span role="columnheader" class="right" title="Cash staked by customers">Cash risk</span><span role="columnheader" class="right" title="Worst-case loss of the book on the straight wagers of this market">Liability</span></div>
        ${rows.map(({ key, data, now }) => html`<${Market} key=${key} market=${now ?? data} isOver=${now === undefined} />`)}
      </div>`} />`;
}

/** Names, outcomes and gaps, in pixels. */
const OTHER_PX = 150 + 240 + 3 * 18;

/** @param {number} width @param {import('../hold.js').Item[]} markets */
function isTable(width, markets) {
  const chars = (/** @type {'risk' | 'liability'} */ name) => charsOf(markets.map(({ data }) => formatMoney(data[name]))) + 2;
  return fits(screenRoom(width), OTHER_PX, [chars('risk'), chars('liability')]);
}

/** @param {{total: any}} props */
function Total({ total }) {
  return html`<dl class="totals">
    <div><dt>Total liability</dt><dd class="figure">${total.isBound ? '≤ ' : ''}${formatMoney(total.totalLiability)}</dd></div>
    <div><dt>Markets</dt><dd class="figure">${formatCount(total.markets)}</dd></div>
    ${total.parlays !== undefined && html`<div><dt>Parlays</dt><dd class="figure">${formatCount(total.parlays)}</dd></div>`}
    ${total.grossPotentialPayout !== undefined && html`<div><dt>Paid out if all won</dt><dd class="figure">${formatMoney(total.grossPotentialPayout)}</dd></div>`}
  </dl>`;
}

/** @param {{market: any, isOver: boolean}} props */
function Market({ market, isOver }) {
  const outcomes = Object.entries(market.outcomes).sort(([, one], [, other]) => one.pnl - other.pnl);
  const share = market.limit ? market.liability / market.limit : 0;
  const names = outcomes.map(([, { name }]) => name ?? '').join(' ');
  return html`<div role="row" class=${`grid-row ${isOver ? 'is-gone' : ''}`}>
    <span role="rowheader" class="c-market"><b>${market.eventName || market.eventId}</b><br /><span class="dim">${marketName(market, names)} · ${formatCount(market.wagers)} ${market.wagers === 1 ? 'wager' : 'wagers'}</span></span>
    <span role="cell" class="outcomes">${outcomes.map(([id, { name, odds, pnl }]) => html`<span key=${id} class="outcome">
      <span class="outcome-name">${name || id}${odds === undefined ? '' : html` <span class="dim">${formatOdds(odds)}</span>`}</span>
      <b class=${`figure ${pnl < 0 ? 'tone-bad' : 'tone-good'}`}>${formatSigned(pnl)}</b></span>`)}</span>
    <span role="cell" class="right figure c-risk" data-title="Cash risk">${formatMoney(market.risk)}</span>
    <span role="cell" class=${`right c-liability ${share >= 1 ? 'tone-bad' : share >= 0.8 ? 'tone-warn' : ''}`}><b class="figure">${market.isBound ? '≤ ' : ''}${formatMoney(market.liability)}</b>${market.limit ? html`<br /><span class="dim figure">of ${formatMoney(market.limit)}</span>` : ''}</span>
  </div>`;
}
