// Payments that wait for somebody: approve, reject, complete.

import { formatMoney, formatTime, formatWord } from '../format.js';
import { html } from '../html.js';
import { Screen, documentsOf } from './screen.js';

/** What may be done with a payment, by its status: [command, what the button says, what is said when it is done]. */
const STEPS = /** @type {Record<string, string[][]>} */ ({
  requested: [['payment.approve', 'Approve', 'The payment is approved.'], ['payment.reject', 'Reject', 'The payment is rejected.']],
  approved: [['payment.complete', 'Complete', 'The payment is completed.']],
});

/** @param {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} props */
export function Cashier({ state, stale, on }) {
  const payments = documentsOf(state, 'payment_queue').filter(({ key }) => key !== '').sort((one, other) => Date.parse(one.data.requestedAt ?? 0) - Date.parse(other.data.requestedAt ?? 0));
  return html`<${Screen} title="Payments that wait" topic="payment_queue" state=${state} stale=${stale} empty="No payment waits.">
    ${payments.length > 0 && html`<div class="grid-table cashier" role="table" aria-label="Payments, the longest waiting first">
      <div role="row" class="grid-row grid-head"><span role="columnheader">Since</span><span role="columnheader">Customer</span><span role="columnheader">What</span>
        <span role="columnheader">Status</span><span role="columnheader" class="right">Amount</span><span role="columnheader"></span></div>
      ${payments.map(({ key, data }) => html`<div role="row" class="grid-row" key=${key}>
        <span role="cell" class="dim">${formatTime(Date.parse(data.requestedAt))}</span>
        <span role="cell"><b>${data.customerId}</b></span>
        <span role="cell">${formatWord(data.direction)} <span class="dim">· ${formatWord(data.method)}</span></span>
        <span role="cell"><span class="chip">${formatWord(data.status)}</span></span>
        <span role="cell" class="right"><b>${formatMoney(data.amount)}</b></span>
        <span role="cell" class="buttons">${(STEPS[data.status] ?? []).map(([command, text, done]) => html`
          <button key=${command} type="button" class="button" onClick=${() => on.send(`/v1/commands/${command}`, { paymentId: key }, done)}>${text}</button>`)}</span>
      </div>`)}
    </div>`}
  </${Screen}>`;
}
