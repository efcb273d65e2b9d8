// Who is signed in within the own scope, with device and place.

import { deviceOf } from '../devices.js';
import { html } from '../html.js';
import { deviceColumns, endQuestion } from './account.js';
import { ReadScreen, Rows } from './rows.js';

/** @typedef {import('./account.js').OwnSession & {user: string, role: string, scope: string, manageable: boolean}} SignedIn */

/** @param {{state: import('../store.js').State, on: Record<string, any>}} props */
export function Sessions({ state, on }) {
  return html`<${ReadScreen} title="Who is signed in" path="/v1/signed-in" state=${state} render=${(/** @type {{sessions: SignedIn[]}} */ { sessions }) => html`
    <${Rows} label="Who is signed in" rows=${sessions} keyOf=${(/** @type {SignedIn} */ { id }) => id} empty="Nobody is signed in." columns=${[
      { title: 'User', cell: (/** @type {SignedIn} */ { user, role }) => html`<b>${user}</b> <span class="dim">${role}</span>` },
      { title: 'Scope', cell: (/** @type {SignedIn} */ { scope }) => scope },
      ...deviceColumns(state.nowMs),
      { title: '', look: 'right', cell: (/** @type {SignedIn} */ each) => {
        if (each.current) return html`<span class="chip chip-good">This one</span>`;
        return each.manageable && html`<button type="button" class="button" aria-label=${`End the session of ${each.user}, ${deviceOf(each.agent)}`}
          onClick=${() => on.ask(endQuestion(each, `/v1/signed-in/${each.id}`, on, each.user))}>End</button>`;
      } },
    ]} />`} />`;
}
