// What may be done with a payment that waits, and what is asked before it.

import { formatMoney, formatWord } from './format.js';

/** @typedef {{command: string, verb: string, done: string}} Step */

/** By the payment's status. @type {Record<string, Step[]>} */
const STEPS = {
  requested: [
    { command: 'payment.approve', verb: 'Approve', done: 'approved' },
    { command: 'payment.reject', verb: 'Reject', done: 'rejected' },
  ],
  approved: [{ command: 'payment.complete', verb: 'Complete', done: 'completed' }],
};

/** @param {{status: string}} payment */
export function stepsOf({ status }) {
  return STEPS[status] ?? [];
}

/** Whether a step may still be taken. @param {Step} step @param {{status: string} | undefined} now  undefined: it waits no more */
export function isOpen(step, now) {
  return now !== undefined && stepsOf(now).some(({ command }) => command === step.command);
}

/** The person, in a sentence. @param {{customerId: string, name?: string}} payment */
export function personOf({ customerId, name }) {
  return name ? `${name} (${customerId})` : customerId;
}

/**
 * What a step does, for the person who is to confirm it.
 *
 * @param {Step} step
 * @param {{direction: string, method: string, amount: number, customerId: string, name?: string}} payment
 */
export function questionOf(step, payment) {
  const amount = formatMoney(payment.amount);
  const what = payment.direction === 'withdrawal' ? 'withdrawal' : payment.direction;
  return {
    title: `${step.verb} this ${what}?`,
    amount,
    person: personOf(payment),
    way: `${formatWord(payment.direction)} by ${formatWord(payment.method).toLowerCase()}`,
    yes: `${step.verb} ${amount}`,
    done: `The ${what} of ${amount} for ${personOf(payment)} is ${step.done}.`,
  };
}
