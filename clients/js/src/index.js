// The client of Fire22 Flows. `connect` is all an application needs; the rest is exported for tests and tools.
//
//   types.js        the shapes on the wire, as JSDoc types
//   position.js     what a client stores, and how two of them compare
//   merge_patch.js  RFC 7396
//   session.js      the protocol as a state machine, fed by hand: no timers, no sockets
//   backoff.js      how long to wait before the next attempt
//   connection.js   one socket at a time: open, watch, close, come back
//   client.js       the three joined, with callbacks
//   sealed.js       end-to-end encryption of addressed messages; imported by itself: `fire22-client/sealed`

/** @typedef {import('./types.js').Message} Message */

export { Client, connect } from './client.js';
export { mergePatch } from './merge_patch.js';
export { Session } from './session.js';
