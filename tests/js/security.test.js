import assert from 'node:assert/strict';
import { test } from 'node:test';

import { changesOf as changesOfApproval, isOwn, questionOf } from '../../src/fire22/dashboard/approvals.js';
import { outcomeOf } from '../../src/fire22/dashboard/desk.js';
import { deviceOf } from '../../src/fire22/dashboard/devices.js';
import { minorOf } from '../../src/fire22/dashboard/format.js';
import { changesOf, roleIn } from '../../src/fire22/dashboard/roles.js';
import { SCREENS, countOn, isOffered } from '../../src/fire22/dashboard/screens.js';
import { AUDIT_ROWS_MAX, initialState, reduce } from '../../src/fire22/dashboard/store.js';
import { agoText } from '../../src/fire22/dashboard/views/account.js';
import { exportOf, passes } from '../../src/fire22/dashboard/views/audit.js';

const ROLE = { topics: ['kpi'], publish: false, address: false, operate: false, administer: false, kind: 'staff', commands: { 'payment.approve': {} }, masks: {} };
const APPROVAL = {
  approvalId: '1', command: 'balance.adjust', body: {}, entity: 'customer:C1', customer: 'C1', amountMinor: 125_050, before: { status: 'a', balanceMinor: 100 },
  after: { status: 'a', balanceMinor: 125_150 }, askedBy: 'staff:cleo', role: 'cashier', scope: '/', askedAt: '2026-01-01T12:00:00Z', expiresAt: '2026-01-02T12:00:00Z',
};

/** @param {Partial<import('../../src/fire22/dashboard/store.js').User>} user */
const signedIn = (user) => reduce(initialState(0), { type: 'sign-in', signIn: { name: 'signed-in', user: { subject: 'ann', role: 'r', scope: '/', ...user } } });

/** @param {import('../../src/fire22/dashboard/store.js').State} state */
const offered = (state) => SCREENS.filter((screen) => isOffered(screen, state)).map(({ name }) => name);

test('a screen is offered by what the session says that the user may', () => {
  assert.deepEqual(offered(initialState(0)), []);
  const agent = offered(signedIn({ commands: ['wager.place'] }));
  for (const name of ['approvals', 'users', 'sessions', 'roles', 'tokens']) assert.ok(!agent.includes(name), name);
  assert.ok(agent.includes('account'));
  const deputy = offered(signedIn({ rights: ['delegate'], commands: ['approval.approve'] }));
  assert.ok(deputy.includes('users') && deputy.includes('approvals') && !deputy.includes('roles'));
  const auditor = offered(signedIn({ topics: ['audit', 'exposure'] }));
  assert.ok(auditor.includes('audit') && auditor.includes('exposure') && !auditor.includes('figures'));
});

test('the audit trail shows the newest entries first, and as many as it may', () => {
  const message = (/** @type {number} */ number) => ({ type: 'audit_update', data: { number, at: '2026-01-01T12:00:00Z', user: 'staff:ann', action: 'role.changed' } });
  let state = reduce(signedIn({}), { type: 'snapshot', topic: 'audit', messages: [message(1), message(2)] });
  for (let number = 3; number < 3 + AUDIT_ROWS_MAX; number += 1) state = reduce(state, { type: 'message', topic: 'audit', message: message(number) });
  assert.equal(state.audit.rows.length, AUDIT_ROWS_MAX);
  assert.equal(state.audit.rows[0].data.number, AUDIT_ROWS_MAX + 2);
});

test('an entry is found by parts of its user and action, and the newest ten thousand are exported', () => {
  const entry = { user: 'staff:Ann', action: 'session.opened' };
  assert.ok(passes(entry, { user: '', action: '' }) && passes(entry, { user: ' ann', action: 'OPENED' }));
  assert.ok(!passes(entry, { user: 'ann', action: 'role' }) && !passes({ action: 'session.refused' }, { user: 'ann', action: '' }));
  assert.match(exportOf({ number: 12_345 }), /&from=000000002346$/);
  assert.match(exportOf({ number: 7 }), /&from=000000000001$/);
});

test('nothing of who signed out is left for who signs in next, and the address stays', () => {
  let state = signedIn({});
  state = reduce(state, { type: 'screen', screen: 'figures', scope: '/M1' });
  state = reduce(state, { type: 'document', topic: 'alerts', key: 'a', data: {} });
  state = reduce(state, { type: 'answer', path: '/v1/users', answer: { data: {} } });
  state = reduce(state, { type: 'secret', secret: { title: '', text: '', secret: 'x' } });
  state = reduce(state, { type: 'sign-in', signIn: { name: 'signed-out' } });
  assert.deepEqual({ ...state, screen: 'overview', scope: null }, { ...initialState(0), signIn: { name: 'signed-out' } });
  assert.deepEqual([state.screen, state.scope], ['figures', '/M1']);
});

test('a command that waits for a second person is not said to be done', () => {
  assert.equal(outcomeOf({ command: 'payment.approve', result: { status: 'approved' } }, 'Approved.'), 'Approved.');
  assert.equal(outcomeOf(null, 'Ended.'), 'Ended.');
  assert.match(outcomeOf({ command: 'payment.approve', result: { status: 'pending', approvalId: '1' } }, 'Approved.'), /^Nothing has been done yet/);
});

test("one's own command is not for oneself to decide, nor counted, whatever kind the name signs in as", () => {
  const approvals = SCREENS.find(({ name }) => name === 'approvals');
  assert.ok(approvals);
  for (const [subject, own] of /** @type {[string, boolean][]} */ ([['ann', false], ['cleo', true], ['Cleo', true]])) {
    const state = reduce(signedIn({ subject }), { type: 'answer', path: '/v1/approvals', answer: { data: { approvals: [APPROVAL] } } });
    assert.equal(isOwn(APPROVAL, state), own);
    assert.equal(countOn(approvals, state), own ? 0 : 1);
  }
});

test('what is asked before an approval names the amount and the person', () => {
  const { title, amount, person, what, yes } = questionOf(APPROVAL, true);
  assert.deepEqual([title, amount, person, what, yes], ['Approve what cleo asked for?', '1,250.50', 'C1', 'Adjust balance', 'Approve 1,250.50']);
  assert.deepEqual(changesOfApproval(APPROVAL), [{ name: 'Balance', before: '1.00', after: '1,251.50' }]);
});

test('a form of a role says what it gives and takes, line by line', () => {
  const form = new FormData();
  for (const name of ['operate', 'command payment.approve', 'approve payment.approve', 'command balance.adjust']) form.set(name, 'on');
  form.set('alone payment.approve', '1,000.50');
  form.set('alone wager.void', '5'); // of a command that is not given
  form.append('topic', 'wagers');
  form.append('mask', 'wagers: ip, name');
  form.append('mask', '');
  const after = roleIn(form, ROLE, ['balance.adjust', 'payment.approve', 'wager.void']);
  assert.deepEqual(after, { ...ROLE, operate: true, topics: ['wagers'], commands: { 'balance.adjust': {}, 'payment.approve': { approve: true, aloneMaxMinor: 100_050 } }, masks: { wagers: ['ip', 'name'] } });
  assert.deepEqual(changesOf(ROLE, after), [
    'Gives: deal with dead letters', 'Gives the topic wagers', 'Takes the topic kpi', 'payment.approve: alone up to 1,000.50, approves for others',
    'Gives the command balance.adjust', 'Hides in wagers: ip, name',
  ]);
  assert.deepEqual(changesOf(ROLE, ROLE), []);
  assert.deepEqual(changesOf(ROLE, { ...ROLE, topics: null, commands: {} }), ['Gives every topic', 'Takes the command payment.approve']);
});

test('an amount is typed in major units, and what is none is none', () => {
  assert.deepEqual(['1,000', '0.5', '250.50'].map(minorOf), [100_000, 50, 25_050]);
  for (const text of ['', '-5', '1e3', 'much', '1.']) assert.ok(Number.isNaN(minorOf(text)), text);
});

test('a session is told by its device and by when it was used, as a person would', () => {
  assert.equal(deviceOf('Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1 Version/17.0 Mobile/15E148 Safari/604.1'), 'Safari on iPhone');
  assert.equal(deviceOf('Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0'), 'Edge on Windows');
  assert.equal(deviceOf('curl/8'), 'curl/8');
  assert.equal(deviceOf(''), 'Unknown device');
  assert.deepEqual([-5000, 59_000, 61_000, 3_600_000, 3_700_000].map(agoText), ['just now', 'just now', '1 min ago', '1 h ago', '1 h 1 min ago']);
});
