// What can be done with an order now. The buttons follow its state, and are shut while one of them is under way.
import { html, useState } from "../shared/view.js";
import { inShort, mayAmend, mayCancel, needsAttention } from "./words.js";

export function Actions({ order, desk, little = false }) {
  const [busy, setBusy] = useState(false);
  const run = async (action, words) => {
    if (busy) return;
    setBusy(true);
    await desk.act(order, action, words);
    setBusy(false);
  };
  const size = little ? "little" : "";
  const button = (action, label, words, kind = "", pressed = () => run(action, words)) =>
    html`<button key=${action} type="button" class=${`button ${size} ${kind}`} data-action=${action} disabled=${busy} aria-label=${`${label}: ${inShort(order)}`}
      onClick=${pressed}>${label}</button>`;
  if (needsAttention(order)) {
    return html`${button("retry", "Retry", "The retry", "main")} ${button("acknowledge", little ? "Give up" : "Acknowledge failure", "The acknowledgement")}`;
  }
  if (!mayCancel(order)) return null;
  return html`${mayAmend(order) && button("amend", "Amend", "", little ? "plain" : "", () => desk.showAmend(order.id))}
    ${button("cancel", "Cancel", "The cancel", little ? "plain" : "")}`;
}
