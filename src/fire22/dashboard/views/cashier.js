// Payments that wait for somebody: approve, reject, complete. Each step asks before it acts.

import { formatDateTime, formatMoney, formatTime, formatWord } from '../format.js';
import { html } from '../html.js';
import { charsOf, fits, screenRoom } from '../layout.js';
import { isOpen, personOf, questionOf, stepsOf } from '../payments.js';
import { takes } from '../store.js';
import { Component } from '../vendor/preact.js';
import { Confirm } from './confirm.js';
import { HeldScreen } from './held.js';
import { documentsOf } from './screen.js';

/** @typedef {import('../payments.js').Step} Step */
/** @typedef {import('../hold.js').HeldItem} HeldItem */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */

/** The longest waiting first. @param {import('../store.js').State} state */
function queue(state) {
  return documentsOf(state, 'payment_queue').filter(({ key }) => key !== '')
    .sort((one, other) => Date.parse(one.data.requestedAt ?? 0) - Date.parse(other.data.requestedAt ?? 0));
}

/** @param {Props} props */
export function Cashier(props) {
  return html`<${Queue} ...${props} />`;
}

/** @typedef {{asked: {key: string, data: any, step: Step} | null, sent: Record<string, boolean>}} Asked */

/** @extends {Component<Props, Asked>} */
class Queue extends Component {
  state = /** @type {Asked} */ ({ asked: null, sent: {} });

  /** @param {string} key @param {any} data @param {Step} step */
  act(key, data, step) {
    const sent = (/** @type {boolean} */ is) => this.setState({ sent: { ...this.state.sent, [key]: is } });
    sent(true);
    void this.props.on.send(`/v1/commands/${step.command}`, { paymentId: key }, questionOf(step, data).done).then(() => sent(false));
  }

  render() {
    const { asked, sent } = this.state;
    const total = this.props.state.views.payment_queue?.documents[''];
    const ask = (/** @type {string} */ key, /** @type {any} */ data, /** @type {Step} */ step) => this.setState({ asked: { key, data, step } });
    return html`<${HeldScreen} ...${this.props} items=${queue(this.props.state)} busy=${asked !== null} title="Pending payments"
      topic="payment_queue" empty="No pending payments." aside=${total && html`<${Total} total=${total} />`}
      render=${(/** @type {HeldItem[]} */ rows) => html`<div class=${`grid-table cashier ${isTable(this.props.state.width, rows) ? '' : 'is-cards'}`} role="table" aria-label="Pending payments, oldest first">
        <div role="row" class="grid-row grid-head"><span role="columnheader">Since</span><span role="columnheader">Customer</span><span role="columnheader">What</span>
          <span role="columnheader">Status</span><span role="columnheader" class="right">Amount</span><span role="columnheader" aria-label="Decide"></span></div>
        ${rows.map((row) => html`<${Row} key=${row.key} row=${row} state=${this.props.state} sent=${sent[row.key]} onAsk=${ask} />`)}
      </div>`} />
      ${asked && html`<${Confirm} key=${asked.key} question=${question(asked, () => this.act(asked.key, asked.data, asked.step))} onDone=${() => this.setState({ asked: null })} />`}`;
  }
}

/** Everything but the amount, in pixels. */
const OTHER_PX = 60 + 90 + 130 + 90 + 190 + 5 * 18;

/** @param {number} width @param {HeldItem[]} rows */
function isTable(width, rows) {
  return fits(screenRoom(width), OTHER_PX, [charsOf(rows.map(({ data }) => formatMoney(data.amount)))]);
}

/** @param {{total: {deposits: number, withdrawals: number}}} props */
function Total({ total }) {
  return html`<span class="dim aside-figures"><span>Deposits <b class="figure">${formatMoney(total.deposits)}</b></span> <span>Withdrawals <b class="figure">${formatMoney(total.withdrawals)}</b></span></span>`;
}

/** @param {{row: HeldItem, state: import('../store.js').State, sent: boolean | undefined, onAsk: (key: string, data: any, step: Step) => void}} props */
function Row({ row: { key, data, now }, state, sent, onAsk }) {
  const at = Date.parse(data.requestedAt);
  return html`<div role="row" class=${`grid-row ${now === undefined ? 'is-gone' : ''}`}>
    <time role="cell" class="dim c-since" title=${formatDateTime(at)}>${formatTime(at)}</time>
    <span role="cell" class="c-who"><b>${data.customerId}</b>${data.name && html` <span class="dim">${data.name}</span>`}</span>
    <span role="cell" class="c-what">${formatWord(data.direction)} <span class="dim">· ${formatWord(data.method)}</span></span>
    <span role="cell" class="c-status"><span class=${`chip ${now?.status === data.status ? '' : 'chip-edit'}`}>${now === undefined ? 'Decided' : formatWord(now.status)}</span></span>
    <span role="cell" class="right c-amount"><b class="figure">${formatMoney(data.amount)}</b></span>
    <span role="cell" class="buttons">${stepsOf(data).filter(({ command }) => takes(state, command)).map((step) => {
      const open = isOpen(step, now) && !sent;
      // It stays a button that can have the focus, so that the focus stays where it is.
      return html`<button key=${step.command} type="button" class="button" aria-disabled=${open ? undefined : 'true'}
        aria-label=${`${step.verb} ${formatMoney(data.amount)}, ${personOf(data)}`} onClick=${() => open && onAsk(key, data, step)}>${sent ? `${step.verb} …` : step.verb}</button>`;
    })}</span>
  </div>`;
}

/** @param {{data: any, step: Step}} asked @param {() => void} act */
function question({ data, step }, act) {
  const { title, amount, person, way, yes } = questionOf(step, data);
  const text = html`<p class="confirm-amount figure">${amount}</p><p><b>${person}</b></p><p class="dim">${way}, asked for at ${formatTime(Date.parse(data.requestedAt))}</p>`;
  return { title, text, yes, act };
}
