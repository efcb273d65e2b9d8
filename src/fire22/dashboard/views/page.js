import { freshness } from '../freshness.js';
import { html } from '../html.js';
import { isAway } from '../liveness.js';
import { Activity } from './activity.js';
import { Alerts } from './alerts.js';
import { Cashier } from './cashier.js';
import { Exposure } from './exposure.js';
import { Figures } from './figures.js';
import { Kpis } from './kpis.js';
import { Letters } from './letters.js';
import { SignIn, Waiting } from './sign_in.js';
import { Banner, Status } from './status.js';
import { Notice, Tabs } from './tabs.js';
import { Ticker } from './ticker.js';

/** @param {{state: import('../store.js').State, on: Record<string, any>}} props */
export function Page({ state, on }) {
  const { signIn } = state;
  if (signIn.name === 'checking') return html`<${Waiting} text="Opening …" />`;
  if (signIn.name === 'unreachable') return html`<${Waiting} text="The server cannot be reached. Trying again …" />`;
  if (signIn.name === 'signed-out') return html`<${SignIn} signIn=${signIn} on=${on} />`;
  const fresh = freshness(state);
  const stale = fresh.kind === 'stale' || isAway(state);
  return html`<div class="page">
    <header class="top">
      <h1><img src="assets/icon.svg" alt="" width="26" height="26" />Fire22 <span>Flows</span></h1>
      <p class="who" title=${`${signIn.user.role}, scope ${signIn.user.scope}`}>${signIn.user.subject} · ${scopeName(signIn.user.scope)}</p>
      <${Status} state=${state} fresh=${fresh} />
    </header>
    <${Banner} state=${state} fresh=${fresh} on=${on} />
    <${Tabs} state=${state} />
    ${state.screen === 'overview' ? html`<${Overview} state=${state} stale=${stale} on=${on} />` : html`<main class="one"><${SCREENS[state.screen]} state=${state} stale=${stale} on=${on} /></main>`}
    <${Notice} notice=${state.notice} on=${on} />
  </div>`;
}

/** @type {Record<string, (props: {state: import('../store.js').State, stale: boolean, on: Record<string, any>}) => unknown>} */
const SCREENS = { alerts: Alerts, exposure: Exposure, figures: Figures, cashier: Cashier, letters: Letters };

/** @param {{state: import('../store.js').State, stale: boolean, on: Record<string, any>}} props */
function Overview({ state, stale, on }) {
  return html`<main>
    <${Kpis} state=${state} stale=${stale} />
    <${Ticker} wagers=${state.wagers} width=${state.width} error=${state.refused.wagers} stale=${stale} on=${on} />
    <${Activity} activity=${state.activity} error=${state.refused.activity} stale=${stale} />
  </main>`;
}

/** @param {string} scope */
function scopeName(scope) {
  return scope === '/' ? 'whole book' : scope;
}
