// What an application holds: the session (what the protocol says) on a connection (a socket that comes back), with callbacks.

import { Connection } from './connection.js';
import { environment } from './environment.js';
import { Session } from './session.js';

/** The server's default (`heartbeat_s`). */
const HEARTBEAT_MS = 25_000;

/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').SubscribeOptions} SubscribeOptions */
/** @typedef {import('./types.js').ServerError} ServerError */
/** @typedef {import('./session.js').Effect} Effect */

/**
 * @typedef {object} ClientOptions
 * @property {string} url  ws(s)://host/v1/ws
 * @property {import('./connection.js').TokenSource} [token]  absent: the browser's session cookie; a function is asked before
 *   each attempt, so it can give a new one
 * @property {number} [heartbeatMs]  the server's `heartbeat_s`, in milliseconds
 */

/**
 * @typedef {{name: 'connecting' | 'live' | 'catching-up'}
 *   | {name: 'reconnecting' | 'offline', inMs: number, atMs: number, error?: ServerError}
 *   | {name: 'closed', code?: number, reason: string, error?: ServerError}} ClientState
 *
 * `atMs`: when the next attempt comes, by the local clock. `error`: what the server said last before it closed.
 */

/**
 * @typedef {object} Handlers
 * @property {(messages: Message[]) => void} [onSnapshot]  takes the place of all that was shown before; oldest first
 * @property {(message: Message) => void} [onMessage]  in order, each once
 * @property {(data: any, detail: {key: string, message: Message | null}) => void} [onDocument]  with `delta`: the whole
 *   document after each change; undefined when it is gone
 * @property {(recovery: import('./types.js').Recovery) => void} [onRecovered]  after a reconnect
 * @property {(skipped: import('./types.js').Skipped) => void} [onSkipped]  with `lossy`: messages were left out
 * @property {(error: ServerError) => void} [onError]  the subscription was refused, or (`message_unsayable`) one of its messages
 *   held a value that cannot be read here and was left out; `details` say its offset
 */

/**
 * @typedef {object} Events
 * @property {ClientState} state
 * @property {import('./types.js').Tick & {clockDifferenceMs: number}} tick  clockDifferenceMs: the server's clock minus ours
 * @property {Message} message  addressed to this user (`target` "user:<kind>:<id>"), this client ("client:<id>") or everyone (none);
 *   each once. What was said while there was no connection comes with a subscription that goes on from a position
 * @property {unknown} error  a ServerError that belongs to no subscription, or an Error of the connection being dealt with
 */

/** A command that will not be answered as hoped. */
export class CommandError extends Error {
  /** @param {ServerError} error */
  constructor({ code, message, retryAfter }) {
    super(message);
    this.name = 'CommandError';
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export class Client {
  #session = new Session();
  #environment;
  #connection;
  /** @type {ClientState} */ #state = { name: 'connecting' };
  /** @type {ServerError | undefined} */ #lastError;
  /** @type {Map<import('./session.js').Subscription, Handlers>} */ #handlers = new Map();
  /** @type {Map<number, {resolve: (data: any) => void, reject: (error: CommandError) => void}>} */ #requests = new Map();
  /** @type {Map<string, Set<(detail: any) => void>>} */ #listeners = new Map();
  /** @type {Set<string>} */ #warned = new Set();
  #url;

  /** @param {ClientOptions & Partial<import('./environment.js').Environment>} options */
  constructor({ url, token, heartbeatMs = HEARTBEAT_MS, ...given }) {
    this.#environment = environment(given);
    this.#url = url;
    this.#connection = new Connection({
      url,
      token,
      heartbeatMs,
      environment: this.#environment,
      onState: (state) => this.#connectionState(state),
      onMessages: (messages) => this.#receive(messages),
      onProblem: (problem) => this.#problem(problem),
    });
    this.#connection.open();
  }

  /** Everything up to here has arrived; null before the first tick. */
  get position() {
    return this.#session.position;
  }

  get state() {
    return this.#state;
  }

  /** The server's clock minus the local one. */
  get clockDifferenceMs() {
    return this.#session.clockDifferenceMs;
  }

  /**
   * @param {string} target  a topic
   * @param {SubscribeOptions} [options]
   * @param {Handlers} [handlers]
   */
  subscribe(target, options = {}, handlers = {}) {
    const subscription = this.#session.subscribe(target, options);
    const { scope } = options;
    for (const known of this.#handlers.keys()) {
      if (known.target === target && known.options.scope === scope) this.#handlers.delete(known);
    }
    this.#handlers.set(subscription, handlers);
    this.#flush();
    return {
      unsubscribe: () => {
        this.#handlers.delete(subscription);
        this.#session.unsubscribe(subscription);
        this.#flush();
      },
    };
  }

  /**
   * What a stream said earlier; nothing is followed. It waits for the connection, and is asked again when that is lost.
   *
   * @param {string} target  a topic
   * @param {import('./types.js').HistoryOptions} [options]
   * @returns {Promise<import('./types.js').History>}
   * @throws {CommandError} refused, or `disconnected`: the connection is closed for good
   */
  async history(target, options = {}) {
    for (;;) {
      if (this.#connection.state.name !== 'open') await this.#opened();
      try {
        return await this.request('history', { target, ...options });
      } catch (problem) {
        if (!(problem instanceof CommandError && problem.code === 'disconnected')) throw problem;
      }
    }
  }

  /**
   * Older and older pages, down to the oldest that is kept; each oldest first.
   *
   * @param {string} target  a topic
   * @param {import('./types.js').HistoryOptions} [options]
   * @returns {AsyncGenerator<import('./types.js').History, void, void>}
   * @throws {CommandError} as `history`
   */
  async *historyPages(target, options = {}) {
    let page = await this.history(target, options);
    yield page;
    while (page.before !== undefined) {
      page = await this.history(target, { ...options, before: page.before });
      yield page;
    }
  }

  /**
   * Send a command and wait for its reply: "publish", "ping", "history".
   *
   * @param {string} command
   * @param {object} [fields]
   * @returns {Promise<any>} the reply's data
   * @throws {CommandError} refused, or the connection was lost before the answer
   */
  request(command, fields = {}) {
    if (this.#connection.state.name !== 'open') {
      return Promise.reject(new CommandError({ code: 'disconnected', message: 'There is no connection.' }));
    }
    return new Promise((resolve, reject) => {
      this.#requests.set(this.#session.command(command, fields), { resolve, reject });
      this.#flush();
    });
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} run
   * @returns {() => void} how to stop listening
   */
  on(name, run) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(run));
    return () => void listeners.delete(run);
  }

  /** When the last frame came, by the local clock; 0 before the first one of this connection. */
  get lastFrameMs() {
    return this.#connection.lastFrameMs;
  }

  /** Leave a connection that seems open and does not answer, and come back. @param {string} reason */
  reconnect(reason) {
    if (this.#connection.state.name === 'open') this.#connection.drop(new Error(reason));
  }

  /** Do not wait for the next attempt. */
  retryNow() {
    this.#connection.retryNow();
  }

  close() {
    this.#connection.close();
  }

  /** @returns {Promise<void>} when there is a connection; rejected when there will be none */
  async #opened() {
    while (this.#connection.state.name !== 'open') {
      if (this.#connection.state.name === 'closed') {
        throw new CommandError({ code: 'disconnected', message: 'The connection is closed.' });
      }
      await new Promise((resolve) => {
        const stop = this.on('state', () => {
          stop();
          resolve(undefined);
        });
      });
    }
  }

  /** @param {import('./connection.js').ConnectionState} state */
  #connectionState(state) {
    if (state.name === 'open') {
      this.#lastError = undefined;
      this.#session.connected();
      this.#flush();
      return;
    }
    this.#run(this.#session.disconnected());
    const said = this.#lastError && state.name !== 'connecting' ? { error: this.#lastError } : {};
    this.#setState({ ...state, ...said });
    if (state.name === 'reconnecting' || state.name === 'offline') {
      this.#warn('connection', `there is no connection to ${this.#url}; it is tried again and again`, 'error', 'state');
    } else if (state.name === 'closed' && state.code !== undefined) {
      const why = this.#lastError?.message ?? state.reason;
      this.#warn('closed', `the server closed the connection for good: ${why}`, 'error', 'state');
    }
  }

  /** @param {Message[]} messages */
  #receive(messages) {
    for (const message of messages) {
      let effects;
      try {
        effects = this.#session.receive(message, this.#environment.now());
      } catch (problem) {
        return this.#connection.drop(problem);
      }
      if (message.type === 'tick' || message.type === 'reply') this.#connection.proven();
      this.#run(effects);
      if (this.#connection.state.name !== 'open') return; // a callback closed it
    }
    this.#flush();
  }

  #flush() {
    if (this.#connection.state.name !== 'open') return;
    for (const command of this.#session.takeCommands()) this.#connection.send(command);
    this.#setState({ name: this.#session.level ? 'live' : 'catching-up' });
  }

  /** @param {Effect[]} effects */
  #run(effects) {
    for (const effect of effects) this.#runOne(effect);
  }

  /** @param {Effect} effect */
  #runOne(effect) {
    switch (effect.kind) {
      case 'tick': return this.#emit('tick', { ...effect.tick, clockDifferenceMs: this.#session.clockDifferenceMs });
      case 'reply': return this.#settle(effect.id, (request) => request.resolve(effect.data));
      case 'error': return this.#failed(effect);
      case 'connection_error': return this.#refusedConnection(effect.error);
      case 'resubscribed': return undefined;
      case 'message':
        if (!effect.subscription) return this.#emit('message', effect.message);
    }
    const handlers = this.#handlers.get(/** @type {import('./session.js').Subscription} */ (effect.subscription)) ?? {};
    switch (effect.kind) {
      case 'snapshot': return call(handlers.onSnapshot, effect.messages);
      case 'message': return call(handlers.onMessage, effect.message);
      case 'document': return call(handlers.onDocument, effect.data, { key: effect.key, message: effect.message });
      case 'recovered': return call(handlers.onRecovered, effect.recovery);
      case 'skipped': return call(handlers.onSkipped, effect.skipped);
      case 'left_out': return this.#tell(effect.subscription, handlers, effect.error);
      case 'refused': return this.#refused(effect.subscription, effect.error, handlers);
    }
  }

  /** @param {Extract<Effect, {kind: 'error'}>} effect */
  #failed({ id, error }) {
    if (id !== undefined && this.#requests.has(id)) {
      return this.#settle(id, (request) => request.reject(new CommandError(error)));
    }
    this.#problem(error);
  }

  /** @param {unknown} problem */
  #problem(problem) {
    this.#emit('error', problem);
    const { code, message } = /** @type {{code?: string, message?: string}} */ (Object(problem));
    this.#warn(code ?? String(message), message ?? String(problem), 'error');
  }

  /** @param {import('./session.js').Subscription} subscription @param {Handlers} handlers @param {ServerError} error */
  #tell({ target }, handlers, error) {
    call(handlers.onError, error);
    if (!handlers.onError) this.#warn(`${error.code} ${target}`, `${target}: ${error.message}`);
  }

  /**
   * A program that listens to nothing is not to end, or to wait for ever, without a word; each kind of it is said once.
   *
   * @param {string} kind @param {string} text @param {(keyof Events)[]} unless  nothing is said to one who listens to these
   */
  #warn(kind, text, ...unless) {
    if (this.#warned.has(kind) || unless.some((name) => this.#listeners.get(name)?.size)) return;
    this.#warned.add(kind);
    this.#environment.warn(`fire22: ${text}`);
  }

  /** @param {number} id @param {(request: {resolve: (data: any) => void, reject: (error: CommandError) => void}) => void} run */
  #settle(id, run) {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    if (request) run(request);
  }

  /** @param {ServerError} error */
  #refusedConnection(error) {
    this.#lastError = error;
    if (error.retryAfter !== undefined) this.#connection.holdOff(error.retryAfter * 1000);
    this.#emit('error', error);
  }

  /** @param {import('./session.js').Subscription} subscription @param {ServerError} error @param {Handlers} handlers */
  #refused(subscription, error, handlers) {
    if (error.retryAfter !== undefined) {
      this.#environment.setTimeout(() => {
        this.#session.retry(subscription);
        this.#flush();
      }, error.retryAfter * 1000);
    }
    this.#tell(subscription, handlers, error);
  }

  /** @param {ClientState} state */
  #setState(state) {
    const waits = state.name === 'reconnecting' || state.name === 'offline';
    if (state.name === this.#state.name && !waits) return;
    this.#state = state;
    this.#emit('state', state);
  }

  /** @template {keyof Events} Name @param {Name} name @param {Events[Name]} detail */
  #emit(name, detail) {
    for (const run of this.#listeners.get(name) ?? []) call(run, detail);
  }
}

/**
 * A callback that throws is reported where the platform shows uncaught errors, and disturbs nothing here.
 *
 * @param {((...details: any[]) => void) | undefined} run
 * @param {...any} details
 */
function call(run, ...details) {
  try {
    run?.(...details);
  } catch (problem) {
    queueMicrotask(() => {
      throw problem;
    });
  }
}

/**
 * Connect, and stay connected.
 *
 * @param {ClientOptions & Partial<import('./environment.js').Environment>} options
 */
export function connect(options) {
  return new Client(options);
}
