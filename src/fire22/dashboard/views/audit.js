// The audit trail as it grows: who did what, from where, to what, and what came of it.

import { formatCount, formatDateTime } from '../format.js';
import { html } from '../html.js';
import { AUDIT_ROWS_MAX } from '../store.js';
import { Component } from '../vendor/preact.js';
import { Rows } from './rows.js';

const EXPORTED_MAX = 10_000; // in one answer of the server

/** @typedef {import('../store.js').Row} Row */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */
/** @typedef {{user: string, action: string}} Filter */

/** @param {Props} props */
export function Audit(props) {
  return html`<${Trail} ...${props} />`;
}

/** @extends {Component<Props, Filter>} */
class Trail extends Component {
  /** @param {Props} props */
  constructor(props) {
    super(props);
    /** @type {Filter} */
    this.state = { user: '', action: '' };
  }

  /** The clock ticks four times a second; hundreds of rows need not be looked at for it. @param {Props} next @param {Filter} filter */
  shouldComponentUpdate(next, filter) {
    const { state, stale } = this.props;
    return filter !== this.state || next.stale !== stale || next.state.audit !== state.audit || next.state.refused.audit !== state.refused.audit;
  }

  render() {
    const { state: { audit: { loaded, rows }, refused }, stale } = this.props;
    const error = refused.audit;
    const shown = rows.filter((row) => passes(row.data, this.state));
    const isFiltered = shown.length < rows.length;
    return html`<section class=${`panel screen ${stale ? 'is-stale' : ''}`} aria-label="Audit trail">
      <header class="panel-head"><h2>Audit trail <span class="dim">${isFiltered ? `${formatCount(shown.length)} of ` : ''}the newest ${formatCount(AUDIT_ROWS_MAX)} entries</span></h2>
        ${rows.length > 0 && !error && html`<a class="button" href=${exportOf(rows[0].data)} download title=${`The newest ${formatCount(EXPORTED_MAX)} entries`}>CSV</a>`}</header>
      ${loaded && !error && html`<form class="form filter" role="search" onSubmit=${(/** @type {SubmitEvent} */ event) => event.preventDefault()}>
        ${this.input('user', 'User')}${this.input('action', 'Action')}
      </form>`}
      <div class="scroll" tabindex="0" role="region" aria-label="Audit trail, newest first">
        ${error ? html`<p class="empty">${error.message}</p>` : html`<${Rows} label="Audit trail" rows=${shown} keyOf=${(/** @type {Row} */ { id }) => id} columns=${COLUMNS}
          empty=${!loaded ? 'Loading …' : rows.length ? 'None of these entries has both.' : 'No entries yet.'} />`}
      </div>
    </section>`;
  }

  /** @param {'user' | 'action'} name @param {string} label */
  input(name, label) {
    const take = (/** @type {InputEvent} */ event) => this.setState({ [name]: /** @type {HTMLInputElement} */ (event.currentTarget).value });
    return html`<div class="field"><label for=${`audit-${name}`}>${label}</label>
      <input id=${`audit-${name}`} type="search" autocomplete="off" autocapitalize="off" spellcheck="false" value=${this.state[name]} onInput=${take} /></div>`;
  }
}

/** @type {import('./rows.js').Column<Row>[]} */
const COLUMNS = [
  { title: 'User', cell: ({ data: { user, role } }) => html`<b>${user || '–'}</b> <span class="dim">${role}</span>` },
  { title: 'Action', cell: ({ data: { action, count } }) => html`${action}${count > 1 && html` <span class="dim">× ${formatCount(count)}</span>`}` },
  { title: 'On', cell: ({ data: { target } }) => target },
  { title: 'Outcome', cell: ({ data: { outcome } }) => html`<span class=${`chip ${outcome === 'ok' ? 'chip-good' : 'chip-bad'}`}>${outcome}</span>` },
  { title: 'From', cell: ({ data: { address, client } }) => [address, client].filter(Boolean).join(' · ') },
  { title: 'Time', cell: ({ data: { at } }) => formatDateTime(Date.parse(at)) },
  { title: 'More', look: 'wide', cell: ({ data }) => html`<details><summary>Entry ${data.number}</summary><pre>${JSON.stringify(data, null, 2)}</pre></details>` },
];

/** Whether an entry has what was typed, wherever in it. @param {Record<string, any>} entry @param {Filter} filter */
export function passes({ user, action }, filter) {
  return holds(user, filter.user) && holds(action, filter.action);
}

/** @param {unknown} text @param {string} typed */
function holds(text, typed) {
  return String(text ?? '').toLowerCase().includes(typed.trim().toLowerCase());
}

/** The address of the newest entries as CSV, up to the newest of all. @param {{number: number}} newest */
export function exportOf({ number }) {
  const from = String(Math.max(1, number - EXPORTED_MAX + 1)).padStart(12, '0');
  return `./v1/archive/audit?format=csv&limit=${EXPORTED_MAX}&from=${from}`;
}
