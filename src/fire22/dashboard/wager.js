// How a wager reads from the book's side of the counter.

import { formatOdds, formatWord, roundMoney } from './format.js';

/** Stakes from which a row stands out, in major units. */
export const TIERS = [
  { name: 'huge', from: 10_000 },
  { name: 'large', from: 2_000 },
  { name: 'notable', from: 500 },
];

/** @param {number} amount */
export function tierOf(amount) {
  return TIERS.find(({ from }) => amount >= from)?.name ?? 'usual';
}

/**
 * What the book won (positive) or lost on a settled wager: the cash stake it keeps minus what it returns. A free play's
 * stake was never cash. Undefined while the wager is open, or was cancelled.
 *
 * @param {{action: string, amount: number, returned?: number, freePlay?: boolean}} wager
 */
export function bookResult({ action, amount, returned, freePlay }) {
  if (action !== 'settled' || returned === undefined) return undefined;
  return roundMoney((freePlay ? 0 : amount) - returned);
}

/** @type {Record<string, string>} */
const RESULTS = {
  win: 'Won', won: 'Won', loss: 'Lost', lose: 'Lost', lost: 'Lost', push: 'Push', void: 'Void',
  half_win: 'Half won', half_loss: 'Half lost',
};

/** @type {Record<string, string>} */
const ACTIONS = { placed: 'Placed', settled: 'Settled', cancelled: 'Cancelled', modified: 'Changed' };

/**
 * The word and the tone of a row. Won and lost are the customer's; the tone is the book's.
 *
 * @param {{action: string, amount: number, result?: string, status?: string, returned?: number, freePlay?: boolean}} wager
 * @returns {{label: string, tone: 'open' | 'good' | 'bad' | 'even' | 'off' | 'edit'}}
 */
export function outcomeOf(wager) {
  const { action, result, status } = wager;
  if (action === 'cancelled') return { label: status === 'deleted' ? 'Deleted' : ACTIONS.cancelled, tone: 'off' };
  if (action === 'modified') return { label: ACTIONS.modified, tone: 'edit' };
  if (action !== 'settled') return { label: ACTIONS[action] ?? action, tone: 'open' };
  const profit = bookResult(wager) ?? 0;
  const label = RESULTS[result ?? ''] ?? ACTIONS.settled;
  return { label, tone: profit > 0 ? 'good' : profit < 0 ? 'bad' : 'even' };
}

/**
 * @typedef {object} BetLeg  by the names of the bet
 * @property {string} selectionId
 * @property {string} [selection]
 * @property {string} marketId
 * @property {string} [event]
 * @property {string} [market]  its type
 * @property {string} [period]
 * @property {number} [line]
 * @property {number} odds
 */

/**
 * What was bet on, in two parts: the one that is read first, and where that is. Without names the ids are told.
 *
 * @param {{type?: string, legs?: BetLeg[], terms?: Terms}} wager
 */
export function betOf({ type = '', legs = [], terms = {} }) {
  const isPlain = type === 'straight' || type === '';
  const agreed = termsText(terms);
  if (legs.length === 0) return { main: isPlain ? '' : formatWord(type), rest: agreed };
  if (legs.length === 1) {
    const [leg] = legs;
    return { main: sideOf(leg), rest: [isPlain ? '' : formatWord(type), agreed, placeOf(leg)].filter(Boolean).join(' · ') };
  }
  const name = `${formatWord(isPlain ? 'parlay' : type)} of ${legs.length}`;
  return { main: agreed ? `${name}, ${agreed}` : name, rest: legs.map(sideOf).join(', ') };
}

/** @typedef {{by?: number[], points?: number, fraction?: string, places?: number}} Terms  what was agreed on besides the legs */

/** "by 2s and 3s", "6 points", "1/5 for 3 places". @param {Terms} terms */
function termsText({ by = [], points, fraction, places }) {
  const parts = [by.length ? `by ${by.map((size) => `${size}s`).join(' and ')}` : '', points ? `${points} points` : '', fraction ?? '', places ? `for ${places} places` : ''];
  return parts.filter(Boolean).join(' ');
}

/** Every leg in a line of its own, with its price. @param {BetLeg[]} legs */
export function legsText(legs = []) {
  return legs.map((leg) => [`${sideOf(leg)} ${formatOdds(leg.odds)}`, placeOf(leg)].filter(Boolean).join(' – ')).join('\n');
}

/** @param {BetLeg} leg */
function sideOf({ selection, selectionId }) {
  return selection || selectionId;
}

/** @param {BetLeg} leg */
function placeOf({ event, market, period, line, selection = '' }) {
  return [event, market && marketName({ type: market, period, line }, selection)].filter(Boolean).join(' · ');
}

/**
 * "Spread +3.5, first half".
 *
 * @param {{type: string, period?: string, line?: number}} market
 * @param {string} [selection]  whose name may have the line in it, so that it is not said twice
 */
export function marketName({ type, period = '', line }, selection = '') {
  const saysLine = line === undefined || selection.includes(String(Math.abs(line)));
  const name = saysLine ? formatWord(type) : `${formatWord(type)} ${line}`.replace('-', '\u2212');
  return period && !['game', 'next'].includes(period) ? `${name}, ${formatWord(period).toLowerCase()}` : name;
}
