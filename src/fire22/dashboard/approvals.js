// Commands that wait for a second person: what is asked, about whom, and what is asked before it is decided.

import { formatMinor, formatWord } from './format.js';

/**
 * @typedef {object} Approval
 * @property {string} approvalId
 * @property {string} command
 * @property {Record<string, any>} body
 * @property {string} entity  such as `payment:P17`
 * @property {string} [customer]  its id; without one it is about the whole book
 * @property {string} [customerName]
 * @property {number} amountMinor
 * @property {any} before
 * @property {any} after
 * @property {string} askedBy  a user: `staff:ann`
 * @property {string} role
 * @property {string} scope
 * @property {string} askedAt
 * @property {string} expiresAt
 */

/** Who asked: the name, without its kind. @param {Approval} approval */
export function askerOf({ askedBy }) {
  return askedBy.slice(askedBy.indexOf(':') + 1);
}

/** Whether a person asked for it; the same name is the same person, whatever its kind. @param {Approval} approval @param {import('./store.js').State} state */
export function isOwn(approval, { signIn }) {
  return signIn.name === 'signed-in' && askerOf(approval).toLowerCase() === signIn.user.subject.toLowerCase();
}

/** "payment.approve" → "Approve payment". @param {string} command */
export function commandText(command) {
  const [of, verb = ''] = command.split('.');
  return formatWord(`${verb} ${of}`);
}

/** Whom it is about. @param {Approval} approval */
export function aboutOf({ customer, customerName }) {
  if (!customer) return 'the whole book';
  return customerName ? `${customerName} (${customer})` : customer;
}

/** What changes: the fields that differ. @param {Approval} approval @returns {{name: string, before: string, after: string}[]} before: empty where there was nothing */
export function changesOf({ before, after }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names.filter((name) => JSON.stringify(before?.[name]) !== JSON.stringify(after?.[name]))
    .map((name) => ({ name: titleOf(name), before: isGiven(before?.[name]) ? textOf(name, before[name]) : '', after: textOf(name, after?.[name]) }));
}

/** @param {string} name */
function titleOf(name) {
  return formatWord(name.replace(/_?minor$/i, '').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase());
}

/** @param {any} value */
function isGiven(value) {
  return value !== undefined && value !== null && value !== '';
}

/** @param {string} name @param {any} value */
function textOf(name, value) {
  if (!isGiven(value)) return 'nothing';
  if (/minor$/i.test(name) && typeof value === 'number') return formatMinor(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/**
 * What is asked before it is decided.
 *
 * @param {Approval} approval
 * @param {boolean} approve
 */
export function questionOf(approval, approve) {
  const amount = formatMinor(approval.amountMinor);
  const verb = approve ? 'Approve' : 'Reject';
  return {
    title: `${verb} what ${askerOf(approval)} asked for?`,
    amount,
    person: aboutOf(approval),
    what: commandText(approval.command),
    yes: `${verb} ${amount}`,
    done: `${commandText(approval.command)} of ${amount} for ${aboutOf(approval)} is ${approve ? 'approved and done' : 'rejected'}.`,
  };
}
