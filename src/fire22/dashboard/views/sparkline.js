import { html } from '../html.js';
import { Component } from '../vendor/preact.js';

const WIDTH = 240;
const HEIGHT = 44;
const MARGIN = 3;

/** A pause this many intervals long (the page was closed, the connection lost) is a gap in the line. */
const GAP_INTERVALS = 4;
const GAP_MS_MIN = 10_000;

/** @typedef {import('../samples.js').Samples} Samples */

/** @extends {Component<{samples: Samples, index: number, label: string}>} */
export class Sparkline extends Component {
  /** @param {{samples: Samples}} next */
  shouldComponentUpdate(next) {
    return next.samples !== this.props.samples;
  }

  render() {
    const { samples, index, label } = this.props;
    const { line, area, end } = shape(samples, index);
    return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
      <path class="spark-area" d=${area} /><path class="spark-line" d=${line} />
      ${end && html`<path class="spark-end" d=${end} />`}
    </svg>`;
  }
}

/**
 * @param {Samples} samples
 * @param {number} index  which of the figures
 */
export function shape({ list, intervalMs }, index) {
  if (list.length < 2) return { line: '', area: '', end: '' };
  const firstMs = list[0].atMs;
  const spanMs = Math.max(1, list[list.length - 1].atMs - firstMs);
  const values = list.map((sample) => sample.values[index]);
  const low = Math.min(...values);
  const range = Math.max(...values) - low;
  const x = (/** @type {number} */ atMs) => round(MARGIN + ((WIDTH - 2 * MARGIN) * (atMs - firstMs)) / spanMs);
  const y = (/** @type {number} */ value) => round(range === 0 ? HEIGHT / 2 : HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (value - low)) / range);
  const runs = unbroken(list, Math.max(GAP_MS_MIN, GAP_INTERVALS * intervalMs))
    .map((run) => run.map(({ atMs, values: each }) => `${x(atMs)} ${y(each[index])}`));
  const lastPoint = runs[runs.length - 1].at(-1);
  return {
    line: runs.map((run) => `M${run.join('L')}`).join(''),
    area: runs.filter((run) => run.length > 1).map((run) => `M${run[0].split(' ')[0]} ${HEIGHT}L${run.join('L')}L${run.at(-1)?.split(' ')[0]} ${HEIGHT}Z`).join(''),
    end: `M${lastPoint}h0`,
  };
}

/** @param {import('../samples.js').Sample[]} list @param {number} gapMs */
function unbroken(list, gapMs) {
  /** @type {import('../samples.js').Sample[][]} */
  const runs = [];
  list.forEach((sample, index) => {
    if (index === 0 || sample.atMs - list[index - 1].atMs > gapMs) runs.push([]);
    runs[runs.length - 1].push(sample);
  });
  return runs;
}

/** @param {number} value */
function round(value) {
  return Math.round(10 * value) / 10;
}
