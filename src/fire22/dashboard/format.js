// Numbers and times as a person reads them. Money comes in major units, with the decimals of the book's currency.

const MINUS = '\u2212';

let decimals = 2;
let money = numbers(decimals);

/** @param {number} digits */
function numbers(digits) {
  return new Intl.NumberFormat('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The book's currency has so many decimals: a yen none, a dinar three. @param {number} digits */
export function setDecimals(digits) {
  decimals = digits;
  money = numbers(digits);
}

/** What is left of an amount after sums of doubles. @param {number} value */
export function roundMoney(value) {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}

const count = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** @param {Intl.NumberFormat} format @param {number} value */
function withMinus(format, value) {
  return format.format(value).replace('-', MINUS).replace(/^\u2212(0(?:\.0+)?)$/, '$1');
}

/** @param {number} value */
export function formatMoney(value) {
  return withMinus(money, value);
}

/** @param {number} minor  cents, or whatever the currency's smallest unit is */
export function formatMinor(minor) {
  return formatMoney(minor / 10 ** decimals);
}

/** What a person typed as an amount, in the currency's smallest unit; NaN where it is none. @param {string} text */
export function minorOf(text) {
  const plain = text.replaceAll(',', '');
  return /^\d+(\.\d+)?$/.test(plain) ? Math.round(Number(plain) * 10 ** decimals) : Number.NaN;
}

/** @param {number} value */
export function formatCount(value) {
  return withMinus(count, value);
}

/** With a sign, for changes and results. @param {number} value @param {(value: number) => string} format */
export function formatSigned(value, format = formatMoney) {
  const text = format(value);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** One decimal, as the titles of alerts have it. @param {number} percent */
export function formatPercent(percent) {
  return `${percent.toFixed(1).replace('-', MINUS)}%`;
}

/** Decimal odds: two decimals, or three where the price has no more. Every price on the wire is decimal. @param {unknown} odds */
export function formatOdds(odds) {
  if (typeof odds !== 'number') return odds === undefined || odds === null ? '' : String(odds);
  const thousandths = Math.round(1000 * odds);
  const isExact = Math.abs(1000 * odds - thousandths) < 1e-6;
  return odds.toFixed(isExact && thousandths % 10 !== 0 ? 3 : 2);
}

/** How long something took: 8.4 s, 7 min 11 s, 24 h. The titles of alerts say it in the same way. @param {number} seconds */
export function formatSeconds(seconds) {
  const ms = Math.round(1000 * seconds);
  const whole = Math.floor(ms / 1000);
  if (whole < 60) return `${Math.floor(ms / 100) / 10} s`;
  const parts = whole < 3600 ? [[60, 'min'], [1, 's']] : [[3600, 'h'], [60, 'min']];
  let left = whole;
  return parts.flatMap(([unit, name]) => {
    const count = Math.floor(left / Number(unit));
    left -= count * Number(unit);
    return count ? [`${formatCount(count)} ${name}`] : [];
  }).join(' ');
}

/** How old something is: < 1 s, 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. @param {number} ms */
export function formatAge(ms) {
  const whole = Math.floor(Math.max(0, ms) / 1000);
  if (whole < 1) return '< 1 s';
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dateTime = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
});

/** The viewer's local time of day. @param {number} ms since 1970 */
export function formatTime(ms) {
  return Number.isFinite(ms) ? time.format(ms) : '';
}

/** @param {number} ms since 1970 */
export function formatDateTime(ms) {
  return Number.isFinite(ms) ? dateTime.format(ms).replace(' at ', ', ') : '';
}

/** "in_play" → "In play". @param {string} word */
export function formatWord(word) {
  const text = word.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
