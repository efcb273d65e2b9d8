import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SEEN_OFFSETS_MAX, Session } from '../../clients/js/src/session.js';
import { vectors } from './vectors.js';

for (const { name, steps } of vectors('client_session')) {
  test(`session: ${name}`, () => {
    const run = new Run();
    for (const step of steps) run.step(step);
  });
}

test('a session whose position never moves remembers a bounded number of offsets', () => {
  const session = new Session();
  const subscription = session.subscribe('wagers');
  session.connected();
  session.receive({ type: 'reply', id: 1, data: { position: '1f0c9a2b-0', recovered: false, snapshot: [] } }, 0);
  for (let offset = 1; offset <= SEEN_OFFSETS_MAX + 10; offset++) {
    session.receive({ type: 'update', target: 'wagers', offset }, 0);
  }
  assert.equal(subscription.seen.size, SEEN_OFFSETS_MAX);
});

test('a tick without a readable position is an error, not a silent loss of the position', () => {
  const session = new Session();
  session.connected();
  assert.throws(() => session.receive({ type: 'tick', data: { position: 'nonsense' } }, 0), SyntaxError);
});

/** One case of tests/vectors/client_session.json (the format: tests/vectors/README.md). */
class Run {
  session = new Session();
  /** @type {Map<string, any>} */ subscriptions = new Map();
  /** @type {any[]} */ sent = [];
  /** @type {any[]} */ delivered = [];

  /** @param {any} step */
  step(step) {
    if (step.expect) return this.expect(step.expect);
    if (step.connect) this.session.connected();
    else if (step.disconnect) this.deliver(this.session.disconnected());
    else if (step.subscribe) this.subscribe(step.subscribe);
    else if (step.unsubscribe) this.session.unsubscribe(this.subscriptions.get(name(step.unsubscribe)));
    else if (step.command) this.session.command(step.command, step.fields);
    else if (step.receive) this.receive(step.receive, Date.parse(step.now ?? '1970-01-01'));
    else throw new Error(`unknown step ${JSON.stringify(step)}`);
    this.sent.push(...this.session.takeCommands());
  }

  /** @param {any} fields */
  subscribe({ target, ...options }) {
    this.subscriptions.set(name({ target, ...options }), this.session.subscribe(target, options));
  }

  /** @param {any[]} messages @param {number} nowMs */
  receive(messages, nowMs) {
    for (const message of messages) this.deliver(this.session.receive(message, nowMs));
  }

  /** @param {import('../../clients/js/src/session.js').Effect[]} effects */
  deliver(effects) {
    this.delivered.push(...effects.map(short).filter((form) => form !== null));
  }

  /** @param {any} expected */
  expect({ sent, delivered, position, documents, level, clock_difference_ms: clock, ...rest }) {
    assert.deepEqual(rest, {}, 'unknown fields in expect');
    if (sent) assert.deepEqual(this.sent, sent);
    if (delivered) assert.deepEqual(this.delivered, delivered);
    if (position !== undefined) assert.equal(this.session.position, position);
    if (documents) assert.deepEqual(sorted(this.documents()), sorted(documents));
    if (level !== undefined) assert.equal(this.session.level, level);
    if (clock !== undefined) assert.equal(this.session.clockDifferenceMs, clock);
    this.sent = [];
    this.delivered = [];
  }

  documents() {
    return this.session.subscriptions.flatMap((subscription) =>
      [...subscription.documents].map(([key, { data, offset }]) => ({ ...place(subscription, key), offset, data })));
  }
}

/** @param {{target: string, scope?: string}} fields */
function name({ target, scope }) {
  return JSON.stringify([target, scope]);
}

/** @param {any[]} documents */
function sorted(documents) {
  return documents.map((each) => [`${each.target} ${each.scope} ${each.key}`, each]).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** @param {any} subscription @param {string} [key] */
function place({ target, options: { scope } }, key) {
  return { target, ...(scope === undefined ? {} : { scope }), ...(key ? { key } : {}) };
}

/**
 * The short form of an effect, as the vectors write it; null for those that they do not list.
 *
 * @param {import('../../clients/js/src/session.js').Effect} effect
 * @returns {any}
 */
function short(effect) {
  switch (effect.kind) {
    case 'snapshot': return { ...named('snapshot', effect.subscription), offsets: effect.messages.map((each) => each.offset ?? null) };
    case 'message': return message(effect);
    case 'document': return document(effect);
    case 'recovered': {
      const { recovered, ...why } = effect.recovery;
      return { ...named('recovered', effect.subscription), recovered_is: recovered, ...why };
    }
    case 'skipped': return { ...named('skipped', effect.subscription), ...effect.skipped };
    case 'refused': return { ...named('refused', effect.subscription), code: effect.error.code };
    case 'reply': return { reply: effect.id };
    case 'error': return { error: effect.id ?? null, code: effect.error.code };
    case 'connection_error': return { connection_error: effect.error.code };
    default: return null;
  }
}

/** @param {string} form @param {any} subscription @param {string} [key] */
function named(form, subscription, key) {
  const { target, ...rest } = place(subscription, key);
  return { [form]: target, ...rest };
}

/** @param {Extract<import('../../clients/js/src/session.js').Effect, {kind: 'message'}>} effect */
function message({ subscription, message: { target, offset, key } }) {
  const where = subscription ? named('message', subscription, key) : { message: target ?? null };
  return { ...where, ...(offset === undefined ? {} : { offset }) };
}

/** @param {Extract<import('../../clients/js/src/session.js').Effect, {kind: 'document'}>} effect */
function document({ subscription, key, data, message }) {
  return { ...named('document', subscription, key), ...(data === undefined ? { removed: true } : { offset: message?.offset }) };
}
