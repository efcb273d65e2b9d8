// One socket at a time: open it, watch it, and after a loss come back. What the frames say is none of its business.

import { BACKOFF_MS_MAX, backoffMs } from './backoff.js';
import { readMessages } from './reading.js';

/** Without an open socket after this long, try again. */
export const CONNECT_MS_MAX = 10_000;

/** Without a frame for this many heartbeats the connection is taken for dead. */
export const STALL_HEARTBEATS = 2.5;

export const SUBPROTOCOL = 'fire22.v1.json';

/** @typedef {string | (() => Promise<string>)} TokenSource */

/**
 * @typedef {{name: 'connecting'} | {name: 'open'}
 *   | {name: 'reconnecting' | 'offline', inMs: number, atMs: number}
 *   | {name: 'closed', code?: number, reason: string}} ConnectionState
 */

/**
 * @typedef {object} ConnectionOptions
 * @property {string} url
 * @property {TokenSource} [token]
 * @property {number} heartbeatMs
 * @property {import('./environment.js').Environment} environment
 * @property {(state: ConnectionState) => void} onState
 * @property {(messages: any[]) => void} onMessages
 * @property {(problem: unknown) => void} onProblem  something failed, and is being dealt with
 */

export class Connection {
  #options;
  #environment;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {ConnectionState} */ #state = { name: 'connecting' };
  /** @type {any} */ #timer = null;
  /** @type {(() => void)[]} */ #stopListening = [];
  /** The token used last, and whether a fresh one lies ready. @type {string | undefined} */ #token;
  #tokenIsFresh = false;
  #attempt = 0;
  #retryAfterMs = 0;
  #lastFrameMs = 0;
  /** Grows with each attempt, so that what belongs to an earlier one can be told. */
  #generation = 0;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.#environment = options.environment;
    const { listen } = options.environment;
    this.#stopListening = [
      listen('online', () => this.retryNow()),
      listen('offline', () => this.#waiting() && this.#wait()),
      listen('visible', () => this.#wake()),
    ];
  }

  get state() {
    return this.#state;
  }

  /** When the last frame came, by the local clock; when the socket opened, before the first one. */
  get lastFrameMs() {
    return this.#lastFrameMs;
  }

  open() {
    const generation = ++this.#generation;
    this.#setState({ name: 'connecting' });
    const { token } = this.#options;
    if (typeof token !== 'function') return this.#dial(token);
    if (this.#tokenIsFresh) return this.#dial(this.#token);
    this.#fetchToken(token).then(
      () => generation === this.#generation && this.#dial(this.#token),
      (problem) => {
        if (generation !== this.#generation) return;
        this.#options.onProblem(problem);
        this.#wait();
      },
    );
  }

  /** @param {object} command */
  send(command) {
    this.#socket?.send(JSON.stringify(command));
  }

  /** The peer answered sensibly: the next loss starts again with a short wait. */
  proven() {
    this.#attempt = 0;
  }

  /** Wait at least this long before the next attempt. @param {number} ms */
  holdOff(ms) {
    this.#retryAfterMs = ms;
  }

  /** End a wait at once. */
  retryNow() {
    if (!this.#waiting()) return;
    this.#clearTimer();
    this.open();
  }

  /** Give up this socket and come back. @param {unknown} problem */
  drop(problem) {
    this.#options.onProblem(problem);
    this.#abandon();
    this.#wait();
  }

  /** @param {string} [reason] @param {number} [code] */
  close(reason = 'closed by the application', code) {
    if (this.#state.name === 'closed') return;
    this.#abandon();
    for (const stop of this.#stopListening) stop();
    this.#setState({ name: 'closed', reason, ...(code === undefined ? {} : { code }) });
  }

  /** @param {string | undefined} token */
  #dial(token) {
    const protocols = [SUBPROTOCOL, ...(token === undefined ? [] : [`fire22.bearer.${token}`])];
    const socket = new this.#environment.WebSocket(this.#options.url, protocols);
    this.#socket = socket;
    this.#tokenIsFresh = false;
    this.#startTimer(CONNECT_MS_MAX, () => this.drop(new Error('no answer to the attempt to connect')));
    const ifCurrent = (/** @type {(event: any) => void} */ run) => (/** @type {any} */ event) => {
      if (this.#socket === socket) run(event);
    };
    socket.addEventListener('open', ifCurrent(() => this.#opened()));
    socket.addEventListener('message', ifCurrent((event) => this.#received(event.data)));
    socket.addEventListener('close', ifCurrent((event) => this.#lost(event.code, event.reason)));
    socket.addEventListener('error', () => {}); // a close event follows
  }

  #opened() {
    this.#lastFrameMs = this.#environment.now();
    this.#retryAfterMs = 0;
    this.#watch();
    this.#setState({ name: 'open' });
  }

  /** @param {unknown} text */
  #received(text) {
    this.#lastFrameMs = this.#environment.now();
    let messages;
    try {
      messages = readMessages(/** @type {string} */ (text));
    } catch (problem) {
      return this.drop(problem);
    }
    this.#options.onMessages(messages);
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    this.#socket = null;
    this.#clearTimer();
    if (code >= 4500 && code <= 4999) return this.close(reason, code);
    if (code === 1008) return this.#refused(reason);
    this.#wait();
  }

  /** 1008: only a new token is a reason to come back. @param {string} reason */
  #refused(reason) {
    const { token } = this.#options;
    if (typeof token !== 'function') return this.close(reason, 1008);
    const refused = this.#token;
    const generation = ++this.#generation;
    this.#setState({ name: 'connecting' });
    this.#fetchToken(token).then(
      () => {
        if (generation !== this.#generation) return;
        if (this.#token === refused) this.close(reason, 1008);
        else this.#wait();
      },
      () => generation === this.#generation && this.close(reason, 1008),
    );
  }

  /** @param {() => Promise<string>} source */
  async #fetchToken(source) {
    this.#token = await source();
    this.#tokenIsFresh = true;
  }

  #wait() {
    const { now, random, isOnline } = this.#environment;
    const online = isOnline();
    // A device that says it is offline may still reach this server, so the attempts go on, seldom.
    const inMs = online ? backoffMs(this.#attempt++, random(), this.#retryAfterMs) : BACKOFF_MS_MAX;
    this.#retryAfterMs = 0;
    this.#startTimer(inMs, () => this.open());
    this.#setState({ name: online ? 'reconnecting' : 'offline', inMs, atMs: now() + inMs });
  }

  #waiting() {
    return this.#state.name === 'reconnecting' || this.#state.name === 'offline';
  }

  #stallMs() {
    return STALL_HEARTBEATS * this.#options.heartbeatMs - (this.#environment.now() - this.#lastFrameMs);
  }

  /** One timer for the whole connection, set anew only when it runs out. */
  #watch() {
    const leftMs = this.#stallMs();
    if (leftMs > 0) this.#startTimer(leftMs, () => this.#watch());
    else this.drop(new Error('nothing was heard from the server for too long'));
  }

  /** A page that was hidden: its timers were throttled or stopped. */
  #wake() {
    if (this.#state.name === 'open') this.#watch();
    else this.retryNow();
  }

  /** Leave the socket without waiting for its end. */
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    this.#generation++;
    this.#clearTimer();
    socket?.close();
  }

  /** @param {number} ms @param {() => void} run */
  #startTimer(ms, run) {
    this.#clearTimer();
    this.#timer = this.#environment.setTimeout(run, ms);
  }

  #clearTimer() {
    this.#environment.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    this.#state = state;
    this.#options.onState(state);
  }
}
