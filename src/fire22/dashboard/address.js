// Addresses of the server as this page reaches it: at the root of a host, or under a path that a proxy takes away.

/** @param {string} path  of an address of the server, such as `/v1/session` @param {string} page  the page's own address */
export function address(path, page) {
  return new URL(`.${path}`, page).href;
}

/** The same for a WebSocket. @param {string} path @param {string} page */
export function webSocketAddress(path, page) {
  return address(path, page).replace(/^http/, 'ws');
}
