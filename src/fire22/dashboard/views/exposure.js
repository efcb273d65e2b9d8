// What the book stands to lose: markets by liability, and what each result would bring.

import { formatCount, formatMoney, formatOdds, formatSigned, formatWord } from '../format.js';
import { html } from '../html.js';
import { Crumbs, Screen, documentsOf } from './screen.js';

/** @typedef {import('../store.js').State} State */

/** @param {{state: State, stale: boolean}} props */
export function Exposure({ state, stale }) {
  const all = documentsOf(state, 'exposure');
  const total = all.find(({ key }) => key === '')?.data;
  const markets = all.filter(({ data }) => data.outcomes !== undefined).sort((one, other) => other.data.liability - one.data.liability);
  return html`<${Screen} title="Exposure" topic="exposure" state=${state} stale=${stale} empty="No open wagers here."
    aside=${html`<${Crumbs} screen="exposure" state=${state} />`}>
    ${markets.length > 0 && html`<div>
      ${total && html`<${Total} total=${total} />`}
      <div class="grid-table exposure" role="table" aria-label="Markets by liability">
        <div role="row" class="grid-row grid-head"><span role="columnheader">Market</span><span role="columnheader">If this happens, the book gets</span>
          <span role="columnheader" class="right">Cash risk</span><span role="columnheader" class="right">Liability</span></div>
        ${markets.map(({ key, data }) => html`<${Market} key=${key} market=${data} />`)}
      </div>
    </div>`}
  </${Screen}>`;
}

/** @param {{total: any}} props */
function Total({ total }) {
  return html`<dl class="totals">
    <div><dt>Total liability</dt><dd>${total.isBound ? '≤ ' : ''}${formatMoney(total.totalLiability)}</dd></div>
    <div><dt>Markets</dt><dd>${formatCount(total.markets)}</dd></div>
    ${total.parlays !== undefined && html`<div><dt>Parlays</dt><dd>${formatCount(total.parlays)}</dd></div>`}
    ${total.grossPotentialPayout !== undefined && html`<div><dt>Paid out if all won</dt><dd>${formatMoney(total.grossPotentialPayout)}</dd></div>`}
  </dl>`;
}

/** @param {{market: any}} props */
function Market({ market }) {
  const outcomes = Object.entries(market.outcomes).sort(([, one], [, other]) => one.pnl - other.pnl);
  const share = market.limit ? market.liability / market.limit : 0;
  return html`<div role="row" class="grid-row">
    <span role="cell"><b>${market.eventName || market.eventId}</b><br /><span class="dim">${formatWord(market.type)}${market.line === undefined ? '' : ` ${market.line}`} · ${formatCount(market.wagers)} ${market.wagers === 1 ? 'wager' : 'wagers'}</span></span>
    <span role="cell" class="outcomes">${outcomes.map(([id, { name, odds, pnl }]) => html`<span key=${id} class="outcome">
      <span class="outcome-name">${name || id}${odds === undefined ? '' : html` <span class="dim">${formatOdds(odds)}</span>`}</span>
      <b class=${pnl < 0 ? 'tone-bad' : 'tone-good'}>${formatSigned(pnl)}</b></span>`)}</span>
    <span role="cell" class="right">${formatMoney(market.risk)}</span>
    <span role="cell" class=${`right ${share >= 1 ? 'tone-bad' : share >= 0.8 ? 'tone-warn' : ''}`}><b>${market.isBound ? '≤ ' : ''}${formatMoney(market.liability)}</b>${market.limit ? html`<br /><span class="dim">of ${formatMoney(market.limit)}</span>` : ''}</span>
  </div>`;
}
