// Weekly figures of an agent: its sub-agents and its own customers, by day, with what they owe and are owed.

import { formatSigned } from '../format.js';
import { html } from '../html.js';
import { hashOf } from '../screens.js';
import { Crumbs, Screen, documentsOf } from './screen.js';

/** @typedef {import('../store.js').State} State */

/** Sub-agents first, then customers, each by name. @param {State} state */
export function lines(state) {
  return documentsOf(state, 'figures').filter(({ key }) => key !== '').sort((one, other) => one.key.localeCompare(other.key, 'en', { numeric: true }));
}

/** @param {{state: State, stale: boolean}} props */
export function Figures({ state, stale }) {
  const total = state.views.figures?.documents[''];
  const all = lines(state);
  return html`<${Screen} title="Weekly figures" topic="figures" state=${state} stale=${stale} empty="Nobody has figures here this week."
    aside=${html`<${Crumbs} screen="figures" state=${state} />`}>
    ${total && html`<div class="grid-table figures" role="table" aria-label="Weekly figures">
      <div role="row" class="grid-row grid-head"><span role="columnheader">Who</span><span role="columnheader" class="right">Carry</span>
        ${days(total).map(([day]) => html`<span role="columnheader" class="right" key=${day}>${weekday(day)}</span>`)}
        <span role="columnheader" class="right">Week</span><span role="columnheader" class="right">Payments</span><span role="columnheader" class="right">Balance</span></div>
      ${all.map(({ key, data }) => html`<${Line} key=${key} who=${whoOf(key)} to=${linkOf(state, key)} figure=${data} />`)}
      <${Line} who="Total" to=${null} figure=${total} />
    </div>`}
  </${Screen}>`;
}

/** @param {{who: string, to: string | null, figure: any}} props */
function Line({ who, to, figure }) {
  return html`<div role="row" class="grid-row">
    <span role="cell"><b>${to ? html`<a href=${to}>${who}</a>` : who}</b></span>
    <${Amount} value=${figure.carry} />
    ${days(figure).map(([day, value]) => html`<${Amount} key=${day} value=${value} />`)}
    <${Amount} value=${figure.week} strong /><${Amount} value=${figure.payments} /><${Amount} value=${figure.balance} strong />
  </div>`;
}

/** @param {{value: number | undefined, strong?: boolean}} props */
function Amount({ value, strong }) {
  if (!value) return html`<span role="cell" class="right dim">–</span>`;
  const text = formatSigned(value);
  return html`<span role="cell" class=${`right ${value < 0 ? 'tone-bad' : 'tone-good'}`}>${strong ? html`<b>${text}</b>` : text}</span>`;
}

/** @param {any} figure @returns {[string, number][]} */
function days(figure) {
  return /** @type {[string, number][]} */ (Object.entries(figure.days ?? {})).sort(([one], [other]) => one.localeCompare(other));
}

/** @param {string} day  2026-11-24 */
function weekday(day) {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', timeZone: 'UTC' });
}

/** @param {string} key  agent:A7, customer:C12 */
function whoOf(key) {
  return key.slice(key.indexOf(':') + 1);
}

/** @param {State} state @param {string} key */
function linkOf(state, key) {
  if (!key.startsWith('agent:') || state.signIn.name !== 'signed-in') return null;
  const here = state.scope ?? state.signIn.user.scope;
  return hashOf('figures', `${here === '/' ? '' : here}/${whoOf(key)}`);
}
