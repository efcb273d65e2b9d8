// Weekly figures of an agent: its sub-agents and its own customers, by day, with what they owe and are owed.

import { formatSigned, roundMoney } from '../format.js';
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
        ${weekdays(total.week).map(({ name, title }) => html`<span role="columnheader" class="right" key=${name}>${title}</span>`)}
        <span role="columnheader" class="right">Week</span><span role="columnheader" class="right" title="Deposits, withdrawals, charge-backs and what the desk moved">Payments</span><span role="columnheader" class="right">Balance</span></div>
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
    ${weekdays(figure.week).map(({ name }) => html`<${Amount} key=${name} value=${figure.days?.[name]} />`)}
    <${Amount} value=${figure.figure} strong /><${Amount} value=${payments(figure)} /><${Amount} value=${figure.balance} strong />
  </div>`;
}

/** @param {{value: number | undefined, strong?: boolean}} props */
function Amount({ value, strong }) {
  if (!value) return html`<span role="cell" class="right dim">–</span>`;
  const text = formatSigned(value);
  return html`<span role="cell" class=${`right ${value < 0 ? 'tone-bad' : 'tone-good'}`}>${strong ? html`<b>${text}</b>` : text}</span>`;
}

/** The days of a week in their order, as the documents name them and as a person does. @param {string} week  its first day, 2026-11-24 */
export function weekdays(week) {
  return Array.from({ length: 7 }, (_, index) => {
    const day = new Date(Date.parse(`${week}T00:00:00Z`) + index * 86_400_000);
    const name = day.toLocaleDateString('en-GB', { weekday: 'long', timeZone: 'UTC' }).toLowerCase();
    return { name, title: day.toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', timeZone: 'UTC' }) };
  });
}

/** What moved the balance besides wagers. @param {any} figure */
function payments({ deposits = 0, withdrawals = 0, chargebacks = 0, adjustments = 0 }) {
  return roundMoney(deposits - withdrawals - chargebacks + adjustments);
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
