// What the screens share: a panel with a title, what it says while it has nothing to show, the way up the agent tree.

import { html } from '../html.js';
import { hashOf } from '../screens.js';

/** @typedef {import('../store.js').State} State */

/**
 * @param {object} props
 * @param {string} props.title
 * @param {string} props.topic
 * @param {State} props.state
 * @param {string} props.empty  what to say when there is nothing
 * @param {boolean} props.stale
 * @param {unknown} [props.aside]  beside the title
 * @param {unknown} props.children  absent: nothing to show
 */
export function Screen({ title, topic, state, empty, stale, aside, children }) {
  const error = state.refused[topic];
  const text = error ? error.message : state.views[topic]?.loaded ? empty : 'Loading …';
  return html`<section class=${`panel screen ${stale ? 'is-stale' : ''}`} aria-label=${title}>
    <header class="panel-head"><h2>${title}</h2>${aside}</header>
    <div class="scroll" tabindex="0" role="region" aria-label=${title}>${error || !children ? html`<p class="empty">${text}</p>` : children}</div>
  </section>`;
}

/** The documents of a view with their keys. @param {State} state @param {string} topic @returns {{key: string, data: any}[]} */
export function documentsOf(state, topic) {
  return Object.entries(state.views[topic]?.documents ?? {}).map(([key, data]) => ({ key, data }));
}

/** Where a screen stands in the agent tree, and the way up as far as the user may see. @param {{screen: string, state: State}} props */
export function Crumbs({ screen, state }) {
  if (state.signIn.name !== 'signed-in') return null;
  const own = state.signIn.user.scope;
  const here = state.scope ?? own;
  const below = here === own ? [] : here.slice(own === '/' ? 1 : own.length + 1).split('/');
  const paths = [own, ...below.map((_, index) => `${own === '/' ? '' : own}/${below.slice(0, index + 1).join('/')}`)];
  return html`<nav class="crumbs" aria-label="Agent tree">
    ${paths.map((path, index) => html`${index > 0 && html`<i>›</i>`}<a key=${path} href=${hashOf(screen, path)} aria-current=${path === here ? 'page' : undefined}>${path === '/' ? 'Whole book' : path.slice(path.lastIndexOf('/') + 1)}</a>`)}
  </nav>`;
}
