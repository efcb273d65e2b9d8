// What the client takes from its surroundings. Tests give their own; a browser or Node gives these.

/**
 * @typedef {object} Environment
 * @property {typeof WebSocket} WebSocket
 * @property {() => number} now  milliseconds since 1970
 * @property {() => number} random  in [0, 1)
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => boolean} isOnline
 * @property {(event: 'online' | 'offline' | 'visible', run: () => void) => () => void} listen  returns how to stop
 * @property {(text: string) => void} warn  says what went wrong where the application does not listen
 */

/**
 * @param {Partial<Environment>} given
 * @returns {Environment}
 */
export function environment(given) {
  const implementation = given.WebSocket ?? globalThis.WebSocket;
  if (!implementation) throw new TypeError('This platform has no WebSocket: pass one, for example that of the package "ws".');
  return {
    WebSocket: implementation,
    now: given.now ?? Date.now,
    random: given.random ?? Math.random,
    setTimeout: given.setTimeout ?? ((run, ms) => globalThis.setTimeout(run, ms)),
    clearTimeout: given.clearTimeout ?? ((timer) => globalThis.clearTimeout(timer)),
    isOnline: given.isOnline ?? (() => globalThis.navigator?.onLine !== false),
    listen: given.listen ?? listen,
    warn: given.warn ?? ((text) => globalThis.console.error(text)),
  };
}

/** @type {Environment['listen']} */
function listen(event, run) {
  if (typeof document === 'undefined') return () => {};
  if (event !== 'visible') {
    globalThis.addEventListener(event, run);
    return () => globalThis.removeEventListener(event, run);
  }
  const whenVisible = () => void (document.visibilityState === 'visible' && run());
  document.addEventListener('visibilitychange', whenVisible);
  return () => document.removeEventListener('visibilitychange', whenVisible);
}
