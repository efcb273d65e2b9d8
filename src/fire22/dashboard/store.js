// The page's state as a pure function of what happened: (state, action) → state. No clock, no network, no document.

import { freshness } from './freshness.js';
import { standing } from './liveness.js';
import { addSample, noSamples } from './samples.js';

export const TICKER_ROWS_MAX = 200;
export const ACTIVITY_ROWS_MAX = 60;
export const AUDIT_ROWS_MAX = 300;
const ROWS_MAX = { activity: ACTIVITY_ROWS_MAX, audit: AUDIT_ROWS_MAX };

/** The four figures, in the order in which they stand on the page and in a sample. */
export const FIGURES = /** @type {const} */ (['revenue', 'activePlayers', 'pending', 'totalLiability']);

/** @typedef {import('/client/types.js').Message} Message */
/** @typedef {import('/client/types.js').Recovery} Recovery */
/** @typedef {import('/client/types.js').ServerError} ServerError */

/**
 * @typedef {object} User
 * @property {string} subject
 * @property {string} role
 * @property {string} scope
 * @property {string} [expiresAt]
 * @property {string[]} [topics]  that the user may follow
 * @property {string[]} [commands]  that the user may give
 * @property {string[]} [rights]
 * @property {Record<string, string>} [gives]  the roles that the user may give to others, each with its kind
 * @property {boolean} [hasPassword]
 * @property {boolean} [lacksSecondFactor]  the role must have one, and nothing else may be done before
 * @property {string} [currency]
 * @property {number} [decimals]
 */
/** @typedef {{problem?: string, note?: string, busy?: boolean, way?: 'password' | 'link', retryMs?: number, asksCode?: boolean}} SignedOut  retryMs: not before; asksCode: of the second factor */
/** @typedef {{name: 'checking'} | ({name: 'signed-out'} & SignedOut) | {name: 'unreachable'} | {name: 'signed-in', user: User}} SignIn */
/** @typedef {{position: string, watermarkMs: number, clockDifferenceMs: number, receivedMs: number, readToMs?: number, problem?: string}} TickState */

/**
 * @typedef {{revenue: number, activePlayers: number, pending: number, totalLiability: number, handle?: number, hold?: number,
 *   pendingRisk?: number, liabilityIsBound?: boolean,
 *   change?: {revenue: number, activePlayers: number, pending: number, totalLiability: number}}} Kpi
 */

/**
 * @typedef {object} Row
 * @property {number} id  unique on this page
 * @property {number} atMs
 * @property {boolean} fresh  came live, not with a snapshot
 * @property {any} data  of the message; null marks a gap
 */

/** @typedef {{loaded: boolean, documents: Record<string, any>}} View  documents by key */
/** @typedef {'wagers' | 'activity' | 'audit'} Stream */
/** @typedef {{text: string, problem: boolean}} Notice */
/** @typedef {{title: string, text: string, secret: string}} Secret  shown once; of several, each has a line */

/**
 * @typedef {object} State
 * @property {SignIn} signIn
 * @property {import('/client/client.js').ClientState} connection
 * @property {TickState | null} tick
 * @property {number} nowMs
 * @property {number} width  of the window, in pixels
 * @property {number} heardMs  when the last frame came from the server; 0 before the first
 * @property {number} awaySinceMs  since when there is no connection that takes part; 0 while there is one
 * @property {Kpi | null} kpi
 * @property {import('./samples.js').Samples} samples
 * @property {{loaded: boolean, rows: Row[], paused: boolean, pointed: boolean, held: Row[], heldCount: number}} wagers  newest first; pointed: the
 *   pointer is on a row, so none moves
 * @property {{loaded: boolean, rows: Row[]}} activity  newest first
 * @property {{loaded: boolean, rows: Row[]}} audit  newest first
 * @property {string} screen  the one that is shown, of screens.js
 * @property {string | null} scope  the one it is drilled down to; null: the user's own
 * @property {Record<string, View>} views  by topic
 * @property {Notice | null} notice  what became of something that was asked for
 * @property {Record<string, ServerError>} refused  by topic
 * @property {Record<string, import('./desk.js').Answer>} answers  what was read, by the server's address of it
 * @property {import('./views/confirm.js').Question | null} question  that is open
 * @property {Secret | null} secret
 * @property {number} lastRow
 */

/**
 * @typedef {{type: 'sign-in', signIn: SignIn}
 *   | {type: 'connection', connection: import('/client/client.js').ClientState}
 *   | {type: 'watermark', time: string, watermark?: string, readTo?: string, problem?: string, nowMs: number}
 *   | {type: 'tick', tick: {position: string, watermark?: string, readTo?: string, problem?: string, clockDifferenceMs: number}, nowMs: number}
 *   | {type: 'width', width: number}
 *   | {type: 'clock', nowMs: number, heardMs: number}
 *   | {type: 'kpi', data: Kpi | undefined}
 *   | {type: 'samples', samples: import('./samples.js').Samples}
 *   | {type: 'snapshot', topic: Stream, messages: Message[]}
 *   | {type: 'message', topic: Stream, message: Message}
 *   | {type: 'document', topic: string, key: string, data: any}
 *   | {type: 'view', topic: string, loaded: boolean}
 *   | {type: 'screen', screen: string, scope: string | null}
 *   | {type: 'notice', notice: Notice | null}
 *   | {type: 'answer', path: string, answer: import('./desk.js').Answer}
 *   | {type: 'question', question: import('./views/confirm.js').Question | null}
 *   | {type: 'secret', secret: Secret | null}
 *   | {type: 'recovered', topic: string, recovery: Recovery}
 *   | {type: 'refused', topic: string, error: ServerError}
 *   | {type: 'pause'} | {type: 'resume'} | {type: 'point', is: boolean}} Action
 */

/** Whether the server takes a command from this user. @param {State} state @param {string} command */
export function takes({ signIn }, command) {
  return signIn.name === 'signed-in' && (signIn.user.commands ?? []).includes(command);
}

/** @param {number} nowMs @returns {State} */
export function initialState(nowMs) {
  return {
    signIn: { name: 'checking' },
    connection: { name: 'connecting' },
    tick: null,
    nowMs,
    width: 1440,
    heardMs: 0,
    awaySinceMs: nowMs,
    kpi: null,
    samples: noSamples(''),
    wagers: { loaded: false, rows: [], paused: false, pointed: false, held: [], heldCount: 0 },
    activity: { loaded: false, rows: [] },
    audit: { loaded: false, rows: [] },
    screen: 'overview',
    scope: null,
    views: {},
    notice: null,
    refused: {},
    answers: {},
    question: null,
    secret: null,
    lastRow: 0,
  };
}

/** @param {State} state @param {Action} action @returns {State} */
export function reduce(state, action) {
  switch (action.type) {
    case 'sign-in': return signedIn(state, action.signIn);
    case 'connection': return connected(state, action.connection);
    case 'tick': return ticked(state, action);
    case 'watermark': return asked(state, action);
    case 'clock': return sampled({ ...state, nowMs: action.nowMs, heardMs: action.heardMs });
    case 'width': return { ...state, width: action.width };
    case 'kpi': return sampled({ ...state, kpi: action.data ?? null });
    case 'samples': return { ...state, samples: action.samples };
    case 'snapshot': return snapshot(state, action.topic, action.messages);
    case 'message': return action.topic === 'wagers' ? wager(state, action.message) : listed(state, action.topic, action.message);
    case 'view': return viewed(state, action);
    case 'document': return documented(state, action);
    case 'screen': return holding({ ...state, screen: action.screen, scope: action.scope, question: null }, state.wagers.paused, false);
    case 'notice': return { ...state, notice: action.notice };
    case 'answer': return { ...state, answers: { ...state.answers, [action.path]: action.answer } };
    case 'question': return { ...state, question: action.question };
    case 'secret': return { ...state, secret: action.secret };
    case 'recovered': return recovered(state, action.topic, action.recovery);
    case 'refused': return { ...state, refused: { ...state.refused, [action.topic]: action.error } };
    case 'pause': return holding(state, true, state.wagers.pointed);
    case 'resume': return holding(state, false, state.wagers.pointed);
    case 'point': return holding(state, state.wagers.paused, action.is);
  }
}

/** Whoever signs in next sees nothing that was of the last one; the address stays. @param {State} state @param {SignIn} signIn @returns {State} */
function signedIn(state, signIn) {
  const { nowMs, width, screen, scope } = state;
  return signIn.name === 'signed-out' ? { ...initialState(nowMs), width, screen, scope, signIn } : { ...state, signIn };
}

/** @param {State} state @param {State['connection']} connection @returns {State} */
function connected(state, connection) {
  const takesPart = connection.name === 'live' || connection.name === 'catching-up';
  return { ...state, connection, awaySinceMs: takesPart ? 0 : state.awaySinceMs || state.nowMs };
}

/** The answer to a ping: as a tick, without a position. @param {State} state @param {Extract<Action, {type: 'watermark'}>} action @returns {State} */
function asked(state, { time, watermark, readTo, problem, nowMs }) {
  if (!state.tick || !watermark) return state;
  const clockDifferenceMs = Date.parse(time) - nowMs;
  return { ...state, nowMs, tick: { position: state.tick.position, watermarkMs: Date.parse(watermark), clockDifferenceMs, receivedMs: nowMs, ...read(readTo), ...(problem && { problem }) } };
}

/** @param {string | undefined} readTo */
function read(readTo) {
  return readTo ? { readToMs: Date.parse(readTo) } : {};
}

/** @param {State} state @param {Extract<Action, {type: 'tick'}>} action @returns {State} */
function ticked(state, { tick, nowMs }) {
  const { position, readTo, problem, clockDifferenceMs } = tick;
  // While the connection catches up, what it has is as old as it was.
  const watermarkMs = tick.watermark ? Date.parse(tick.watermark) : (state.tick?.watermarkMs ?? Number.NaN);
  return { ...state, nowMs, tick: { position, watermarkMs, clockDifferenceMs, receivedMs: nowMs, ...read(readTo), ...(problem && { problem }) } };
}

/** Only what the server vouches for becomes a part of the line. @param {State} state @returns {State} */
function sampled(state) {
  const { kpi, samples, nowMs } = state;
  if (!kpi || standing(state).name !== 'live' || samples.name === '' || freshness(state).kind === 'stale') return state;
  const longer = addSample(samples, nowMs, FIGURES.map((name) => kpi[name]));
  return longer === samples ? state : { ...state, samples: longer };
}

/**
 * A view begins anew: it is followed from now on, or a snapshot of it has come, whose documents come next.
 *
 * @param {State} state
 * @param {Extract<Action, {type: 'view'}>} action
 * @returns {State}
 */
function viewed(state, { topic, loaded }) {
  const views = { ...state.views, [topic]: { loaded, documents: {} } };
  return { ...state, views, refused: without(state.refused, topic) };
}

/** @param {State} state @param {Extract<Action, {type: 'document'}>} action @returns {State} */
function documented(state, { topic, key, data }) {
  const before = state.views[topic]?.documents ?? {};
  const documents = data === undefined ? without(before, key) : { ...before, [key]: data };
  return { ...state, views: { ...state.views, [topic]: { loaded: true, documents } } };
}

/** @param {State} state @param {Stream} topic @param {Message[]} messages @returns {State} */
function snapshot(state, topic, messages) {
  const rows = messages.map((message, index) => row(message, state.lastRow + 1 + index, false)).reverse();
  const next = { ...state, lastRow: state.lastRow + messages.length, refused: without(state.refused, topic) };
  if (topic !== 'wagers') return { ...next, [topic]: { loaded: true, rows: rows.slice(0, ROWS_MAX[topic]) } };
  const gaps = state.wagers.rows.filter((each) => each.data === null && each.fresh);
  const all = [...rows, ...gaps.map((gap) => ({ ...gap, fresh: false }))].slice(0, TICKER_ROWS_MAX);
  return { ...next, wagers: { ...state.wagers, loaded: true, rows: all, held: [], heldCount: 0 } };
}

/** @param {State} state @param {Message} message @returns {State} */
function wager(state, message) {
  const { wagers } = state;
  const lastRow = state.lastRow + 1;
  const added = row(message, lastRow, true);
  if (!wagers.paused && !wagers.pointed) return { ...state, lastRow, wagers: { ...wagers, rows: [added, ...wagers.rows].slice(0, TICKER_ROWS_MAX) } };
  const held = [added, ...wagers.held].slice(0, TICKER_ROWS_MAX);
  return { ...state, lastRow, wagers: { ...wagers, held, heldCount: wagers.heldCount + 1 } };
}

/** @param {State} state @param {'activity' | 'audit'} topic @param {Message} message @returns {State} */
function listed(state, topic, message) {
  const lastRow = state.lastRow + 1;
  const rows = [row(message, lastRow, true), ...state[topic].rows].slice(0, ROWS_MAX[topic]);
  return { ...state, lastRow, [topic]: { ...state[topic], rows } };
}

/** What was held back is shown once nothing holds it. @param {State} state @param {boolean} paused @param {boolean} pointed @returns {State} */
function holding(state, paused, pointed) {
  const { wagers } = state;
  if (paused || pointed) return { ...state, wagers: { ...wagers, paused, pointed } };
  const rows = [...wagers.held, ...wagers.rows].slice(0, TICKER_ROWS_MAX);
  return { ...state, wagers: { ...wagers, rows, paused, pointed, held: [], heldCount: 0 } };
}

/**
 * Messages that are no longer to be had leave a mark, which the snapshot that follows puts below its rows.
 *
 * @param {State} state
 * @param {string} topic
 * @param {Recovery} recovery
 * @returns {State}
 */
function recovered(state, topic, { recovered: complete }) {
  if (complete || topic !== 'wagers' || state.wagers.rows.length === 0) return state;
  const lastRow = state.lastRow + 1;
  const gap = { id: lastRow, atMs: state.nowMs, fresh: true, data: null };
  return { ...state, lastRow, wagers: { ...state.wagers, rows: [gap, ...state.wagers.rows] } };
}

/** @param {Message} message @param {number} id @param {boolean} fresh @returns {Row} */
function row({ timestamp, data }, id, fresh) {
  return { id, atMs: Date.parse(data.timestamp ?? timestamp ?? ''), fresh, data };
}

/** @template T @param {Record<string, T>} record @param {string} name @returns {Record<string, T>} */
function without(record, name) {
  if (!(name in record)) return record;
  const { [name]: _, ...rest } = record;
  return rest;
}
