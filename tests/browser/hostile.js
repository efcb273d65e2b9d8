// Shows every screen of the page with names that are markup, and tells what became of them.

const NAME = '<img src=x onerror="window.hit = true">';

/** Each text of a document is the name, and each of its keys stays. */
const texts = { customerId: NAME, name: NAME, agentId: NAME, scope: `/${NAME}`, title: NAME, reason: NAME, code: NAME, type: NAME, method: NAME, direction: NAME };

/** @type {Record<string, Record<string, any>>} */
const DOCUMENTS = {
  alerts: { a: { ...texts, status: 'open', severity: 'warn', rule: NAME, openedAt: '2026-01-01T12:00:00Z', evidence: { customer: NAME, wagers: [NAME] } } },
  payment_queue: { '': { count: 1, deposits: 0, withdrawals: 0 }, p: { ...texts, status: 'requested', amount: 5, requestedAt: '2026-01-01T12:00:00Z' } },
  dead_letters: { 1: { ...texts, timestamp: '2026-01-01T12:00:00Z', attempts: 2, data: { note: NAME }, evidence: { customer: NAME } } },
};

const session = { id: NAME, current: false, manageable: true, user: NAME, kind: 'staff', role: NAME, scope: `/${NAME}`, agent: NAME, address: NAME, createdAt: '2026-01-01T12:00:00Z', usedAt: '2026-01-01T12:00:00Z', endsAt: '2026-01-01T12:00:00Z' };
const role = { topics: [NAME], publish: true, address: true, operate: true, administer: true, kind: 'staff', commands: { [NAME]: { aloneMaxMinor: 5 } }, masks: { [NAME]: [NAME] } };
const user = { name: NAME, kind: 'staff', role: NAME, scope: `/${NAME}`, disabled: false, createdAt: '2026-01-01T12:00:00Z', sessions: 1, manageable: true };

/** @type {Record<string, any>} */
const ANSWERS = {
  '/v1/sessions': { sessions: [session, { ...session, id: 'own', current: true }] },
  '/v1/signed-in': { sessions: [session] },
  '/v1/users': { users: [user] },
  '/v1/roles': { roles: { [NAME]: role }, topics: [NAME], commands: { [NAME]: true } },
  '/v1/tokens': { tokens: [{ name: NAME, purpose: NAME, role: NAME, scope: `/${NAME}`, createdAt: session.createdAt, createdBy: `staff:${NAME}`, expiresAt: session.endsAt }] },
  '/v1/approvals': { approvals: [{ approvalId: NAME, command: 'payment.approve', body: {}, entity: NAME, customer: NAME, amountMinor: 500, before: { status: NAME }, after: { status: 'x' }, askedBy: `staff:${NAME}`, role: NAME, scope: `/${NAME}`, askedAt: session.createdAt, expiresAt: session.endsAt }] },
};

const entry = { number: 1, at: session.createdAt, action: NAME, outcome: NAME, user: `staff:${NAME}`, role: NAME, scope: `/${NAME}`, address: NAME, client: NAME, target: NAME, count: 2, after: { name: NAME } };
const audit = { loaded: true, rows: [{ id: 1, atMs: 0, fresh: true, data: entry }] };

/** Where the name is shown: how often on each screen, and what it became instead of text. */
async function hostile() {
  const load = (/** @type {string} */ file) => import(new URL(`assets/${file}`, document.baseURI).href);
  const [{ render }, { html }, { Page }, { initialState }, { SCREENS }] = await Promise.all(['vendor/preact.js', 'html.js', 'views/page.js', 'store.js', 'screens.js'].map(load));
  document.getElementById('page')?.remove();
  const root = document.createElement('div');
  document.body.append(root);
  const commands = ['payment.approve', 'payment.reject', 'approval.approve', 'approval.reject'];
  const signedIn = { name: 'signed-in', user: { subject: NAME, role: NAME, scope: '/', commands, rights: ['delegate', 'administer'], gives: { [NAME]: 'staff' }, hasPassword: true } };
  const question = { title: NAME, text: NAME, yes: NAME, act: () => {} };
  const places = [...SCREENS.map((/** @type {any} */ { name }) => [name, null]), ['users', `/${NAME}`], ['roles', `/${NAME}`], ['figures', `/${NAME}`]];
  const found = [];
  for (const [screen, scope] of places) {
    for (const more of [{}, { question }, { secret: { title: NAME, text: NAME, secret: NAME } }, { notice: { text: NAME, problem: true } }]) {
      const views = Object.fromEntries(Object.entries(DOCUMENTS).map(([topic, documents]) => [topic, { loaded: true, documents }]));
      const answers = Object.fromEntries(Object.entries(ANSWERS).map(([path, data]) => [path, { data }]));
      const state = { ...initialState(Date.now()), width: innerWidth, screen, scope, connection: { name: 'live' }, signIn: signedIn, audit, views, answers, ...more };
      render(html`<${Page} state=${state} on=${{ ask: () => {}, show: () => {} }} />`, root);
      await new Promise((done) => requestAnimationFrame(done));
    }
    found.push({ screen, scope, shown: root.textContent?.split(NAME).length - 1, images: [...root.querySelectorAll('img')].filter((image) => !image.src.endsWith('icon.svg')).length, wide: document.documentElement.scrollWidth > innerWidth });
    render(null, root);
  }
  return { found, hit: 'hit' in window };
}

Object.assign(window, { hostile });
