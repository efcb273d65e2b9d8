// A secret that the server shows once: it stays until the person says that it is kept.

import { html } from '../html.js';
import { Component } from '../vendor/preact.js';

/** @typedef {{secret: import('../store.js').Secret, on: Record<string, any>}} Props */

/** @extends {Component<Props, {copied: string}>} */
export class ShownOnce extends Component {
  state = { copied: '' };

  /** @param {Props} props */
  constructor(props) {
    super(props);
    /** @type {HTMLDialogElement | null} */ this.dialog = null;
  }

  componentDidMount() {
    this.dialog?.showModal();
  }

  async copy() {
    const field = /** @type {HTMLInputElement | null} */ (this.dialog?.querySelector('.once') ?? null);
    field?.select();
    try {
      await navigator.clipboard.writeText(this.props.secret.secret);
      this.setState({ copied: 'Copied.' });
    } catch {
      this.setState({ copied: 'The browser does not let the page copy: it is selected, copy it by hand.' });
    }
  }

  render() {
    const { secret: { title, text, secret }, on } = this.props;
    const lines = secret.split('\n').length;
    const field = { readonly: true, value: secret, 'aria-label': title, spellcheck: false, autofocus: true, onFocus: (/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.currentTarget).select() };
    return html`<dialog class="confirm" aria-labelledby="once-title" ref=${(/** @type {HTMLDialogElement | null} */ dialog) => { this.dialog = dialog; }}
      onCancel=${(/** @type {Event} */ event) => event.preventDefault()} onClose=${() => on.show(null)}>
      <h3 id="once-title">${title}</h3>
      <div class="confirm-text"><p>${text}</p>
        ${lines > 1 ? html`<textarea class="once" rows=${lines} ...${field}></textarea>` : html`<input class="once" type="text" ...${field} />`}
        <p class="dim" role="status">${this.state.copied || 'It is shown this once.'}</p></div>
      <p class="buttons">
        <button type="button" class="button" onClick=${() => this.copy()}>Copy</button>
        <button type="button" class="button button-main" onClick=${() => on.show(null)}>I have kept it</button>
      </p>
    </dialog>`;
  }
}
