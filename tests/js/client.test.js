import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connect } from '../../clients/js/src/index.js';
import { World, reply, tick } from './fakes.js';

const URL = 'ws://127.0.0.1:8080/v1/ws';
const POSITION = '1f0c9a2b-10';

/** @param {object} [options] */
function start(options = {}) {
  const world = new World();
  const client = connect({ url: URL, ...world.environment, ...options });
  /** @type {string[]} */ const states = [client.state.name];
  client.on('state', (state) => states.push(state.name));
  return { world, client, states };
}

/** @param {World} world */
function goLive(world) {
  world.socket.serverAccepts();
  world.socket.serverSends(reply(1, POSITION), tick(POSITION));
}

/** Promises that are settled already run their continuations. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a client offers the JSON mode, and its token as a second subprotocol', () => {
  assert.deepEqual(start().world.socket.protocols, ['fire22.v1.json']);
  assert.deepEqual(start({ token: 'a.b.c' }).world.socket.protocols, ['fire22.v1.json', 'fire22.bearer.a.b.c']);
});

test('a client tells how it stands: connecting, catching up, live', () => {
  const { world, client, states } = start();
  client.subscribe('wagers');
  world.socket.serverAccepts();
  assert.equal(client.state.name, 'catching-up');
  world.socket.serverSends(reply(1, POSITION));
  assert.deepEqual(states, ['connecting', 'catching-up', 'live']);
});

test('a subscriber receives the snapshot, the messages and the position', () => {
  const { world, client } = start();
  /** @type {any[]} */ const seen = [];
  client.subscribe('wagers', { last: 2 }, {
    onSnapshot: (messages) => seen.push(messages.map((each) => each.offset)),
    onMessage: (message) => seen.push(message.offset),
  });
  world.socket.serverAccepts();
  assert.deepEqual(world.socket.commands, [{ id: 1, command: 'subscribe', target: 'wagers', last: 2 }]);
  const update = (/** @type {number} */ offset) => ({ type: 'wager_update', target: 'wagers', offset, data: {} });
  world.socket.serverSends(reply(1, POSITION, { recovered: false, snapshot: [update(9), update(10)] }));
  world.socket.serverSends(update(10), update(11), tick('1f0c9a2b-11'));
  assert.deepEqual(seen, [[9, 10], 11]);
  assert.equal(client.position, '1f0c9a2b-11');
});

test('a view reaches its subscriber as whole documents', () => {
  const { world, client } = start();
  /** @type {any[]} */ const documents = [];
  client.subscribe('kpi', { delta: true }, { onDocument: (data) => documents.push(data) });
  world.socket.serverAccepts();
  const kpi = (/** @type {object} */ fields) => ({ type: 'kpi_update', target: 'kpi', ...fields });
  world.socket.serverSends(reply(1, POSITION, { recovered: false, snapshot: [kpi({ offset: 8, data: { pending: 1, revenue: 5 } })] }));
  world.socket.serverSends(kpi({ offset: 11, data: { pending: 2 }, patch: true, base: 8 }));
  assert.deepEqual(documents, [{ pending: 1, revenue: 5 }, { pending: 2, revenue: 5 }]);
});

test('after a loss a client waits, comes back, and goes on from its position', () => {
  const { world, client, states } = start();
  /** @type {any[]} */ const recoveries = [];
  client.subscribe('wagers', {}, { onRecovered: (recovery) => recoveries.push(recovery) });
  goLive(world);
  world.socket.serverCloses(1006);
  assert.deepEqual(client.state, { name: 'reconnecting', inMs: 125, atMs: world.clock.now() + 125 });
  world.clock.advance(124);
  assert.equal(world.sockets.length, 1);
  world.clock.advance(1);
  world.socket.serverAccepts();
  assert.deepEqual(world.socket.commands, [{ id: 2, command: 'subscribe', target: 'wagers', after: POSITION }]);
  world.socket.serverSends(reply(2, '1f0c9a2b-12', { recovered: true }));
  assert.equal(client.state.name, 'catching-up');
  world.socket.serverSends(tick('1f0c9a2b-12'));
  assert.deepEqual(states, ['connecting', 'catching-up', 'live', 'reconnecting', 'connecting', 'catching-up', 'live']);
  assert.deepEqual(recoveries, [{ recovered: true }]);
});

test('waits grow up to a limit while the server is away, and begin short again once it has answered', () => {
  const { world, client } = start();
  client.subscribe('wagers');
  /** @type {number[]} */ const waits = [];
  client.on('state', (state) => state.name === 'reconnecting' && waits.push(state.inMs));
  for (let attempt = 0; attempt < 9; attempt++) {
    world.socket.serverCloses(1006);
    world.clock.advance(15_000 - 1);
    world.clock.advance(1);
  }
  assert.deepEqual(waits.slice(0, 9), [125, 250, 500, 1000, 2000, 4000, 7500, 7500, 7500]);
  world.socket.serverAccepts();
  world.socket.serverSends(reply(world.socket.commands[0].id, POSITION));
  world.socket.serverCloses(1006);
  assert.equal(waits.at(-1), 125);
});

test('a server that accepts and closes at once does not make waits short again', () => {
  const { world, client } = start();
  client.subscribe('wagers');
  for (const wait of [125, 250, 500]) {
    world.socket.serverAccepts();
    world.socket.serverCloses(1011);
    assert.equal(/** @type {any} */ (client.state).inMs, wait);
    world.clock.advance(wait);
  }
});

test('a client stays away for as long as the server asked', () => {
  const { world, client } = start();
  world.socket.serverAccepts();
  world.socket.serverSends({ type: 'connection_error', code: 'restarting', message: 'The server shuts down.', retryAfter: 3.5 });
  world.socket.serverCloses(1012);
  const state = /** @type {any} */ (client.state);
  assert.equal(state.inMs, 3500);
  assert.equal(state.error.code, 'restarting');
});

test('close codes from 4500, and 1008 without another token to offer, are final', () => {
  for (const code of [4500, 4999, 1008]) {
    const { world, client } = start({ token: 'a.b.c' });
    world.socket.serverAccepts();
    world.socket.serverSends({ type: 'connection_error', code: 'token_expired', message: 'The token has expired.' });
    world.socket.serverCloses(code, 'token_expired');
    world.clock.advance(60_000);
    const error = { code: 'token_expired', message: 'The token has expired.' };
    assert.deepEqual(client.state, { name: 'closed', code, reason: 'token_expired', error });
    assert.equal(world.sockets.length, 1);
    assert.equal(world.listenerCount, 0);
  }
});

test('other close codes are not final', () => {
  for (const code of [1000, 1001, 1006, 1009, 1011, 1012, 1013, 4000, 4499]) {
    const { world, client } = start();
    world.socket.serverAccepts();
    world.socket.serverCloses(code);
    assert.equal(client.state.name, 'reconnecting', `${code}`);
  }
});

test('after 1008 a token provider with a new token brings the client back; with the same one it is over', async () => {
  const tokens = ['one', 'two', 'two'];
  const { world, client } = start({ token: async () => tokens.shift() });
  await settled();
  assert.deepEqual(world.socket.protocols, ['fire22.v1.json', 'fire22.bearer.one']);
  world.socket.serverAccepts();
  world.socket.serverCloses(1008);
  await settled();
  assert.equal(client.state.name, 'reconnecting');
  world.clock.advance(125);
  assert.deepEqual(world.socket.protocols, ['fire22.v1.json', 'fire22.bearer.two']);
  world.socket.serverAccepts();
  world.socket.serverCloses(1008);
  await settled();
  assert.equal(client.state.name, 'closed');
});

test('a token provider that fails is asked again later', async () => {
  let calls = 0;
  const { world, client } = start({
    token: async () => {
      if (++calls === 1) throw new Error('no network');
      return 'one';
    },
  });
  await settled();
  assert.equal(client.state.name, 'reconnecting');
  world.clock.advance(125);
  await settled();
  assert.equal(world.sockets.length, 1);
});

test('a connection on which nothing is heard for two and a half heartbeats is replaced', () => {
  const { world, client } = start({ heartbeatMs: 1000 });
  client.subscribe('wagers');
  goLive(world);
  const first = world.socket;
  world.clock.advance(2000);
  first.serverSends(tick(POSITION));
  world.clock.advance(2499);
  assert.equal(client.state.name, 'live');
  world.clock.advance(1);
  assert.equal(first.closed, true);
  assert.equal(client.state.name, 'reconnecting');
  first.serverSends(tick('1f0c9a2b-99'));
  assert.equal(client.position, POSITION, 'a frame of the abandoned socket was taken');
});

test('an attempt without an answer is given up after ten seconds', () => {
  const { world, client } = start();
  world.clock.advance(10_000);
  assert.equal(world.sockets[0].closed, true);
  assert.equal(client.state.name, 'reconnecting');
});

test('a device that goes offline is said to be, tries seldom, and comes back at once when it is online', () => {
  const { world, client } = start();
  goLive(world);
  world.online = false;
  world.socket.serverCloses(1006);
  assert.deepEqual(client.state, { name: 'offline', inMs: 15_000, atMs: world.clock.now() + 15_000 });
  world.online = true;
  world.fire('online');
  assert.equal(client.state.name, 'connecting');
  assert.equal(world.sockets.length, 2);
});

test('a page that is shown again does not wait, and finds out whether its connection still lives', () => {
  const { world, client } = start({ heartbeatMs: 1000 });
  goLive(world);
  world.clock.nowMs += 60_000; // the page slept: no timer ran
  world.fire('visible');
  assert.equal(client.state.name, 'reconnecting');
  world.fire('visible');
  assert.equal(client.state.name, 'connecting');
});

test('a frame that is not JSON costs the connection, not the subscriptions', () => {
  const { world, client } = start();
  client.subscribe('wagers');
  goLive(world);
  world.socket.serverSendsText('[{"type":');
  assert.equal(client.state.name, 'reconnecting');
  world.clock.advance(125);
  world.socket.serverAccepts();
  assert.equal(world.socket.commands[0].after, POSITION);
});

test('a server that speaks the plain mode is understood', () => {
  const { world, client } = start();
  world.socket.serverAccepts();
  world.socket.serverSendsText(JSON.stringify(tick(POSITION)));
  assert.equal(client.position, POSITION);
});

test('a refused subscription is asked for again after the time that the server named', () => {
  const { world, client } = start();
  /** @type {any[]} */ const errors = [];
  client.subscribe('wagers', {}, { onError: (error) => errors.push(error.code) });
  world.socket.serverAccepts();
  world.socket.serverSends({ type: 'error', id: 1, code: 'overloaded', message: 'Later.', retryAfter: 2 });
  assert.deepEqual(errors, ['overloaded']);
  world.clock.advance(2000);
  assert.deepEqual(world.socket.commands.at(-1), { id: 2, command: 'subscribe', target: 'wagers' });
});

test('beyond a limit a subscription is asked for again, and a request is rejected with the time to wait', async () => {
  const { world, client } = start();
  client.subscribe('wagers', {}, { onError: () => {} });
  world.socket.serverAccepts();
  const asked = client.request('publish');
  const limited = { type: 'error', code: 'rate_limited', message: 'Later.', retryAfter: 0.25 };
  world.socket.serverSends({ ...limited, id: 1 }, { ...limited, id: 2 });
  await assert.rejects(asked, { name: 'CommandError', code: 'rate_limited', retryAfter: 0.25 });
  world.clock.advance(250);
  assert.deepEqual(world.socket.commands.at(-1), { id: 3, command: 'subscribe', target: 'wagers' });
});

test('a request is answered by its reply, refused by its error, and fails when the connection is lost', async () => {
  const { world, client } = start();
  await assert.rejects(client.request('ping'), { code: 'disconnected' });
  world.socket.serverAccepts();
  const answers = [client.request('history', { target: 'wagers' }), client.request('publish'), client.request('ping')];
  world.socket.serverSends(
    { type: 'reply', id: 1, data: { messages: [] } },
    { type: 'error', id: 2, code: 'forbidden', message: 'No.' },
  );
  world.socket.serverCloses(1006);
  assert.deepEqual(await answers[0], { messages: [] });
  await assert.rejects(answers[1], { code: 'forbidden', message: 'No.' });
  await assert.rejects(answers[2], { code: 'disconnected' });
});

test('a lossy subscription is asked for as it was made, and its subscriber hears what was left out', () => {
  const { world, client } = start();
  /** @type {any[]} */ const seen = [];
  client.subscribe('wagers', { max_rate_hz: 2, lossy: true }, {
    onMessage: (message) => seen.push(message.offset),
    onSkipped: (skipped) => seen.push({ skipped, position: client.position }),
  });
  client.on('tick', ({ position }) => seen.push(position));
  world.socket.serverAccepts();
  assert.deepEqual(world.socket.commands, [{ id: 1, command: 'subscribe', target: 'wagers', max_rate_hz: 2, lossy: true }]);
  const said = tick('1f0c9a2b-16');
  const skipped = { from: 11, to: 15, count: 3 };
  const update = { type: 'wager_update', target: 'wagers', scope: '/', offset: 16, data: {} };
  world.socket.serverSends(reply(1, POSITION), update);
  world.socket.serverSends({ ...said, data: { ...said.data, skipped: [{ target: 'wagers', scope: '/', ...skipped }] } });
  assert.deepEqual(seen, [16, { skipped, position: '1f0c9a2b-16' }, '1f0c9a2b-16']);
});

test('a row that is gone reaches its subscriber by its key, and one that it never had does not', () => {
  const { world, client } = start();
  /** @type {any[]} */ const rows = [];
  client.subscribe('open', { delta: true }, { onDocument: (data, { key }) => rows.push([key, data]) });
  /** @type {any[]} */ const messages = [];
  client.subscribe('open', { scope: '/M1' }, { onMessage: ({ key, data }) => messages.push([key, data]) });
  world.socket.serverAccepts();
  const row = (/** @type {string} */ key, /** @type {number} */ offset, /** @type {any} */ data, scope = '/') =>
    ({ type: 'update', target: 'open', scope, key, offset, data });
  world.socket.serverSends(reply(1, POSITION, { recovered: false, snapshot: [row('a', 9, { n: 1 })] }), reply(2, POSITION));
  world.socket.serverSends(row('a', 11, null), row('never', 11, null), row('never', 11, null, '/M1'), tick('1f0c9a2b-11'));
  assert.deepEqual(rows, [['a', { n: 1 }], ['a', undefined]]);
  assert.deepEqual(messages, [['never', null]]);
});

test('what is addressed to the user or to everyone comes without a subscription, and what was missed with one', () => {
  const { world, client } = start();
  /** @type {any[]} */ const seen = [];
  client.on('message', ({ target, offset }) => seen.push([target ?? 'everyone', offset]));
  client.subscribe('wagers');
  goLive(world);
  const alert = (/** @type {number} */ offset, /** @type {object} */ to = { target: 'user:u1' }) =>
    ({ type: 'alert', offset, data: {}, ...to });
  world.socket.serverSends(alert(12), alert(13, {}));
  world.socket.serverCloses(1006);
  world.clock.advance(125);
  world.socket.serverAccepts();
  assert.equal(world.socket.commands[0].after, POSITION);
  world.socket.serverSends(alert(20), tick('1f0c9a2b-20'));
  assert.equal(client.position, POSITION, 'the position passed what the subscription has yet to bring');
  world.socket.serverSends(reply(2, '1f0c9a2b-20', { recovered: true }), alert(12), alert(13, {}), alert(15), alert(20));
  assert.deepEqual(seen, [['user:u1', 12], ['everyone', 13], ['user:u1', 20], ['user:u1', 15]]);
});

test('a page of history is what the server answers', async () => {
  const { world, client } = start();
  world.socket.serverAccepts();
  const options = { scope: '/M1', filter: { action: 'placed' }, before: 90, limit: 2 };
  const answer = client.history('wagers', options);
  assert.deepEqual(world.socket.commands, [{ id: 1, command: 'history', target: 'wagers', ...options }]);
  const page = { messages: [{ type: 'wager_update', target: 'wagers', offset: 85, data: {} }], before: 85 };
  world.socket.serverSends({ type: 'reply', id: 1, data: page });
  assert.deepEqual(await answer, page);
  const refused = client.history('kpi');
  world.socket.serverSends({ type: 'error', id: 2, code: 'command_invalid', message: 'Not of a view.' });
  await assert.rejects(refused, { code: 'command_invalid' });
});

test('a page of history that is asked for too early waits, is asked for again after a loss, and fails only at the end', async () => {
  const { world, client } = start();
  const answer = client.history('wagers', { limit: 2 });
  world.socket.serverAccepts();
  await settled();
  assert.deepEqual(world.socket.commands.map(({ command }) => command), ['history']);
  world.socket.serverCloses(1006);
  await settled();
  world.clock.advance(60_000);
  world.socket.serverAccepts();
  await settled();
  const [{ id, command, limit }] = world.socket.commands;
  assert.deepEqual([command, limit], ['history', 2]);
  world.socket.serverSends({ type: 'reply', id, data: { messages: [] } });
  assert.deepEqual(await answer, { messages: [] });
  const last = client.history('wagers');
  client.close();
  await assert.rejects(last, { code: 'disconnected' });
  await assert.rejects(client.history('wagers'), { code: 'disconnected' });
});

test('a whole past is read page by page, over an empty page too, until nothing older is kept', async () => {
  const { world, client } = start();
  world.socket.serverAccepts();
  const answers = [{ messages: [8, 9], before: 8 }, { messages: [], before: 5 }, { messages: [2] }];
  /** @type {any[]} */ const pages = [];
  const reading = (async () => {
    for await (const { messages } of client.historyPages('wagers', { limit: 2 })) pages.push(messages);
  })();
  for (const [index, data] of answers.entries()) {
    await settled();
    world.socket.serverSends({ type: 'reply', id: index + 1, data });
  }
  await reading;
  assert.deepEqual(pages, [[8, 9], [], [2]]);
  assert.deepEqual(world.socket.commands.map(({ before, limit }) => [before, limit]), [[undefined, 2], [8, 2], [5, 2]]);
});

test('unsubscribing ends the callbacks and tells the server', () => {
  const { world, client } = start();
  let count = 0;
  const subscription = client.subscribe('wagers', {}, { onMessage: () => count++ });
  goLive(world);
  subscription.unsubscribe();
  world.socket.serverSends({ type: 'wager_update', target: 'wagers', offset: 11, data: {} });
  assert.equal(count, 0);
  assert.deepEqual(world.socket.commands.at(-1), { id: 2, command: 'unsubscribe', target: 'wagers' });
});

test('ticks carry the difference of the clocks', () => {
  const { world, client } = start();
  /** @type {any[]} */ const ticks = [];
  client.on('tick', (each) => ticks.push(each.clockDifferenceMs));
  world.socket.serverAccepts();
  world.socket.serverSends(tick(POSITION, '2026-01-01T00:00:05.000Z'));
  assert.deepEqual(ticks, [5000]);
});

test('a closed client is silent and holds no timer', () => {
  const { world, client, states } = start();
  goLive(world);
  client.close();
  client.close();
  world.clock.advance(600_000);
  world.fire('online');
  assert.equal(world.sockets.length, 1);
  assert.equal(states.at(-1), 'closed');
  assert.equal(states.filter((each) => each === 'closed').length, 1);
});

test('a message that holds a number beyond a double is left out and said, and all else goes on', () => {
  const { world, client } = start();
  /** @type {any[]} */ const seen = [];
  /** @type {any[]} */ const errors = [];
  client.on('error', (error) => errors.push(error));
  client.subscribe('bench', { last: 3 }, {
    onSnapshot: (messages) => seen.push(messages.map((each) => each.data)),
    onMessage: (message) => seen.push(message.data),
    onError: (error) => seen.push(error),
  });
  world.socket.serverAccepts();
  const update = (/** @type {number} */ offset, /** @type {string} */ data) =>
    `{"type":"update","target":"bench","offset":${offset},"data":${data}}`;
  const snapshot = [update(8, '1'), update(9, '[1e400]'), update(10, '"\\ud800"')].join();
  world.socket.serverSendsText(`{"type":"reply","id":1,"data":{"position":"${POSITION}","recovered":false,"snapshot":[${snapshot}]}}`);
  world.socket.serverSendsText(`[${update(11, '-1e999')},${update(12, '"3e400"')},{"type":"tick","data":{"position":"1f0c9a2b-12"}}]`);
  const offsets = seen.map((each) => each.details?.offset ?? each);
  assert.deepEqual(offsets, [[1], 9, 10, 11, '3e400']);
  assert.equal(seen[1].code, 'message_unsayable');
  assert.equal(client.position, '1f0c9a2b-12');
  assert.deepEqual([errors, world.sockets.length], [[], 1]);
});

test('a reply that cannot be read rejects its request', async () => {
  const { world, client } = start();
  goLive(world);
  const asked = client.request('history', { target: 'bench' });
  world.socket.serverSendsText(`{"type":"reply","id":1,"data":{"before":1e400}}`);
  await assert.rejects(asked, { code: 'message_unsayable' });
});

test('a program that listens to nothing reads once that no server answers, and one that listens decides by itself', () => {
  const world = new World();
  const client = connect({ url: URL, ...world.environment });
  for (let attempt = 0; attempt < 3; attempt++) {
    world.socket.serverCloses(1006);
    client.retryNow();
  }
  assert.equal(world.sockets.length, 4);
  assert.deepEqual(world.warned, [`fire22: there is no connection to ${URL}; it is tried again and again`]);
  const listening = start();
  listening.world.socket.serverCloses(1006);
  assert.deepEqual(listening.world.warned, []);
});

test('a wrong token is said to a program that listens to nothing', () => {
  const world = new World();
  connect({ url: URL, token: 'a.b.c', ...world.environment });
  world.socket.serverAccepts();
  world.socket.serverSends({ type: 'connection_error', data: { code: 'token_invalid', message: 'The token is not valid.' } });
  world.socket.serverCloses(1008, 'token_invalid');
  assert.deepEqual(world.warned, ['fire22: the server closed the connection for good: The token is not valid.']);
});

test('a subscription that is refused is said where it has no onError', () => {
  const refused = { type: 'error', id: 1, data: { code: 'target_unknown', message: 'There is no topic nothing.' } };
  for (const [handlers, said] of /** @type {[object, string[]][]} */ ([
    [{}, ['fire22: nothing: There is no topic nothing.']],
    [{ onError: () => {} }, []],
  ])) {
    const { world, client } = start();
    client.subscribe('nothing', {}, handlers);
    world.socket.serverAccepts();
    world.socket.serverSends(refused);
    assert.deepEqual(world.warned, said);
  }
});
