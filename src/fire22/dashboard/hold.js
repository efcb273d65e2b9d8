// Rows that hold still. While somebody points at a list or has the focus in it, no row moves, goes or turns into another: what
// changes meanwhile is marked on its row, and what arrives is counted.

/** @typedef {{key: string, data: any}} Item */

/**
 * @typedef {object} HeldItem
 * @property {string} key
 * @property {any} data  as it was shown when the list began to hold still
 * @property {any} now  as it is; undefined when it is gone
 */

/**
 * What is shown of a list.
 *
 * @param {Item[] | null} held  what was shown when it began to hold still; null while it does not
 * @param {Item[]} items  the list as it is, in its order
 * @returns {{rows: HeldItem[], arrived: number, gone: number}}
 */
export function shownOf(held, items) {
  if (held === null) return { rows: items.map(({ key, data }) => ({ key, data, now: data })), arrived: 0, gone: 0 };
  const now = new Map(items.map(({ key, data }) => [key, data]));
  const rows = held.map(({ key, data }) => ({ key, data, now: now.get(key) }));
  const gone = rows.filter((row) => row.now === undefined).length;
  return { rows, arrived: items.length - (rows.length - gone), gone };
}

/** What has happened to a list since it holds still. @param {{arrived: number, gone: number}} counts */
export function sinceText({ arrived, gone }) {
  const parts = [arrived && `${arrived} new`, gone && `${gone} done`].filter(Boolean);
  return parts.length ? `${parts.join(', ')}: shown when you leave the list` : '';
}
