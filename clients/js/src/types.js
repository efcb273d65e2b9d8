// The shapes on the wire (PROTOCOL.md is normative), and what the client hands to an application.

/**
 * A message from the server.
 * @typedef {object} Message
 * @property {string} type  "update", "kpi_update", "wager_update", "activity_update", "tick", "reply", "error" ...
 * @property {string} [timestamp]  RFC 3339, UTC, milliseconds
 * @property {any} [data]  of a view with many documents null: the document of this key is gone
 * @property {string} [target]  the topic, or "user:<kind>:<id>", "client:<id>"; absent: everyone
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
 * @property {number} [max_rate_hz]  0.1 to 1000: it is written to at most so often. Of a view what changes between is merged;
 *   the messages of a stream gather and come together, and none is lost
 * @property {boolean} [lossy]  for streams: with `max_rate_hz` only the newest message of each interval comes, and one who is
 *   far behind is taken near the live edge; what was left out is said
 */

/**
 * Messages that were left out of a lossy stream.
 * @typedef {object} Skipped
 * @property {number} from  the offset of the first
 * @property {number} to  the offset of the last
 * @property {number} count  how many messages of this subscription they were
 */

/**
 * What to read of a stream's past.
 * @typedef {object} HistoryOptions
 * @property {string} [scope]  as of a subscription
 * @property {Record<string, any>} [filter]  as of a subscription
 * @property {number} [before]  only offsets below it; absent: the newest
 * @property {number} [limit]  1 to 500 messages at most; absent: 100
 */

/**
 * A page of a stream's past.
 * @typedef {object} History
 * @property {Message[]} messages  oldest first
 * @property {number} [before]  what to give as `before` for the next older page; absent where nothing older is kept
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
 * @property {string} [watermark]  all facts up to here are in everything that is followed, RFC 3339; absent while the connection catches up
 * @property {string} [readTo]  where something is not so far: all sources have been read up to here
 * @property {{target: string, scope: string, watermark: string}[]} [late]  ... and the subscriptions that are not, with up to when they are complete
 * @property {string} [problem]  the code of what keeps the server from going on with the figures
 * @property {(Skipped & {target: string, scope?: string})[]} [skipped]  what was left out of lossy streams
 */

export {};
