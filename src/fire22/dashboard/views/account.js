// The own account: sessions with device and place, the password, the second factor, signing out.

import { deviceOf } from '../devices.js';
import { formatAge, formatDateTime } from '../format.js';
import { html } from '../html.js';
import { Field, ReadScreen, Rows } from './rows.js';
import { SecondFactor } from './second_factor.js';

export const PASSWORD_MIN = 12;

/** @typedef {{id: string, current: boolean, createdAt: string, usedAt: string, endsAt: string, agent: string, address: string}} OwnSession */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */

/** @param {Props} props */
export function Account({ state, on }) {
  if (state.signIn.name !== 'signed-in') return null;
  const { user } = state.signIn;
  const out = html`<button type="button" class="button account-out" onClick=${on.signOut}>Sign out</button>`;
  return html`<${ReadScreen} title="Account" path="/v1/sessions" state=${state} aside=${out} render=${(/** @type {{sessions: OwnSession[]}} */ { sessions }) => html`
    <dl class="totals">
      <div><dt>Name</dt><dd>${user.subject}</dd></div><div><dt>Role</dt><dd>${user.role}</dd></div><div><dt>Scope</dt><dd>${user.scope === '/' ? '/ (whole book)' : user.scope}</dd></div>
      ${user.expiresAt && html`<div><dt>Signed in until</dt><dd>${formatDateTime(Date.parse(user.expiresAt))}</dd></div>`}
    </dl>
    <div class="part-head"><h3>Your sessions</h3>
      ${sessions.length > 1 && html`<button type="button" class="button" onClick=${() => on.ask(othersQuestion(sessions, on))}>End all others</button>`}</div>
    <${Rows} label="Your sessions" rows=${sessions} keyOf=${(/** @type {OwnSession} */ { id }) => id} empty="No sessions." columns=${[
      ...deviceColumns(state.nowMs),
      { title: '', look: 'right', cell: (/** @type {OwnSession} */ each) => each.current ? html`<span class="chip chip-good">This one</span>` : html`<button type="button" class="button" aria-label=${`End the session of ${deviceOf(each.agent)} at ${each.address}`}
        onClick=${() => on.ask(endQuestion(each, `/v1/sessions/${each.id}`, on))}>End</button>` },
    ]} />
    ${user.hasPassword
      ? html`<div class="part-head"><h3>Change password</h3></div><${Password} name=${user.subject} on=${on} />
        <div class="part-head"><h3>Second factor</h3></div><${SecondFactor} name=${user.subject} must=${false} on=${on} />`
      : html`<p class="part-text dim">You came by a one-time link, so there is no password to change.</p>`}`} />`;
}

/** Device, place and times of a session. @param {number} nowMs */
export function deviceColumns(nowMs) {
  return [
    { title: 'Device', cell: (/** @type {OwnSession} */ { agent }) => html`<b title=${agent}>${deviceOf(agent)}</b>` },
    { title: 'Address', cell: (/** @type {OwnSession} */ { address }) => address },
    { title: 'Last used', cell: (/** @type {OwnSession} */ { usedAt }) => html`<span title=${formatDateTime(Date.parse(usedAt))}>${agoText(nowMs - Date.parse(usedAt))}</span>` },
    { title: 'Signed in', cell: (/** @type {OwnSession} */ { createdAt }) => formatDateTime(Date.parse(createdAt)) },
  ];
}

/** Nobody looks at seconds here, and a clock that differs a little is not in the future. @param {number} ms */
export function agoText(ms) {
  return ms < 60_000 ? 'just now' : `${formatAge(ms - ms % 60_000).replace(/ 0 \w+$/, '')} ago`;
}

/** @param {{agent: string, address: string}} session @param {string} path @param {Record<string, any>} on @param {string} [whose] */
export function endQuestion({ agent, address }, path, on, whose) {
  return {
    title: whose ? `End a session of ${whose}?` : 'End this session?',
    text: html`<p><b>${deviceOf(agent)}</b> at ${address}</p><p class="dim">It is signed out at once, wherever it is open.</p>`,
    yes: 'End the session',
    act: () => on.send(path, undefined, 'The session has ended.', 'DELETE'),
  };
}

/** @param {OwnSession[]} sessions @param {Record<string, any>} on */
function othersQuestion(sessions, on) {
  const count = sessions.length - 1;
  return {
    title: 'End all other sessions?',
    text: html`<p>${count === 1 ? 'One other session is' : `${count} other sessions are`} signed out at once. This one stays.</p>`,
    yes: 'End all others',
    act: () => on.send('/v1/sessions', undefined, 'All other sessions have ended.', 'DELETE'),
  };
}

/** @param {{name: string, on: Record<string, any>}} props */
function Password({ name, on }) {
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const again = /** @type {HTMLInputElement} */ (form.elements.namedItem('again'));
    const values = new FormData(form);
    again.setCustomValidity(values.get('new') === values.get('again') ? '' : 'The two new passwords are not the same.');
    if (!form.reportValidity()) return;
    const answer = await on.send('/v1/password', { password: values.get('password'), new: values.get('new') }, 'The password is changed; your other sessions have ended.');
    if ('data' in answer) form.reset();
  };
  const clear = (/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.currentTarget).setCustomValidity('');
  return html`<form class="form" onSubmit=${submit} noValidate>
    <input type="text" name="username" autocomplete="username" value=${name} hidden />
    <${Field} id="password" label="Password now" type="password" autocomplete="current-password" required maxlength="256" />
    <${Field} id="new" label="New password" type="password" autocomplete="new-password" required minlength=${PASSWORD_MIN} maxlength="256" hint=${`At least ${PASSWORD_MIN} characters; four words are easy to remember.`} />
    <${Field} id="again" label="New password again" type="password" autocomplete="new-password" required maxlength="256" onInput=${clear} />
    <p class="form-foot"><button type="submit" class="button button-main">Change password</button></p>
  </form>`;
}
