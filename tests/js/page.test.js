import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as format from '../../src/fire22/dashboard/format.js';
import { freshness } from '../../src/fire22/dashboard/freshness.js';
import { SAMPLES_MAX, addSample, loadSamples, noSamples, saveSamples } from '../../src/fire22/dashboard/samples.js';
import { codeIn } from '../../src/fire22/dashboard/sign_in.js';
import { shape } from '../../src/fire22/dashboard/views/sparkline.js';
import { behindText } from '../../src/fire22/dashboard/views/status.js';
import { betOf, bookResult, legsText, marketName, outcomeOf, tierOf } from '../../src/fire22/dashboard/wager.js';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const DAY_MS = 86_400_000;

test('money has two decimals, thousands separators and a true minus; nothing is never negative', () => {
  assert.equal(format.formatMoney(-2287118.27), '−2,287,118.27');
  assert.equal(format.formatMoney(0), '0.00');
  assert.equal(format.formatMoney(-0.001), '0.00');
  assert.equal(format.formatCount(12345), '12,345');
  assert.equal(format.formatSigned(5), '+5.00');
  assert.equal(format.formatSigned(-5), '−5.00');
  assert.equal(format.formatSigned(0.001), '0.00');
  assert.equal(format.formatPercent(-4.56), '−4.6%');
});

test('money has the decimals of the book\'s currency', () => {
  format.setDecimals(0);
  assert.deepEqual([format.formatMoney(-2287118), format.roundMoney(1499.9999)], ['−2,287,118', 1500]);
  format.setDecimals(3);
  assert.deepEqual([format.formatMoney(12.5), format.roundMoney(0.1 + 0.2)], ['12.500', 0.3]);
  format.setDecimals(2);
});

test('odds are decimal, with as many decimals as tell them apart', () => {
  const shown = [1.95, 1.909091, 1.333, 2, 151, 1.2005, undefined].map(format.formatOdds);
  assert.deepEqual(shown, ['1.95', '1.91', '1.333', '2.00', '151.00', '1.20', '']);
});

test('how long something took is told in one or two units', () => {
  const shown = [0.04, 8.49, 59.999, 60, 431, 3600, 86_400, 90_061].map(format.formatSeconds);
  assert.deepEqual(shown, ['0 s', '8.4 s', '59.9 s', '1 min', '7 min 11 s', '1 h', '24 h', '25 h 1 min']);
});

test('an age is told in the two units that matter', () => {
  const ages = [-5, 999, 1000, 59_999, 60_000, 3_599_000, 7_800_000, 3.5 * DAY_MS].map(format.formatAge);
  assert.deepEqual(ages, ['< 1 s', '< 1 s', '1 s', '59 s', '1 min 0 s', '59 min 59 s', '2 h 10 min', '3 d 12 h']);
});

test('a time that cannot be read is shown as nothing', () => {
  assert.equal(format.formatTime(Number.NaN), '');
  assert.match(format.formatTime(NOW), /^\d\d:\d\d:\d\d$/);
  assert.match(format.formatDateTime(NOW), /^1 January 2026, \d\d:\d\d:\d\d$/);
});

/** @param {string} name @param {number} ageMs @param {object} [more] */
function fresh(name, ageMs, more = {}) {
  const tick = { position: '1f0c9a2b-1', watermarkMs: NOW - ageMs, clockDifferenceMs: 0, receivedMs: NOW, ...more };
  return freshness({ tick, nowMs: NOW, connection: /** @type {any} */ ({ name }) });
}

test('live figures are stale when several questions for the watermark brought nothing newer', () => {
  assert.equal(fresh('live', 9000).kind, 'fresh');
  assert.equal(fresh('live', 11_000).kind, 'stale');
});

test('without a connection figures are stale after five seconds', () => {
  assert.equal(fresh('reconnecting', 4000).kind, 'fresh');
  assert.equal(fresh('reconnecting', 6000).kind, 'stale');
});

test("the age is taken by the server's clock", () => {
  assert.equal(fresh('live', 0, { clockDifferenceMs: 90_000 }).ageMs, 90_000);
  assert.equal(fresh('live', 90_000, { clockDifferenceMs: -90_000 }).ageMs, 0);
});

test('a replayed recording is not alarming, unless the connection is lost too', () => {
  assert.equal(fresh('live', 3000 * DAY_MS).kind, 'recording');
  const lost = fresh('reconnecting', 3000 * DAY_MS, { receivedMs: NOW - 20_000 });
  assert.deepEqual([lost.kind, lost.ageMs], ['stale', 20_000]);
});

test('a part that comes once a minute is told as old as it is, and is not stale while the book is read', () => {
  const part = fresh('live', 40_000, { readToMs: NOW - 1000 });
  assert.deepEqual([part.kind, part.ageMs], ['fresh', 40_000]);
  assert.equal(fresh('live', 40_000, { readToMs: NOW - 11_000 }).kind, 'stale');
  assert.equal(fresh('live', 91_000, { readToMs: NOW - 1000 }).kind, 'stale');
});

test('a banner blames the book only where the server has not read it', () => {
  const loaded = fresh('live', 91_000, { readToMs: NOW - 1000 });
  assert.equal(loaded.isPublishing, true);
  assert.match(behindText(loaded.watermarkMs, loaded.isPublishing), /behind in publishing: some figures are complete only up to \d\d:\d\d:\d\d\.$/);
  const unread = fresh('live', 11_000);
  assert.equal(unread.isPublishing, false);
  assert.match(behindText(unread.watermarkMs, unread.isPublishing), /complete only up to \d\d:\d\d:\d\d: it is behind, or it cannot read the book\.$/);
});

test('figures that the server cannot go on with are stale, however young they are', () => {
  assert.deepEqual([fresh('live', 10, { problem: 'fold_stopped' }).kind, fresh('live', 3000 * DAY_MS, { problem: 'fold_stopped' }).kind], ['stale', 'stale']);
});

test('before the first tick there is no age to tell', () => {
  assert.equal(freshness({ tick: null, nowMs: NOW, connection: { name: 'live' } }).kind, 'waiting');
});

test('samples keep their interval, then thin out and reach back to the first', () => {
  let samples = noSamples('a');
  for (let second = 0; second < 3600; second++) samples = addSample(samples, NOW + 1000 * second, [second]);
  assert.ok(samples.list.length <= SAMPLES_MAX);
  assert.deepEqual(samples.list[0], { atMs: NOW, values: [0] });
  assert.equal(samples.intervalMs, 32_000);
  assert.equal(addSample(samples, NOW + 3_600_000 - 999, [1]), samples, 'a sample before its time was taken');
});

/** @returns {any} a Storage, as far as the page uses it */
function fakeStorage() {
  const methods = {
    /** @this {any} @param {string} key */ getItem(key) { return Object.hasOwn(this, key) ? this[key] : null; },
    /** @this {any} @param {string} key @param {string} value */ setItem(key, value) { this[key] = value; },
    /** @this {any} @param {string} key */ removeItem(key) { delete this[key]; },
  };
  return Object.create(methods);
}

test('samples outlive a reload; those of another feed or scope do not mix in', () => {
  const storage = fakeStorage();
  const samples = addSample(noSamples('1f0c9a2b/'), NOW, [1, 2, 3, 4]);
  saveSamples(storage, samples);
  assert.deepEqual(loadSamples(storage, '1f0c9a2b/'), samples);
  assert.deepEqual(loadSamples(storage, '77aa01ce/'), noSamples('77aa01ce/'));
  saveSamples(storage, noSamples('77aa01ce/'));
  assert.deepEqual(Object.keys(storage), ['fire22.samples.77aa01ce/']);
});

test('samples that were damaged are dropped', () => {
  const storage = fakeStorage();
  for (const text of ['{', 'null', '{"name":"b"}', '{"name":"a","intervalMs":0,"list":[]}']) {
    storage.setItem('fire22.samples.a', text);
    assert.deepEqual(loadSamples(storage, 'a'), noSamples('a'));
  }
});

/** @param {number[][]} points  of time and value */
function lineOf(points) {
  return shape({ name: '', intervalMs: 1000, list: points.map(([atMs, value]) => ({ atMs, values: [value] })) }, 0).line;
}

test('a sparkline spans its box, breaks where nothing was known, and is flat where nothing changed', () => {
  assert.equal(lineOf([[0, 1]]), '');
  assert.equal(lineOf([[0, 0], [1000, 10]]), 'M3 41L237 3');
  assert.equal(lineOf([[0, 5], [1000, 5]]), 'M3 22L237 22');
  assert.equal(lineOf([[0, 0], [1000, 1], [60_000, 2], [61_000, 3]]).match(/M/g)?.length, 2);
});

test('the size of a stake decides how much a row stands out', () => {
  assert.deepEqual([499.99, 500, 2000, 10_000].map(tierOf), ['usual', 'notable', 'large', 'huge']);
});

test("a settled wager is told from the book's side: the stake it keeps minus what it returns", () => {
  const settled = { action: 'settled', amount: 100 };
  assert.equal(bookResult({ ...settled, returned: 195 }), -95);
  assert.equal(bookResult({ ...settled, returned: 0 }), 100);
  assert.equal(bookResult({ ...settled, returned: 0, freePlay: true }), 0);
  assert.equal(bookResult({ ...settled, returned: 147.1 }), -47.1);
  assert.equal(bookResult({ action: 'placed', amount: 100 }), undefined);
});

test("words are the customer's, tones the book's", () => {
  const of = (/** @type {object} */ fields) => Object.values(outcomeOf(/** @type {any} */ ({ amount: 100, ...fields })));
  assert.deepEqual(of({ action: 'placed' }), ['Placed', 'open']);
  assert.deepEqual(of({ action: 'settled', result: 'win', returned: 195 }), ['Won', 'bad']);
  assert.deepEqual(of({ action: 'settled', result: 'loss', returned: 0 }), ['Lost', 'good']);
  assert.deepEqual(of({ action: 'settled', result: 'push', returned: 100 }), ['Push', 'even']);
  assert.deepEqual(of({ action: 'settled', returned: 0 }), ['Settled', 'good']);
  assert.deepEqual(of({ action: 'cancelled', status: 'deleted' }), ['Deleted', 'off']);
  assert.deepEqual(of({ action: 'modified' }), ['Changed', 'edit']);
});

test('a sign-in code is found in a link, in its fragment, and alone; other text holds none', () => {
  assert.equal(codeIn(' http://127.0.0.1:8080/#code=aB-9_x '), 'aB-9_x');
  assert.equal(codeIn('#code=a%2Bb'), 'a+b');
  assert.equal(codeIn('aB-9_x'), 'aB-9_x');
  assert.equal(codeIn('http://127.0.0.1:8080/'), null);
  assert.equal(codeIn('#code=%zz'), null);
  assert.equal(codeIn(''), null);
});

test('third-party files are those of the manifest, each with its licence', () => {
  const vendor = new URL('../../src/fire22/dashboard/vendor/', import.meta.url);
  for (const { file, licenceFile, sha256 } of JSON.parse(readFileSync(new URL('MANIFEST.json', vendor), 'utf8'))) {
    assert.equal(createHash('sha256').update(readFileSync(new URL(file, vendor))).digest('hex'), sha256, file);
    assert.ok(readFileSync(new URL(licenceFile, vendor), 'utf8').length > 100, licenceFile);
  }
});

const SIDE = { marketId: 'm1', selectionId: 's1', odds: 1.91, event: 'Oak Valley - Cedar Falls', market: 'spread', period: 'first_half', line: -3.5, selection: 'Cedar Falls +3.5' };

test('what was bet on is told by name, where that is known', () => {
  assert.deepEqual(betOf({ type: 'straight', legs: [SIDE] }), { main: 'Cedar Falls +3.5', rest: 'Oak Valley - Cedar Falls · Spread, first half' });
  assert.deepEqual(betOf({ type: 'each_way', legs: [SIDE] }).rest, 'Each way · Oak Valley - Cedar Falls · Spread, first half');
  assert.deepEqual(betOf({ type: 'round_robin', legs: [SIDE, { marketId: 'm2', selectionId: 's2', odds: 2 }] }), { main: 'Round robin of 2', rest: 'Cedar Falls +3.5, s2' });
  assert.equal(betOf({ type: 'round_robin', legs: [SIDE, SIDE, SIDE], terms: { by: [2, 3] } }).main, 'Round robin of 3, by 2s and 3s');
  assert.equal(betOf({ type: 'teaser', legs: [SIDE, SIDE], terms: { points: 6 } }).main, 'Teaser of 2, 6 points');
  assert.equal(betOf({ type: 'each_way', legs: [SIDE], terms: { fraction: '1/5', places: 3 } }).rest, 'Each way · 1/5 for 3 places · Oak Valley - Cedar Falls · Spread, first half');
  assert.deepEqual(betOf({ type: 'straight' }), { main: '', rest: '' });
  assert.equal(legsText([SIDE, { marketId: 'm2', selectionId: 's2', odds: 2 }]), 'Cedar Falls +3.5 1.91 – Oak Valley - Cedar Falls · Spread, first half\ns2 2.00');
});

test('a market is called by its type, its line where nobody else says it, and its period where it is not the game', () => {
  assert.equal(marketName({ type: 'spread', line: -3.5, period: 'game' }), 'Spread −3.5');
  assert.equal(marketName({ type: 'total', line: 43, period: 'second_half' }, 'Over 43'), 'Total, second half');
  assert.equal(marketName({ type: 'in_play', period: 'next' }), 'In play');
});
