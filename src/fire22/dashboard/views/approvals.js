// What waits for a second person: who asked, for what, how much, about whom; approve or reject.

import { aboutOf, askerOf, changesOf, commandText, isOwn, questionOf } from '../approvals.js';
import { formatAge, formatDateTime, formatMinor, formatTime } from '../format.js';
import { html } from '../html.js';
import { takes } from '../store.js';
import { ReadScreen } from './rows.js';

/** @typedef {import('../approvals.js').Approval} Approval */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */

/** @param {Props} props */
export function Approvals({ state, on }) {
  return html`<${ReadScreen} title="Commands that wait for a second person" path="/v1/approvals" state=${state} render=${(/** @type {{approvals: Approval[]}} */ { approvals }) => (approvals.length === 0
    ? html`<p class="empty">Nothing waits for a second person. A command above the amount that its giver may decide alone would stand here.</p>`
    : html`${approvals.every((each) => isOwn(each, state)) && html`<p class="part-text">Nothing waits for you: what you asked for is decided by another person.</p>`}
      <ol class="cards">${approvals.map((each) => html`<${Card} key=${each.approvalId} approval=${named(each, state)} state=${state} on=${on} />`)}</ol>`)} />`;
}

/** With the customer's name, where another screen has told it. @param {Approval} approval @param {import('../store.js').State} state */
function named(approval, { views }) {
  const known = Object.values(views.payment_queue?.documents ?? {}).find(({ customerId }) => customerId === approval.customer);
  return known?.name ? { ...approval, customerName: known.name } : approval;
}

/** @param {{approval: Approval, state: import('../store.js').State, on: Record<string, any>}} props */
function Card({ approval, state, on }) {
  const at = Date.parse(approval.askedAt);
  const own = isOwn(approval, state);
  const amount = formatMinor(approval.amountMinor);
  const changes = changesOf(approval);
  return html`<li class="card severity-warn">
    <p class="card-head"><b class="figure">${amount}</b> <b>${commandText(approval.command)}</b><span>for <b>${aboutOf(approval)}</b></span>
      <time class="dim" dateTime=${approval.askedAt} title=${formatDateTime(at)}>${formatTime(at)}</time></p>
    <p>${own ? 'You asked for it' : html`<b>${askerOf(approval)}</b> asked for it`} <span class="dim">as ${approval.role}${approval.scope === '/' ? '' : ` of ${approval.scope}`} · ends in ${formatAge(Date.parse(approval.expiresAt) - state.nowMs)} without a decision</span></p>
    ${changes.length > 0 && html`<dl class="evidence">${changes.map(({ name, before, after }) => html`<div key=${name}><dt>${name}</dt><dd>${before && `${before} → `}${after}</dd></div>`)}</dl>`}
    <p class="card-foot">${own
      ? html`<span class="dim">It takes another person than the one who asked.</span>`
      : [true, false].filter((approve) => takes(state, approve ? 'approval.approve' : 'approval.reject')).map((approve) => html`<button key=${approve} type="button" class="button"
          aria-label=${`${approve ? 'Approve' : 'Reject'} ${amount}, ${aboutOf(approval)}`} onClick=${() => on.ask(question(approval, approve, on))}>${approve ? 'Approve' : 'Reject'}</button>`)}
    </p>
  </li>`;
}

/** @param {Approval} approval @param {boolean} approve @param {Record<string, any>} on */
function question(approval, approve, on) {
  const { title, amount, person, what, yes, done } = questionOf(approval, approve);
  const text = html`<p class="confirm-amount figure">${amount}</p><p><b>${person}</b></p><p class="dim">${what}, asked for by ${askerOf(approval)} at ${formatTime(Date.parse(approval.askedAt))}</p>`;
  const act = () => on.send(`/v1/commands/approval.${approve ? 'approve' : 'reject'}`, { approvalId: approval.approvalId }, done);
  return { title, text, yes, act };
}
