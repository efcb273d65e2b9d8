// Signing in: a name and a password, or a one-time code from the link that the server prints, become a session cookie.

import { ask } from './desk.js';

/** @typedef {{user: import('./store.js').User} | import('./desk.js').Refusal} SessionAnswer */

/** The code in a link's fragment or in what a person pasted; null where there is none. @param {string} text */
export function codeIn(text) {
  const trimmed = text.trim();
  const inLink = /[#&?]code=([^&\s]+)/.exec(trimmed);
  if (inLink) return decoded(inLink[1]);
  return /^[\w.~-]+$/.test(trimmed) ? trimmed : null;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** The code in the address, which is then taken out of it so that it stays in no history. */
export function takeCodeFromAddress() {
  const { hash, pathname, search } = window.location;
  if (!hash.startsWith('#code=')) return null;
  window.history.replaceState(null, '', pathname + search);
  return codeIn(hash);
}

/**
 * A code works once. Who opens the same link again may still have the session that it made.
 *
 * @param {string} code
 * @returns {Promise<SessionAnswer>}
 */
export async function signIn(code) {
  const answer = await open({ code });
  const session = await currentSession();
  return 'problem' in answer && 'problem' in session ? answer : session;
}

/** @param {string} name @param {string} password @param {string | null} otp  a code of the second factor @returns {Promise<SessionAnswer>} */
export function signInByName(name, password, otp) {
  return open({ name, password, ...(otp !== null && { otp }) });
}

/** @param {object} body @returns {Promise<SessionAnswer>} */
function open(body) {
  return session('POST', body);
}

/** @returns {Promise<SessionAnswer>} */
export function currentSession() {
  return session('GET');
}

/** @param {string} method @param {object} [body] @returns {Promise<SessionAnswer>} */
async function session(method, body) {
  const answer = await ask(method, '/v1/session', body);
  return 'data' in answer ? { user: answer.data } : answer;
}
