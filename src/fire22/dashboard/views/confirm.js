// A question before money moves. It opens with the focus on the answer that does nothing, and takes no answer in the first
// moment: neither a key that is still held down nor the second half of a double click decides.

import { html } from '../html.js';
import { Component } from '../vendor/preact.js';

export const READY_MS = 400;

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {unknown} text
 * @property {string} yes  what the button that acts says
 * @property {() => void} act
 */

/** @extends {Component<{question: Question, onDone: () => void}>} */
export class Confirm extends Component {
  /** @param {{question: Question, onDone: () => void}} props */
  constructor(props) {
    super(props);
    /** @type {HTMLDialogElement | null} */ this.dialog = null;
    this.openedMs = 0;
  }

  componentDidMount() {
    this.openedMs = performance.now();
    this.dialog?.showModal();
  }

  componentWillUnmount() {
    this.dialog?.close(); // gives the focus back to where it was
  }

  answer() {
    if (performance.now() - this.openedMs < READY_MS) return;
    const { question, onDone } = this.props;
    onDone();
    question.act();
  }

  render() {
    const { question: { title, text, yes }, onDone } = this.props;
    return html`<dialog class="confirm" aria-labelledby="confirm-title" ref=${(/** @type {HTMLDialogElement | null} */ dialog) => { this.dialog = dialog; }} onClose=${onDone}>
      <h3 id="confirm-title">${title}</h3>
      <div class="confirm-text">${text}</div>
      <p class="buttons">
        <button type="button" class="button" autofocus onClick=${onDone}>Do nothing</button>
        <button type="button" class="button button-main" onClick=${() => this.answer()}>${yes}</button>
      </p>
    </dialog>`;
  }
}
