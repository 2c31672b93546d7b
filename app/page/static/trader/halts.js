// Says it across the page when the trader may not trade as usual: what is stopped, since when, and why.
import { html } from "../shared/view.js";
import { useObserved } from "../shared/observed.js";
import { moment, utc } from "../shared/times.js";

const MOST = 3;

/** What a halt stops. */
export const scopeOf = ({ scope, symbol }) => ({ __proto__: null, GLOBAL: "All trading", TRADER: "This account", SYMBOL: symbol })[scope] ?? scope;

export function Halts({ desk }) {
  useObserved(desk.books);
  const { trading_state: state, halts } = desk.account;
  if (state === "ACTIVE" && halts.length === 0) return null;
  const all = halts.filter((halt) => halt.scope !== "SYMBOL");
  const shown = (state === "ACTIVE" ? halts : all).slice(0, MOST);
  const left = halts.length - shown.length;
  const [title, text] =
    state === "HALTED" ? ["Trading is halted.", "New orders and changes are refused, and open ones are being cancelled. Exits at the venue stay unless the halt says otherwise."]
    : state === "REDUCING" ? ["Reducing only.", "You can sell what you hold and cancel orders; orders that add risk are refused. Where the day's loss limit is the reason, it ends with the next session."]
    : state === "ACTIVE" ? ["", "New orders in it are refused."]
    : [`Trading is ${state.toLowerCase()}.`, "Ask the operator."];
  return html`<div class=${`notice ${state === "HALTED" ? "bad-news" : ""}`} role="alert"><p>
    ${title && html`<strong>${title}</strong> `}
    ${shown.map((halt) => html`<span key=${halt.id} class="halt"><strong>${scopeOf(halt)}</strong> halted since <span title=${utc(halt.created_at)}>${moment(halt.created_at)}</span>: ${sentence(halt.reason)} </span>`)}
    ${left > 0 && html`<span>And ${left} more, listed under Account. </span>`}
    <span class="soft">${text}</span></p></div>`;
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
