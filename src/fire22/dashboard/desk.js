// Asks the server to act: a command on the book, or what is to become of a fact that was set aside.

import { address } from './address.js';

/**
 * @param {string} path  of an address of the server
 * @param {object} body
 * @returns {Promise<string | null>}  what went wrong, as a sentence; null when it is done
 */
export async function send(path, body) {
  // A new key for each click: the same click sent twice acts once, another click is another act.
  const headers = { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() };
  try {
    const response = await fetch(address(path, document.baseURI), { method: 'POST', headers, body: JSON.stringify(body), credentials: 'same-origin', cache: 'no-store' });
    if (response.ok) return null;
    const answer = await response.json().catch(() => ({}));
    return answer.message ?? `The server answered ${response.status}.`;
  } catch {
    return 'The server cannot be reached; nothing was done.';
  }
}
