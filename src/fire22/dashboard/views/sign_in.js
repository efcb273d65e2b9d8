// Signing in by name and password, with another provider, or by a one-time link; what went wrong stands above the field to mend.

import { ask } from '../desk.js';
import { html } from '../html.js';
import { Component } from '../vendor/preact.js';

/** @typedef {import('../store.js').SignedOut} SignedOut */
/** @typedef {{signIn: import('../store.js').SignIn, nowMs: number, on: Record<string, any>}} Props */

/** @extends {Component<Props>} */
export class SignIn extends Component {
  /** @param {Props} props */
  constructor(props) {
    super(props);
    /** @type {HTMLElement | null} */ this.place = null;
    /** @type {{provider: {name: string, href: string} | null}} */ this.state = { provider: null };
  }

  componentDidMount() {
    this.find('name')?.focus();
    void ask('GET', '/v1/session/ways').then((answer) => 'data' in answer && this.setState({ provider: answer.data?.provider ?? null }));
  }

  /** Who was refused goes on at the field that is wrong. @param {Props} before */
  componentDidUpdate(before) {
    const was = outOf(before.signIn);
    const { problem, way, asksCode } = outOf(this.props.signIn);
    if (asksCode && !was.asksCode) return this.find('otp')?.focus();
    if (!problem || was.problem === problem && !was.busy) return;
    const field = this.find(way === 'link' ? 'link' : asksCode ? 'otp' : this.find('name')?.value ? 'password' : 'name');
    if (way !== 'link' && field && field.id !== 'name') field.value = '';
    field?.focus();
  }

  /** @param {string} id @returns {HTMLInputElement | null} */
  find(id) {
    return this.place?.querySelector(`#${id}`) ?? null;
  }

  render() {
    const { signIn, nowMs, on } = this.props;
    const { provider } = this.state;
    const { problem = '', note = '', busy = false, way = 'password', retryMs = 0, asksCode = false } = outOf(signIn);
    const waitS = Math.ceil((retryMs - nowMs) / 1000);
    const isWaiting = (/** @type {SignedOut['way']} */ of) => way === of && retryMs > 0 && waitS > 0;
    const isShut = (/** @type {SignedOut['way']} */ of) => busy || isWaiting(of);
    const field = (/** @type {SignedOut['way']} */ of) => ({ 'aria-describedby': `problem-${of}`, 'aria-invalid': problem && way === of ? 'true' : 'false', spellcheck: false, autocapitalize: 'off', maxlength: 256 });
    const button = (/** @type {SignedOut['way']} */ of, /** @type {string} */ text, /** @type {string} */ look) => html`<button type="submit" class=${`button ${look}`} aria-disabled=${isShut(of) ? 'true' : undefined}>${busy && way === of ? 'Signing in …' : isWaiting(of) ? `Try again in ${waitS} s` : text}</button>`;
    const submit = (/** @type {SignedOut['way']} */ of, /** @type {(values: FormData) => void} */ act) => (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      if (!isShut(of)) act(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)));
    };
    return html`<main class="sign-in" ref=${(/** @type {HTMLElement | null} */ place) => { this.place = place; }}>
      <div class="sign-in-box">
        <img src="assets/icon.svg" alt="" width="44" height="44" />
        <h1>Sign in to Fire22 Flows</h1>
        ${note && html`<p class="sign-in-note" role="status">${note}</p>`}
        ${provider && html`<a class="button" href=${provider.href}>Sign in with ${provider.name}</a><p class="or"><span>or with a password</span></p>`}
        <form aria-label="Sign in with a password" onSubmit=${submit('password', (values) => on.signInByName(String(values.get('name')).trim(), String(values.get('password')), asksCode ? String(values.get('otp')).trim() : null))}>
          <label for="name">Name</label>
          <input id="name" name="name" type="text" autocomplete="username" ...${field('password')} />
          <label for="password">Password</label>
          <input id="password" name="password" type="password" autocomplete="current-password" ...${field('password')} />
          ${asksCode && html`<label for="otp">Code of your app</label>
            <input id="otp" name="otp" type="text" autocomplete="one-time-code" ...${{ ...field('password'), maxlength: 64 }} />
            <p class="dim">Six digits; or one of your recovery codes.</p>`}
          <p id="problem-password" class="problem" role="alert">${way === 'password' && problem}</p>
          ${button('password', 'Sign in', 'button-main')}
        </form>
        <p class="or"><span>or with a link</span></p>
        <form aria-label="Sign in with a link" onSubmit=${submit('link', (values) => on.signIn(String(values.get('link'))))}>
          <label for="link">One-time link or its code</label>
          <input id="link" name="link" type="text" autocomplete="off" placeholder="http://…/#code=…" ...${{ ...field('link'), maxlength: 4096 }} />
          <p id="problem-link" class="problem" role="alert">${way === 'link' && problem}</p>
          ${button('link', 'Use the link', '')}
          <p class="dim">The server prints it in the terminal when it starts. It works once, and only for a short time.</p>
        </form>
      </div>
    </main>`;
  }
}

/** @param {import('../store.js').SignIn} signIn @returns {SignedOut} */
function outOf(signIn) {
  return signIn.name === 'signed-out' ? signIn : {};
}

/** @param {{text: string}} props */
export function Waiting({ text }) {
  return html`<main class="sign-in"><p class="waiting" role="status">${text}</p></main>`;
}
