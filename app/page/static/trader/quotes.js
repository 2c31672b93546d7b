// The quote of one symbol, asked for again and again while anybody looks, and the prices seen so far for a chart.
import { get, NoAnswer } from "../shared/api.js";
import { Observed } from "../shared/observed.js";
import { approximately, parse } from "../shared/decimal.js";
import { at } from "../shared/times.js";

const EVERY_MILLISECONDS = 1000;
const MOST_POINTS = 300;
const SETTLE_MILLISECONDS = 250;

export class Quotes extends Observed {
  symbol = "";
  quote = null;
  /** In a sentence, when there is none. */
  problem = null;
  #seen = new Map();
  #timer = 0;
  #asked = 0;

  /** Follow another symbol; after a moment, because it may still be being typed. */
  follow(symbol, known) {
    if (symbol === this.symbol) return;
    this.symbol = symbol;
    this.quote = null;
    this.problem = null;
    this.#asked += 1;
    clearTimeout(this.#timer);
    if (known) this.#timer = setTimeout(() => this.#ask(), SETTLE_MILLISECONDS);
    this.changed();
  }

  end() {
    this.#asked += 1;
    clearTimeout(this.#timer);
  }

  get points() {
    return this.#seen.get(this.symbol) ?? [];
  }

  async #ask() {
    const asked = this.#asked;
    if (!document.hidden) {
      try {
        const quote = await get(`quotes/${this.symbol.split("/").map(encodeURIComponent).join("/")}`);
        if (asked !== this.#asked) return;
        this.#take(quote);
      } catch (error) {
        if (asked !== this.#asked) return;
        if (!(error instanceof NoAnswer)) this.quote = null;
        this.problem = error.message;
      }
      this.changed();
    }
    this.#timer = setTimeout(() => this.#ask(), EVERY_MILLISECONDS);
  }

  #take(quote) {
    this.problem = null;
    if (quote.timestamp !== this.quote?.timestamp) {
      const bid = parse(quote.bid), ask = parse(quote.ask);
      if (bid && ask) {
        const points = [...this.points, { at: at(quote.timestamp), bid: approximately(bid), ask: approximately(ask) }];
        this.#seen.set(this.symbol, points.slice(-MOST_POINTS));
      }
    }
    this.quote = quote;
  }
}
