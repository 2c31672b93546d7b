// Short news at the edge of the page. Read aloud politely; nothing is only told here.
import { html } from "./view.js";
import { Observed, useObserved } from "./observed.js";

const STAY_MILLISECONDS = 6000;
const MOST = 4;

class Toasts extends Observed {
  shown = [];
  #count = 0;

  /** Say it. `tone`: good, bad, warn, calm. `action`: {label, run}. */
  say(text, tone = "calm", { detail = "", action = null } = {}) {
    const toast = { id: (this.#count += 1), text, tone, detail, action };
    this.shown = [...this.shown, toast].slice(-MOST);
    setTimeout(() => this.take(toast.id), STAY_MILLISECONDS * (tone === "bad" || action ? 2 : 1));
    this.changed();
  }

  take(id) {
    this.shown = this.shown.filter((toast) => toast.id !== id);
    this.changed();
  }
}

export const toasts = new Toasts();

export function ToastList() {
  useObserved(toasts);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.shown.map(
      (toast) => html`<div key=${toast.id} class=${`toast tone-${toast.tone}`}>
        <div>
          <p class="strong">${toast.text}</p>
          ${toast.detail && html`<p class="soft small">${toast.detail}</p>`}
          ${toast.action &&
          html`<button class="button little" onClick=${() => (toast.action.run(), toasts.take(toast.id))}>${toast.action.label}</button>`}
        </div>
        <button class="button plain little" aria-label="Dismiss" onClick=${() => toasts.take(toast.id)}>✕</button>
      </div>`,
    )}
  </div>`;
}
