export const BACKOFF_MS_MIN = 250;
export const BACKOFF_MS_MAX = 15_000;

/**
 * How long to wait before attempt number `attempt` (0 is the first after a loss): exponential with full jitter, so that
 * the clients of a server that restarted do not all come back at once.
 *
 * @param {number} attempt
 * @param {number} random  in [0, 1)
 * @param {number} [retryAfterMs]  what the server asked for; never waited less than that
 */
export function backoffMs(attempt, random, retryAfterMs = 0) {
  const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempt, 16));
  return Math.max(Math.round(random * ceiling), retryAfterMs);
}
