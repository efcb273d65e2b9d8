// The connection's state and the age of the figures: in the header, in the banner, in the title, for screen readers.

import { formatAge, formatDateTime, formatTime } from '../format.js';
import { html } from '../html.js';
import { isAway, standing } from '../liveness.js';

/** @typedef {import('../store.js').State} State */
/** @typedef {import('../freshness.js').Freshness} Freshness */

/** @type {Record<ReturnType<typeof standing>['name'], string>} */
const NAMES = {
  silent: 'No answer', connecting: 'Connecting', live: 'Live', 'catching-up': 'Catching up', reconnecting: 'Reconnecting', offline: 'Offline', closed: 'Closed',
};

/** One word for how things stand. @param {State} state @param {Freshness} fresh */
function wordOf(state, fresh) {
  const { name } = standing(state);
  if (name !== 'live') return NAMES[name];
  return fresh.kind === 'stale' ? 'Stale' : NAMES.live;
}

/** @param {State} state @param {Freshness} fresh */
export function titleOf(state, fresh) {
  if (state.signIn.name !== 'signed-in') return 'Sign in · Fire22 Flows';
  const word = wordOf(state, fresh);
  return `${word === 'Live' ? '●' : '○'} ${word} · Fire22 Flows`;
}

/** @param {{state: State, fresh: Freshness}} props */
export function Status({ state, fresh }) {
  const word = wordOf(state, fresh);
  return html`<div class="status">
    <span class="age">${ageText(fresh)}</span>
    <span class=${`pill pill-${word === 'Stale' ? 'stale' : standing(state).name}`}><i></i>${word}</span>
    <span class="visually-hidden" role="status">${fresh.kind === 'stale' ? 'The figures are stale.' : ''} Connection: ${word}.</span>
  </div>`;
}

/** @param {Freshness} fresh */
function ageText({ kind, ageMs, watermarkMs }) {
  if (kind === 'waiting') return '';
  if (kind === 'recording') return html`as of <b>${formatDateTime(watermarkMs)}</b>`;
  return html`<span class="age-time">as of <b>${formatTime(watermarkMs)}</b> · </span><b>${formatAge(ageMs)}</b> old`;
}

/** What to say when the figures cannot be relied upon. @param {{state: State, fresh: Freshness, on: Record<string, any>}} props */
export function Banner({ state, fresh, on }) {
  const connection = standing(state);
  const closed = connection.name === 'closed';
  if (fresh.kind !== 'stale' && !isAway(state) && !isSlowStart(state, fresh)) return null;
  const age = fresh.kind === 'waiting' ? 'No figures yet: ' : `Figures are ${formatAge(fresh.ageMs)} old: `;
  return html`<div class=${`banner ${closed ? 'banner-closed' : ''}`}>
    <p><strong>${age}</strong>${reasonOf(state, fresh)}</p>
    ${closed && html`<button type="button" class="button" onClick=${on.reload}>Load the page again</button>`}
    ${(connection.name === 'reconnecting' || connection.name === 'offline') && html`<button type="button" class="button" onClick=${on.retry}>Try now</button>`}
  </div>`;
}

/** @param {State} state @param {Freshness} fresh */
function isSlowStart({ connection }, fresh) {
  return fresh.kind === 'waiting' && (connection.name === 'reconnecting' || connection.name === 'offline');
}

/** @param {State} state @param {Freshness} fresh */
function reasonOf(state, { watermarkMs, problem, isPublishing }) {
  const { nowMs } = state;
  const connection = standing(state);
  switch (connection.name) {
    case 'silent': return `the server has not answered for ${formatAge(nowMs - connection.sinceMs)}; the network may be down. Asking again …`;
    case 'reconnecting': return `${said(connection.error) ?? 'the connection to the server is lost.'} Next attempt ${inTime(connection.atMs - nowMs)}.`;
    case 'offline': return `this device is offline. Next attempt ${inTime(connection.atMs - nowMs)}.`;
    case 'connecting': return state.tick ? 'the connection to the server is lost. Connecting …' : 'the server has not answered yet. Connecting …';
    case 'catching-up': return 'connected again, and catching up on what was missed.';
    case 'closed': return said(connection.error) ?? `the server has ended the connection${connection.code ? ` (${connection.code})` : ''}.`;
    case 'live': return problem ? stoppedText(problem, watermarkMs) : behindText(watermarkMs, isPublishing);
  }
}

/** @param {string} problem @param {number} watermarkMs */
function stoppedText(problem, watermarkMs) {
  return `the server has stopped calculating after an internal error (${problem}). The figures are correct as of ${formatDateTime(watermarkMs)}; events since then are stored, and will be counted after an upgrade.`;
}

/**
 * Under load the book is read and the figures come late; only where nothing is read the book may be the reason.
 *
 * @param {number} watermarkMs
 * @param {boolean} isPublishing
 */
export function behindText(watermarkMs, isPublishing) {
  const upTo = `complete only up to ${formatTime(watermarkMs)}`;
  return isPublishing
    ? `the server is reading the book and is behind in publishing: some figures are ${upTo}.`
    : `the server is connected, but the figures are ${upTo}: it is behind, or it cannot read the book.`;
}

/** @param {import('../store.js').ServerError | undefined} error */
function said(error) {
  return error?.message ? `the server says “${error.message}”` : undefined;
}

/** @param {number} ms */
function inTime(ms) {
  return ms < 1000 ? 'in a moment' : `in ${Math.ceil(ms / 1000)} s`;
}
