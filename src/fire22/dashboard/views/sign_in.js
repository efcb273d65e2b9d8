import { html } from '../html.js';

/** @param {{signIn: import('../store.js').SignIn, on: Record<string, any>}} props */
export function SignIn({ signIn, on }) {
  const { problem = '', busy = false } = signIn.name === 'signed-out' ? signIn : {};
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    on.signIn(String(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get('link')));
  };
  return html`<main class="sign-in">
    <form onSubmit=${submit}>
      <img src="assets/icon.svg" alt="" width="44" height="44" />
      <h1>Sign in to Fire22 Flows</h1>
      <p>The server prints a sign-in link when it starts. Open that link in this browser, or paste it here. It works once, and only for a short time.</p>
      <label for="link">Link or code</label>
      <input id="link" name="link" type="text" required autocomplete="off" spellcheck="false" autocapitalize="off" autofocus
        placeholder="http://…/#code=…" aria-describedby="problem" aria-invalid=${problem ? 'true' : 'false'} />
      <p id="problem" class="problem" role="alert">${problem}</p>
      <button type="submit" class="button button-main" disabled=${busy}>${busy ? 'Signing in …' : 'Sign in'}</button>
      <p class="dim">No link at hand? Whoever runs the server finds it in the terminal where it was started.</p>
    </form>
  </main>`;
}

/** @param {{text: string}} props */
export function Waiting({ text }) {
  return html`<main class="sign-in"><p class="waiting" role="status">${text}</p></main>`;
}
