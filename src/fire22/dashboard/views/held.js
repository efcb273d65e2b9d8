// A list that holds still under the pointer, and under the focus of who works by keys; see hold.js. Who has clicked and moved
// the pointer away does not hold it, but keeps the focus: on the same button, or on the list where the button is gone.

import { shownOf, sinceText } from '../hold.js';
import { html } from '../html.js';
import { Component } from '../vendor/preact.js';
import { Screen } from './screen.js';

/** @typedef {import('../hold.js').Item} Item */

/**
 * @typedef {object} Props
 * @property {Item[]} items  in their order
 * @property {(rows: import('../hold.js').HeldItem[]) => unknown} render
 * @property {boolean} [busy]  holds still whatever the pointer does: a question about a row is open
 * @property {string} title
 * @property {string} topic
 * @property {import('../store.js').State} state
 * @property {string} empty
 * @property {boolean} stale
 * @property {unknown} [aside]
 */

/** A screen whose rows hold still. @extends {Component<Props, {held: Item[] | null}>} */
export class HeldScreen extends Component {
  state = /** @type {{held: Item[] | null}} */ ({ held: null });

  /** @param {Props} props */
  constructor(props) {
    super(props);
    this.pointed = false;
    this.focused = false;
    /** @type {HTMLElement | null} */ this.list = null;
    /** What had the focus before the last update. @type {HTMLElement | null} */ this.active = null;
  }

  /** @param {'pointed' | 'focused'} by @param {boolean} is */
  hold(by, is) {
    this[by] = is;
    const { held } = this.state;
    if (this.pointed || this.focused) {
      if (held === null) this.setState({ held: this.props.items });
    } else if (held !== null && !this.props.busy) {
      this.setState({ held: null });
    }
  }

  /** @param {Props} before */
  componentDidUpdate(before) {
    if (before.busy && !this.props.busy) this.hold('pointed', this.pointed);
    const { active } = this;
    if (active === null || document.activeElement !== document.body) return;
    if (active.isConnected) active.focus({ preventScroll: true });
    else /** @type {HTMLElement | null} */ (document.querySelector('.screen .scroll'))?.focus({ preventScroll: true });
  }

  render() {
    const { activeElement } = document;
    this.active = this.list?.contains(activeElement) ? /** @type {HTMLElement} */ (activeElement) : null;
    const { items, render, title, topic, state, empty, stale, aside } = this.props;
    const shown = shownOf(this.state.held, items);
    const since = sinceText(shown);
    return html`<${Screen} title=${title} topic=${topic} state=${state} stale=${stale} empty=${empty}
      aside=${html`<span class="since" role="status">${since && html`<span class="held">${since}</span>`}</span>${aside}`}>
      ${shown.rows.length > 0 && html`<div class="held-list" ref=${(/** @type {HTMLElement | null} */ list) => { this.list = list; }}
        onPointerEnter=${() => this.hold('pointed', true)} onPointerLeave=${() => this.hold('pointed', false)}
        onFocusIn=${(/** @type {FocusEvent} */ event) => this.hold('focused', /** @type {Element} */ (event.target).matches(':focus-visible'))}
        onFocusOut=${(/** @type {FocusEvent} */ event) => this.hold('focused', holds(event))}>${render(shown.rows)}</div>`}
    </${Screen}>`;
  }
}

/** Whether the focus stays within the list, or only leaves with the window. @param {FocusEvent} event */
function holds({ currentTarget, relatedTarget }) {
  if (relatedTarget === null) return !document.hasFocus();
  return /** @type {Element} */ (currentTarget).contains(/** @type {Node} */ (relatedTarget));
}
