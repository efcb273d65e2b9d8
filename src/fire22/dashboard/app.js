// The only place that wires: address → session → client → store → views. Painted at most once an animation frame, and in a flood
// at most every 50 ms: nobody reads faster, and a page that stays open all day must not heat the machine.

import { connect } from '../client/index.js';

import { webSocketAddress } from './address.js';
import { ask, outcomeOf } from './desk.js';
import { freshness } from './freshness.js';
import { setDecimals } from './format.js';
import { html } from './html.js';
import { remedy } from './liveness.js';
import { loadSamples, saveSamples } from './samples.js';
import { SCREENS, isOffered, mayFollow, scopeIn, screenIn } from './screens.js';
import { codeIn, currentSession, signIn, signInByName, takeCodeFromAddress } from './sign_in.js';
import { AUDIT_ROWS_MAX, initialState, reduce } from './store.js';
import { render } from './vendor/preact.js';
import { Page } from './views/page.js';
import { titleOf } from './views/status.js';

const CLOCK_MS = 250;
const PAINT_MS_MIN = 50;
const UNREACHABLE_RETRY_MS = 3000;
const SAVE_MS = 10_000;
const SESSION_CHECK_MS = 5000;
const NOTICE_MS = 8000;
const READ_MS = 5000;

const root = /** @type {HTMLElement} */ (document.getElementById('page'));
let state = initialState(Date.now());
let painting = false;
let paintedMs = 0;
/** @type {import('/client/client.js').Client | null} */ let client = null;
/** @type {Map<string, {scope: string | null, unsubscribe: () => void}>} */ const followed = new Map();
let sessionCheckedMs = 0;
let askedMs = 0;

/** @param {import('./store.js').Action} action */
function dispatch(action) {
  state = reduce(state, action);
  if (painting) return;
  painting = true;
  const waitMs = paintedMs + PAINT_MS_MIN - performance.now();
  if (waitMs <= 0) requestAnimationFrame(paint);
  else setTimeout(() => requestAnimationFrame(paint), waitMs);
}

function paint() {
  painting = false;
  paintedMs = performance.now();
  render(html`<${Page} state=${state} on=${on} />`, root);
}

const on = {
  /**
   * Have the server act, and say what became of it.
   *
   * @param {string} path  of an address of the server
   * @param {object | undefined} body
   * @param {string} done  what to say when it is done
   * @param {string} [method]
   * @returns {Promise<import('./desk.js').Answer>}
   */
  send: async (path, body, done, method = 'POST') => {
    dispatch({ type: 'notice', notice: null });
    const answer = await ask(method, path, body);
    const problem = 'problem' in answer;
    const notice = { text: problem ? answer.problem : outcomeOf(answer.data, done), problem };
    dispatch({ type: 'notice', notice });
    setTimeout(() => state.notice === notice && dispatch({ type: 'notice', notice: null }), NOTICE_MS);
    if (problem && answer.status === 401) void checkSession();
    read();
    return answer;
  },
  /** @param {import('./views/confirm.js').Question | null} question */
  ask: (question) => dispatch({ type: 'question', question }),
  /** @param {import('./store.js').Secret | null} secret */
  show: (secret) => dispatch({ type: 'secret', secret }),
  signOut: async () => {
    const answer = await ask('DELETE', '/v1/session');
    if ('problem' in answer) return dispatch({ type: 'notice', notice: { text: answer.problem, problem: true } });
    leave();
    signedOut({ note: 'You have signed out.' });
  },
  dismissNotice: () => dispatch({ type: 'notice', notice: null }),
  pause: () => dispatch({ type: 'pause' }),
  resume: () => dispatch({ type: 'resume' }),
  /** @param {boolean} is  on a row of the ticker */
  point: (is) => dispatch({ type: 'point', is }),
  retry: () => client?.retryNow(),
  reload: () => window.location.reload(),
  /** @param {string} text  a link or a code */
  signIn: (text) => {
    const code = codeIn(text);
    if (code === null) return signedOut({ way: 'link', problem: 'There is no code in this text.' });
    signedOut({ way: 'link', busy: true });
    void enter(signIn(code), 'link');
  },
  /** What the server says of the session is taken anew. */
  enter: () => enter(currentSession()),
  /** @param {string} name @param {string} password @param {string | null} otp  null where it is not asked for */
  signInByName: (name, password, otp) => {
    if (!name || !password) return signedOut({ way: 'password', problem: name ? 'Type the password as well.' : 'Type a name and a password.' });
    const asksCode = otp !== null;
    if (otp === '') return signedOut({ way: 'password', problem: 'Type the code as well.', asksCode });
    signedOut({ way: 'password', busy: true, asksCode });
    void enter(signInByName(name, password, otp), 'password', asksCode);
  },
};

/** @param {import('./store.js').SignedOut} how */
function signedOut(how) {
  dispatch({ type: 'sign-in', signIn: { name: 'signed-out', ...how } });
}

/**
 * @param {Promise<import('./sign_in.js').SessionAnswer>} asked
 * @param {'link' | 'password'} [way]  that was tried; without one, not being signed in is nothing to complain about
 * @param {boolean} [asksCode]  whether a code of the second factor came with it
 */
async function enter(asked, way, asksCode = false) {
  const answer = await asked;
  if ('user' in answer) {
    setDecimals(answer.user.decimals ?? 2);
    dispatch({ type: 'sign-in', signIn: { name: 'signed-in', user: answer.user } });
    if (!answer.user.lacksSecondFactor) follow(answer.user);
    return;
  }
  const { problem, status, code, retryAfterS } = answer;
  if (!way && (status === 0 || status >= 500)) {
    dispatch({ type: 'sign-in', signIn: { name: 'unreachable' } });
    setTimeout(() => void enter(currentSession()), UNREACHABLE_RETRY_MS);
    return;
  }
  if (!way && status === 401) return signedOut({});
  if (code === 'second_factor_required') return signedOut({ way, asksCode: true });
  signedOut({ way, problem, asksCode: code === 'second_factor_invalid' || (asksCode && code !== 'sign_in_failed'), ...(status === 429 && { retryMs: Date.now() + 1000 * (retryAfterS ?? 1) }) });
}

/** @param {import('./store.js').User} user */
function follow(user) {
  leave();
  const mine = connect({ url: webSocketAddress('/v1/ws', document.baseURI) });
  client = mine;
  mine.on('state', (connection) => {
    if (client !== mine) return;
    dispatch({ type: 'connection', connection });
    if (connection.name === 'closed' || connection.name === 'reconnecting') void checkSession();
  });
  mine.on('tick', (tick) => {
    const name = `${tick.position.split('-')[0]}${user.scope}`;
    if (state.samples.name !== name) dispatch({ type: 'samples', samples: loadSamples(sessionStorage, name) });
    dispatch({ type: 'tick', tick, nowMs: Date.now() });
  });
  if (asksFor('kpi')) {
    mine.subscribe('kpi', { delta: true }, {
      onDocument: (data) => dispatch({ type: 'kpi', data }),
      onError: (error) => dispatch({ type: 'refused', topic: 'kpi', error }),
    });
  }
  followStream(mine, 'wagers', 50);
  followStream(mine, 'activity', 30);
  for (const screen of SCREENS) {
    if (screen.topic && screen.counts && isOffered(screen, state)) followView(screen.topic, null);
  }
  show();
}

/** Whether to ask for a topic; one that the session rules out is taken as refused. @param {string} topic */
function asksFor(topic) {
  if (mayFollow(topic, state)) return true;
  dispatch({ type: 'refused', topic, error: { code: 'topic_forbidden', message: `The role ${state.signIn.name === 'signed-in' ? state.signIn.user.role : ''} does not see this.` } });
  return false;
}

/** Follow a view, of one scope at a time. @param {string} topic @param {string | null} scope  null: the user's own */
function followView(topic, scope) {
  const before = followed.get(topic);
  if (!client || (before && before.scope === scope) || !asksFor(topic)) return;
  before?.unsubscribe();
  dispatch({ type: 'view', topic, loaded: false });
  const { unsubscribe } = client.subscribe(topic, { delta: true, ...(scope === null ? {} : { scope }) }, {
    onSnapshot: () => dispatch({ type: 'view', topic, loaded: true }),
    onDocument: (data, { key }) => dispatch({ type: 'document', topic, key, data }),
    onError: (error) => dispatch({ type: 'refused', topic, error }),
  });
  followed.set(topic, { scope, unsubscribe });
}

/** Show the screen that the address names. */
function show() {
  const name = screenIn(window.location.hash, state);
  const scope = scopeIn(window.location.hash);
  dispatch({ type: 'screen', screen: name, scope });
  const { topic, stream } = SCREENS.find((screen) => screen.name === name) ?? {};
  if (topic && !stream) followView(topic, scope);
  if (topic === 'audit' && client) followStream(client, topic, AUDIT_ROWS_MAX);
  read();
}

/** Read what the screen shows that is not followed, and what waits for this person. */
function read() {
  if (document.hidden || !client) return;
  const paths = SCREENS.filter((screen) => screen.reads && (screen.name === state.screen || (screen.counts && isOffered(screen, state))))
    .flatMap(({ reads }) => reads ?? []);
  for (const path of new Set(paths)) void readOne(path, client);
}

/** @param {string} path @param {import('/client/client.js').Client} mine */
async function readOne(path, mine) {
  const answer = await ask('GET', path);
  if (client !== mine) return;
  const isLost = 'problem' in answer && answer.status === 0; // the connection says it; what is shown stays
  if (!isLost || !(path in state.answers)) dispatch({ type: 'answer', path, answer });
}

/** @param {import('/client/client.js').Client} from @param {import('./store.js').Stream} topic @param {number} last */
function followStream(from, topic, last) {
  if (followed.has(topic) || !asksFor(topic)) return;
  const { unsubscribe } = from.subscribe(topic, { last }, {
    onSnapshot: (messages) => dispatch({ type: 'snapshot', topic, messages }),
    onMessage: (message) => dispatch({ type: 'message', topic, message }),
    onRecovered: (recovery) => dispatch({ type: 'recovered', topic, recovery }),
    onError: (error) => dispatch({ type: 'refused', topic, error }),
  });
  followed.set(topic, { scope: null, unsubscribe });
}

function leave() {
  const left = client;
  client = null;
  followed.clear();
  left?.close();
}

/** A browser does not say why a WebSocket was refused; the session tells whether signing in again would help. */
async function checkSession() {
  if (Date.now() - sessionCheckedMs < SESSION_CHECK_MS && state.connection.name !== 'closed') return;
  sessionCheckedMs = Date.now();
  const asked = client;
  const answer = await currentSession();
  if (client !== asked || !('problem' in answer) || answer.status !== 401) return; // or who asked has signed out meanwhile
  leave();
  signedOut({ note: 'Your session has ended. Sign in again to go on where you were.' });
}

/** A quiet book sends a tick only every heartbeat; asking tells sooner whether its figures still are of now, and whether the server is. */
async function listen() {
  const asked = client;
  const { name } = state.connection;
  if (!asked || (name !== 'live' && name !== 'catching-up')) return;
  const nowMs = Date.now();
  const what = remedy({ nowMs, heardMs: asked.lastFrameMs, askedMs });
  if (what === 'give-up') asked.reconnect('nobody has answered for too long');
  if (what !== 'ask') return;
  askedMs = nowMs;
  try {
    const { time, watermark, readTo, problem } = /** @type {{time: string, watermark?: string, readTo?: string, problem?: string}} */ (await asked.request('ping', {}));
    if (asked === client) dispatch({ type: 'watermark', time, watermark, readTo, problem, nowMs: Date.now() });
  } catch {
    // The connection says itself what became of it.
  }
}

function save() {
  if (state.samples.list.length) saveSamples(sessionStorage, state.samples);
}

setInterval(() => {
  void listen();
  dispatch({ type: 'clock', nowMs: Date.now(), heardMs: client?.lastFrameMs ?? 0 });
  const title = titleOf(state, freshness(state));
  if (document.title !== title) document.title = title;
}, CLOCK_MS);
setInterval(save, SAVE_MS);
setInterval(read, READ_MS);
const measure = () => dispatch({ type: 'width', width: window.innerWidth });
measure();
window.addEventListener('resize', measure);
window.addEventListener('pagehide', save);
window.addEventListener('hashchange', () => (window.location.hash.startsWith('#code=') ? window.location.reload() : show()));

const code = takeCodeFromAddress();
void enter(code === null ? currentSession() : signIn(code), code === null ? undefined : 'link');
