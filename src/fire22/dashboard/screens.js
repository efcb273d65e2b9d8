// The screens of the page: what each follows or reads, who is offered it, and which is shown. The address's fragment names it, so
// that a link and the back button work.

import { isOwn } from './approvals.js';

/**
 * @typedef {object} Screen
 * @property {string} name  in the address
 * @property {string} title
 * @property {string} [topic]  the view or stream it shows
 * @property {string[]} [topics]  of which the user must be able to follow one
 * @property {boolean} [stream]  that it is a stream
 * @property {string[]} [reads]  addresses of the server that it shows; read when it is shown, and again while it is
 * @property {string} [right]  that it takes
 * @property {string} [command]  the user must be able to give
 * @property {boolean} [inside]  reached from `Administration`, and not by a tab of its own
 * @property {boolean} [counts]  its documents are counted beside the title, so its topic is followed from the start
 */

/** @type {Screen[]} */
export const SCREENS = [
  { name: 'overview', title: 'Overview', topics: ['kpi', 'wagers', 'activity'] },
  { name: 'alerts', title: 'Alerts', topic: 'alerts', counts: true },
  { name: 'exposure', title: 'Exposure', topic: 'exposure' },
  { name: 'figures', title: 'Weekly figures', topic: 'figures' },
  { name: 'cashier', title: 'Cashier', topic: 'payment_queue', counts: true },
  { name: 'letters', title: 'Dead letters', topic: 'dead_letters', counts: true },
  { name: 'approvals', title: 'Approvals', reads: ['/v1/approvals'], command: 'approval.approve', counts: true },
  { name: 'users', title: 'Users', reads: ['/v1/users'], right: 'delegate', inside: true },
  { name: 'sessions', title: 'Sessions', reads: ['/v1/signed-in'], right: 'delegate', inside: true },
  { name: 'roles', title: 'Roles', reads: ['/v1/roles'], right: 'administer', inside: true },
  { name: 'tokens', title: 'Machine tokens', reads: ['/v1/tokens'], right: 'delegate', inside: true },
  { name: 'audit', title: 'Audit trail', topic: 'audit', stream: true, inside: true },
  { name: 'account', title: 'Account', reads: ['/v1/sessions'] },
];

/** Whether a user is offered a screen. @param {Screen} screen @param {import('./store.js').State} state */
export function isOffered({ topic, topics: any, right, command }, { refused, signIn }) {
  if (signIn.name !== 'signed-in') return false;
  const { rights = [], commands = [], topics } = signIn.user;
  if (topic && topics && !topics.includes(topic)) return false;
  if (any && topics && !any.some((each) => topics.includes(each))) return false;
  if (topic && refused[topic]?.code === 'topic_forbidden') return false;
  return (!right || rights.includes(right)) && (!command || commands.includes(command));
}

/**
 * The screen that an address's fragment names; where it names none, the first that the user is offered.
 *
 * @param {string} hash
 * @param {import('./store.js').State} state
 */
export function screenIn(hash, state) {
  const name = hash.replace(/^#\/?/, '').split('/')[0];
  const named = SCREENS.find((screen) => screen.name === name) ?? SCREENS.find((screen) => isOffered(screen, state));
  return named?.name ?? 'overview';
}

/** Whether the session says that the user may follow a topic; who asks for another one is noted as refused. @param {string} topic @param {import('./store.js').State} state */
export function mayFollow(topic, { signIn }) {
  return signIn.name !== 'signed-in' || !signIn.user.topics || signIn.user.topics.includes(topic);
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

/** How many things on a screen ask for this person's attention. @param {Screen} screen @param {import('./store.js').State} state */
export function countOn({ topic, reads, counts }, state) {
  if (!counts) return 0;
  if (topic) return countOf(topic, state.views[topic]?.documents ?? {});
  const answer = reads && state.answers[reads[0]];
  const waiting = answer && 'data' in answer ? answer.data.approvals : [];
  return waiting.filter((/** @type {any} */ each) => !isOwn(each, state)).length;
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
