import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SCREENS, countOf, hashOf, isOffered, mayFollow, scopeIn, screenIn } from '../../src/fire22/dashboard/screens.js';
import { initialState, reduce, takes } from '../../src/fire22/dashboard/store.js';
import { Letter } from '../../src/fire22/dashboard/views/letters.js';

/** @param {any[]} actions @returns {import('../../src/fire22/dashboard/store.js').State} */
function after(...actions) {
  return actions.reduce(reduce, initialState(0));
}

/** @param {string} topic @param {string} key @param {any} data */
const came = (topic, key, data) => ({ type: 'document', topic, key, data });

test('an address names a screen and a place in the tree, and anything else is the first that the user is offered', () => {
  const cashier = after({ type: 'sign-in', signIn: { name: 'signed-in', user: { subject: 'c', role: 'cashier', scope: '/', topics: ['payments', 'payment_queue', 'balances', 'ledger'] } } });
  assert.equal(screenIn('#/figures/M1/A7', after()), 'figures');
  assert.equal(scopeIn('#/figures/M1/A7'), '/M1/A7');
  assert.equal(scopeIn('#/figures'), null);
  for (const hash of ['', '#', '#/nowhere', '#code=1.2']) {
    assert.equal(screenIn(hash, after()), 'overview');
    assert.equal(screenIn(hash, cashier), 'cashier');
  }
  assert.deepEqual(SCREENS.filter((screen) => isOffered(screen, cashier)).map(({ name }) => name), ['cashier', 'account']);
  assert.deepEqual(['kpi', 'payment_queue'].map((topic) => mayFollow(topic, cashier)), [false, true]);
  assert.ok(mayFollow('kpi', after()), 'a server that does not say which');
});

test('a link to a place leads there, whatever the names of its agents are', () => {
  for (const scope of ['/M1', '/M1/A 7#1']) assert.equal(scopeIn(hashOf('exposure', scope)), scope);
  assert.equal(hashOf('exposure', '/'), '#/exposure');
});

test('a command is offered only where the server takes it from this user', () => {
  const signedIn = (/** @type {string[] | undefined} */ commands) => after({ type: 'sign-in', signIn: { name: 'signed-in', user: { subject: 's', role: 'risk', scope: '/', commands } } });
  assert.equal(takes(signedIn(['alert.close']), 'alert.close'), true);
  assert.equal(takes(signedIn(['alert.close']), 'payment.approve'), false);
  assert.equal(takes(signedIn([]), 'alert.close'), false);
  assert.equal(takes(signedIn(undefined), 'alert.close'), false);
  assert.equal(takes(after(), 'alert.close'), false);
});

test('a view keeps the documents that came, without those that are gone', () => {
  const { views } = after(
    { type: 'view', topic: 'alerts', loaded: true }, came('alerts', 'a', { status: 'open' }), came('alerts', 'b', { status: 'open' }),
    came('alerts', 'a', undefined), came('alerts', 'b', { status: 'closed' }),
  );
  assert.deepEqual(views.alerts, { loaded: true, documents: { b: { status: 'closed' } } });
});

test('followed anew, a view forgets what it knew of another place, and the reason why it was refused', () => {
  const error = { code: 'scope_unknown', message: 'There is no such agent.' };
  const { views, refused } = after(
    came('figures', 'agent:A7', {}), { type: 'refused', topic: 'figures', error }, { type: 'view', topic: 'figures', loaded: false },
  );
  assert.deepEqual(views.figures, { loaded: false, documents: {} });
  assert.deepEqual(refused, {});
});

test('only what is open asks for attention, and a summary knows of more than is shown', () => {
  assert.equal(countOf('alerts', { a: { status: 'open' }, b: { status: 'acknowledged' } }), 1);
  assert.equal(countOf('payment_queue', { '': { count: 250 }, p1: {}, p2: {} }), 250);
  assert.equal(countOf('dead_letters', { 7: {}, 9: {} }), 2);
  assert.equal(countOf('payment_queue', {}), 0);
});

test('a dead letter of a row of the book offers no other attempt, for there is no event of it to fold', () => {
  const shown = (/** @type {string} */ type) => {
    const letter = { type, code: 'event_invalid', reason: 'Bets.State = Z is not mapped.', timestamp: '2026-01-01T00:00:00Z', data: '{}', attempts: 1 };
    return JSON.stringify(Letter({ row: /** @type {any} */ ({ key: '7', data: letter, now: letter }), on: {} }));
  };
  assert.match(shown('wager.placed'), /Try again/);
  const row = shown('system.row_rejected');
  assert.doesNotMatch(row, /Try again/);
  assert.match(row, /read again when it changes in the book.*Dismiss/);
});
