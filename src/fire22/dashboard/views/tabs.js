// Which screens there are, how many things on them ask for attention, and what became of the last thing asked for.

import { formatCount } from '../format.js';
import { html } from '../html.js';
import { SCREENS, countOf, hashOf } from '../screens.js';

/** @typedef {import('../store.js').State} State */

/** Screens that the role does not see are left out. @param {{state: State}} props */
export function Tabs({ state }) {
  const shown = SCREENS.filter(({ topic }) => !topic || state.refused[topic]?.code !== 'topic_forbidden');
  return html`<nav class="tabs" aria-label="Screens">
    ${shown.map(({ name, title, topic, counts }) => html`<a key=${name} href=${hashOf(name)} aria-current=${state.screen === name ? 'page' : undefined}>
      ${title}${counts && topic && html`<${Badge} topic=${topic} view=${state.views[topic]} />`}
    </a>`)}
  </nav>`;
}

/** @param {{topic: string, view?: import('../store.js').View}} props */
function Badge({ topic, view }) {
  const count = view ? countOf(topic, view.documents) : 0;
  return count ? html`<span class="badge">${formatCount(count)}</span>` : null;
}

/** @param {{notice: State['notice'], on: Record<string, any>}} props */
export function Notice({ notice, on }) {
  return html`<div class="notice-place" role="status">
    ${notice && html`<p class=${`notice ${notice.problem ? 'notice-problem' : ''}`}>
      <span>${notice.text}</span><button type="button" class="button" onClick=${on.dismissNotice}>Close</button>
    </p>`}
  </div>`;
}
