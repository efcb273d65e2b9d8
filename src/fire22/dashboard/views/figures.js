// Weekly figures of an agent: its sub-agents and its own customers, by day, with what they owe and are owed.

import { formatSigned, roundMoney } from '../format.js';
import { html } from '../html.js';
import { charsOf, fits, screenRoom } from '../layout.js';
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
  const shape = total && isTable(state.width, [...all.map(({ data }) => data), total]) ? '' : 'is-cards';
  return html`<${Screen} title="Weekly figures" topic="figures" state=${state} stale=${stale} empty="No figures this week."
    aside=${html`<${Crumbs} screen="figures" state=${state} />`}>
    ${total && html`<div>
      <p class="legend"><b>The customers’ figures:</b> <span class="tone-good">+</span> they won or paid in, <span class="tone-bad">−</span> they lost or took out.
        The book’s result has the opposite sign. Balance = carry + week + payments; above zero the book owes the customer.</p>
      <div class=${`grid-table figures ${shape}`} role="table" aria-label="Weekly figures, as the customers see them">
        <div role="row" class="grid-row grid-head">${columnsOf(total.week).map(({ name, title, hint }) => html`<span role="columnheader" class=${name === 'who' ? 'c-who' : `right c-${name}`} title=${hint} key=${name}>${title}</span>`)}</div>
        ${all.map(({ key, data }) => html`<${Line} key=${key} who=${whoOf(key)} name=${data.name} to=${linkOf(state, key)} figure=${data} />`)}
        <${Line} who="Total" to=${null} figure=${total} isTotal />
      </div>
    </div>`}
  </${Screen}>`;
}

/** @param {string} week @returns {{name: string, title: string, hint?: string}[]} */
function columnsOf(week) {
  return [
    { name: 'who', title: 'Who' },
    { name: 'carry', title: 'Carry', hint: 'The balance that the week began with' },
    ...weekdays(week).map(({ title }) => ({ name: 'day', title })),
    { name: 'week', title: 'Week', hint: 'What the customers won (+) or lost (−) in the week' },
    { name: 'payments', title: 'Payments', hint: 'Deposits less withdrawals and charge-backs, and what the desk adjusted' },
    { name: 'balance', title: 'Balance', hint: 'Carry + week + payments; above zero the book owes the customer' },
  ];
}

/** @param {{who: string, name?: string, to: string | null, figure: any, isTotal?: boolean}} props */
function Line({ who, name, to, figure, isTotal }) {
  const columns = columnsOf(figure.week);
  const values = valuesOf(figure);
  return html`<div role="row" class=${`grid-row ${isTotal ? 'is-total' : ''}`}>
    <span role="rowheader" class="c-who"><b>${to ? html`<a href=${to}>${who}</a>` : who}</b>${name && html` <span class="dim">${name}</span>`}</span>
    ${values.map((value, index) => html`<${Amount} key=${index} column=${columns[index + 1]} value=${value} />`)}
  </div>`;
}

/** In the order of the columns. @param {any} figure @returns {(number | undefined)[]} */
function valuesOf(figure) {
  const days = weekdays(figure.week).map((day) => figure.days?.[day.name]);
  return [figure.carry, ...days, figure.figure, payments(figure), figure.balance];
}

const WHO_PX = 96;
const GAP_PX = 14;

/** Whether all columns fit beside each other. @param {number} width @param {any[]} figures */
function isTable(width, figures) {
  const titles = columnsOf(figures[0].week).slice(1).map(({ title }) => title);
  const rows = figures.map((figure) => valuesOf(figure).map(textOf));
  const chars = titles.map((title, index) => charsOf([title, ...rows.map((row) => row[index])]));
  return fits(screenRoom(width), WHO_PX + GAP_PX * titles.length, chars);
}

/** @param {number | undefined} value */
function textOf(value) {
  return value ? formatSigned(value) : '–';
}

/** @param {{value: number | undefined, column: {name: string, title: string}}} props */
function Amount({ value, column: { name, title } }) {
  const strong = name === 'week' || name === 'balance';
  const tone = !value ? 'dim is-nothing' : value < 0 ? 'tone-bad' : 'tone-good';
  const text = textOf(value);
  return html`<span role="cell" class=${`right figure c-${name} ${tone}`} data-title=${title}>${strong ? html`<b>${text}</b>` : text}</span>`;
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
