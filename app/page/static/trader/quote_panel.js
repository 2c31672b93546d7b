// Bid and ask, live; a press takes one as the price. Below, the prices that this page has seen.
import { html } from "../shared/view.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { minus, parse, price, quantity, text } from "../shared/decimal.js";
import { LineChart } from "../shared/line_chart.js";
import { duration, elapsed, utc } from "../shared/times.js";

const OLD_MILLISECONDS = 10_000;

export function QuotePanel({ quotes, instrument, symbol, onPrice }) {
  useObserved(quotes);
  useEvery(1000);
  const { quote, problem, points } = quotes;
  if (!instrument) return html`<p class="quote-none faint small">${symbol ? `${symbol} is not among the tradable symbols.` : "Choose a symbol to see its quote."}</p>`;
  const age = quote ? elapsed(quote.timestamp) : 0;
  const chart = (tone, side) => ({ tone, points: points.map((point) => ({ at: point.at, value: point[side] })) });
  return html`<div class="quote">
    <div class="sides-of-market">
      <${Side} name="Bid" price=${quote?.bid} size=${quote?.bid_size} tone="bad" onPrice=${onPrice} />
      <${Side} name="Ask" price=${quote?.ask} size=${quote?.ask_size} tone="good" onPrice=${onPrice} />
    </div>
    <${LineChart} label=${`Bid and ask of ${symbol} as seen by this page`} series=${[chart("calm", "bid"), chart("none", "ask")]} height=${56} />
    <p class="small faint quote-foot">
      ${problem && !quote ? html`<span class="warn">${problem}</span>` : html`<span>${spread(quote)}</span>`}
      ${quote && html`<span class=${age > OLD_MILLISECONDS ? "warn" : ""} title=${utc(quote.timestamp)}>
        ${instrument.status !== "ACTIVE" ? `${instrument.status.toLowerCase()} · ` : ""}${age > OLD_MILLISECONDS ? `${duration(age, true)} old` : "live"}</span>`}
    </p>
  </div>`;
}

function Side({ name, price: amount, size, tone, onPrice }) {
  return html`<button type="button" class="market-side" disabled=${!amount} title=${amount ? `Use ${amount} as the price` : ""} onClick=${() => onPrice(amount)}>
    <span class="small soft">${name}</span><span class=${`quote-price ${tone}`}>${price(amount)}</span>
    <span class="small faint">${size ? `size ${quantity(size)}` : ""}</span>
  </button>`;
}

function spread(quote) {
  const bid = parse(quote?.bid), ask = parse(quote?.ask);
  return bid && ask ? `Spread ${text(minus(ask, bid))}` : "Asking for a quote …";
}
