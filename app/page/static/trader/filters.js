// What of the orders is shown: which lists of the API to fetch, and which orders fit.
import { now } from "../shared/server_clock.js";
import { isOpen } from "./words.js";

/** tab: [label, queries, fits] */
export const TABS = {
  all: ["All", [{}], () => true],
  open: ["Open", [{ status: "PENDING" }, { status: "PARTIAL" }], isOpen],
  attention: ["Needs attention", [{ execution_state: "NEEDS_ATTENTION" }], (order) => order.execution_state === "NEEDS_ATTENTION"],
  filled: ["Filled", [{ status: "FILLED" }], (order) => order.status === "FILLED"],
  cancelled: ["Cancelled", [{ status: "CANCELLED" }], (order) => order.status === "CANCELLED"],
  rejected: ["Rejected", [{ status: "REJECTED" }], (order) => order.status === "REJECTED"],
};

export const PERIODS = { "": "Any time", hour: "Last hour", day: "Last 24 hours", week: "Last 7 days" };
const HOURS = { hour: 1, day: 24, week: 168 };
const MOST_SYMBOLS = 6;

export const NO_FILTER = { tab: "all", side: "", period: "", search: "" };

/** `chosen`: {tab, side, period, search}; `instruments`: to tell a search for a symbol from one for anything else. */
export function filterOf(chosen, instruments) {
  const [, queries, fitsTab] = TABS[chosen.tab];
  const since = HOURS[chosen.period] ? new Date(now() - HOURS[chosen.period] * 3_600_000).toISOString() : null;
  const search = chosen.search.trim();
  const symbols = search ? symbolsLike(search, instruments) : null;
  const needle = search && !symbols ? search.toLowerCase() : null;
  const more = { side: chosen.side, since };
  return {
    queries: queries.flatMap((query) => (symbols ?? [null]).map((symbol) => ({ ...query, ...more, symbol }))),
    fits: (order) =>
      fitsTab(order) &&
      (!chosen.side || order.side === chosen.side) &&
      (!since || order.created_at >= since) &&
      (!symbols || symbols.includes(order.symbol)) &&
      (!needle || mentions(order, needle)),
    /** Whether the API cannot search for it: then only what was fetched is looked through. */
    looksThrough: needle !== null,
  };
}

/** The symbols that a search may mean; null when it means something else. */
function symbolsLike(search, instruments) {
  const wanted = search.toUpperCase();
  const exact = instruments.filter((each) => each.symbol === wanted);
  const found = exact.length ? exact
    : instruments.filter((each) => each.symbol.startsWith(wanted) || each.name.toUpperCase().includes(wanted));
  return found.length && found.length <= MOST_SYMBOLS ? found.map((each) => each.symbol) : null;
}

const mentions = (order, needle) =>
  [order.id, order.symbol, order.venue_order_id, order.reason?.code, order.reason?.message].some((each) => each?.toLowerCase().includes(needle));
