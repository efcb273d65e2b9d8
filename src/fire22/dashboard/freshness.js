// How old the figures are, and whether that has to be said aloud.

/** Live, the page asks every two seconds where the book says nothing; figures older than this are stale. */
export const STALE_LIVE_MS = 10_000;

/** Without a connection nobody vouches for figures older than this. */
export const STALE_DISCONNECTED_MS = 5_000;

/** What is said part by part, or once a minute, may be so old while the book itself is read. */
export const STALE_PART_MS = 90_000;

/** Older than this is a recording that is replayed, not a book that has stopped. */
export const RECORDING_MS = 30 * 86_400_000;

/**
 * @typedef {object} Freshness
 * @property {'waiting' | 'fresh' | 'stale' | 'recording'} kind  waiting: there is nothing yet whose age could be told
 * @property {string} [problem]  the code of what keeps the server from going on with the figures
 * @property {number} ageMs  the server's now minus the watermark
 * @property {number} watermarkMs  all facts up to then are in the figures
 * @property {boolean} isPublishing  the book is read; what came of it is still being published
 */

/**
 * @param {Pick<import('./store.js').State, 'tick' | 'connection' | 'nowMs'>} state
 * @returns {Freshness}
 */
export function freshness({ tick, connection, nowMs }) {
  if (!tick || !Number.isFinite(tick.watermarkMs)) return { kind: 'waiting', ageMs: 0, watermarkMs: Number.NaN, isPublishing: false };
  const { watermarkMs, clockDifferenceMs, receivedMs } = tick;
  const ageMs = Math.max(0, nowMs + clockDifferenceMs - watermarkMs);
  const connected = connection.name === 'live' || connection.name === 'catching-up';
  // However young they are: nothing that happens now moves them.
  if (tick.problem) return { kind: 'stale', ageMs, watermarkMs, problem: tick.problem, isPublishing: false };
  // A recording's own age says nothing; whether its figures still move does.
  if (ageMs > RECORDING_MS) {
    const silent = !connected && nowMs - receivedMs > STALE_DISCONNECTED_MS;
    return { kind: silent ? 'stale' : 'recording', ageMs: silent ? nowMs - receivedMs : ageMs, watermarkMs, isPublishing: false };
  }
  const readMs = Math.max(0, nowMs + clockDifferenceMs - (tick.readToMs ?? watermarkMs));
  const stale = connected ? readMs > STALE_LIVE_MS || ageMs > STALE_PART_MS : ageMs > STALE_DISCONNECTED_MS;
  return { kind: stale ? 'stale' : 'fresh', ageMs, watermarkMs, isPublishing: readMs <= STALE_LIVE_MS && readMs < ageMs };
}
