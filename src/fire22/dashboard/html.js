import htm from './vendor/htm.js';
import { h } from './vendor/preact.js';

/** Markup as a tagged template: html`<p class=${name}>${text}</p>`. What is put in is text, never markup. */
export const html = /** @type {(strings: TemplateStringsArray, ...values: any[]) => import('./vendor/preact.js').VNode} */ (
  /** @type {unknown} */ (htm.bind(h))
);
