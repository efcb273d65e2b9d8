// Whether the server still answers. A cable that was pulled and a laptop that slept leave a connection which looks open; only
// what is heard tells. Where nothing comes by itself the page asks, so that silence means something.

/** After so long without a frame the page asks for one. */
export const ASK_MS = 1000;

/** After so long without a frame nobody vouches for what is shown. */
export const SILENT_MS = 2500;

/** A question that nobody answered for so long ends the connection; the client opens another. */
export const GIVE_UP_MS = 6000;

/** For so long a loss of the connection may pass before it is said in words: most restarts are shorter. */
export const AWAY_MS = 1500;

/** @typedef {import('./store.js').State} State */

/**
 * How the connection stands by what was heard.
 *
 * @param {Pick<State, 'connection' | 'heardMs' | 'nowMs'>} state
 * @returns {State['connection'] | {name: 'silent', sinceMs: number}}
 */
export function standing({ connection, heardMs, nowMs }) {
  const isOpen = connection.name === 'live' || connection.name === 'catching-up';
  return isOpen && heardMs > 0 && nowMs - heardMs > SILENT_MS ? { name: 'silent', sinceMs: heardMs } : connection;
}

/** Whether nobody answers, for longer than it takes to come back. @param {Pick<State, 'connection' | 'heardMs' | 'nowMs' | 'awaySinceMs'>} state */
export function isAway(state) {
  const { name } = standing(state);
  if (name === 'live' || name === 'catching-up') return false;
  return name === 'silent' || name === 'closed' || (state.awaySinceMs > 0 && state.nowMs - state.awaySinceMs > AWAY_MS);
}

/**
 * What to do about a silence.
 *
 * @param {object} known
 * @param {number} known.nowMs
 * @param {number} known.heardMs  when the last frame came
 * @param {number} known.askedMs  when the last question was sent
 * @returns {'nothing' | 'ask' | 'give-up'}
 */
export function remedy({ nowMs, heardMs, askedMs }) {
  const isWaiting = askedMs > heardMs;
  if (isWaiting) return nowMs - askedMs > GIVE_UP_MS ? 'give-up' : 'nothing';
  return nowMs - heardMs >= ASK_MS ? 'ask' : 'nothing';
}
