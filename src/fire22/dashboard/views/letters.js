// Facts that were set aside: why, what is known, and trying them again once the cause is mended.

import { formatDateTime, formatTime, formatWord } from '../format.js';
import { html } from '../html.js';
import { label, shown } from './alerts.js';
import { Screen, documentsOf } from './screen.js';

/** @param {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} props */
export function Letters({ state, stale, on }) {
  const letters = documentsOf(state, 'dead_letters').sort((one, other) => Number(other.key) - Number(one.key));
  return html`<${Screen} title="Set aside" topic="dead_letters" state=${state} stale=${stale}
    empty="Every fact that the book told could be used.">
    ${letters.length > 0 && html`<ol class="cards">${letters.map(({ key, data }) => html`<${Letter} key=${key} seq=${key} letter=${data} on=${on} />`)}</ol>`}
  </${Screen}>`;
}

/** @param {{seq: string, letter: any, on: Record<string, any>}} props */
function Letter({ seq, letter, on }) {
  const at = Date.parse(letter.timestamp);
  return html`<li class="card severity-warn">
    <p class="card-head"><span class="chip chip-edit">${formatWord(letter.code)}</span><b>${letter.type}</b>
      ${letter.attempts > 1 && html`<span class="dim">tried ${letter.attempts} times</span>`}
      <time class="dim" title=${formatDateTime(at)}>${formatTime(at)}</time></p>
    <p>${letter.reason} It counts in no figure.</p>
    ${letter.evidence && html`<dl class="evidence">${Object.entries(letter.evidence).map(([name, value]) => html`<div key=${name}><dt>${label(name)}</dt><dd>${shown(value)}</dd></div>`)}</dl>`}
    <details><summary>What came</summary><pre>${typeof letter.data === 'string' ? letter.data : JSON.stringify(letter.data, null, 2)}</pre></details>
    <p class="card-foot">
      <button type="button" class="button" onClick=${() => on.send(`/v1/dead-letters/${seq}/replay`, {}, 'It is tried again; if it still cannot be used, it stays here.')}>Try again</button>
      <button type="button" class="button" onClick=${() => on.send(`/v1/dead-letters/${seq}/dismiss`, { reason: 'dismissed on the page' }, 'It is dismissed.')}>Dismiss</button>
    </p>
  </li>`;
}
