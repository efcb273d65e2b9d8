// The shapes on the wire (PROTOCOL.md is normative), and what the client hands to an application.

/**
 * A message from the server.
 * @typedef {object} Message
 * @property {string} type  "update", "kpi_update", "wager_update", "activity_update", "tick", "reply", "error" ...
 * @property {string} [timestamp]  RFC 3339, UTC, milliseconds
 * @property {any} [data]
 * @property {string} [target]  the topic, or "user:<id>", "client:<id>"; absent: everyone
 * @property {'low' | 'normal' | 'high' | 'critical'} [priority]
 * @property {string} [scope]
 * @property {string} [key]  the document of a view that has many
 * @property {number} [offset]
 * @property {true} [patch]  `data` is an RFC 7396 merge patch ...
 * @property {number} [base]  ... on the document as of this offset
 * @property {number} [id]  of the command that a reply or an error answers
 * @property {string} [code]  of an error
 * @property {string} [message]  of an error
 * @property {number} [retryAfter]  of an error, in seconds
 * @property {any} [details]  of an error
 */

/**
 * @typedef {object} ServerError
 * @property {string} code
 * @property {string} message
 * @property {number} [retryAfter]  seconds
 * @property {any} [details]
 */

/**
 * What to follow. (target, scope) names a subscription: a second one with the same pair replaces the first.
 * @typedef {object} SubscribeOptions
 * @property {string} [scope]  a path in the agent tree; absent: all that the token may see
 * @property {Record<string, any>} [filter]
 * @property {boolean} [delta]  for views: keep whole documents here, and receive only what changes
 * @property {number} [last]  for streams: how many messages a snapshot holds
 * @property {string} [after]  a stored position to go on from; absent: begin with a snapshot
 * @property {number} [max_rate_hz]
 * @property {boolean} [lossy]
 */

/**
 * @typedef {object} Recovery
 * @property {boolean} recovered  true: what was missed follows, without gap or repeat; false: a snapshot follows
 * @property {string} [reason]  "position_lost", "position_ahead", "epoch_changed"
 * @property {{from: number, to: number}} [lost]  offsets that can no longer be had
 */

/**
 * @typedef {object} Tick
 * @property {string} position  everything up to here has arrived
 * @property {string} time  the server's clock, RFC 3339
 * @property {string} watermark  all facts up to here are in the figures, RFC 3339
 */

export {};
