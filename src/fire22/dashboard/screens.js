// The screens of the page: what each follows, and which is shown. The address's fragment names it, so that a link and the back
// button work.

/**
 * @typedef {object} Screen
 * @property {string} name  in the address
 * @property {string} title
 * @property {string} [topic]  the view it shows; the overview follows several of its own
 * @property {boolean} [counts]  its documents are counted beside the title, so its topic is followed from the start
 */

/** @type {Screen[]} */
export const SCREENS = [
  { name: 'overview', title: 'Overview' },
  { name: 'alerts', title: 'Alerts', topic: 'alerts', counts: true },
  { name: 'exposure', title: 'Exposure', topic: 'exposure' },
  { name: 'figures', title: 'Weekly figures', topic: 'figures' },
  { name: 'cashier', title: 'Cashier', topic: 'payment_queue', counts: true },
  { name: 'letters', title: 'Dead letters', topic: 'dead_letters', counts: true },
];

/** The screen that an address's fragment names; the overview where it names none. @param {string} hash */
export function screenIn(hash) {
  const name = hash.replace(/^#\/?/, '').split('/')[0];
  return SCREENS.some((screen) => screen.name === name) ? name : 'overview';
}

/** The scope behind a screen's name, `#/figures/M1/A7` → `/M1/A7`; null where there is none. @param {string} hash */
export function scopeIn(hash) {
  const rest = hash.replace(/^#\/?/, '').split('/').slice(1).map(decodeURIComponent).join('/');
  return rest ? `/${rest}` : null;
}

/** @param {string} name @param {string} [scope] */
export function hashOf(name, scope = '') {
  return `#/${name}${scope === '/' ? '' : scope.split('/').map(encodeURIComponent).join('/')}`;
}

/**
 * How many things ask for attention: open alerts, payments to decide, dead letters.
 *
 * @param {string} topic
 * @param {Record<string, any>} documents  by key; the one without a key is a summary
 */
export function countOf(topic, documents) {
  if (topic === 'payment_queue') return documents['']?.count ?? 0;
  return Object.entries(documents).filter(([key, { status }]) => key !== '' && (topic !== 'alerts' || status === 'open')).length;
}
