// What an order would cost or bring, from the quote: an estimate for the eye, the server decides.
import { money, parse, times } from "../shared/decimal.js";

/** {title, amount, basis}; amount is null where it cannot be told. */
export function estimateOf({ side, order_type: type, quantity, price }, quote, currency) {
  const title = side === "SELL" ? "Estimated proceeds" : "Estimated cost";
  const count = parse(quantity);
  const own = type === "MARKET" ? null : parse(price);
  const each = own ?? parse(side === "SELL" ? quote?.bid : quote?.ask);
  if (!count || !each) return { title, amount: null, basis: "" };
  const basis = own ? (type === "STOP" ? "at the trigger" : "at the limit") : `at the ${side === "SELL" ? "bid" : "ask"}`;
  return { title, amount: money(times(count, each), currency), basis };
}
