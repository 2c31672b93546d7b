// An order's state in words: what it is, what it means, what happens next, and which buttons fit.

const OPEN = {
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
  FILLED: ["Filled", "good", "Wholly executed."],
  CANCELLED: ["Cancelled", "none", "Ended before it was wholly filled."],
  REJECTED: ["Rejected", "bad", "Refused; it will not be executed."],
};

/** {word, tone, meaning, next} */
export function stateOf(order) {
  if (order.execution_state === "CLOSED") {
    const [word, tone, meaning] = ENDS[order.status] ?? [order.status, "none", ""];
    const part = order.status !== "FILLED" && order.filled_quantity !== "0";
    return { word: part ? `${word}, part filled` : word, tone, meaning: part ? `${meaning} What was filled stands.` : meaning, next: "" };
  }
  const [word, tone, meaning, next] = OPEN[order.execution_state] ?? [order.execution_state, "none", "", ""];
  if (order.status !== "PARTIAL") return { word, tone, meaning, next };
  return { word: order.execution_state === "WORKING" ? "Part filled" : `${word}, part filled`, tone, meaning, next };
}

export const isOpen = (order) => order.execution_state !== "CLOSED";
export const mayCancel = (order) => isOpen(order) && order.execution_state !== "CANCELLING";
export const needsAttention = (order) => order.execution_state === "NEEDS_ATTENTION";

const SIDES = { BUY: "Buy", SELL: "Sell" };
const TYPES = { MARKET: "Market", LIMIT: "Limit", STOP: "Stop" };
export const sideOf = (order) => SIDES[order.side] ?? order.side;
export const typeOf = (order) => TYPES[order.order_type] ?? order.order_type;

/** "Buy 10 AAPL" */
export const inShort = (order) => `${sideOf(order)} ${order.quantity} ${order.symbol}`;

const FIELDS = {
  symbol: "Symbol", side: "Side", quantity: "Quantity", order_type: "Type", price: "Price", stop_loss: "Stop loss", take_profit: "Take profit",
  time_in_force: "Time in force", max_slippage_bps: "Max slippage", max_wait_seconds: "Max wait", venue: "Venue",
};
export const fieldName = (name) => FIELDS[name] ?? name;
