// Which screens there are, how many things on them ask for attention, and what became of the last thing asked for.

import { formatCount } from '../format.js';
import { html } from '../html.js';
import { SCREENS, countOn, hashOf, isOffered } from '../screens.js';

/** @typedef {import('../store.js').State} State */

/** What the user is not offered is left out. @param {{state: State}} props */
export function Tabs({ state }) {
  const offered = SCREENS.filter((screen) => isOffered(screen, state));
  const inside = offered.filter((screen) => screen.inside);
  const account = offered.filter(({ name }) => name === 'account');
  const own = offered.filter((screen) => !screen.inside && !account.includes(screen));
  const isInside = inside.some(({ name }) => name === state.screen);
  return html`<nav class="tabs" aria-label="Screens">
    ${own.map((screen) => html`<${Tab} key=${screen.name} screen=${screen} state=${state} />`)}
    ${inside.length > 0 && html`<a key="administration" href=${hashOf(inside[0].name)} aria-current=${isInside ? 'true' : undefined}>Administration</a>`}
    ${account.map((screen) => html`<${Tab} key=${screen.name} screen=${screen} state=${state} />`)}
  </nav>
  ${isInside && html`<nav class="tabs tabs-inside" aria-label="Administration">
    ${inside.map((screen) => html`<${Tab} key=${screen.name} screen=${screen} state=${state} />`)}
  </nav>`}`;
}

/** @param {{screen: import('../screens.js').Screen, state: State}} props */
function Tab({ screen, state }) {
  const { name, title } = screen;
  const count = countOn(screen, state);
  return html`<a href=${hashOf(name)} class=${`tab-${name}`} aria-current=${state.screen === name ? 'page' : undefined}>${title}${count > 0 && html`<span class="badge">${formatCount(count)}</span>`}</a>`;
}

/** @param {{notice: State['notice'], on: Record<string, any>}} props */
export function Notice({ notice, on }) {
  return html`<div class="notice-place" role="status">
    ${notice && html`<p class=${`notice ${notice.problem ? 'notice-problem' : ''}`}>
      <span>${notice.text}</span><button type="button" class="button" onClick=${on.dismissNotice}>Close</button>
    </p>`}
  </div>`;
}
