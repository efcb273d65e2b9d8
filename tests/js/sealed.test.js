// What is sealed for one recipient: against the shared vectors, and against those of RFC 9180.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SealedError, importPrivateKey, keyPair, keySchedule, open, seal } from '../../clients/js/src/sealed.js';
import { vectors } from './vectors.js';

/** @param {string} hex */
const unhex = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const TARGET = 'user:customer:C17';

test('what the Python client has sealed is opened', async () => {
  for (const each of vectors('sealed')) {
    const privateKey = await importPrivateKey(unhex(each.private));
    const publicKey = unhex(each.public);
    assert.deepEqual(await open({ sealed: each.sealed }, privateKey, { target: each.target, publicKey }), each.data);
  }
});

test('what is sealed is opened by the recipient alone, for this target, unaltered', async () => {
  const own = await keyPair();
  const other = await keyPair();
  for (const data of [null, 0, 'Grüße', ['a', { b: 1.5 }], { text: 'x'.repeat(100_000) }]) {
    const sealed = await seal(data, own.publicKey, { target: TARGET });
    assert.deepEqual(await open(sealed, own.privateKey, { target: TARGET, publicKey: own.publicKey }), data);
    assert.notDeepEqual(await seal(data, own.publicKey, { target: TARGET }), sealed);
  }
  const sealed = await seal({ text: 'At nine.' }, own.publicKey, { target: TARGET });
  const raw = Buffer.from(sealed.sealed, 'base64');
  const altered = [...raw.keys()].map((at) => {
    const copy = Buffer.from(raw);
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
    return { sealed: copy.toString('base64') };
  });
  /** @type {[unknown, { publicKey: Uint8Array, privateKey: CryptoKey }, string][]} */
  const refused = [
    [sealed, other, TARGET],
    [sealed, own, 'user:agent:C17'],
    [null, own, TARGET],
    ['text', own, TARGET],
    [{ sealed: 1 }, own, TARGET],
    [{ sealed: 'é' }, own, TARGET],
    [{ sealed: '' }, own, TARGET],
    [{ sealed: Buffer.alloc(64).toString('base64') }, own, TARGET], // a key of small order
  ];
  for (const each of altered) refused.push([each, own, TARGET]);
  for (const [data, { privateKey, publicKey }, target] of refused) {
    await assert.rejects(open(data, privateKey, { target, publicKey }), SealedError);
  }
});

test('a key that is none is refused before anything is sealed', async () => {
  for (const key of [new Uint8Array(31), new Uint8Array(32), /** @type {any} */ ('text')]) {
    await assert.rejects(seal(1, key, { target: TARGET }), TypeError);
  }
  await assert.rejects(importPrivateKey(new Uint8Array(33)), TypeError);
  await assert.rejects(seal(undefined, (await keyPair()).publicKey, { target: TARGET }), TypeError);
});

test('a private key shows its bytes only where that was asked for', async () => {
  await assert.rejects(crypto.subtle.exportKey('pkcs8', (await keyPair()).privateKey));
  const shown = await crypto.subtle.exportKey('pkcs8', (await keyPair({ extractable: true })).privateKey);
  assert.equal(shown.byteLength, 48);
});

test('the first vector of RFC 9180 (A.1.1) comes out', async () => {
  const [given] = vectors('hpke');
  const privateKey = await importPrivateKey(unhex(given.skRm));
  const sender = await crypto.subtle.importKey('raw', unhex(given.enc), 'X25519', true, []);
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: 'X25519', public: sender }, privateKey, 256));
  const { key, iv } = await keySchedule(shared, unhex(given.enc), unhex(given.pkRm), unhex(given.info));
  assert.equal(Buffer.from(iv).toString('hex'), given.base_nonce);
  const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData: unhex(given.aad) }, key, unhex(given.ct));
  assert.equal(Buffer.from(opened).toString('hex'), given.pt);
});
