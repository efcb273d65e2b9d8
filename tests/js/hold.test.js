import assert from 'node:assert/strict';
import { test } from 'node:test';

import { shownOf, sinceText } from '../../src/fire22/dashboard/hold.js';
import { GIVE_UP_MS, SILENT_MS, isAway, remedy, standing } from '../../src/fire22/dashboard/liveness.js';
import { isOpen, questionOf, stepsOf } from '../../src/fire22/dashboard/payments.js';
import { initialState, reduce } from '../../src/fire22/dashboard/store.js';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const item = (/** @type {string} */ key, /** @type {any} */ data = {}) => ({ key, data });

test('a list that nobody points at shows what there is', () => {
  const { rows, arrived, gone } = shownOf(null, [item('a'), item('b')]);
  assert.deepEqual([rows.map(({ key }) => key), arrived, gone], [['a', 'b'], 0, 0]);
});

test('a list that holds still keeps every row in its place, and counts what came and went', () => {
  const held = [item('a', { status: 'requested' }), item('b', { status: 'requested' }), item('c')];
  const shown = shownOf(held, [item('new'), item('b', { status: 'approved' }), item('a', { status: 'requested' }), item('newer')]);
  assert.deepEqual(shown.rows.map(({ key }) => key), ['a', 'b', 'c']);
  assert.deepEqual(shown.rows.map(({ data, now }) => [data.status, now?.status]), [['requested', 'requested'], ['requested', 'approved'], [undefined, undefined]]);
  assert.deepEqual([shown.arrived, shown.gone], [2, 1]);
  assert.equal(sinceText(shown), '2 new, 1 done: shown when you leave the list');
  assert.equal(sinceText({ arrived: 0, gone: 0 }), '');
});

test('a step with money says amount and person, and is open only while the payment is as it was', () => {
  const payment = { status: 'requested', direction: 'withdrawal', method: 'bank_transfer', amount: 1250, customerId: 'C12', name: 'Ivy Dunn' };
  const [approve, reject] = stepsOf(payment);
  const { title, person, yes, done } = questionOf(approve, payment);
  assert.deepEqual([title, person, yes], ['Approve this withdrawal?', 'Ivy Dunn (C12)', 'Approve 1,250.00']);
  assert.equal(done, 'The withdrawal of 1,250.00 for Ivy Dunn (C12) is approved.');
  assert.equal(questionOf(reject, { ...payment, name: undefined }).person, 'C12');
  assert.ok(isOpen(approve, payment));
  assert.ok(!isOpen(approve, { status: 'approved' }));
  assert.ok(!isOpen(approve, undefined));
});

/** @param {string} name @param {number} heardAgoMs */
function heard(name, heardAgoMs) {
  return { ...initialState(NOW), connection: /** @type {any} */ ({ name }), heardMs: NOW - heardAgoMs, awaySinceMs: 0 };
}

test('a connection that looks open and says nothing is no connection', () => {
  assert.equal(standing(heard('live', SILENT_MS)).name, 'live');
  assert.equal(standing(heard('live', SILENT_MS + 1)).name, 'silent');
  assert.equal(standing(heard('catching-up', 10_000)).name, 'silent');
  assert.equal(standing(heard('reconnecting', 10_000)).name, 'reconnecting');
  assert.ok(isAway(heard('live', 3_600_000)), 'after an hour of sleep the first look says so');
  assert.ok(!isAway(heard('live', 1000)));
});

test('the end of the network is said within three seconds, whatever the socket believes', () => {
  const away = (/** @type {any[]} */ ...actions) => isAway(actions.reduce(reduce, initialState(NOW)));
  const live = [{ type: 'connection', connection: { name: 'live' } }, { type: 'clock', nowMs: NOW, heardMs: NOW }];
  assert.ok(!away(...live));
  assert.ok(away(...live, { type: 'clock', nowMs: NOW + 2750, heardMs: NOW }));
  const lost = [...live, { type: 'connection', connection: { name: 'reconnecting', inMs: 1, atMs: NOW } }];
  assert.ok(!away(...lost, { type: 'clock', nowMs: NOW + 1000, heardMs: NOW }), 'a restart that takes a second is no news');
  assert.ok(away(...lost, { type: 'connection', connection: { name: 'connecting' } }, { type: 'clock', nowMs: NOW + 2000, heardMs: NOW }));
});

test('silence is asked about, and a question that nobody answers ends the connection', () => {
  assert.equal(remedy({ nowMs: NOW, heardMs: NOW - 999, askedMs: 0 }), 'nothing');
  assert.equal(remedy({ nowMs: NOW, heardMs: NOW - 1000, askedMs: 0 }), 'ask');
  assert.equal(remedy({ nowMs: NOW, heardMs: NOW - 5000, askedMs: NOW - 4000 }), 'nothing');
  assert.equal(remedy({ nowMs: NOW, heardMs: NOW - 8000, askedMs: NOW - GIVE_UP_MS - 1 }), 'give-up');
  assert.equal(remedy({ nowMs: NOW, heardMs: NOW - 60_000, askedMs: NOW - 61_000 }), 'ask', 'a tab whose timers sleep was answered meanwhile');
});
