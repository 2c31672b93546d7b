// What the trader holds.
import { html } from "../shared/view.js";
import { useObserved } from "../shared/observed.js";
import { money, parse, plus, price, quantity, text } from "../shared/decimal.js";
import { toneOf } from "./header.js";

export function Positions({ desk, onPick }) {
  useObserved(desk.books);
  const { positions, account } = desk;
  const bare = new Map();
  for (const { symbol, quantity: held } of account.unprotected) bare.set(symbol, plus(bare.get(symbol) ?? parse("0"), parse(held)));
  return html`<section class="card positions" aria-label="Positions">
    <header><h2>Positions</h2>${positions?.length > 0 && html`<span class="faint small">${positions.length}</span>`}</header>
    ${desk.booksProblem && html`<p class="notice small" role="status">As it was when it could last be read. ${desk.booksProblem.message}</p>`}
    ${positions === null
      ? html`<div class="empty"><span class="waiting" style=${{ width: "60%" }}></span></div>`
      : positions.length === 0
        ? html`<div class="empty"><p>Nothing held.</p><p class="faint small">What you buy appears here.</p></div>`
        : html`<div class="scrolls" tabindex="0" role="group" aria-label="List of positions"><table class="table">
            <thead><tr><th>Symbol</th><th class="number">Held</th><th class="number">Price</th><th class="number">P/L</th></tr></thead>
            <tbody>${positions.map((each) => html`<tr key=${each.symbol}>
              <td><button class="link strong" title=${`Sell ${each.symbol}`} onClick=${() => onPick(each)}>${each.symbol}</button></td>
              <td class="number">${quantity(each.quantity)}${each.available_quantity !== each.quantity
                ? html`<br /><span class="faint small">${quantity(each.available_quantity)} free</span>` : ""}
                ${bare.has(each.symbol) && html`<br /><span class="warn small">${text(bare.get(each.symbol))} unprotected</span>`}</td>
              <td class="number">${price(each.market_price)}<br /><span class="faint small" title=${`Average cost ${price(each.average_cost)}`}>cost ${price(each.average_cost, 2)}</span></td>
              <td class=${`number ${toneOf(each.unrealized_pnl)}`}>${money(each.unrealized_pnl, account.currency, true)}</td>
            </tr>`)}</tbody>
          </table></div>`}
  </section>`;
}
