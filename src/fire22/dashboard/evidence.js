// What an alert's evidence says, for a person: each value by what it is. Identifiers of rows (payments, wagers, games) are for
// programs and stay out of sight; what they stand for is told by name.

import { formatCount, formatDateTime, formatMinor, formatMoney, formatOdds, formatPercent, formatSeconds, formatWord } from './format.js';

/** @typedef {'money' | 'percent' | 'odds' | 'seconds' | 'time' | 'count' | 'times' | 'minor' | 'word' | 'text' | 'hidden'} Kind */

/** Field → what it is and what it is called. `rule.field` goes before `field`. @type {Record<string, [Kind, string]>} */
const FIELDS = {
  acceptedAt: ['time', 'Accepted'],
  accounts: ['count', 'Accounts'],
  agentIds: ['text', 'Agents'],
  agentPath: ['text', 'Agents above'],
  agentPaths: ['text', 'Agents'],
  agents: ['count', 'Agents'],
  amount: ['money', 'Amount'],
  amounts: ['money', 'Amounts'],
  asked: ['money', 'Asked for'],
  balance: ['money', 'Balance, the customer’s'],
  betFactor: ['times', 'Bet factor'],
  bets: ['count', 'Wagers looked at'],
  'velocity.bets': ['count', 'Wagers'],
  closedAt: ['time', 'Closed'],
  closingLineValue: ['percent', 'Better than the closing line by'],
  creditLimit: ['money', 'Credit limit'],
  customerIds: ['text', 'Customers'],
  customers: ['count', 'Customers'],
  days: ['count', 'Days'],
  deposited: ['money', 'Paid in'],
  deposits: ['count', 'Deposits'],
  depositIds: ['hidden', ''],
  event: ['text', 'Event'],
  eventId: ['hidden', ''],
  handle: ['money', 'Wagered'],
  hold: ['percent', 'Hold'],
  ip: ['text', 'Address'],
  ips: ['text', 'Addresses'],
  kind: ['word', 'Suspicion'],
  largest: ['money', 'Largest before'],
  lateSeconds: ['seconds', 'Late by'],
  legs: ['count', 'Legs'],
  liability: ['money', 'Liability'],
  limit: ['money', 'Limit'],
  lineMove: ['percent', 'Price shortened by'],
  lost: ['count', 'Lost'],
  markets: ['text', 'Markets'],
  maxWager: ['money', 'Customer’s largest wager'],
  median: ['money', 'Usual stake'],
  method: ['word', 'Method'],
  methods: ['word', 'Methods'],
  odds: ['odds', 'Odds'],
  oddsAfter: ['odds', 'Odds after'],
  oddsBefore: ['odds', 'Odds before'],
  oddsNow: ['odds', 'Odds now'],
  oddsOffered: ['odds', 'Odds on offer'],
  of: ['count', 'Of the last'],
  overround: ['percent', 'Prices imply together'],
  paymentId: ['hidden', ''],
  paymentIds: ['hidden', ''],
  pending: ['count', 'Open wagers'],
  pendingRisk: ['money', 'Open risk'],
  pendingToWin: ['money', 'May win'],
  revenue: ['money', 'Revenue, the book’s'],
  risk: ['money', 'Risk'],
  segment: ['word', 'Segment'],
  settledHandle: ['money', 'Settled handle'],
  share: ['percent', 'Share of the limit'],
  'credit_utilisation.share': ['percent', 'Credit used'],
  shareOfMax: ['percent', 'Of the largest wager'],
  standardError: ['percent', 'Standard error'],
  threshold: ['money', 'Threshold'],
  'hold_drop.threshold': ['percent', 'Healthy from'],
  times: ['times', 'Times the usual'],
  tookSeconds: ['seconds', 'Within'],
  total: ['money', 'Total'],
  toWin: ['money', 'To win'],
  used: ['money', 'Used'],
  usualBets: ['times', 'Usual in that time'],
  wagers: ['count', 'Wagers struck'],
  windowSeconds: ['seconds', 'Looked back'],
  worstSelection: ['text', 'Worst result'],
  worstSelectionId: ['hidden', ''],
};

/** A count and the list that it counts are one entry. @type {Record<string, string[]>} */
const COUNTED = { accounts: ['customerIds'], agents: ['agentIds'], customers: ['customerIds'], deposits: ['amounts'] };
const LISTED_MAX = 6;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** @typedef {{name: string, title: string, text: string}} Entry */

/**
 * What is shown of the evidence, in its order.
 *
 * @param {string} rule
 * @param {Record<string, any>} evidence
 * @returns {Entry[]}
 */
export function entriesOf(rule, evidence) {
  const counted = new Set(Object.entries(COUNTED).filter(([count]) => count in evidence).flatMap(([, lists]) => lists));
  return Object.entries(evidence).filter(([name]) => !counted.has(name)).flatMap(([name, value]) => {
    const [kind, title] = fieldOf(rule, name, value);
    const text = kind === 'hidden' ? '' : textOf(kind, value);
    if (text === '') return [];
    const list = (COUNTED[name] ?? []).filter((each) => evidence[each]?.length).map((each) => textOf(fieldOf(rule, each, evidence[each])[0], evidence[each]));
    return [{ name, title, text: [text, ...list].join(': ') }];
  });
}

/**
 * What was known in a dead letter beside what its fact says. Whoever mends it looks for its rows, so identifiers are shown.
 *
 * @param {Record<string, any>} evidence
 * @returns {Entry[]}
 */
export function knownOf(evidence) {
  return Object.entries(evidence).map(([name, value]) => {
    const kind = guess(name, value);
    const title = label(name.replace(/Minor$/, ''));
    return { name, title, text: kind === 'hidden' ? [value].flat().join(', ') : textOf(kind, value) };
  });
}

/** A rule that is not of this list shows its evidence by what the names say. @param {string} rule @param {string} name @param {any} value @returns {[Kind, string]} */
function fieldOf(rule, name, value) {
  return FIELDS[`${rule}.${name}`] ?? FIELDS[name] ?? [guess(name, value), label(name)];
}

/** @param {string} name @param {any} value @returns {Kind} */
function guess(name, value) {
  if (name.endsWith('Seconds')) return 'seconds';
  if (/At$/.test(name)) return 'time';
  if (/odds/i.test(name)) return 'odds';
  if (/minor$/i.test(name)) return 'minor';
  const first = Array.isArray(value) ? value[0] : value;
  if (typeof first === 'number') return Number.isInteger(first) ? 'count' : 'money';
  return UUID.test(String(first)) ? 'hidden' : 'text';
}

/** @param {Kind} kind @param {any} value @returns {string} */
function textOf(kind, value) {
  if (Array.isArray(value)) {
    const texts = value.slice(0, LISTED_MAX).map((each) => textOf(kind, each)).filter((text) => text !== '');
    const shown = texts.join(kind === 'text' && texts.some((text) => text.includes(', ')) ? '; ' : ', ');
    return value.length > LISTED_MAX ? `${shown} and ${value.length - LISTED_MAX} more` : shown;
  }
  if (value !== null && typeof value === 'object') return Object.entries(value).map(([name, each]) => `${label(name)} ${textOf(guess(name, each), each)}`).join(', ');
  if (kind === 'time') return formatDateTime(Date.parse(value));
  if (typeof value !== 'number') return kind === 'word' ? formatWord(String(value)) : UUID.test(String(value)) ? '' : String(value);
  switch (kind) {
    case 'money': return formatMoney(value);
    case 'minor': return formatMinor(value);
    case 'percent': return formatPercent(100 * value);
    case 'odds': return formatOdds(value);
    case 'seconds': return formatSeconds(value);
    case 'times': return value.toFixed(1);
    default: return formatCount(value);
  }
}

/** "firstOdds" → "First odds". @param {string} name */
export function label(name) {
  return formatWord(name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`));
}

/** Whether the list above says what a field is. @param {string} rule @param {string} name */
export function isKnown(rule, name) {
  return `${rule}.${name}` in FIELDS || name in FIELDS;
}
