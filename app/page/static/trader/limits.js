// The trader's limits and how much of each is used, as the server reckons it.
import { approximately, money, parse, quantity } from "../shared/decimal.js";

const LIMITS = [
  ["orders_per_minute", "Orders a minute", "count"], ["max_open_orders", "Open orders", "count"],
  ["max_position_value", "Largest position, value", "money"], ["max_position_quantity", "Largest position, units", "count"],
  ["max_daily_notional", "Traded today", "money"], ["daily_loss_limit", "Lost today", "money"],
  ["max_order_value", "Value of one order", "money"], ["max_order_quantity", "Units of one order", "count"],
];

/** Each limit that is set: {name, used, most, share}; used is null where nobody knows, or where an order has it alone. */
export function limitsOf({ limits, currency }) {
  return LIMITS.flatMap(([field, name, kind]) => {
    const most = parse(String(limits[field] ?? ""));
    if (!most) return [];
    const used = parse(String(limits.used?.[field] ?? ""));
    const shown = (given) => (kind === "money" ? money(given, currency) : quantity(String(given)));
    return [{
      name, most: shown(limits[field]), used: used && shown(limits.used[field]), isOfOne: !(field in (limits.used ?? {})),
      share: used && (most.digits === 0n ? Number(used.digits !== 0n) : approximately(used) / approximately(most)),
    }];
  });
}

/** The limit that is reached first; null when nothing of any is used. */
export const nearest = (limits) => limits.reduce((first, each) => (each.share > (first?.share ?? 0) ? each : first), null);

export const toneOfShare = (share) => (share >= 1 ? "bad" : share >= 0.8 ? "warn" : "");
