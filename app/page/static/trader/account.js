// The account: what there is, and how much of each limit is used.
import { html } from "../shared/view.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { approximately, compare, money, parse, quantity, sign, times } from "../shared/decimal.js";
import { toneOf } from "./header.js";

export function Account({ desk }) {
  useObserved(desk.books, desk.open, desk.listing);
  useEvery(5000);
  const { account } = desk;
  const amount = (value, signed) => money(value, account.currency, signed);
  const used = limitsOf(desk);
  return html`<section class="card account" aria-label="Account">
    <header><h2>Account</h2><span class=${`state tone-${account.trading_state === "ACTIVE" ? "good" : "bad"}`}><span class="small">
      Trading ${account.trading_state.toLowerCase()}</span></span></header>
    <dl class="facts">
      <dt>Cash</dt><dd>${amount(account.cash)}</dd>
      <dt>Reserved for open orders</dt><dd>${amount(account.reserved)}</dd>
      <dt>Unrealized</dt><dd class=${toneOf(account.unrealized_pnl)}>${amount(account.unrealized_pnl, true)}</dd>
      <dt>Realized today</dt><dd class=${toneOf(account.realized_pnl_today)}>${amount(account.realized_pnl_today, true)}</dd>
    </dl>
    <h3>Limits</h3>
    <ul class="limits">
      ${used.map((limit) => html`<li key=${limit.name}>
        <span class="soft">${limit.name}</span>
        <span>${limit.used === null ? "" : html`${limit.used} <span class="faint">of</span> `}${limit.most}</span>
        ${limit.share !== null && html`<span class=${`meter ${limit.share >= 1 ? "tone-bad" : limit.share >= 0.8 ? "tone-warn" : ""}`}>
          <span style=${{ width: `${Math.min(100, limit.share * 100)}%` }}></span></span>`}
      </li>`)}
    </ul>
  </section>`;
}

/** Each limit that is set: {name, used, most, share}; used is null where this page cannot know it. */
function limitsOf(desk) {
  const { limits, currency } = desk.account;
  const positions = desk.positions ?? [];
  const shown = [];
  const add = (name, most, used, show) => {
    const limit = parse(String(most ?? ""));
    if (!limit) return;
    const value = used === null ? null : used;
    const zero = limit.digits === 0n;
    shown.push({
      name,
      most: show(limit),
      used: value === null ? null : show(value),
      share: value === null ? null : zero ? (value.digits === 0n ? 0 : 1) : approximately(value) / approximately(limit),
    });
  };
  const inMoney = (value) => money(value, currency);
  const inUnits = (value) => quantity(plain(value));
  const worths = positions.map((each) => product(each.quantity, each.market_price)).filter(Boolean);
  add("Orders a minute", limits.orders_per_minute, whole(desk.ordersInLastMinute()), inUnits);
  add("Open orders", limits.max_open_orders, desk.open.complete ? whole(desk.open.orders.length) : null, inUnits);
  add("Largest position, value", limits.max_position_value, largest(worths), inMoney);
  add("Largest position, units", limits.max_position_quantity, largest(positions.map((each) => absolute(parse(each.quantity))).filter(Boolean)), inUnits);
  add("Value of one order", limits.max_order_value, null, inMoney);
  add("Units of one order", limits.max_order_quantity, null, inUnits);
  add("Traded a day", limits.max_daily_notional, null, inMoney);
  const today = parse(desk.account.realized_pnl_today);
  add("Loss a day", limits.daily_loss_limit, today && (sign(today) < 0 ? absolute(today) : whole(0)), inMoney);
  return shown;
}

const whole = (count) => ({ digits: BigInt(count), places: 0 });
const absolute = (value) => value && { ...value, digits: value.digits < 0n ? -value.digits : value.digits };
const largest = (values) => values.reduce((most, each) => (compare(each, most) > 0 ? each : most), whole(0));
const plain = ({ digits, places }) => {
  const padded = digits.toString().padStart(places + 1, "0");
  return places ? `${padded.slice(0, -places)}.${padded.slice(-places)}` : padded;
};
const product = (a, b) => {
  const left = parse(a), right = parse(b);
  return left && right ? absolute(times(left, right)) : null;
};
