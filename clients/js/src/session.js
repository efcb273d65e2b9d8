// The client's half of the protocol as a state machine, fed by hand: no timers, no sockets, no clock.
//
//   session.connected();  session.receive(message, nowMs) → effects;  session.takeCommands() → what to send
//
// Positions. `session.position` is what the newest tick said, as far as that is safe to store. Every subscription keeps a position of its own as well: the
// later of the tick's and of the snapshot it began with. They differ while a subscription is being made or is catching up:
// a tick says nothing about a subscription whose reply has not come yet. `after` on a reconnect is the subscription's own.
//
// Repeats. What lies at or below a subscription's position has been delivered. What lies above and has been seen already
// (a critical message overtakes) is remembered by offset and key until the position passes it, and dropped when it comes again.
//
// Documents. A subscription with `delta: true` follows a view: its documents are kept here by key. A patch whose base is
// not the document's offset means that something is missing; the subscription is then made again, without `after`. A message
// without data removes the document of its key. Of every view, what is older than the document that came, or than its removal,
// is dropped though it was never seen: what follows a position may begin with states that were left out or passed before.
//
// Addressed messages, to this user, this client or everyone, belong to no subscription. One with a position brings those that
// were missed after it, however far the ticks have come since, so no position says which of them have come: they are known as
// repeats only by the offsets of the newest ones.

import { mergePatch } from './merge_patch.js';
import { earlierPosition, formatPosition, laterPosition, parsePosition } from './position.js';
import { MESSAGE_UNSAYABLE } from './reading.js';

/** How many offsets above the position a subscription remembers; beyond it the oldest are forgotten. */
export const SEEN_OFFSETS_MAX = 100_000;

/** The clock difference is the best of this many ticks. */
const CLOCK_SAMPLES = 8;

/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').SubscribeOptions} SubscribeOptions */
/** @typedef {import('./types.js').ServerError} ServerError */
/** @typedef {import('./position.js').Position} Position */

/**
 * @typedef {object} Subscription
 * @property {string} target
 * @property {Omit<SubscribeOptions, 'after'>} options
 * @property {'idle' | 'pending' | 'live' | 'refused'} state  idle: not connected; pending: no reply yet
 * @property {Position | null} position  everything up to here has been delivered
 * @property {Position | null} head  where the feed stood when the reply was written
 * @property {Set<string>} seen  what has been delivered above the position
 * @property {Map<string, Document>} documents  by key; the only document of a view has the key ""
 * @property {boolean} isView  whether the server has said that it is one
 * @property {Map<string, number>} newest  of a view: the newest offset, above the position, at which each document came or was removed
 */

/** @typedef {{data: any, offset: number | undefined}} Document */

/**
 * What the caller has to do about a message, in order.
 * @typedef {{kind: 'snapshot', subscription: Subscription, messages: Message[]}
 *   | {kind: 'message', subscription: Subscription | null, message: Message}
 *   | {kind: 'document', subscription: Subscription, key: string, data: any, message: Message | null}
 *   | {kind: 'recovered', subscription: Subscription, recovery: import('./types.js').Recovery}
 *   | {kind: 'skipped', subscription: Subscription, skipped: import('./types.js').Skipped}
 *   | {kind: 'left_out', subscription: Subscription, error: ServerError}
 *   | {kind: 'refused', subscription: Subscription, error: ServerError}
 *   | {kind: 'resubscribed', subscription: Subscription}
 *   | {kind: 'reply', id: number, data: any}
 *   | {kind: 'error', id: number | undefined, error: ServerError}
 *   | {kind: 'connection_error', error: ServerError}
 *   | {kind: 'tick', tick: import('./types.js').Tick}} Effect
 *
 * `document` with `data` undefined: the document is gone. `message` without a subscription: addressed to this user, this
 * client or everyone.
 */

export class Session {
  /** @type {Position | null} */ #position = null;
  /** @type {Map<string, Subscription>} */ #subscriptions = new Map();
  /** Addressed messages: no subscription and no position, and no repeats. */
  #direct = newSubscription('', {});
  /** @type {string | null} */ #epoch = null;
  /** @type {Map<number, {subscription: Subscription | null, resumed: boolean}>} */ #waiting = new Map();
  /** @type {object[]} */ #commands = [];
  /** @type {number[]} */ #clockSamples = [];
  #lastId = 0;
  #connected = false;

  /**
   * What to store, as text; null before the first tick: the newest tick's position, held back while a subscription
   * stands behind it, unanswered or catching up. Who begins anew with it misses nothing.
   */
  get position() {
    let position = this.#position;
    if (position === null) return null;
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.state === 'refused' || subscription.position === null) continue;
      position = earlierPosition(position, subscription.position);
    }
    return formatPosition(position);
  }

  /** The server's clock minus ours, in milliseconds, from the tick that travelled fastest. */
  get clockDifferenceMs() {
    return this.#clockSamples.length ? Math.max(...this.#clockSamples) : 0;
  }

  /** True when every subscription has been answered and has received what had been missed. */
  get level() {
    return this.#connected && [...this.#subscriptions.values()].every(isLevel);
  }

  get subscriptions() {
    return [...this.#subscriptions.values()];
  }

  /**
   * @param {string} target
   * @param {SubscribeOptions} [options]
   * @returns {Subscription}
   */
  subscribe(target, options = {}) {
    const subscription = newSubscription(target, options);
    this.#subscriptions.set(nameOf(target, options.scope), subscription);
    if (this.#connected) this.#request(subscription);
    return subscription;
  }

  /** @param {Subscription} subscription  one that was replaced or removed before is left alone */
  unsubscribe(subscription) {
    if (!this.#isCurrent(subscription)) return;
    const { target, options: { scope } } = subscription;
    this.#subscriptions.delete(nameOf(target, scope));
    if (this.#connected) this.command('unsubscribe', scope === undefined ? { target } : { target, scope });
  }

  /** Ask again for a subscription that was refused. @param {Subscription} subscription */
  retry(subscription) {
    if (this.#connected && subscription.state === 'refused' && this.#isCurrent(subscription)) this.#request(subscription);
  }

  /**
   * Send any other command ("history", "publish", "ping", "auth").
   *
   * @param {string} name
   * @param {object} [fields]
   * @returns {number} the id that its reply or error will carry
   */
  command(name, fields = {}) {
    return this.#send(name, fields, null, false);
  }

  connected() {
    this.#connected = true;
    this.#clockSamples = [];
    for (const subscription of this.#subscriptions.values()) this.#request(subscription);
  }

  /** @returns {Effect[]} an error for each command that will not be answered any more */
  disconnected() {
    const error = { code: 'disconnected', message: 'The connection was lost before the answer came.' };
    /** @type {Effect[]} */
    const effects = [];
    for (const [id, { subscription }] of this.#waiting) if (!subscription) effects.push({ kind: 'error', id, error });
    for (const subscription of this.#subscriptions.values()) subscription.state = 'idle';
    this.#connected = false;
    this.#commands = [];
    this.#waiting.clear();
    return effects;
  }

  /** The commands to send now, in order. @returns {object[]} */
  takeCommands() {
    const commands = this.#commands;
    this.#commands = [];
    return commands;
  }

  /**
   * @param {Message} message
   * @param {number} nowMs  the local clock
   * @returns {Effect[]}
   */
  receive(message, nowMs) {
    switch (message.type) {
      case 'tick': return this.#tick(message, nowMs);
      case 'reply': return this.#reply(message);
      case 'error': return this.#error(message);
      case 'connection_error': return [{ kind: 'connection_error', error: errorOf(message) }];
      default: return this.#message(message);
    }
  }

  /** @param {Subscription} subscription */
  #isCurrent(subscription) {
    return this.#subscriptions.get(nameOf(subscription.target, subscription.options.scope)) === subscription;
  }

  /** @param {Subscription} subscription */
  #request(subscription) {
    const { target, options, position } = subscription;
    const after = position ? { after: formatPosition(position) } : {};
    subscription.state = 'pending';
    this.#send('subscribe', { target, ...options, ...after }, subscription, position !== null);
  }

  /**
   * @param {string} command
   * @param {object} fields
   * @param {Subscription | null} subscription  that this command asks for
   * @param {boolean} resumed  whether it carries a position
   */
  #send(command, fields, subscription, resumed) {
    const id = ++this.#lastId;
    this.#waiting.set(id, { subscription, resumed });
    this.#commands.push({ id, command, ...fields });
    return id;
  }

  /** @param {Message} message @param {number} nowMs @returns {Effect[]} */
  #tick(message, nowMs) {
    const position = parsePosition(message.data.position);
    this.#position = laterPosition(this.#position, position);
    this.#seeEpoch(position);
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.state === 'live') advance(subscription, position);
    }
    const difference = Date.parse(message.data.time) - nowMs;
    if (Number.isFinite(difference)) this.#clockSamples = [...this.#clockSamples, difference].slice(-CLOCK_SAMPLES);
    return [...this.#skipped(message.data.skipped ?? []), { kind: 'tick', tick: message.data }];
  }

  /** @param {import('./types.js').Tick['skipped'] & {}} skips @returns {Effect[]} */
  #skipped(skips) {
    return skips.flatMap(({ target, scope, from, to, count }) => {
      const subscription = this.#liveSubscription(target, scope);
      return subscription ? [{ kind: 'skipped', subscription, skipped: { from, to, count } }] : [];
    });
  }

  /** The offsets of another feed say nothing about those of this one. @param {Position} position */
  #seeEpoch({ epoch }) {
    if (this.#epoch !== null && this.#epoch !== epoch) this.#direct.seen.clear();
    this.#epoch = epoch;
  }

  /** @param {Message} message @returns {Effect[]} */
  #reply(message) {
    const id = /** @type {number} */ (message.id);
    const asked = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!asked?.subscription) return asked ? [{ kind: 'reply', id, data: message.data }] : [];
    return this.#isCurrent(asked.subscription) ? this.#subscribed(asked.subscription, asked.resumed, message.data) : [];
  }

  /**
   * @param {Subscription} subscription
   * @param {boolean} resumed
   * @param {any} data  of the reply
   * @returns {Effect[]}
   */
  #subscribed(subscription, resumed, data) {
    const { position, kind, recovered, reason, lost, snapshot } = data;
    subscription.state = 'live';
    subscription.isView = subscription.options.delta === true || kind === 'view';
    subscription.head = position === undefined ? null : parsePosition(position);
    if (subscription.head) this.#seeEpoch(subscription.head);
    /** @type {Effect[]} */
    const effects = [];
    if (resumed) {
      const recovery = { recovered, ...(reason === undefined ? {} : { reason }), ...(lost === undefined ? {} : { lost }) };
      effects.push({ kind: 'recovered', subscription, recovery });
    }
    if (!recovered) return effects.concat(restart(subscription, snapshot ?? []));
    return effects.concat((snapshot ?? []).flatMap((/** @type {Message} */ each) => this.#deliver(subscription, each)));
  }

  /** @param {Message} message @returns {Effect[]} */
  #error(message) {
    const error = errorOf(message);
    const asked = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (message.id !== undefined) this.#waiting.delete(message.id);
    const about = message.id === undefined && error.code === MESSAGE_UNSAYABLE ? error.details?.target : undefined;
    const missing = about === undefined ? null : this.#liveSubscription(about, error.details.scope);
    if (missing) return [{ kind: 'left_out', subscription: missing, error }];
    if (message.id === undefined && message.target !== undefined) return this.#ended(message.target, message.scope, error);
    if (!asked?.subscription) return [{ kind: 'error', id: message.id, error }];
    if (!this.#isCurrent(asked.subscription)) return [];
    asked.subscription.state = 'refused';
    return [{ kind: 'refused', subscription: asked.subscription, error }];
  }

  /**
   * A right was withdrawn, and a subscription with it: what was shown of it is no longer to be shown.
   *
   * @param {string} target @param {string | undefined} scope @param {ServerError} error
   * @returns {Effect[]}
   */
  #ended(target, scope, error) {
    const subscription = this.#liveSubscription(target, scope);
    if (!subscription) return [];
    subscription.documents.clear();
    subscription.state = 'refused';
    return [{ kind: 'refused', subscription, error }];
  }

  /** @param {Message} message @returns {Effect[]} */
  #message(message) {
    const { target, scope } = message;
    if (target === undefined || target.startsWith('user:') || target.startsWith('client:')) {
      return isRepeat(this.#direct, message) ? [] : [{ kind: 'message', subscription: null, message }];
    }
    const subscription = this.#liveSubscription(target, scope);
    return subscription ? this.#deliver(subscription, message) : [];
  }

  /**
   * Before its reply a subscription can only meet leftovers of the one that it replaces.
   *
   * @param {string} target @param {string} [scope]
   */
  #liveSubscription(target, scope) {
    const subscription = this.#subscriptions.get(nameOf(target, scope)) ?? this.#subscriptions.get(nameOf(target));
    return subscription?.state === 'live' ? subscription : null;
  }

  /** @param {Subscription} subscription @param {Message} message @returns {Effect[]} */
  #deliver(subscription, message) {
    if (subscription.options.delta) return this.#document(subscription, message);
    const known = subscription.isView ? isOutdated(subscription, message) : isRepeat(subscription, message);
    return known ? [] : [{ kind: 'message', subscription, message }];
  }

  /** @param {Subscription} subscription @param {Message} message @returns {Effect[]} */
  #document(subscription, message) {
    if (isOutdated(subscription, message)) return [];
    const { key = '', patch, base } = message;
    if (isNothing(message.data)) return remove(subscription, key, message);
    const known = subscription.documents.get(key);
    if (patch && (!known || known.offset !== base)) return this.#again(subscription);
    const data = patch ? mergePatch(known?.data, message.data) : message.data;
    return [keep(subscription, key, data, message)];
  }

  /** Something is missing: begin anew with a snapshot. @param {Subscription} subscription @returns {Effect[]} */
  #again(subscription) {
    subscription.position = null;
    this.#request(subscription);
    return [{ kind: 'resubscribed', subscription }];
  }
}

/** @param {string} target @param {string} [scope] */
function nameOf(target, scope) {
  return scope === undefined ? target : `${target} ${scope}`;
}

/** @param {string} target @param {SubscribeOptions} options @returns {Subscription} */
function newSubscription(target, { after, ...options }) {
  const position = after === undefined ? null : parsePosition(after);
  const nothing = { head: null, seen: new Set(), documents: new Map(), newest: new Map() };
  return { target, options, state: 'idle', position, isView: options.delta === true, ...nothing };
}

/** @param {Subscription} subscription */
function isLevel({ state, position, head }) {
  if (state === 'refused') return true;
  if (state !== 'live') return false;
  return !head || (position !== null && position.epoch === head.epoch && position.offset >= head.offset);
}

/** @param {number | undefined} offset @param {number | undefined} mark */
function isBelow(offset, mark) {
  return offset !== undefined && mark !== undefined && offset <= mark;
}

/**
 * Whether a message was delivered before; from now on it was.
 *
 * @param {Subscription} subscription
 * @param {Message} message
 */
function isRepeat({ position, seen }, { offset, key }) {
  if (offset === undefined) return false;
  if (isBelow(offset, position?.offset)) return true;
  const name = key === undefined ? `${offset}` : `${offset} ${key}`;
  if (seen.has(name)) return true;
  seen.add(name);
  if (seen.size > SEEN_OFFSETS_MAX) seen.delete(seen.values().next().value ?? '');
  return false;
}

/**
 * Of a view: whether its document, or the removal, has come as of this offset or later; from now on it has.
 *
 * @param {Subscription} subscription
 * @param {Message} message
 */
function isOutdated({ position, newest }, { offset, key = '' }) {
  if (offset === undefined) return false;
  if (isBelow(offset, position?.offset) || isBelow(offset, newest.get(key))) return true;
  newest.set(key, offset);
  if (newest.size > SEEN_OFFSETS_MAX) newest.delete(newest.keys().next().value ?? '');
  return false;
}

/** @param {Subscription} subscription @param {Position} position */
function advance(subscription, position) {
  const known = subscription.position;
  subscription.position = laterPosition(known, position);
  if (known && known.epoch !== position.epoch) return forget(subscription);
  for (const name of subscription.seen) {
    if (Number.parseInt(name, 10) <= position.offset) subscription.seen.delete(name);
  }
  for (const [key, offset] of subscription.newest) {
    if (offset <= position.offset) subscription.newest.delete(key);
  }
}

/** What lies above the position is not known any more. @param {Subscription} subscription */
function forget({ seen, newest }) {
  seen.clear();
  newest.clear();
}

/** A snapshot takes the place of all that was known. @param {Subscription} subscription @param {Message[]} snapshot */
function restart(subscription, snapshot) {
  const { documents, options, head } = subscription;
  subscription.position = head;
  forget(subscription);
  /** @type {Effect[]} */
  const effects = [{ kind: 'snapshot', subscription, messages: snapshot }];
  if (!options.delta) {
    for (const message of snapshot) isRepeat(subscription, message);
    return effects;
  }
  const gone = new Set(documents.keys());
  documents.clear();
  for (const message of snapshot) {
    if (isNothing(message.data)) continue;
    gone.delete(message.key ?? '');
    effects.push(keep(subscription, message.key ?? '', message.data, message));
  }
  for (const key of gone) effects.push({ kind: 'document', subscription, key, data: undefined, message: null });
  return effects;
}

/**
 * A whole document takes the place of the one that is held.
 *
 * @param {Subscription} subscription
 * @param {string} key
 * @param {any} data
 * @param {Message} message
 * @returns {Effect}
 */
function keep(subscription, key, data, message) {
  subscription.documents.set(key, { data, offset: message.offset });
  return { kind: 'document', subscription, key, data, message };
}

/**
 * A document is gone. Of one that is not held nobody has heard, so there is nothing to say.
 *
 * @param {Subscription} subscription
 * @param {string} key
 * @param {Message} message
 * @returns {Effect[]}
 */
function remove(subscription, key, message) {
  const was = subscription.documents.delete(key);
  return was ? [{ kind: 'document', subscription, key, data: undefined, message }] : [];
}

/** @param {any} data */
function isNothing(data) {
  return data === null || data === undefined;
}

/** Errors are flat, and the same in `data`. @param {Message} message @returns {ServerError} */
function errorOf(message) {
  const { code = 'unknown', message: text = '', retryAfter, details } = message.code ? message : { ...message.data };
  return { code, message: text, ...(retryAfter === undefined ? {} : { retryAfter }), ...(details ? { details } : {}) };
}
