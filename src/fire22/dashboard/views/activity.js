import { formatMoney, formatTime } from '../format.js';
import { html } from '../html.js';
import { Component } from '../vendor/preact.js';
import { Icon } from './icons.js';

/** @typedef {import('../store.js').Row} Row */

/** @typedef {{activity: import('../store.js').State['activity'], error?: import('../store.js').ServerError, stale: boolean}} Props */

/** @extends {Component<Props>} */
export class Activity extends Component {
  /** @param {Props} next */
  shouldComponentUpdate(next) {
    const { activity, error, stale } = this.props;
    return next.activity !== activity || next.error !== error || next.stale !== stale;
  }

  render() {
    return panel(this.props);
  }
}

/** @param {Props} props */
function panel({ activity: { loaded, rows }, error, stale }) {
  const empty = error?.message ?? (loaded ? 'Nothing has happened yet.' : 'Waiting for the first entries …');
  return html`<section class=${`panel activity ${stale ? 'is-stale' : ''}`} aria-labelledby="activity-title">
    <header class="panel-head"><h2 id="activity-title">Activity</h2></header>
    <div class="scroll" tabindex="0" role="region" aria-label="Activity, newest first">
      ${rows.length ? html`<ol>${rows.map((row) => html`<${Entry} key=${row.id} row=${row} />`)}</ol>` : html`<p class="empty">${empty}</p>`}
    </div>
  </section>`;
}

/** @extends {Component<{row: Row}>} */
class Entry extends Component {
  /** @param {{row: Row}} next */
  shouldComponentUpdate(next) {
    return next.row !== this.props.row;
  }

  render() {
    const { data, atMs, fresh } = this.props.row;
    return html`<li class=${`entry icon-${data.icon} ${fresh ? 'is-fresh' : ''}`}>
      <span class="entry-icon"><${Icon} name=${data.icon} /></span>
      <span class="entry-text"><b>${data.userId}</b> ${data.action}</span>
      <span class="entry-amount figure">${data.amount === undefined ? '' : formatMoney(data.amount)}</span>
      <time class="entry-time">${formatTime(atMs)}</time>
    </li>`;
  }
}
