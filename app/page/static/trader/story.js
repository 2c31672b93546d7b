// An order's audit entries as a story, and as a conversation with the venue.
import { price, quantity } from "../shared/decimal.js";
import { at, duration } from "../shared/times.js";

const ours = (entry) => String(entry.actor ?? "").startsWith("trader:");
const attempt = (entry) => (entry.retry_attempt ?? 0) + 1;
const words = (action) => String(action).charAt(0) + String(action).slice(1).toLowerCase().replaceAll("_", " ");

const ANSWERS = {
  __proto__: null,
  ACCEPTED: "The venue accepted it.", REFUSED: "The venue refused it.", UNKNOWN: "Without a definite answer.", SENDER_GONE: "Its sender ended before an answer came.",
  TAKEN: "The venue took it.",
};

/** [title, tone, detail] of one entry. */
function told(entry) {
  const reason = entry.reason ?? "";
  const ended = /^Attempt (\d+) ended: (\w+)/.exec(reason);
  if (ended) return [`Attempt ${ended[1]} is over`, "none", ANSWERS[ended[2]] ?? ended[2]];
  switch (`${entry.action}/${entry.execution_state}`) {
    case "SUBMITTED/QUEUED": return ["Submitted", "calm", ""];
    case "APPROVED/QUEUED": return ["Passed all checks", "calm", "Stored, and money or shares set aside."];
    case "EXECUTED/SENDING": return [`Attempt ${attempt(entry)}`, "calm", `Sent to ${entry.venue}.`];
    case "EXECUTED/WORKING": return ["Accepted by the venue", "calm", ""];
    case "EXECUTED/IN_DOUBT": return ["No definite answer", "warn", reason];
    case "EXECUTED/NEEDS_ATTENTION": return ["Retries spent", "bad", "A person decides now; the venue is still asked."];
    case "CANCELLED/CANCELLING": return ["Cancel wanted", "warn", reason];
    case "CANCELLED/CLOSED": return ["Cancelled", "none", reason];
    case "REJECTED/CLOSED": return ["Rejected", "bad", reason];
    default:
  }
  switch (entry.action) {
    case "AMENDED":
      if (entry.sent_at) return ["Cancel for the change sent", "warn", `To ${entry.venue}.`];
      return entry.execution_state === "QUEUED" ? ["Terms changed", "calm", `Now ${quantity(entry.quantity)}${entry.price ? ` at ${price(entry.price)}` : ""}.`]
        : ["Change wanted", "warn", "What stands at the venue is cancelled first."];
    case "FILLED": return [`Filled ${quantity(entry.fill_quantity)} at ${price(entry.fill_price)}`, "good", `${quantity(entry.filled_quantity)} of ${quantity(entry.quantity)} in all.`];
    case "RECOVERED": return ["Found at the venue", "good", "The doubt is settled: it was there."];
    case "RETRIED": return ["Retry asked for", "calm", reason];
    case "ABANDONED": return ["Failure acknowledged", "warn", reason || "It ends once the venue proves that it has nothing."];
    case "ALARMED": return ["Alarm", "bad", reason];
    default: return [words(entry.action), "none", reason];
  }
}

/** What happened, oldest first: {seq, title, tone, detail, code, at, after, by}. */
export function story(entries) {
  let before = null;
  return entries.map((entry) => {
    const [title, tone, detail] = told(entry);
    const passed = before === null ? 0 : at(entry.timestamp) - at(before.timestamp);
    before = entry;
    return {
      seq: entry.seq, title, tone, detail, code: entry.error_code, at: entry.timestamp,
      after: passed > 0 ? `+${duration(passed)}` : "", by: ours(entry) && entry.action !== "APPROVED" ? "you" : "",
    };
  });
}

/** What was said with the venue, as far as the log tells: {seq, ours, text, at, venueAt}. */
export function conversation(entries) {
  const lines = [];
  for (const entry of entries) {
    const line = (isOurs, text) => lines.push({ seq: entry.seq, ours: isOurs, text, at: entry.sent_at ?? entry.timestamp, venueAt: entry.venue_at });
    const state = entry.execution_state;
    if (entry.action === "EXECUTED" && state === "SENDING") {
      line(true, `${attempt(entry) > 1 ? "Do you have it? If not: " : ""}${entry.side} ${entry.quantity} ${entry.symbol}, ${entry.order_type}${entry.price ? ` at ${entry.price}` : ""} (attempt ${attempt(entry)}).`);
    } else if (entry.action === "EXECUTED" && state === "WORKING") line(false, `Accepted as ${entry.venue_order_id}.`);
    else if (entry.action === "EXECUTED" && state === "IN_DOUBT") line(false, `No definite answer: ${entry.reason ?? "nothing came"} (${entry.error_code ?? "unknown"})`);
    else if (entry.action === "RECOVERED") line(false, `I have it, as ${entry.venue_order_id ?? "yours"}.`);
    else if (entry.action === "FILLED") line(false, `Executed ${entry.fill_quantity} at ${entry.fill_price}${entry.execution_id ? ` (execution ${entry.execution_id})` : ""}.`);
    else if (entry.action === "CANCELLED" && state === "CANCELLING" && entry.venue_order_id) line(true, "Cancel it.");
    else if (entry.action === "AMENDED" && entry.sent_at) line(true, "Cancel it: its terms change.");
    else if (entry.action === "CANCELLED" && state === "CLOSED" && entry.venue_order_id) line(false, `Cancelled. ${entry.reason ?? ""}`);
    else if (entry.action === "REJECTED" && !ours(entry)) line(false, `Rejected: ${entry.reason ?? entry.error_code ?? "no reason given"}`);
  }
  return lines;
}
