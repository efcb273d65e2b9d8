import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ACTIVITY_ROWS_MAX, TICKER_ROWS_MAX, initialState, reduce } from '../../src/fire22/dashboard/store.js';
import { noSamples } from '../../src/fire22/dashboard/samples.js';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const KPI = { revenue: 10, activePlayers: 2, pending: 3, totalLiability: 40 };

/** @param {any[]} actions @param {any} [state] @returns {import('../../src/fire22/dashboard/store.js').State} */
function after(actions, state = initialState(NOW)) {
  return actions.reduce(reduce, state);
}

/** @param {number} number */
function wager(number) {
  return { type: 'wager_update', timestamp: '2026-01-01T12:00:00.000Z', offset: number, data: { wagerNumber: number, amount: 5 } };
}

/** @param {number} number */
const wagerCame = (number) => ({ type: 'message', topic: 'wagers', message: wager(number) });

/** @param {{rows: any[]}} list */
const numbers = ({ rows }) => rows.map(({ data }) => data && data.wagerNumber);

test('the ticker shows the newest wager first, snapshot and live alike', () => {
  const { wagers } = after([{ type: 'snapshot', topic: 'wagers', messages: [wager(1), wager(2)] }, wagerCame(3)]);
  assert.deepEqual(numbers(wagers), [3, 2, 1]);
  assert.deepEqual(wagers.rows.map(({ fresh }) => fresh), [true, false, false]);
  assert.equal(wagers.rows[0].atMs, NOW);
});

test('rows keep their identity when others come, and no two share one', () => {
  const first = after([{ type: 'snapshot', topic: 'wagers', messages: [wager(1), wager(2)] }]);
  const second = after([wagerCame(3)], first);
  assert.equal(second.wagers.rows[1], first.wagers.rows[0]);
  const ids = second.wagers.rows.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

test('the ticker and the activity feed hold a bounded number of rows', () => {
  const activity = { type: 'message', topic: 'activity', message: { type: 'activity_update', data: { timestamp: '2026-01-01T12:00:00Z' } } };
  const state = after([...Array.from({ length: 500 }, (_, index) => wagerCame(index)), ...Array(500).fill(activity)]);
  assert.equal(state.wagers.rows.length, TICKER_ROWS_MAX);
  assert.equal(state.activity.rows.length, ACTIVITY_ROWS_MAX);
  assert.equal(numbers(state.wagers)[0], 499);
});

test('a paused ticker stands still, counts what it holds back, and then shows it', () => {
  const paused = after([wagerCame(1), { type: 'pause' }, wagerCame(2), wagerCame(3)]);
  assert.deepEqual(numbers(paused.wagers), [1]);
  assert.equal(paused.wagers.heldCount, 2);
  const resumed = after([{ type: 'resume' }], paused);
  assert.deepEqual(numbers(resumed.wagers), [3, 2, 1]);
  assert.equal(resumed.wagers.heldCount, 0);
});

test('the ticker stands still under the pointer, and a pause outlasts it', () => {
  const pointed = after([wagerCame(1), { type: 'point', is: true }, wagerCame(2)]);
  assert.deepEqual([numbers(pointed.wagers), pointed.wagers.heldCount], [[1], 1]);
  assert.deepEqual(numbers(after([{ type: 'point', is: false }], pointed).wagers), [2, 1]);
  const paused = after([{ type: 'pause' }, { type: 'point', is: false }, wagerCame(3)], pointed);
  assert.deepEqual(numbers(paused.wagers), [1]);
  assert.deepEqual(numbers(after([{ type: 'resume' }], paused).wagers), [3, 2, 1]);
});

test('a pause of any length holds a bounded number of rows, and still counts them all', () => {
  const { wagers } = after([{ type: 'pause' }, ...Array.from({ length: 1000 }, (_, index) => wagerCame(index))]);
  assert.equal(wagers.heldCount, 1000);
  assert.equal(wagers.held.length, TICKER_ROWS_MAX);
});

test('wagers that can no longer be had leave a mark below the new snapshot, once', () => {
  const lost = { type: 'recovered', topic: 'wagers', recovery: { recovered: false, reason: 'position_lost' } };
  const snapshot = { type: 'snapshot', topic: 'wagers', messages: [wager(8), wager(9)] };
  const once = after([wagerCame(1), lost, snapshot]);
  assert.deepEqual(numbers(once.wagers), [9, 8, null]);
  assert.deepEqual(numbers(after([lost, snapshot], once).wagers), [9, 8, null]);
});

test('a complete recovery and a first snapshot leave no mark', () => {
  const complete = { type: 'recovered', topic: 'wagers', recovery: { recovered: true } };
  const nothingShown = { type: 'recovered', topic: 'wagers', recovery: { recovered: false, reason: 'position_lost' } };
  assert.deepEqual(numbers(after([wagerCame(1), complete, wagerCame(2)]).wagers), [2, 1]);
  assert.deepEqual(numbers(after([nothingShown, { type: 'snapshot', topic: 'wagers', messages: [wager(1)] }]).wagers), [1]);
});

test('figures become samples only while the server vouches for them', () => {
  const start = after([{ type: 'samples', samples: noSamples('1f0c9a2b/') }, { type: 'kpi', data: KPI }]);
  assert.equal(start.samples.list.length, 0);
  const live = after([{ type: 'connection', connection: { name: 'live' } }, { type: 'clock', nowMs: NOW + 1000 }], start);
  assert.deepEqual(live.samples.list, [{ atMs: NOW + 1000, values: [10, 2, 3, 40] }]);
  const away = after([{ type: 'connection', connection: { name: 'reconnecting', inMs: 1, atMs: 1 } }, { type: 'clock', nowMs: NOW + 9000 }], live);
  assert.equal(away.samples.list.length, 1);
});

test('a tick brings the age of the figures, and a refusal its reason', () => {
  const tick = { position: '1f0c9a2b-5', watermark: '2026-01-01T11:59:59.000Z', clockDifferenceMs: 7 };
  const error = { code: 'topic_forbidden', message: 'No.' };
  const state = after([{ type: 'tick', tick, nowMs: NOW }, { type: 'refused', topic: 'wagers', error }]);
  assert.deepEqual(state.tick, { position: '1f0c9a2b-5', watermarkMs: NOW - 1000, clockDifferenceMs: 7, receivedMs: NOW });
  assert.deepEqual(state.refused, { wagers: error });
  assert.deepEqual(after([{ type: 'snapshot', topic: 'wagers', messages: [] }], state).refused, {});
});

test('the answer to a ping makes the figures as fresh as its watermark, without moving the position', () => {
  const tick = { position: '1f0c9a2b-7', watermark: new Date(NOW).toISOString(), clockDifferenceMs: 0 };
  const later = new Date(NOW + 5000).toISOString();
  const state = after([{ type: 'tick', tick, nowMs: NOW }, { type: 'watermark', time: later, watermark: later, nowMs: NOW + 4000 }]);
  assert.deepEqual(state.tick, { position: '1f0c9a2b-7', watermarkMs: NOW + 5000, clockDifferenceMs: 1000, receivedMs: NOW + 4000 });
});
