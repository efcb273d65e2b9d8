// Asks the server over HTTP: what it knows, and to act.

import { address } from './address.js';

// What the session says that every change must bring. Where another session has begun in this browser, it is refused.
let csrf = '';

/**
 * @typedef {{data: any} | Refusal} Answer
 * @typedef {{problem: string, status: number, code?: string, retryAfterS?: number}} Refusal  status 0: no answer at all
 */

/**
 * @param {string} method  of HTTP
 * @param {string} path  of an address of the server
 * @param {object} [body]
 * @returns {Promise<Answer>}
 */
export async function ask(method, path, body) {
  /** @type {Record<string, string>} */ const headers = {};
  if (method !== 'GET' && csrf) headers['x-csrf-token'] = csrf;
  if (body) headers['content-type'] = 'application/json';
  // A new key for each click: the same click sent twice acts once, another click is another act.
  if (method === 'POST') headers['idempotency-key'] = crypto.randomUUID();
  try {
    const init = { method, headers, body: body && JSON.stringify(body), credentials: /** @type {const} */ ('same-origin'), cache: /** @type {const} */ ('no-store') };
    const response = await fetch(address(path, document.baseURI), init);
    const data = await response.json().catch(() => null);
    if (response.ok && typeof data?.csrf === 'string') csrf = data.csrf;
    if (response.ok) return { data };
    const retryAfterS = Number(response.headers.get('retry-after')) || undefined;
    return { problem: data?.message ?? `The server answered ${response.status}.`, status: response.status, code: data?.code, retryAfterS };
  } catch {
    return { problem: method === 'GET' ? 'The server cannot be reached.' : 'The server cannot be reached; nothing was done.', status: 0 };
  }
}

/** What to say of something that was done; of a command that waits, that it has not been. @param {any} data  answered @param {string} done */
export function outcomeOf(data, done) {
  if (data?.result?.status !== 'pending' || !data.result.approvalId) return done;
  return 'Nothing has been done yet: it is above the amount that you may decide alone, and waits for another person (Approvals).';
}
