// Icons as inline SVG paths on a 24 by 24 grid, drawn with the text's colour.

import { html } from '../html.js';

/** @type {Record<string, string>} */
const PATHS = {
  ticket: 'M3 8a2 2 0 0 1 2-2h14a2 2 0 0 1 2 2v2a2 2 0 0 0 0 4v2a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2v-2a2 2 0 0 0 0-4zM14 6v3m0 2.500v1m0 2.500v3',
  win: 'M7 4h10v5a5 5 0 0 1-10 0zM7 6H4c0 3 1 5 4 5m9-5h3c0 3-1 5-4 5M12 14v4m-4 2h8',
  loss: 'M3 7l6 6 4-4 8 8m0-6v6h-6',
  push: 'M4 9h16M4 15h16',
  cancel: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9 9l6 6m0-6l-6 6',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  deposit: 'M12 3v11m-4.500-4.500L12 14l4.500-4.500M4 17v3h16v-3',
  withdrawal: 'M12 14V3M7.500 7.500L12 3l4.500 4.500M4 17v3h16v-3',
  user: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4 3.500-6 8-6s8 2 8 6',
  'user-plus': 'M10 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM2 21c0-4 3.500-6 8-6 2 0 4 .5 5.500 1.500M19 13v6m-3-3h6',
  alert: 'M12 4L2.500 20h19zM12 10v5m0 2v.5',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l12 7-12 7z',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.500 2',
};

/** @param {{name: string}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name] ?? PATHS.clock} /></svg>`;
}
