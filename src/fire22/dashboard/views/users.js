// The users within the own scope: added, given another role or scope, disabled, given a new password, freed of a lost second factor, signed out.

import { formatDateTime } from '../format.js';
import { html } from '../html.js';
import { hashOf } from '../screens.js';
import { Field, ReadScreen, Rows } from './rows.js';

/** @typedef {{name: string, kind: string, role: string, scope: string, disabled: boolean, createdAt: string, sessions: number, manageable: boolean, passwordAt?: string, secondFactor?: boolean, password?: string}} UserRow */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */

/** @param {Props} props */
export function Users({ state, on }) {
  const name = state.scope?.slice(1);
  return html`<${ReadScreen} title="Users" path="/v1/users" state=${state} aside=${name && html`<a class="back" href=${hashOf('users')}>All users</a>`} render=${(/** @type {{users: UserRow[]}} */ { users }) => {
    const user = users.find((each) => each.name === name);
    if (user) return html`<${One} key=${user.name} user=${user} state=${state} on=${on} />`;
    return html`${name && html`<p class="part-text">There is no user ${name} in your scope.</p>`}
      <${Rows} label="Users" rows=${users} keyOf=${(/** @type {UserRow} */ each) => each.name} empty="No users yet. Add one below." columns=${[
        { title: 'Name', cell: (/** @type {UserRow} */ each) => html`<a href=${hashOf('users', `/${each.name}`)}><b>${each.name}</b></a>` },
        { title: 'Role', cell: (/** @type {UserRow} */ { role }) => role },
        { title: 'Scope', cell: (/** @type {UserRow} */ { scope }) => scope },
        { title: 'Sessions', look: 'right', cell: (/** @type {UserRow} */ { sessions }) => sessions },
        { title: 'Added', cell: (/** @type {UserRow} */ { createdAt }) => formatDateTime(Date.parse(createdAt)) },
        { title: 'Status', cell: (/** @type {UserRow} */ { disabled }) => (disabled ? html`<span class="chip chip-bad">Disabled</span>` : html`<span class="chip chip-good">Active</span>`) },
      ]} />
      <div class="part-head"><h3>Add a user</h3></div><${Add} state=${state} on=${on} />`;
  }} />`;
}

/** The roles of people that the user may give, by kind. @param {import('../store.js').State} state @param {string} [kind] */
export function rolesOf({ signIn }, kind) {
  const gives = signIn.name === 'signed-in' ? (signIn.user.gives ?? {}) : {};
  return Object.keys(gives).filter((role) => (kind ? gives[role] === kind : gives[role] !== 'machine'));
}

/** @param {{roles: string[], value?: string}} props */
export function RoleSelect({ roles, value }) {
  return html`<select id="role" name="role" required>
    ${!value && html`<option value="">Choose …</option>`}
    ${roles.map((role) => html`<option key=${role} value=${role} selected=${role === value}>${role}</option>`)}
  </select>`;
}

/** @param {import('../store.js').State} state */
export function ownScope({ signIn }) {
  return signIn.name === 'signed-in' ? signIn.user.scope : '/';
}

/** What a form holds, as texts without blanks around. @param {SubmitEvent} event @returns {Record<string, string>} */
export function valuesOf(event) {
  const values = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
  return Object.fromEntries([...values].map(([name, value]) => [name, String(value).trim()]));
}

/** @param {{state: import('../store.js').State, on: Record<string, any>}} props */
function Add({ state, on }) {
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.currentTarget);
    const asked = valuesOf(event);
    on.ask({
      title: 'Add this user?',
      text: html`<p><b>${asked.name}</b> gets the role <b>${asked.role}</b> in <b>${asked.scope}</b>.</p>`,
      yes: 'Add the user',
      act: async () => {
        const answer = await on.send('/v1/users', asked, `The user ${asked.name} is added.`);
        if (!('data' in answer)) return;
        form.reset();
        showPassword(answer.data, on);
      },
    });
  };
  return html`<form class="form" onSubmit=${submit}>
    <${Field} id="name" label="Name" required maxlength="64" autocomplete="off" spellcheck="false" autocapitalize="off" pattern="[A-Za-z0-9][A-Za-z0-9._@+\\-]*" title="Letters, digits and . _ @ + - with a letter or digit first" />
    <${Field} id="role" label="Role"><${RoleSelect} roles=${rolesOf(state)} /></${Field}>
    <${Field} id="scope" label="Scope" required defaultValue=${ownScope(state)} maxlength="1024" spellcheck="false" autocapitalize="off" hint="What the user may see: / is the whole book, /M1/A2 an agent and all below." />
    <p class="form-foot"><button type="submit" class="button button-main">Add …</button></p>
  </form>`;
}

/** @param {UserRow} user @param {Record<string, any>} on */
function showPassword({ name, password }, on) {
  on.show({ title: `Password of ${name}`, text: 'Hand it over in a safe way, and have it changed under Account after the first sign-in.', secret: password });
}

/** @param {{user: UserRow, state: import('../store.js').State, on: Record<string, any>}} props */
function One({ user, state, on }) {
  const { name } = user;
  const path = `/v1/users/${encodeURIComponent(name)}`;
  const question = (/** @type {string} */ title, /** @type {string} */ text, /** @type {string} */ yes, /** @type {() => unknown} */ act) => on.ask({ title, text: html`<p><b>${name}</b>, ${user.role} in ${user.scope}</p><p class="dim">${text}</p>`, yes, act });
  const change = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const { role, scope } = valuesOf(event);
    question(`Change the rights of ${name}?`, `From now on: ${role} in ${scope}. All sessions end; the user signs in again.`, 'Change the rights', () => on.send(path, { role, scope }, `${name} is ${role} in ${scope} from now on.`, 'PATCH'));
  };
  const reset = async () => {
    const answer = await on.send(`${path}/password`, undefined, `${name} has a new password.`);
    if ('data' in answer) showPassword(answer.data, on);
  };
  return html`<dl class="totals">
      <div><dt>Name</dt><dd>${name}</dd></div><div><dt>Role</dt><dd>${user.role}</dd></div><div><dt>Scope</dt><dd>${user.scope}</dd></div>
      <div><dt>Status</dt><dd>${user.disabled ? 'Disabled' : 'Active'}</dd></div><div><dt>Sessions</dt><dd>${user.sessions}</dd></div>
      <div><dt>Added</dt><dd>${formatDateTime(Date.parse(user.createdAt))}</dd></div>
      <div><dt>Second factor</dt><dd>${user.secondFactor ? 'Set up' : 'None'}</dd></div>
      ${user.passwordAt && html`<div><dt>Password set</dt><dd>${formatDateTime(Date.parse(user.passwordAt))}</dd></div>`}
    </dl>
    ${user.manageable ? html`
      <p class="part-buttons">
        ${user.disabled
          ? html`<button type="button" class="button" onClick=${() => question(`Let ${name} sign in again?`, 'With the password and the rights from before.', 'Let sign in', () => on.send(path, { disabled: false }, `${name} may sign in again.`, 'PATCH'))}>Enable</button>`
          : html`<button type="button" class="button" onClick=${() => question(`Disable ${name}?`, 'Signed out at once everywhere, and no sign-in until enabled again.', 'Disable', () => on.send(path, { disabled: true }, `${name} may no longer sign in.`, 'PATCH'))}>Disable</button>`}
        <button type="button" class="button" onClick=${() => question(`New password for ${name}?`, 'The old one is worth nothing from now on, and all sessions end.', 'Make a new password', reset)}>Reset password</button>
        ${user.secondFactor && html`<button type="button" class="button" onClick=${() => question(`Remove the second factor of ${name}?`, 'Make sure that it is this person who has lost it. All sessions end; the password alone signs in.', 'Remove it', () => on.send(`${path}/second-factor`, undefined, `${name} has no second factor any more.`, 'DELETE'))}>Remove second factor</button>`}
        ${user.sessions > 0 && html`<button type="button" class="button" onClick=${() => question(`Sign ${name} out?`, 'All sessions end at once.', 'End all sessions', () => on.send(`${path}/sessions`, undefined, `${name} is signed out everywhere.`, 'DELETE'))}>End sessions</button>`}
      </p>
      <div class="part-head"><h3>Role and scope</h3></div>
      <form class="form" onSubmit=${change}>
        <${Field} id="role" label="Role"><${RoleSelect} roles=${rolesOf(state, user.kind)} value=${user.role} /></${Field}>
        <${Field} id="scope" label="Scope" required defaultValue=${user.scope} maxlength="1024" spellcheck="false" autocapitalize="off" />
        <p class="form-foot"><button type="submit" class="button button-main">Change …</button></p>
      </form>` : html`<p class="part-text dim">You cannot change this user: it is you, or it may more than you.</p>`}`;
}
