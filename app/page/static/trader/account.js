// The account: what there is, how much of each limit is used, and what stops it.
import { html } from "../shared/view.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { money } from "../shared/decimal.js";
import { duration, elapsed, utc } from "../shared/times.js";
import { toneOf } from "./header.js";
import { scopeOf } from "./halts.js";
import { Report } from "./report.js";
import { limitsOf, toneOfShare } from "./limits.js";

const STATES = { __proto__: null, ACTIVE: ["Trading", "good"], REDUCING: ["Reducing only", "warn"], HALTED: ["Halted", "bad"] };

export function Account({ desk }) {
  useObserved(desk.books);
  useEvery(5000);
  const { account } = desk;
  const amount = (value, signed) => money(value, account.currency, signed);
  const [word, tone] = STATES[account.trading_state] ?? [account.trading_state, "bad"];
  return html`<section class="card account" aria-label="Account">
    <header><h2>Account</h2><span class=${`state tone-${tone}`} data-trading=${account.trading_state}><span class="small">${word}</span></span></header>
    <dl class="facts">
      <dt>Cash</dt><dd>${amount(account.cash)}</dd>
      <dt>Reserved for open orders</dt><dd>${amount(account.reserved)}</dd>
      <dt>Unrealized</dt><dd class=${toneOf(account.unrealized_pnl)}>${amount(account.unrealized_pnl, true)}</dd>
      <dt>Realized today</dt><dd class=${toneOf(account.realized_pnl_today)}>${amount(account.realized_pnl_today, true)}</dd>
    </dl>
    ${account.halts.length > 0 && html`<h3>Halts</h3>
      <ul class="halts" aria-label="Halts">${account.halts.map((halt) => html`<li key=${halt.id}>
        <span class="strong">${scopeOf(halt)}</span> <span class="faint small" title=${utc(halt.created_at)}>for ${duration(elapsed(halt.created_at), true)}</span>
        <p class="soft">${halt.reason}</p></li>`)}</ul>`}
    <h3>Limits used</h3>
    <ul class="limits" aria-label="Limits">
      ${limitsOf(account).map((limit) => html`<li key=${limit.name}>
        <span class="soft">${limit.name}</span>
        <span>${limit.isOfOne ? html`<span class="faint">at most</span> ` : html`${limit.used ?? "not known"} <span class="faint">of</span> `}${limit.most}</span>
        ${limit.share !== null && html`<span class=${`meter tone-${toneOfShare(limit.share)}`}><span style=${{ width: `${Math.min(100, limit.share * 100)}%` }}></span></span>`}
      </li>`)}
    </ul>
    <${Report} />
  </section>`;
}
