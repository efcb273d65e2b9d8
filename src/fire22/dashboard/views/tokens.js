// Tokens of machines: made and shown once, listed with their last use, ended.

import { formatDateTime } from '../format.js';
import { html } from '../html.js';
import { agoText } from './account.js';
import { Field, ReadScreen, Rows } from './rows.js';
import { RoleSelect, ownScope, rolesOf, valuesOf } from './users.js';

/** @typedef {{name: string, purpose: string, role: string, scope: string, createdAt: string, createdBy: string, expiresAt: string, usedAt?: string, token?: string}} Token */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */

const DAYS_DEFAULT = 90;

/** @param {Props} props */
export function Tokens({ state, on }) {
  const { nowMs } = state;
  return html`<${ReadScreen} title="Machine tokens" path="/v1/tokens" state=${state} render=${(/** @type {{tokens: Token[]}} */ { tokens }) => html`
    <${Rows} label="Machine tokens" rows=${tokens} keyOf=${(/** @type {Token} */ { name }) => name} empty="No machine has a token. Make one below." columns=${[
      { title: 'Name', cell: (/** @type {Token} */ { name, purpose }) => html`<b>${name}</b> <span class="dim">${purpose}</span>` },
      { title: 'Role', cell: (/** @type {Token} */ { role }) => role },
      { title: 'Scope', cell: (/** @type {Token} */ { scope }) => scope },
      { title: 'Last used', cell: (/** @type {Token} */ { usedAt }) => (usedAt ? html`<span title=${formatDateTime(Date.parse(usedAt))}>${agoText(nowMs - Date.parse(usedAt))}</span>` : html`<span class="dim">never</span>`) },
      { title: 'Ends', cell: (/** @type {Token} */ { expiresAt }) => (Date.parse(expiresAt) <= nowMs ? html`<span class="chip chip-bad">Ended</span>` : formatDateTime(Date.parse(expiresAt))) },
      { title: 'Made by', cell: (/** @type {Token} */ { createdBy, createdAt }) => html`<span title=${formatDateTime(Date.parse(createdAt))}>${createdBy.replace(/^\w+:/, '')}</span>` },
      { title: '', look: 'right', cell: (/** @type {Token} */ token) => html`<button type="button" class="button" aria-label=${`Revoke ${token.name}`} onClick=${() => on.ask(revokeQuestion(token, on))}>Revoke</button>` },
    ]} />
    <div class="part-head"><h3>Make a token</h3></div><${Make} state=${state} on=${on} />`} />`;
}

/** @param {Token} token @param {Record<string, any>} on */
function revokeQuestion({ name, purpose, role, scope }, on) {
  return {
    title: `Revoke the token of ${name}?`,
    text: html`<p>${purpose}</p><p class="dim">${role} in ${scope}. Its connections end at once, and it cannot be brought back.</p>`,
    yes: 'Revoke',
    act: () => on.send(`/v1/tokens/${encodeURIComponent(name)}`, undefined, `The token of ${name} is revoked.`, 'DELETE'),
  };
}

/** @param {{state: import('../store.js').State, on: Record<string, any>}} props */
function Make({ state, on }) {
  const roles = [...rolesOf(state, 'machine'), ...rolesOf(state)];
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const { days, ...asked } = valuesOf(event);
    on.ask({
      title: `Make a token for ${asked.name}?`,
      text: html`<p>Whoever holds it is <b>${asked.role}</b> in <b>${asked.scope}</b> for ${days} days.</p>`,
      yes: 'Make the token',
      act: async () => {
        const answer = await on.send('/v1/tokens', { ...asked, hours: 24 * Number(days) }, `The token of ${asked.name} is made.`);
        if (!('data' in answer)) return;
        form.reset();
        on.show({ title: `Token of ${asked.name}`, text: 'Put it where the machine reads it. Nobody can see it again.', secret: answer.data.token });
      },
    });
  };
  return html`<form class="form" onSubmit=${submit}>
    <${Field} id="name" label="Name" required maxlength="64" pattern="[a-z0-9._\\-]+" title="Small letters, digits and . _ -" autocomplete="off" spellcheck="false" autocapitalize="off" />
    <${Field} id="purpose" label="Purpose" required maxlength="200" autocomplete="off" />
    <${Field} id="role" label="Role"><${RoleSelect} roles=${roles} /></${Field}>
    <${Field} id="scope" label="Scope" required defaultValue=${ownScope(state)} maxlength="1024" spellcheck="false" autocapitalize="off" />
    <${Field} id="days" label="Good for days" type="number" required min="1" max="3650" defaultValue=${DAYS_DEFAULT} />
    <p class="form-foot"><button type="submit" class="button button-main">Make …</button></p>
  </form>`;
}
