import assert from 'node:assert/strict';
import { test } from 'node:test';

import { address, webSocketAddress } from '../../src/fire22/dashboard/address.js';

test('the page asks the server where it was loaded from, at the root of a host or under a path', () => {
  assert.equal(address('/v1/session', 'http://127.0.0.1:8080/'), 'http://127.0.0.1:8080/v1/session');
  assert.equal(address('/v1/session', 'https://office.example/book/'), 'https://office.example/book/v1/session');
  assert.equal(webSocketAddress('/v1/ws', 'https://office.example/book/'), 'wss://office.example/book/v1/ws');
  assert.equal(webSocketAddress('/v1/ws', 'http://127.0.0.1:8080/?https'), 'ws://127.0.0.1:8080/v1/ws');
});
