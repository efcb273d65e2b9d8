// A clock that is moved by hand, and a server's end of a WebSocket that tests play themselves.

export class FakeClock {
  nowMs = Date.parse('2026-01-01T00:00:00Z');
  /** @type {Map<number, {atMs: number, run: () => void}>} */ #timers = new Map();
  #lastTimer = 0;

  now = () => this.nowMs;

  /** @param {() => void} run @param {number} ms */
  setTimeout = (run, ms) => {
    this.#timers.set(++this.#lastTimer, { atMs: this.nowMs + ms, run });
    return this.#lastTimer;
  };

  /** @param {any} timer */
  clearTimeout = (timer) => void this.#timers.delete(timer);

  /** @param {number} ms */
  advance(ms) {
    const endMs = this.nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { atMs }]) => atMs <= endMs).sort(([, a], [, b]) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.nowMs = due[1].atMs;
      due[1].run();
    }
    this.nowMs = endMs;
  }
}

/** Everything around a client: the clock, the sockets it opens, the page's events. */
export class World {
  clock = new FakeClock();
  /** @type {FakeSocket[]} */ sockets = [];
  online = true;
  random = 0.5;
  /** @type {string[]} */ warned = [];
  /** @type {Map<string, Set<() => void>>} */ #listeners = new Map();

  /** What `connect` takes. @returns {any} */
  get environment() {
    const { now, setTimeout, clearTimeout } = this.clock;
    const { sockets } = this;
    return {
      now,
      setTimeout,
      clearTimeout,
      random: () => this.random,
      isOnline: () => this.online,
      warn: (/** @type {string} */ text) => void this.warned.push(text),
      listen: (/** @type {string} */ event, /** @type {() => void} */ run) => this.#listen(event, run),
      WebSocket: class extends FakeSocket {
        /** @param {string} url @param {string[]} protocols */
        constructor(url, protocols) {
          super(url, protocols);
          sockets.push(this);
        }
      },
    };
  }

  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /** @param {'online' | 'offline' | 'visible'} event */
  fire(event) {
    for (const run of this.#listeners.get(event) ?? []) run();
  }

  get listenerCount() {
    return [...this.#listeners.values()].reduce((count, each) => count + each.size, 0);
  }

  /** @param {string} event @param {() => void} run */
  #listen(event, run) {
    const runs = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, runs.add(run));
    return () => void runs.delete(run);
  }
}

export class FakeSocket {
  /** @type {any[]} */ commands = [];
  closed = false;
  /** @type {Map<string, (event: any) => void>} */ #listeners = new Map();

  /** @param {string} url @param {string[]} protocols */
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  /** @param {string} event @param {(event: any) => void} run */
  addEventListener(event, run) {
    this.#listeners.set(event, run);
  }

  /** @param {string} text */
  send(text) {
    this.commands.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  serverAccepts() {
    this.#fire('open', {});
  }

  /** @param {...any} messages */
  serverSends(...messages) {
    this.serverSendsText(JSON.stringify(messages));
  }

  /** @param {string} data */
  serverSendsText(data) {
    this.#fire('message', { data });
  }

  /** @param {number} code @param {string} [reason] */
  serverCloses(code, reason = '') {
    this.#fire('close', { code, reason });
  }

  /** @param {string} event @param {any} detail */
  #fire(event, detail) {
    this.#listeners.get(event)?.(detail);
  }
}

/** @param {number} id @param {string} position @param {object} [data] */
export function reply(id, position, data = { recovered: false, snapshot: [] }) {
  return { type: 'reply', id, data: { position, ...data } };
}

/** @param {string} position @param {string} [time] */
export function tick(position, time = '2026-01-01T00:00:00.000Z') {
  return { type: 'tick', data: { position, time, watermark: time } };
}
