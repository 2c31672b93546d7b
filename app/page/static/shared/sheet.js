// A dialog over the page: the browser's own, so that focus stays inside and Escape closes it.
import { html, useEffect, useId, useRef } from "./view.js";

export function Sheet({ title, onClose, children }) {
  const dialog = useRef(null);
  const name = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog class="sheet" ref=${dialog} aria-labelledby=${name} onCancel=${(event) => (event.preventDefault(), onClose())}
    onClick=${(event) => event.target === dialog.current && onClose()}>
    <div>
      <h2 id=${name}>${title}</h2>
      ${children}
    </div>
  </dialog>`;
}

/** Asks before something that cannot be taken back. */
export function Confirmation({ title, children, yes, danger = false, onYes, onClose }) {
  return html`<${Sheet} title=${title} onClose=${onClose}>
    <div class="soft">${children}</div>
    <div class="choices">
      <button class="button" onClick=${onClose}>Go back</button>
      <button class=${`button ${danger ? "danger" : "main"}`} autofocus onClick=${() => (onClose(), onYes())}>${yes}</button>
    </div>
  <//>`;
}
