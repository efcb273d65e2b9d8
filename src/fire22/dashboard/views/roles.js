// The table of roles, and the form by which one is changed or added.

import { formatCount } from '../format.js';
import { html } from '../html.js';
import { RIGHTS, changesOf, limitsOf, roleIn } from '../roles.js';
import { hashOf } from '../screens.js';
import { Component } from '../vendor/preact.js';
import { ReadScreen, Rows } from './rows.js';

const FIXED = 'admin'; // stays as it is, so that somebody can always mend the rest
const KINDS = ['staff', 'agent', 'customer', 'machine'];
const NEW = 'new role';

/** @typedef {import('../roles.js').Role} Role */
/** @typedef {{roles: Record<string, Role>, topics: string[], commands: Record<string, boolean>}} Table */
/** @typedef {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} Props */

/** @param {Props} props */
export function Roles({ state, on }) {
  const name = state.scope?.slice(1);
  const aside = name ? html`<a class="back" href=${hashOf('roles')}>All roles</a>` : html`<a class="button" href=${hashOf('roles', `/${NEW}`)}>Add a role</a>`;
  return html`<${ReadScreen} title=${name && name !== NEW ? `Role ${name}` : name ? 'New role' : 'Roles'} path="/v1/roles" state=${state} aside=${aside} render=${(/** @type {Table} */ table) => {
    const role = name === NEW ? EMPTY : table.roles[name ?? ''];
    if (name && role) return html`<${Editor} key=${name} name=${name} role=${role} table=${table} on=${on} />`;
    return html`${name && html`<p class="part-text">There is no role ${name}.</p>`}<${List} table=${table} />`;
  }} />`;
}

/** @type {Role} */
const EMPTY = { topics: [], publish: false, address: false, operate: false, administer: false, kind: 'staff', commands: {}, masks: {} };

/** @param {{table: Table}} props */
function List({ table }) {
  const rows = Object.entries(table.roles).map(([name, role]) => ({ name, role }));
  /** @typedef {typeof rows[number]} Row */
  return html`<${Rows} label="Roles" rows=${rows} keyOf=${(/** @type {Row} */ { name }) => name} empty="No roles." columns=${[
    { title: 'Role', cell: (/** @type {Row} */ { name }) => html`<a href=${hashOf('roles', `/${name}`)}><b>${name}</b></a>` },
    { title: 'Kind', cell: (/** @type {Row} */ { role }) => role.kind },
    { title: 'Sees', cell: (/** @type {Row} */ { role }) => (role.topics === null ? 'all topics' : html`<span title=${role.topics.join(', ')}>${formatCount(role.topics.length)} topics</span>`) },
    { title: 'Commands', look: 'wide', cell: (/** @type {Row} */ { role }) => commandsText(role) },
    { title: 'Rights', look: 'wide', cell: (/** @type {Row} */ { role }) => RIGHTS.filter(([right]) => role[right]).map(([right]) => right).join(', ') || html`<span class="dim">–</span>` },
    { title: 'Hidden fields', cell: (/** @type {Row} */ { role }) => Object.entries(role.masks).map(([topic, fields]) => `${topic}: ${fields.join(', ')}`).join('; ') || html`<span class="dim">–</span>` },
  ]} />`;
}

/** @param {Role} role */
function commandsText({ commands }) {
  const names = Object.keys(commands);
  if (names.length === 0) return html`<span class="dim">–</span>`;
  const limited = names.filter((name) => typeof commands[name].aloneMaxMinor === 'number');
  return html`<span title=${names.join(', ')}>${formatCount(names.length)}</span>${limited.length > 0 && html` <span class="dim">${limited.map((name) => `${name}${limitsOf({ aloneMaxMinor: commands[name].aloneMaxMinor })}`).join('; ')}</span>`}`;
}

/** @typedef {{name: string, role: Role, table: Table, on: Record<string, any>}} EditorProps */

/** The form keeps what was typed while the table is read again. @extends {Component<EditorProps, {problem: string, all: boolean}>} */
class Editor extends Component {
  /** @param {EditorProps} props */
  constructor(props) {
    super(props);
    this.before = props.role;
    this.state = { problem: '', all: props.role.topics === null };
  }

  /** @param {SubmitEvent} event */
  submit(event) {
    event.preventDefault();
    const { name: known, table, on } = this.props;
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const isNew = known === NEW;
    const name = isNew ? String(form.get('name')).trim() : known;
    const after = roleIn(form, isNew ? { ...this.before, kind: String(form.get('kind')) } : this.before, Object.keys(table.commands));
    const changes = changesOf(this.before, after);
    if (isNew && table.roles[name]) return this.setState({ problem: `There is a role ${name} already.` });
    if (Object.values(after.commands).some(({ aloneMaxMinor, aloneDayMinor }) => Number.isNaN(aloneMaxMinor) || Number.isNaN(aloneDayMinor))) return this.setState({ problem: 'An amount is a number such as 1,000 or 250.50; empty means without a limit.' });
    if (!isNew && changes.length === 0) return this.setState({ problem: 'Nothing is changed.' });
    this.setState({ problem: '' });
    on.ask({
      title: isNew ? `Add the role ${name}?` : `Change the role ${name}?`,
      text: html`<p>Everybody who holds it is concerned at once.</p><ul class="changes">${changes.map((each) => html`<li key=${each}>${each}</li>`)}</ul>`,
      yes: isNew ? 'Add the role' : 'Change the role',
      act: async () => {
        const answer = await on.send(`/v1/roles/${encodeURIComponent(name)}`, after, isNew ? `The role ${name} is added.` : `The role ${name} is changed.`, 'PUT');
        if ('data' in answer) window.location.hash = hashOf('roles');
      },
    });
  }

  render() {
    const { name, table } = this.props;
    const role = this.before;
    const fixed = name === FIXED;
    const isNew = name === NEW;
    const box = (/** @type {string} */ of, /** @type {boolean | undefined} */ checked, /** @type {string} */ text, /** @type {Record<string, any>} */ more = {}) => html`<label class="check"><input type="checkbox" name=${of} defaultChecked=${checked} ...${more} /> ${text}</label>`;
    return html`<form class="role-form" onSubmit=${(/** @type {SubmitEvent} */ event) => this.submit(event)}><fieldset disabled=${fixed} class="bare">
      ${fixed && html`<p class="part-text dim">The role ${FIXED} stays as it is, so that somebody can always mend the rest. Add another one.</p>`}
      ${isNew ? html`<div class="form">
          <div class="field"><label for="name">Name</label><input id="name" name="name" required maxlength="64" pattern="[a-z][a-z0-9_\\-]*" title="Small letters, digits, - and _, a letter first" autocomplete="off" spellcheck="false" autocapitalize="off" /></div>
          <div class="field"><label for="kind">Kind of users</label><select id="kind" name="kind">${KINDS.map((kind) => html`<option key=${kind}>${kind}</option>`)}</select></div>
        </div>` : html`<p class="part-text dim">Its users are of the kind ${role.kind}, and stay so.</p>`}
      <fieldset><legend>Rights</legend>${RIGHTS.map(([right, text]) => box(right, role[right], text, { key: right }))}</fieldset>
      <fieldset><legend>Topics that it sees</legend>
        ${box('all topics', role.topics === null, 'All topics, also those of later versions', { onChange: (/** @type {Event} */ event) => this.setState({ all: /** @type {HTMLInputElement} */ (event.currentTarget).checked }) })}
        <div class="checks" hidden=${this.state.all}>${table.topics.map((topic) => box('topic', role.topics?.includes(topic), topic, { key: topic, value: topic }))}</div>
      </fieldset>
      <fieldset><legend>Commands</legend>
        <${Rows} label="Commands" rows=${Object.keys(table.commands)} keyOf=${(/** @type {string} */ each) => each} empty="This server takes no commands." columns=${this.columns(box)} />
      </fieldset>
      <fieldset><legend>Fields that it does not see</legend>
        <p class="dim">A line for each topic: <code>wagers: customerName, ip</code></p>
        ${[...Object.entries(role.masks).map(([topic, fields]) => `${topic}: ${fields.join(', ')}`), '', ''].map((line, index) => html`<input key=${index} name="mask" class="mask" aria-label=${`Hidden fields, line ${index + 1}`} defaultValue=${line} spellcheck="false" autocapitalize="off" />`)}
      </fieldset>
      <p class="problem part-text" role="alert">${this.state.problem}</p>
      ${!fixed && html`<p class="part-buttons"><button type="submit" class="button button-main">${isNew ? 'Add …' : 'Change …'}</button></p>`}
    </fieldset></form>`;
  }

  /** @param {(of: string, checked: boolean | undefined, text: string, more?: Record<string, any>) => unknown} box */
  columns(box) {
    const { role, table } = this.props;
    const grant = (/** @type {string} */ name) => role.commands[name];
    const amountOf = (/** @type {number | null | undefined} */ amount) => {
      return typeof amount === 'number' ? limitsOf({ aloneMaxMinor: amount }).replace(', alone up to ', '') : '';
    };
    return [
      { title: 'May', look: 'wide', cell: (/** @type {string} */ name) => box(`command ${name}`, grant(name) !== undefined, name) },
      { title: 'Alone up to', cell: (/** @type {string} */ name) => html`<input name=${`alone ${name}`} class="amount" inputmode="decimal" placeholder="any amount" aria-label=${`${name}: alone up to`} defaultValue=${amountOf(grant(name)?.aloneMaxMinor)} />` },
      { title: 'In 24 hours', cell: (/** @type {string} */ name) => html`<input name=${`day ${name}`} class="amount" inputmode="decimal" placeholder="as alone" aria-label=${`${name}: in 24 hours up to`} defaultValue=${amountOf(grant(name)?.aloneDayMinor)} />` },
      { title: 'Approves for others', cell: (/** @type {string} */ name) => box(`approve ${name}`, grant(name)?.approve, 'approves') },
      { title: 'Limits', cell: (/** @type {string} */ name) => html`${box(`own ${name}`, grant(name)?.withinOwn, 'within own limits')} ${table.commands[name] && box(`flagged ${name}`, grant(name)?.flagged, 'flagged users only')}` },
    ];
  }
}
