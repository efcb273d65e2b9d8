import { html } from '../html.js';

/** @param {{signIn: import('../store.js').SignIn, on: Record<string, any>}} props */
export function SignIn({ signIn, on }) {
  const { problem = '', busy = false } = signIn.name === 'signed-out' ? signIn : {};
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const link = String(form.get('link') ?? '');
    if (link) on.signIn(link);
    else on.signInByName(String(form.get('name') ?? ''), String(form.get('password') ?? ''));
  };
  return html`<main class="sign-in">
    <form onSubmit=${submit}>
      <img src="assets/icon.svg" alt="" width="44" height="44" />
      <h1>Sign in to Fire22 Flows</h1>
      <label for="name">Name</label>
      <input id="name" name="name" type="text" autocomplete="username" spellcheck="false" autocapitalize="off" autofocus
        aria-describedby="problem" aria-invalid=${problem ? 'true' : 'false'} />
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" aria-describedby="problem"
        aria-invalid=${problem ? 'true' : 'false'} />
      <p>Or paste the sign-in link that the server prints when it starts, or open it in this browser. It works once, and only for a short time.</p>
      <label for="link">Link or code</label>
      <input id="link" name="link" type="text" autocomplete="off" spellcheck="false" autocapitalize="off"
        placeholder="http://…/#code=…" aria-describedby="problem" aria-invalid=${problem ? 'true' : 'false'} />
      <p id="problem" class="problem" role="alert">${problem}</p>
      <button type="submit" class="button button-main" disabled=${busy}>${busy ? 'Signing in …' : 'Sign in'}</button>
      <p class="dim">No password yet? Whoever runs the server finds the link in the terminal where it was started.</p>
    </form>
  </main>`;
}

/** @param {{text: string}} props */
export function Waiting({ text }) {
  return html`<main class="sign-in"><p class="waiting" role="status">${text}</p></main>`;
}
