// An order's state in words: what it is, what it means, what happens next, and which buttons fit.
import { price, quantity } from "../shared/decimal.js";

// Without a prototype: "constructor" is no state.
const OPEN = {
  __proto__: null,
  QUEUED: ["Queued", "calm", "Accepted and stored; nothing has been sent to the venue yet.", "It is sent in a moment."],
  SENDING: ["Sending", "calm", "A request to the venue may be on its way.", "The venue's answer decides."],
  IN_DOUBT: ["In doubt", "warn", "The last attempt ended without a definite answer, so the venue may or may not have it.",
    "The venue is asked before anything is sent again."],
  WORKING: ["Working", "calm", "Live at the venue.", "It ends when it is filled, cancelled or refused there."],
  CANCELLING: ["Cancelling", "warn", "A cancel is wanted; the venue has not decided yet.", "A fill may still win the race."],
  NEEDS_ATTENTION: ["Needs attention", "bad", "All retries are spent without a definite answer.",
    "Retry it, or acknowledge the failure. Meanwhile the venue is still asked."],
};

const ENDS = {
  __proto__: null,
  FILLED: ["Filled", "good", "Wholly executed."],
  CANCELLED: ["Cancelled", "none", "Ended before it was wholly filled."],
  REJECTED: ["Rejected", "bad", "Refused; it will not be executed."],
};

const CHANGING = ["Changing", "warn", "Other terms are wanted; what stands at the venue is cancelled there first.",
  "Once the venue has said that it ended, what is left goes out with the new terms. A fill of the old ones may win."];

/** {word, brief, tone, meaning, next}; `brief` is for where a bar shows what is filled. */
export function stateOf(order) {
  if (order.execution_state === "CLOSED") {
    const [word, tone, meaning] = ENDS[order.status] ?? [order.status, "none", ""];
    const part = order.status !== "FILLED" && order.filled_quantity !== "0";
    return { word: part ? `${word}, part filled` : word, brief: word, tone, meaning: part ? `${meaning} What was filled stands.` : meaning, next: "" };
  }
  const [word, tone, meaning, next] = (order.amendment && order.execution_state === "WORKING" ? CHANGING : OPEN[order.execution_state]) ?? [order.execution_state, "none", "", ""];
  const partly = word === "Working" ? "Part filled" : `${word}, part filled`;
  return { word: order.status === "PARTIAL" ? partly : word, brief: order.status === "PARTIAL" && word === "Working" ? partly : word, tone, meaning, next };
}

export const isOpen = (order) => order.execution_state !== "CLOSED";
export const mayCancel = (order) => isOpen(order) && order.execution_state !== "CANCELLING";
/** MARKET, IOC and FOK orders never rest, and exits follow their position. */
export const mayAmend = (order) =>
  ["QUEUED", "SENDING", "IN_DOUBT", "WORKING"].includes(order.execution_state) && order.order_type !== "MARKET" &&
  !["IOC", "FOK"].includes(order.time_in_force) && order.parent_id === null;
export const needsAttention = (order) => order.execution_state === "NEEDS_ATTENTION";

const SIDES = { __proto__: null, BUY: "Buy", SELL: "Sell" };
const TYPES = { __proto__: null, MARKET: "Market", LIMIT: "Limit", STOP: "Stop" };
export const sideOf = (order) => SIDES[order.side] ?? order.side;
export const typeOf = (order) => TYPES[order.order_type] ?? order.order_type;

/** "10 at 151.00": the terms that are wanted and not decided about; "" without. */
export const wantedTerms = ({ amendment }) =>
  amendment ? `${quantity(amendment.quantity)}${amendment.price === null ? "" : ` at ${price(amendment.price)}`}` : "";

/** What an exit does, in words: "Stop at 140.00", "Limit at 170.00 or stop at 140.00". */
export const exitOf = (order) =>
  `${typeOf(order)} at ${price(order.price)}${order.stop_loss === null ? "" : ` or stop at ${price(order.stop_loss)}`}`;

/** Why something that was bought is not protected, and what comes next. */
export function unprotectedOf(order) {
  if (order.parent_id === null) {
    return isOpen(order)
      ? "What is filled so far has no stop loss and take profit yet: they are placed when the entry has ended, at the latest 10 s after its last fill."
      : "What it bought has no stop loss and take profit yet; they are being placed.";
  }
  return isOpen(order)
    ? "This exit does not stand at the venue yet, so it protects nothing. It is sent until the venue has answered."
    : "This exit ended without selling everything, so what is left has no protection. Sell it by hand, or leave it open.";
}

/** "Buy 10 AAPL" */
export const inShort = (order) => `${sideOf(order)} ${order.quantity} ${order.symbol}`;

const FIELDS = {
  __proto__: null,
  symbol: "Symbol", side: "Side", quantity: "Quantity", order_type: "Type", price: "Price", stop_loss: "Stop loss", take_profit: "Take profit",
  time_in_force: "Time in force", max_slippage_bps: "Max slippage", max_wait_seconds: "Max wait", venue: "Venue",
};
export const fieldName = (name) => FIELDS[name] ?? name;
