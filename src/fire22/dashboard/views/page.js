import { freshness } from '../freshness.js';
import { html } from '../html.js';
import { isAway } from '../liveness.js';
import { hashOf } from '../screens.js';
import { Account } from './account.js';
import { Activity } from './activity.js';
import { Alerts } from './alerts.js';
import { Approvals } from './approvals.js';
import { Audit } from './audit.js';
import { Cashier } from './cashier.js';
import { Confirm } from './confirm.js';
import { Exposure } from './exposure.js';
import { Figures } from './figures.js';
import { Kpis } from './kpis.js';
import { Letters } from './letters.js';
import { Roles } from './roles.js';
import { MustSetUp } from './second_factor.js';
import { Sessions } from './sessions.js';
import { ShownOnce } from './shown_once.js';
import { SignIn, Waiting } from './sign_in.js';
import { Banner, Status } from './status.js';
import { Notice, Tabs } from './tabs.js';
import { Ticker } from './ticker.js';
import { Tokens } from './tokens.js';
import { Users } from './users.js';

/** @param {{state: import('../store.js').State, on: Record<string, any>}} props */
export function Page({ state, on }) {
  const { signIn } = state;
  if (signIn.name === 'checking') return html`<${Waiting} text="Opening …" />`;
  if (signIn.name === 'unreachable') return html`<${Waiting} text="The server cannot be reached. Trying again …" />`;
  if (signIn.name === 'signed-out') return html`<${SignIn} signIn=${signIn} nowMs=${state.nowMs} on=${on} />`;
  if (signIn.user.lacksSecondFactor) return html`<div><${MustSetUp} user=${signIn.user} on=${on} /><${Notice} notice=${state.notice} on=${on} /></div>`;
  const fresh = freshness(state);
  const stale = fresh.kind === 'stale' || isAway(state);
  return html`<div class="page">
    <header class="top">
      <h1><img src="assets/icon.svg" alt="" width="26" height="26" />Fire22 <span>Flows</span></h1>
      <a class="who" href=${hashOf('account')} aria-label=${`Your account, ${signIn.user.subject}`} title=${`${signIn.user.role}, scope ${signIn.user.scope}: your account`}>${signIn.user.subject} · ${scopeName(signIn.user.scope)}</a>
      <${Status} state=${state} fresh=${fresh} />
      <button type="button" class="button sign-out" onClick=${on.signOut}>Sign out</button>
    </header>
    <${Banner} state=${state} fresh=${fresh} on=${on} />
    <${Tabs} state=${state} />
    ${state.screen === 'overview' ? html`<${Overview} state=${state} stale=${stale} on=${on} />` : html`<main class="one"><${SCREENS[state.screen]} state=${state} stale=${stale} on=${on} /></main>`}
    <${Notice} notice=${state.notice} on=${on} />
    ${state.question && html`<${Confirm} key=${state.question.title} question=${state.question} onDone=${() => on.ask(null)} />`}
    ${state.secret && html`<${ShownOnce} secret=${state.secret} on=${on} />`}
  </div>`;
}

/** @type {Record<string, (props: {state: import('../store.js').State, stale: boolean, on: Record<string, any>}) => unknown>} */
const SCREENS = {
  alerts: Alerts, exposure: Exposure, figures: Figures, cashier: Cashier, letters: Letters, approvals: Approvals,
  users: Users, sessions: Sessions, roles: Roles, tokens: Tokens, audit: Audit, account: Account,
};

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
