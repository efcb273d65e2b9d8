// Dead letters, facts that were set aside: why, what is known, and trying them again once the cause is mended.

import { knownOf } from '../evidence.js';
import { formatDateTime, formatTime, formatWord } from '../format.js';
import { html } from '../html.js';
import { HeldScreen } from './held.js';
import { documentsOf } from './screen.js';

/** @typedef {import('../hold.js').HeldItem} HeldItem */

/** @param {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} props */
export function Letters({ state, stale, on }) {
  const letters = documentsOf(state, 'dead_letters').sort((one, other) => Number(other.key) - Number(one.key));
  return html`<${HeldScreen} items=${letters} title="Dead letters" topic="dead_letters" state=${state} stale=${stale}
    empty="No dead letters."
    render=${(/** @type {HeldItem[]} */ rows) => html`<ol class="cards">${rows.map((row) => html`<${Letter} key=${row.key} row=${row} on=${on} />`)}</ol>`} />`;
}

/** @param {{row: HeldItem, on: Record<string, any>}} props */
export function Letter({ row: { key: seq, data, now }, on }) {
  const letter = now ?? data;
  const open = now !== undefined;
  const at = Date.parse(letter.timestamp);
  const ofRow = letter.type.startsWith('system.'); // there is no event of it that could be folded again
  return html`<li class=${`card severity-warn ${open ? '' : 'is-gone'}`}>
    <p class="card-head"><span class="chip chip-edit">${formatWord(letter.code)}</span><b>${letter.type}</b>
      ${letter.attempts > 1 && html`<span class="dim">tried ${letter.attempts} times</span>`}
      <time class="dim" title=${formatDateTime(at)}>${formatTime(at)}</time></p>
    <p>${letter.reason} It is not included in any figure.</p>
    ${letter.evidence && html`<dl class="evidence">${knownOf(letter.evidence).map(({ name, title, text }) => html`<div key=${name}><dt>${title}</dt><dd>${text}</dd></div>`)}</dl>`}
    <details><summary>Event data</summary><pre>${typeof letter.data === 'string' ? letter.data : JSON.stringify(letter.data, null, 2)}</pre></details>
    <p class="card-foot">
      ${ofRow ? html`<span class="dim">The row is read again when it changes in the book.</span>` : html`<button type="button" class="button" aria-disabled=${open ? undefined : 'true'} onClick=${() => open && on.send(`/v1/dead-letters/${seq}/replay`, {}, 'Replayed. If it is rejected again, it stays in this list.')}>Try again</button>`}
      <button type="button" class="button" aria-disabled=${open ? undefined : 'true'} onClick=${() => open && on.send(`/v1/dead-letters/${seq}/dismiss`, { reason: 'dismissed on the page' }, 'Dismissed.')}>Dismiss</button>
    </p>
  </li>`;
}
