// The alert queue: what to look at first, why it was raised, and taking it up.

import { entriesOf } from '../evidence.js';
import { formatDateTime, formatTime, formatWord } from '../format.js';
import { html } from '../html.js';
import { takes } from '../store.js';
import { HeldScreen } from './held.js';
import { documentsOf } from './screen.js';

const SEVERITIES = ['critical', 'warn', 'info'];
const STATUSES = ['open', 'acknowledged', 'closed'];

/** @typedef {import('../store.js').State} State */
/** @typedef {import('../hold.js').HeldItem} HeldItem */

/** What may be done with an alert, by its status. @type {Record<string, {command: string, verb: string, done: string}[]>} */
const STEPS = {
  open: [
    { command: 'alert.acknowledge', verb: 'Acknowledge', done: 'Alert acknowledged.' },
    { command: 'alert.close', verb: 'Close', done: 'Alert closed.' },
  ],
  acknowledged: [{ command: 'alert.close', verb: 'Close', done: 'Alert closed.' }],
};

/** Open ones first, then by severity, the newest first. @param {State} state @returns {import('../hold.js').Item[]} */
export function queue(state) {
  const rank = (/** @type {string[]} */ order, /** @type {string} */ word) => (order.indexOf(word) + order.length + 1) % (order.length + 1);
  return documentsOf(state, 'alerts').sort(({ data: one }, { data: other }) => (
    rank(STATUSES, one.status) - rank(STATUSES, other.status)
    || rank(SEVERITIES, one.severity) - rank(SEVERITIES, other.severity)
    || Date.parse(other.openedAt) - Date.parse(one.openedAt)
  ));
}

/** @param {{state: State, stale: boolean, on: Record<string, any>}} props */
export function Alerts({ state, stale, on }) {
  return html`<${HeldScreen} items=${queue(state)} title="Alerts" topic="alerts" state=${state} stale=${stale} empty="No alerts."
    render=${(/** @type {HeldItem[]} */ rows) => html`<ol class="cards">${rows.map((row) => html`<${Alert} key=${row.key} row=${row} state=${state} on=${on} />`)}</ol>`} />`;
}

/** Its place and its buttons are those of when the list began to hold still; what it says is as of now. @param {{row: HeldItem, state: State, on: Record<string, any>}} props */
function Alert({ row: { key, data, now }, state, on }) {
  const alert = now ?? data;
  const opened = Date.parse(alert.openedAt);
  const steps = (STEPS[data.status] ?? []).filter(({ command }) => takes(state, command));
  return html`<li class=${`card severity-${alert.severity} status-${alert.status}`}>
    <p class="card-head">
      <span class=${`chip chip-${alert.severity}`}>${formatWord(alert.severity)}</span>
      <b>${alert.title ?? formatWord(alert.rule)}</b>
      ${alert.count > 1 && html`<span class="dim">${alert.count} times</span>`}
      <time class="dim" title=${formatDateTime(opened)}>${formatTime(opened)}</time>
    </p>
    <dl class="evidence">
      <${Fact} title="Rule" text=${formatWord(alert.rule)} />
      ${alert.agentPath && alert.agentPath !== '/' && html`<${Fact} title="Agent" text=${alert.agentPath} />`}
      ${alert.customerId && html`<${Fact} title="Customer" text=${customerOf(alert)} />`}
      ${entriesOf(alert.rule, alert.evidence ?? {}).map(({ name, title, text }) => html`<${Fact} key=${name} title=${title} text=${text} />`)}
      ${alert.wagerIds?.length > 0 && html`<${Fact} title="Related wagers" text=${String(alert.wagerIds.length)} />`}
    </dl>
    <p class="card-foot">
      ${steps.map(({ command, verb, done }) => {
        const open = now !== undefined && (STEPS[now.status] ?? []).some((step) => step.command === command);
        return html`<button key=${command} type="button" class="button" aria-disabled=${open ? undefined : 'true'} aria-label=${`${verb}: ${alert.title ?? alert.rule}`}
          onClick=${() => open && on.send(`/v1/commands/${command}`, { alertId: key }, done)}>${verb}</button>`;
      })}
      ${alert.acknowledgedBy && html`<span class="dim">acknowledged by ${alert.acknowledgedBy}</span>`}
      ${alert.closedBy && html`<span class="dim">closed by ${alert.closedBy}</span>`}
    </p>
  </li>`;
}

/** @param {{title: string, text: string}} props */
function Fact({ title, text }) {
  return html`<div><dt>${title}</dt><dd class=${/\d/.test(text) ? 'figure' : ''}>${text}</dd></div>`;
}

/** @param {any} alert */
function customerOf({ customerId, entity }) {
  return entity?.type === 'customer' && entity.name && entity.name !== customerId ? `${entity.name} (${customerId})` : customerId;
}
