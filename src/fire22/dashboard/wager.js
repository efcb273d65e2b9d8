// How a wager reads from the book's side of the counter.

import { roundMoney } from './format.js';

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
