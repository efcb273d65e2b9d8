// Whether a table's columns fit beside each other. Amounts are never cut: where they do not fit, the columns that matter less
// go, and then each row becomes a card of some lines.

/** The room of one character of an amount, in pixels: bold, with its share of commas. */
const CHAR_PX = 8.6;

/** The page grows no further. */
const PAGE_PX_MAX = 1900;
const MARGINS_PX = 32;
const PADDING_PX = 28;
/** Below it everything stands in one column. */
const BESIDE_PX_MIN = 900;
const SIDE_PX = 392;

/**
 * @param {number} roomPx
 * @param {number} otherPx  what is not an amount, gaps included
 * @param {number[]} chars  of the widest amount of each column
 */
export function fits(roomPx, otherPx, chars) {
  return otherPx + CHAR_PX * chars.reduce((sum, each) => sum + each, 0) <= roomPx;
}

/** Within a screen of its own. @param {number} width  of the window */
export function screenRoom(width) {
  return Math.min(width, PAGE_PX_MAX) - MARGINS_PX - PADDING_PX;
}

/** Within the ticker, beside the activity or above it. @param {number} width  of the window */
export function tickerRoom(width) {
  return screenRoom(width) - (width > BESIDE_PX_MIN ? SIDE_PX : 0);
}

/** The most characters of some texts, headings included. @param {string[]} texts */
export function charsOf(texts) {
  return texts.reduce((most, text) => Math.max(most, text.length), 0);
}
