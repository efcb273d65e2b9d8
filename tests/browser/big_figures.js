// Renders the page's own views with twelve digits in front of the decimal point wherever there is a figure.

const BIG = 123_456_789_012.34;

const days = ['tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday', 'monday'];

/** @param {number} amount @returns {any} a state with every screen filled */
function stateOf(amount, initialState) {
  const figure = {
    week: '2026-11-24', name: 'Alexandra Montgomery-Fitzgerald', carry: -amount, days: Object.fromEntries(days.map((day, index) => [day, index % 2 ? amount : -amount])),
    figure: -amount, deposits: amount, withdrawals: 0, chargebacks: 0, adjustments: 0, balance: -amount,
  };
  const legs = [{ marketId: 'm', selectionId: 's', odds: 1.909, event: 'Whitehorse - Saguenay', market: 'moneyline', period: 'game', selection: 'Whitehorse' }];
  const wager = { wagerId: 'w', wagerNumber: 1_234_567, customerId: 'C123456', agentId: 'A12', agentPath: '/M1/A3/S7/T24/U3/A12', type: 'straight', amount, toWin: amount, odds: 1.909, legs };
  const row = (id, more) => ({ id, atMs: 0, fresh: false, data: { ...wager, ...more } });
  const outcomes = Object.fromEntries(['Whitehorse', 'Saguenay', 'Draw'].map((name, index) => [`s${index}`, { name, odds: 3.05, pnl: index ? amount : -amount }]));
  const payment = { customerId: 'C123456', name: 'Alexandra Montgomery-Fitzgerald', direction: 'withdrawal', method: 'bank_transfer', amount, requestedAt: '2026-11-28T12:00:00Z' };
  const view = (documents) => ({ loaded: true, documents });
  return {
    ...initialState(Date.now()),
    width: innerWidth,
    signIn: { name: 'signed-in', user: { subject: 'local', role: 'admin', scope: '/', commands: ['payment.approve', 'payment.reject', 'payment.complete', 'alert.acknowledge', 'alert.close'] } },
    connection: { name: 'live' },
    kpi: {
      revenue: -amount, activePlayers: 123_456_789, pending: 123_456_789, totalLiability: amount, liabilityIsBound: true, handle: amount, hold: -12.3, pendingRisk: amount,
      change: { revenue: -amount, activePlayers: 123_456_789, pending: 123_456_789, totalLiability: amount },
    },
    wagers: { loaded: true, rows: [row(3, { action: 'settled', status: 'settled', result: 'win', returned: 2 * amount }), row(2, { action: 'settled', status: 'settled', result: 'loss', returned: 0 }), row(1, { action: 'placed', status: 'accepted' })], paused: false, held: [], heldCount: 0 },
    activity: { loaded: true, rows: [{ id: 1, atMs: 0, fresh: false, data: { userId: 'C123456', action: 'had a deposit approved', icon: 'deposit', amount } }] },
    views: {
      exposure: view({ '': { totalLiability: amount, isBound: true, markets: 123_456, parlays: 123_456, grossPotentialPayout: amount }, m: { eventName: 'Whitehorse - Saguenay', type: 'moneyline', outcomes, wagers: 123_456, risk: amount, liability: amount, limit: amount, isBound: true } }),
      figures: view({ '': figure, 'agent:A7': figure, 'customer:C123456': figure }),
      payment_queue: view({ '': { count: 2, deposits: amount, withdrawals: amount }, p1: { ...payment, status: 'requested' }, p2: { ...payment, direction: 'deposit', status: 'approved' } }),
      alerts: view({ a: { rule: 'deposit_aml', severity: 'critical', status: 'open', title: 'Alexandra Montgomery-Fitzgerald (C123456) deposited much within a day.', openedAt: '2026-11-28T12:00:00Z', agentPath: '/M1/A3', customerId: 'C123456', wagerIds: ['w'], evidence: { kind: 'daily', threshold: amount, deposits: 3, total: amount, amounts: [amount, amount, amount] } } }),
      dead_letters: view({ 7: { seq: 7, code: 'fact_conflict', type: 'wager.settled', timestamp: '2026-11-28T12:00:00Z', reason: 'It is open with other content.', attempts: 1, evidence: { knownRiskMinor: Math.round(100 * amount) }, data: {} } }),
    },
  };
}

/** What of the page's figures is cut, or out of sight to the side. */
function faults() {
  const found = [];
  const walker = document.createTreeWalker(document.getElementById('big'), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim();
    const element = node.parentElement;
    if (!/\d,\d{3}|\d\.\d\d/.test(text) || element.closest('.spark, .visually-hidden, .c-bet') || !element.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()];
    const matters = element.closest('.c-week, .c-balance, .c-liability, .c-amount, .kpi-value, .c-stake, .totals');
    if (matters && boxes.some(({ top }) => Math.abs(top - boxes[0].top) > 2)) found.push(`${text}: broken over lines`);
    for (let box = element; box.id !== 'big'; box = box.parentElement) {
      const { overflowX, textOverflow, contain } = getComputedStyle(box);
      if (textOverflow === 'ellipsis' && overflowX !== 'visible' && box.scrollWidth > box.clientWidth && box.classList.contains('figure')) found.push(`${text}: ends in dots`);
      const cuts = overflowX === 'hidden' || overflowX === 'clip' || /strict|content|paint/.test(contain);
      const scrolls = overflowX === 'auto' || overflowX === 'scroll';
      const { left, right } = box.getBoundingClientRect();
      const outside = boxes.some((each) => each.left < left - 1 || each.right > right + 1);
      if (outside && (cuts || scrolls)) found.push(`${text}: outside of ${box.className || box.tagName}`);
    }
    if (matters && boxes.some((each) => each.left < -1 || each.right > innerWidth + 1)) found.push(`${text}: out of sight`);
  }
  for (const button of document.querySelectorAll('#big .cashier .button')) {
    const { left, right } = button.getBoundingClientRect();
    if (left < 0 || right > innerWidth + 1) found.push(`${button.textContent}: a button out of sight`);
  }
  if (document.documentElement.scrollWidth > innerWidth + 1) found.push(`the page is ${document.documentElement.scrollWidth} wide, the screen ${innerWidth}`);
  return [...new Set(found)];
}

/** Shows a screen, and says what is wrong with it. @param {string} screen @param {number} amount @returns {Promise<string[]>} */
export async function show(screen, amount) {
  const [{ render }, { html }, { Page }, { initialState }] = await Promise.all(['vendor/preact.js', 'html.js', 'views/page.js', 'store.js'].map((file) => import(new URL(`assets/${file}`, document.baseURI).href)));
  document.getElementById('page')?.remove();
  let root = document.getElementById('big');
  if (!root) {
    root = document.createElement('div');
    root.id = 'big';
    root.style.height = '100%';
    document.body.append(root);
  }
  render(html`<${Page} state=${{ ...stateOf(amount, initialState), screen }} on=${{ send: async () => {} }} />`, root);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return faults();
}
