// Shows the cashier's screen with payments that the test tells, and notes what it would send.

let views = null;
let on = null;
const sent = [];

/** @param {{key: string, status?: string}[]} payments  the longest waiting first */
async function queue(payments) {
  views ??= await Promise.all(['vendor/preact.js', 'html.js', 'views/page.js', 'store.js'].map((file) => import(new URL(`assets/${file}`, document.baseURI).href)));
  on ??= { send: async (path, body) => { sent.push([path, body]); } };
  const [{ render }, { html }, { Page }, { initialState }] = views;
  document.getElementById('page')?.remove();
  let root = document.getElementById('queue');
  if (!root) {
    root = document.createElement('div');
    root.id = 'queue';
    document.body.append(root);
  }
  const documents = Object.fromEntries(payments.map(({ key, status = 'requested' }, index) => [key, {
    status, customerId: key.toUpperCase(), name: `Name ${key}`, direction: 'withdrawal', method: 'card', amount: 1250.5,
    requestedAt: new Date(Date.UTC(2026, 10, 28, 12, 0, index)).toISOString(),
  }]));
  const state = {
    ...initialState(Date.now()), width: innerWidth, screen: 'cashier', connection: { name: 'live' },
    signIn: { name: 'signed-in', user: { subject: 'local', role: 'admin', scope: '/', commands: ['payment.approve', 'payment.reject', 'payment.complete', 'alert.acknowledge', 'alert.close'] } },
    views: { payment_queue: { loaded: true, documents: { '': { count: payments.length, deposits: 0, withdrawals: 0 }, ...documents } } },
  };
  render(html`<${Page} state=${state} on=${on} />`, root);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}

/** The customers in the order of the rows. */
function rows() {
  return [...document.querySelectorAll('.cashier .grid-row:not(.grid-head) .c-who b')].map((each) => each.textContent);
}

Object.assign(window, { queue, rows, sent });
