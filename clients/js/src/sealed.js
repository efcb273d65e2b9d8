// End-to-end encryption of what is addressed to one user or client: the server stores and delivers ciphertext alone.
//
// It is HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256 and AES-128-GCM, over WebCrypto. `data` of the message is
// `{"sealed": "<base64>"}`: the encapsulated key (32 bytes), then the ciphertext with its tag. `info` is
// `fire22-sealed-1`, a zero byte and the target, so what was meant for one recipient cannot be passed off as meant for
// another. It says nothing of who sent it: whoever may publish and knows the public key can seal.
//
// Needs X25519 in WebCrypto: Node 20, Chromium 133, Firefox 130, Safari 17; in a browser a page over HTTPS.

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const PREFIX = 'fire22-sealed-1\0';
const text = new TextEncoder();
const KEM = bytes('KEM', [0x00, 0x20]);
const HPKE = bytes('HPKE', [0x00, 0x20, 0x00, 0x01, 0x00, 0x01]);
// PKCS #8 before the 32 bytes of a private key (RFC 8410): WebCrypto takes and gives no bare ones.
const PKCS8 = new Uint8Array([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20]);

/** What came cannot be opened: it is not sealed, or not for this key and target, or it was altered. */
export class SealedError extends Error {
  name = 'SealedError';
}

/**
 * New keys of a recipient. The public one, 32 bytes, goes to those who shall write. The private one stays where it was
 * made: it can be kept in IndexedDB, and its bytes are shown to no script unless it was asked for.
 *
 * @param {{ extractable?: boolean }} [options]
 * @returns {Promise<{ publicKey: Bytes, privateKey: CryptoKey }>}
 */
export async function keyPair({ extractable = false } = {}) {
  const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey('X25519', extractable, ['deriveBits']));
  return { publicKey: new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)), privateKey: pair.privateKey };
}

/**
 * A private key of 32 bytes, as the Python client has it.
 *
 * @param {Uint8Array} raw
 * @returns {Promise<CryptoKey>}
 * @throws {TypeError} it has another length
 */
export async function importPrivateKey(raw) {
  check(raw, 'private');
  return crypto.subtle.importKey('pkcs8', bytes(PKCS8, raw), 'X25519', true, ['deriveBits']);
}

/**
 * The `data` of an event that the recipient alone can read.
 *
 * @param {unknown} data  any JSON value
 * @param {Uint8Array} publicKey  the recipient's, 32 bytes
 * @param {{ target: string }} options  `user:<kind>:<id>` or `client:<id>`, as in the tag `to:…` of the event
 * @returns {Promise<{ sealed: string }>}
 * @throws {TypeError} the public key is none, or the data is no JSON
 */
export async function seal(data, publicKey, { target }) {
  check(publicKey, 'public');
  const json = JSON.stringify(data);
  if (json === undefined) throw new TypeError('The data is no JSON value.');
  const own = await keyPair();
  let shared;
  try {
    shared = await exchange(own.privateKey, publicKey);
  } catch {
    throw new TypeError('The public key is none of X25519.');
  }
  const { key, iv } = await schedule(shared, own.publicKey, publicKey, target);
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, text.encode(json));
  return { sealed: toBase64(bytes(own.publicKey, new Uint8Array(sealed))) };
}

/**
 * What was given to `seal`.
 *
 * @param {unknown} data  of the message
 * @param {CryptoKey} privateKey  the recipient's
 * @param {{ target: string, publicKey: Uint8Array }} options  the message's target, and the recipient's public key
 * @returns {Promise<any>}
 * @throws {SealedError}
 */
export async function open(data, privateKey, { target, publicKey }) {
  check(publicKey, 'public');
  const sealed = /** @type {any} */ (data)?.sealed;
  if (typeof sealed !== 'string') throw new SealedError('The message is not sealed.');
  try {
    const content = fromBase64(sealed);
    if (content.length < KEY_BYTES + TAG_BYTES) throw new TypeError('too short');
    const encapsulated = content.slice(0, KEY_BYTES);
    const { key, iv } = await schedule(await exchange(privateKey, encapsulated), encapsulated, publicKey, target);
    const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, content.slice(KEY_BYTES));
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(opened));
  } catch {
    throw new SealedError('The message is not for this key and target, or was altered.');
  }
}

/**
 * The key and the nonce of the one message of an encapsulation (RFC 9180, sections 4.1 and 5.1).
 *
 * @param {Bytes} shared  of the Diffie-Hellman exchange
 * @param {Uint8Array} encapsulated
 * @param {Uint8Array} publicKey
 * @param {string} target
 */
async function schedule(shared, encapsulated, publicKey, target) {
  return keySchedule(shared, encapsulated, publicKey, text.encode(PREFIX + target));
}

/**
 * `schedule` for any `info`; exported for the test vectors of the RFC.
 *
 * @param {Bytes} shared
 * @param {Uint8Array} encapsulated
 * @param {Uint8Array} publicKey
 * @param {Uint8Array} info
 * @returns {Promise<{ key: CryptoKey, iv: Bytes }>}
 */
export async function keySchedule(shared, encapsulated, publicKey, info) {
  const prk = await extract(NOTHING, KEM, 'eae_prk', shared);
  const secret = await expand(prk, KEM, 'shared_secret', bytes(encapsulated, publicKey), 32);
  const context = bytes(
    [0], // the base mode
    await extract(NOTHING, HPKE, 'psk_id_hash', NOTHING),
    await extract(NOTHING, HPKE, 'info_hash', info),
  );
  const master = await extract(secret, HPKE, 'secret', NOTHING);
  const raw = await expand(master, HPKE, 'key', context, 16);
  const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']);
  return { key, iv: await expand(master, HPKE, 'base_nonce', context, 12) };
}

const NOTHING = new Uint8Array();

/**
 * @param {CryptoKey} privateKey
 * @param {Uint8Array} publicKey
 * @returns {Promise<Bytes>}
 */
async function exchange(privateKey, publicKey) {
  const key = await crypto.subtle.importKey('raw', bytes(publicKey), 'X25519', true, []);
  const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: 'X25519', public: key }, privateKey, 256));
  if (shared.every((byte) => byte === 0)) throw new TypeError('a key of small order'); // RFC 9180, section 7.1.4
  return shared;
}

/**
 * LabeledExtract: HKDF-Extract is one HMAC with the salt as its key.
 *
 * @param {Uint8Array} salt
 * @param {Uint8Array} suite
 * @param {string} label
 * @param {Uint8Array} value
 */
async function extract(salt, suite, label, value) {
  return hmac(salt.length ? salt : new Uint8Array(32), bytes('HPKE-v1', suite, label, value));
}

/**
 * LabeledExpand; no more than 32 bytes are ever asked for, which are the first block of HKDF-Expand.
 *
 * @param {Uint8Array} prk
 * @param {Uint8Array} suite
 * @param {string} label
 * @param {Uint8Array} info
 * @param {number} length
 */
async function expand(prk, suite, label, info, length) {
  const block = await hmac(prk, bytes([length >> 8, length & 255], 'HPKE-v1', suite, label, info, [1]));
  return block.slice(0, length);
}

/** @param {Uint8Array} raw @param {Bytes} value */
async function hmac(raw, value) {
  const key = await crypto.subtle.importKey('raw', bytes(raw), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, value));
}

/**
 * @param {...(Uint8Array | number[] | string)} parts
 * @returns {Bytes}
 */
function bytes(...parts) {
  const pieces = parts.map((part) => (typeof part === 'string' ? text.encode(part) : Uint8Array.from(part)));
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** @param {Uint8Array} raw @param {string} kind */
function check(raw, kind) {
  if (!(raw instanceof Uint8Array) || raw.length !== KEY_BYTES) {
    throw new TypeError(`A ${kind} key is a Uint8Array of ${KEY_BYTES} bytes.`);
  }
}

/** @param {Uint8Array} raw */
function toBase64(raw) {
  let binary = '';
  for (const byte of raw) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** @param {string} encoded @returns {Bytes} */
function fromBase64(encoded) {
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}
