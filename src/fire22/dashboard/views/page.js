import { freshness } from '../freshness.js';
import { html } from '../html.js';
import { Activity } from './activity.js';
import { Kpis } from './kpis.js';
import { SignIn, Waiting } from './sign_in.js';
import { Banner, Status } from './status.js';
import { Ticker } from './ticker.js';

/** @param {{state: import('../store.js').State, on: Record<string, any>}} props */
export function Page({ state, on }) {
  const { signIn } = state;
  if (signIn.name === 'checking') return html`<${Waiting} text="Opening …" />`;
  if (signIn.name === 'unreachable') return html`<${Waiting} text="The server cannot be reached. Trying again …" />`;
  if (signIn.name === 'signed-out') return html`<${SignIn} signIn=${signIn} on=${on} />`;
  const fresh = freshness(state);
  const stale = fresh.kind === 'stale' || state.connection.name === 'closed';
  return html`<div class="page">
    <header class="top">
      <h1><img src="/assets/icon.svg" alt="" width="26" height="26" />Fire22 <span>Flows</span></h1>
      <p class="who" title=${`${signIn.user.role}, scope ${signIn.user.scope}`}>${signIn.user.subject} · ${scopeName(signIn.user.scope)}</p>
      <${Status} state=${state} fresh=${fresh} />
    </header>
    <${Banner} state=${state} fresh=${fresh} on=${on} />
    <main>
      <${Kpis} state=${state} stale=${stale} />
      <${Ticker} wagers=${state.wagers} error=${state.refused.wagers} stale=${stale} on=${on} />
      <${Activity} activity=${state.activity} error=${state.refused.activity} stale=${stale} />
    </main>
  </div>`;
}

/** @param {string} scope */
function scopeName(scope) {
  return scope === '/' ? 'whole book' : scope;
}
