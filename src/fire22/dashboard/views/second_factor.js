// The own second factor: an app is set up and confirmed by a code of it, replaced, removed, and given new recovery codes.

import { ask } from '../desk.js';
import { html } from '../html.js';
import { Component } from '../vendor/preact.js';
import { Field } from './rows.js';

const PATH = '/v1/second-factor';

/** What takes the password again, by its name. @type {Record<string, {yes: string, text: string}>} */
const ACTS = {
  enrol: { yes: 'Show the secret', text: 'Have an app for one-time codes at hand. Other sessions end when it is confirmed.' },
  recovery: { yes: 'Make new codes', text: 'The recovery codes from before are worth nothing then.' },
  remove: { yes: 'Remove it', text: 'Signing in takes the password alone then. Your other sessions end.' },
};

/** @typedef {{secret: string, address: string}} Enrolment */
/** @typedef {{has: boolean | null, left: number, act: string, enrolment: Enrolment | null}} Own  has: null until it is known */
/** @typedef {{name: string, must: boolean, on: Record<string, any>}} Props  must: nothing else may be done before */

/** In groups of four, as one types it. @param {string} secret */
export function grouped(secret) {
  return secret.match(/.{1,4}/g)?.join(' ') ?? '';
}

/** @extends {Component<Props, Own>} */
export class SecondFactor extends Component {
  /** @param {Props} props */
  constructor(props) {
    super(props);
    /** @type {HTMLElement | null} */ this.place = null;
    /** @type {Own} */ this.state = { has: props.must ? false : null, left: 0, act: props.must ? 'enrol' : '', enrolment: null };
  }

  componentDidMount() {
    if (!this.props.must) void this.look();
  }

  /** What is asked for next has the focus. @param {Props} _ @param {Own} before */
  componentDidUpdate(_, before) {
    const { act, enrolment } = this.state;
    if (enrolment && !before.enrolment) this.place?.querySelector('input')?.focus();
    if (act && act !== before.act) this.place?.querySelector('input')?.focus();
  }

  async look() {
    const answer = await ask('GET', '/v1/session');
    if ('data' in answer) this.setState({ has: answer.data.hasSecondFactor, left: answer.data.recoveryCodes });
  }

  /** @param {string} act @param {string} password */
  async again(act, password) {
    const { on } = this.props;
    const path = act === 'enrol' ? PATH : `${PATH}/${act}`;
    const done = { enrol: 'Add the secret to the app, then type a code of it.', recovery: 'There are new recovery codes.' }[act] ?? 'The second factor is removed.';
    const answer = await on.send(path, { password }, done);
    if (!('data' in answer)) return;
    if (act === 'enrol') return this.setState({ act: '', enrolment: answer.data });
    this.setState({ act: '' });
    if (act === 'recovery') showCodes(answer.data.codes, on);
    await this.look();
  }

  /** @param {string} otp */
  async confirm(otp) {
    const { must, on } = this.props;
    const answer = await on.send(`${PATH}/confirm`, { otp }, 'The second factor is set up.');
    if (!('data' in answer)) return;
    this.setState({ enrolment: null, act: '' });
    await (must ? on.enter() : this.look());
    showCodes(answer.data.codes, on);
  }

  render() {
    const { name, must } = this.props;
    const { has, left, act, enrolment } = this.state;
    const submit = (/** @type {string} */ field, /** @type {(value: string) => unknown} */ then) => (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      void then(String(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get(field)));
    };
    const button = (/** @type {string} */ which, /** @type {string} */ text) => html`<button type="button" class="button" aria-expanded=${act === which ? 'true' : 'false'} onClick=${() => this.setState({ act: act === which ? '' : which, enrolment: null })}>${text}</button>`;
    const text = { null: 'Loading …', true: `Signing in takes a code of your app. ${left} recovery codes are left.`, false: 'Signing in takes the password alone. With a second factor it also takes a code of an app on your phone.' }[String(has)];
    return html`<div class="factor" ref=${(/** @type {HTMLElement | null} */ place) => { this.place = place; }}>
      ${!must && html`<p class="part-text">${text}</p>
        ${has !== null && html`<p class="part-buttons">${button('enrol', has ? 'Set up another app …' : 'Set up …')}
          ${has && button('recovery', 'New recovery codes …')}${has && button('remove', 'Remove …')}</p>`}`}
      ${act && html`<form class="form" key=${act} onSubmit=${submit('factor-password', (value) => this.again(act, value))}>
        <input type="text" name="username" autocomplete="username" value=${name} hidden />
        <${Field} id="factor-password" label="Password now" type="password" autocomplete="current-password" required maxlength="256" hint=${ACTS[act].text} />
        <p class="form-foot"><button type="submit" class="button button-main">${ACTS[act].yes}</button></p>
      </form>`}
      ${enrolment && html`<form class="form" key="confirm" onSubmit=${submit('otp', (value) => this.confirm(value.trim()))}>
        <div class="field"><span class="label" id="secret-label">Secret for the app</span>
          <code class="secret" aria-labelledby="secret-label">${grouped(enrolment.secret)}</code>
          <p class="dim hint">Time-based, 6 digits, 30 seconds. On the phone itself: <a href=${enrolment.address}>open the app</a>.</p></div>
        <${Field} id="otp" label="Code of the app" inputmode="numeric" autocomplete="one-time-code" required maxlength="64" spellcheck="false" />
        <p class="form-foot"><button type="submit" class="button button-main">Confirm</button></p>
      </form>`}
    </div>`;
  }
}

/** @param {string[]} codes @param {Record<string, any>} on */
function showCodes(codes, on) {
  on.show({ title: 'Recovery codes', text: 'Each signs you in once without the app. Print them, or keep them where the phone is not.', secret: codes.join('\n') });
}

/** Before anything else, for who has a role that must have one. @param {{user: import('../store.js').User, on: Record<string, any>}} props */
export function MustSetUp({ user, on }) {
  return html`<main class="sign-in"><div class="sign-in-box">
    <h1>Set up a second factor</h1>
    <p>The role ${user.role} must have one. You go on when a code of an app has confirmed it.</p>
    <${SecondFactor} name=${user.subject} must=${true} on=${on} />
    <button type="button" class="button" onClick=${on.signOut}>Sign out</button>
  </div></main>`;
}
