// The alert queue: what to look at first, why it was raised, and taking it up.

import { formatDateTime, formatMoney, formatTime, formatWord } from '../format.js';
import { html } from '../html.js';
import { Screen, documentsOf } from './screen.js';

const SEVERITIES = ['critical', 'warn', 'info'];
const STATUSES = ['open', 'acknowledged', 'closed'];

/** @typedef {import('../store.js').State} State */

/** Open ones first, then by severity, the newest first. @param {State} state @returns {any[]} */
export function queue(state) {
  const rank = (/** @type {string[]} */ order, /** @type {string} */ word) => (order.indexOf(word) + order.length + 1) % (order.length + 1);
  return documentsOf(state, 'alerts').map(({ key, data }) => ({ alertId: key, ...data })).sort((one, other) => (
    rank(STATUSES, one.status) - rank(STATUSES, other.status)
    || rank(SEVERITIES, one.severity) - rank(SEVERITIES, other.severity)
    || Date.parse(other.openedAt) - Date.parse(one.openedAt)
  ));
}

/** @param {{state: State, stale: boolean, on: Record<string, any>}} props */
export function Alerts({ state, stale, on }) {
  const alerts = queue(state);
  return html`<${Screen} title="Alerts" topic="alerts" state=${state} stale=${stale} empty="Nothing asks for attention.">
    ${alerts.length > 0 && html`<ol class="cards">${alerts.map((alert) => html`<${Alert} key=${alert.alertId} alert=${alert} on=${on} />`)}</ol>`}
  </${Screen}>`;
}

/** @param {{alert: any, on: Record<string, any>}} props */
function Alert({ alert, on }) {
  const decide = (/** @type {string} */ command, /** @type {string} */ done) => () => on.send(`/v1/commands/${command}`, { alertId: alert.alertId }, done);
  return html`<li class=${`card severity-${alert.severity} status-${alert.status}`}>
    <p class="card-head">
      <span class=${`chip chip-${alert.severity}`}>${formatWord(alert.severity)}</span>
      <b>${alert.title ?? formatWord(alert.rule)}</b>
      ${alert.count > 1 && html`<span class="dim">${alert.count} times</span>`}
      <time class="dim" title=${formatDateTime(Date.parse(alert.openedAt))}>${formatTime(Date.parse(alert.openedAt))}</time>
    </p>
    <dl class="evidence">
      <div><dt>Rule</dt><dd>${formatWord(alert.rule)}</dd></div>
      ${alert.agentId && html`<div><dt>Agent</dt><dd>${alert.agentId}</dd></div>`}
      ${alert.customerId && html`<div><dt>Customer</dt><dd>${alert.customerId}</dd></div>`}
      ${Object.entries(alert.evidence ?? {}).map(([name, value]) => html`<div key=${name}><dt>${label(name)}</dt><dd>${shown(value)}</dd></div>`)}
      ${alert.wagerIds?.length > 0 && html`<div><dt>Wagers</dt><dd title=${alert.wagerIds.join(' ')}>${alert.wagerIds.length}</dd></div>`}
    </dl>
    <p class="card-foot">
      ${alert.status === 'open' && html`<button type="button" class="button" onClick=${decide('alert.acknowledge', 'The alert is yours.')}>Acknowledge</button>`}
      ${alert.status !== 'closed' && html`<button type="button" class="button" onClick=${decide('alert.close', 'The alert is closed.')}>Close</button>`}
      ${alert.acknowledgedBy && html`<span class="dim">taken up by ${alert.acknowledgedBy}</span>`}
      ${alert.closedBy && html`<span class="dim">closed by ${alert.closedBy}</span>`}
    </p>
  </li>`;
}

/** "firstOdds" → "First odds". @param {string} name */
export function label(name) {
  return formatWord(name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`));
}

/** @param {unknown} value @returns {string} */
export function shown(value) {
  if (Array.isArray(value)) return value.length > 6 ? `${value.slice(0, 6).map(shown).join(', ')} and ${value.length - 6} more` : value.map(shown).join(', ');
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : formatMoney(value);
  if (value !== null && typeof value === 'object') return Object.entries(value).map(([name, each]) => `${label(name)} ${shown(each)}`).join(', ');
  return String(value);
}
