// A frame as messages. JSON has values that are none here: a number beyond a double becomes Infinity, half of a surrogate
// pair no text. A message that holds one is left out, an error takes its place, and all else goes on.

/** @typedef {import('./types.js').Message} Message */

/** What a frame holds if it may hold such a value. */
const SUSPECT = /[0-9][eE][+]?[0-9]{3}|[0-9]{309}|\\u[dD][89a-fA-F]/;

export const MESSAGE_UNSAYABLE = 'message_unsayable';

/** @param {string} text @returns {Message[]} @throws {SyntaxError} not JSON */
export function readMessages(text) {
  const said = JSON.parse(text);
  const messages = Array.isArray(said) ? said : [said];
  return SUSPECT.test(text) ? messages.flatMap(readable) : messages;
}

/**
 * What can be read of a message: of a reply with messages in it those that can, and an error for each other one.
 *
 * @param {any} message
 * @returns {any[]}
 */
function readable(message) {
  if (isReadable(message)) return [message];
  if (message?.type === 'reply' && message.data && typeof message.data === 'object') {
    const data = { ...message.data };
    const lost = [];
    for (const [name, value] of Object.entries(data)) {
      if (!Array.isArray(value)) continue;
      lost.push(...value.filter((each) => !isReadable(each)));
      data[name] = value.filter(isReadable);
    }
    const rest = { ...message, data };
    if (isReadable(rest)) return [rest, ...lost.map(leftOut)];
  }
  return [leftOut(message)];
}

/** @param {any} value @returns {boolean} */
function isReadable(value) {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(value).every(([name, each]) => isReadable(name) && isReadable(each));
}

/** @param {any} message @returns {Message} */
function leftOut({ id, timestamp, target, scope, offset }) {
  const details = Object.fromEntries(Object.entries({ target, scope, offset }).filter(([, value]) => value !== undefined));
  const said = { code: MESSAGE_UNSAYABLE, message: 'A message holds a value that cannot be read here; it was left out.', details };
  return { type: 'error', timestamp, ...(Number.isFinite(id) ? { id } : {}), ...said, data: said };
}
