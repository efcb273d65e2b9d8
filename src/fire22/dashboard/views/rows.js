// A table of a screen that is read and not followed: rows with a heading each on a wide window, cards with named lines on a narrow one.

import { html } from '../html.js';

/**
 * @template T
 * @typedef {{title: string, cell: (row: T) => unknown, look?: string}} Column  title: empty for buttons
 */

/** @param {{label: string, columns: Column<any>[], rows: any[], keyOf: (row: any) => string, empty: string}} props */
export function Rows({ label, columns, rows, keyOf, empty }) {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  return html`<table class="rows" role="table" aria-label=${label}>
    <thead role="rowgroup"><tr role="row">${columns.map(({ title, look }) => html`<th key=${title} role="columnheader" scope="col" class=${look}>${title || html`<span class="visually-hidden">Actions</span>`}</th>`)}</tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr key=${keyOf(row)} role="row">
      ${columns.map(({ title, cell, look }) => html`<td key=${title} role="cell" class=${look} data-title=${title || undefined}>${cell(row)}</td>`)}
    </tr>`)}</tbody>
  </table>`;
}

/**
 * A screen of what the server answers at an address.
 *
 * @param {{title: string, path: string, state: import('../store.js').State, aside?: unknown, render: (data: any) => unknown}} props
 */
export function ReadScreen({ title, path, state, aside, render }) {
  const answer = state.answers[path];
  const text = answer && 'problem' in answer ? answer.problem : 'Loading …';
  return html`<section class="panel screen" aria-label=${title}>
    <header class="panel-head"><h2>${title}</h2>${aside}</header>
    <div class="scroll" tabindex="0" role="region" aria-label=${title}>${answer && 'data' in answer ? render(answer.data) : html`<p class="empty">${text}</p>`}</div>
  </section>`;
}

/** @param {{id: string, label: string, hint?: string, children?: unknown} & Record<string, any>} props  the rest is of the input */
export function Field({ id, label, hint, children, ...input }) {
  return html`<div class="field"><label for=${id}>${label}</label>
    ${children ?? html`<input id=${id} name=${id} aria-describedby=${hint ? `${id}-hint` : undefined} ...${input} />`}
    ${hint && html`<p id=${`${id}-hint`} class="dim hint">${hint}</p>`}</div>`;
}
