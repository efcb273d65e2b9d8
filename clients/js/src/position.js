// A position names a place in the feed: `<epoch>-<offset>`. Offsets of different epochs do not compare.

/** @typedef {{epoch: string, offset: number}} Position */

/**
 * @param {string} text
 * @returns {Position}
 * @throws {SyntaxError} when the text is not a position
 */
export function parsePosition(text) {
  const match = /^([0-9a-f]{8,32})-(0|[1-9][0-9]{0,15})$/.exec(text);
  if (!match) throw new SyntaxError(`not a position: ${JSON.stringify(text)}`);
  return { epoch: match[1], offset: Number(match[2]) };
}

/** @param {Position} position */
export function formatPosition(position) {
  return `${position.epoch}-${position.offset}`;
}

/**
 * The later of two positions; where the epochs differ, `next`, because the feed it names is the one that lives.
 *
 * @param {Position | null} known
 * @param {Position} next
 * @returns {Position}
 */
export function laterPosition(known, next) {
  return known && known.epoch === next.epoch && known.offset > next.offset ? known : next;
}

/**
 * The one that is safe for both: of two feeds the one that still waits for its answer.
 * @param {Position} newest @param {Position} waiting @returns {Position}
 */
export function earlierPosition(newest, waiting) {
  return newest.epoch === waiting.epoch && newest.offset < waiting.offset ? newest : waiting;
}
