import assert from 'node:assert/strict';
import { test } from 'node:test';

import { initialState } from '../../src/fire22/dashboard/store.js';
import { queue } from '../../src/fire22/dashboard/views/alerts.js';
import { lines, weekdays } from '../../src/fire22/dashboard/views/figures.js';

/** @param {string} topic @param {Record<string, any>} documents */
function withView(topic, documents) {
  return { ...initialState(0), views: { [topic]: { loaded: true, documents } } };
}

test('what is open and severe comes first in the queue of alerts, then what is new', () => {
  const alert = (/** @type {string} */ status, /** @type {string} */ severity, /** @type {number} */ minute) => ({ status, severity, openedAt: `2026-01-01T12:0${minute}:00Z` });
  const state = withView('alerts', {
    closed: alert('closed', 'critical', 9), taken: alert('acknowledged', 'critical', 8), old: alert('open', 'warn', 1),
    new: alert('open', 'warn', 2), worst: alert('open', 'critical', 0), odd: alert('open', 'unheard-of', 9),
  });
  assert.deepEqual(queue(state).map(({ key }) => key), ['worst', 'new', 'old', 'odd', 'taken', 'closed']);
});

test('agents come before customers, numbers in their order, and the total is no line', () => {
  const keys = ['customer:C2', '', 'customer:C10', 'agent:A10', 'agent:A9'];
  const state = withView('figures', Object.fromEntries(keys.map((key) => [key, {}])));
  assert.deepEqual(lines(state).map(({ key }) => key), ['agent:A9', 'agent:A10', 'customer:C2', 'customer:C10']);
});

test('a week has its days in their order, whichever it starts on', () => {
  assert.deepEqual(weekdays('2026-11-24').map(({ name }) => name), ['tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'monday']);
  assert.equal(weekdays('2026-11-24')[6].title, 'Mon 30');
});
