import { formatAge, formatCount, formatMoney, formatPercent, formatSigned } from '../format.js';
import { html } from '../html.js';
import { Sparkline } from './sparkline.js';

/** @typedef {import('../store.js').Kpi} Kpi */

/**
 * `better`: which direction is good news for the book; 0 where neither is.
 * @type {{field: 'revenue' | 'activePlayers' | 'pending' | 'totalLiability', name: string, hint: string, better: -1 | 0 | 1,
 *   format: (value: number) => string, note: (kpi: Kpi) => string}[]}
 */
const CARDS = [
  { field: 'revenue', name: 'Revenue', hint: 'Settled cash stakes minus what was returned on them.', better: 1, format: formatMoney, note: revenueNote },
  { field: 'activePlayers', name: 'Active players', hint: 'Customers with an accepted wager in the last 24 hours.', better: 0, format: formatCount, note: () => 'in the last 24 hours' },
  { field: 'pending', name: 'Pending', hint: 'Open wagers.', better: 0, format: formatCount, note: ({ pendingRisk }) => (pendingRisk === undefined ? 'open wagers' : `${formatMoney(pendingRisk)} at risk`) },
  { field: 'totalLiability', name: 'Total liability', hint: 'What the book loses on all open wagers if every result goes against it.', better: -1, format: formatMoney, note: ({ liabilityIsBound }) => (liabilityIsBound ? 'upper bound, open wagers' : 'worst case, open wagers') },
];

/** @param {{state: import('../store.js').State, stale: boolean}} props */
export function Kpis({ state: { kpi, samples, refused }, stale }) {
  const longest = kpi ? Math.max(...CARDS.map((card) => textOf(card, kpi).length)) : 0;
  return html`<section class=${`kpis ${stale ? 'is-stale' : ''} ${longest > WIDE_CHARS ? 'is-wide' : ''}`} aria-label="Key figures, the book’s view">
    ${CARDS.map((card, index) => html`<article class="kpi" key=${card.field}>
      <h2 title=${card.hint}>${card.name}</h2>
      ${kpi ? figures(card, kpi) : html`<p class="kpi-value is-empty">${refused.kpi ? 'Not available' : '–'}</p><p class="kpi-change">${refused.kpi?.message ?? 'no figure yet'}</p>`}
      <${Sparkline} samples=${samples} index=${index} label=${`${card.name}, ${span(samples)}`} />
      <p class="kpi-foot"><span>${kpi ? card.note(kpi) : ''}</span><span>${span(samples)}</span></p>
    </article>`)}
  </section>`;
}

/** From so many characters on a figure wants a card for itself on a phone. */
const WIDE_CHARS = 14;

/** @param {typeof CARDS[number]} card @param {Kpi} kpi */
function textOf({ field, format }, kpi) {
  return `${field === 'totalLiability' && kpi.liabilityIsBound ? '≤ ' : ''}${format(kpi[field])}`;
}

/** @param {typeof CARDS[number]} card @param {Kpi} kpi */
function figures(card, kpi) {
  const { field, format, better } = card;
  const change = kpi.change?.[field];
  const text = textOf(card, kpi);
  const bound = text.startsWith('≤');
  return html`
    <p class=${`kpi-value figure ${field === 'revenue' && kpi.revenue < 0 ? 'is-bad' : ''}`} style=${{ '--chars': text.length }}>
      ${bound && html`<span class="kpi-bound" title="At most this much">≤ </span>`}${bound ? text.slice(2) : text}
    </p>
    <p class="kpi-change">
      ${change !== undefined && html`<span class=${`figure ${toneOf(change, better)}`}>${change > 0 ? '▲' : change < 0 ? '▼' : '■'} ${formatSigned(change, format)}</span> <span class="dim" title="Since the start of the business day">today</span>`}
    </p>`;
}

/** @param {number} change @param {number} better */
function toneOf(change, better) {
  const direction = Math.sign(change) * better;
  return direction > 0 ? 'tone-good' : direction < 0 ? (better === -1 ? 'tone-warn' : 'tone-bad') : 'tone-even';
}

/** @param {Kpi} kpi */
function revenueNote({ handle, hold }) {
  if (handle === undefined) return 'since the book began';
  return hold === undefined ? `handle ${formatMoney(handle)}` : `handle ${formatMoney(handle)} · hold ${formatPercent(hold)}`;
}

/** How far back the line reaches. @param {import('../samples.js').Samples} samples */
function span({ list }) {
  if (list.length < 2) return '';
  const ms = list[list.length - 1].atMs - list[0].atMs;
  return `last ${ms < 60_000 ? `${Math.round(ms / 1000)} s` : ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : formatAge(ms)}`;
}
