// What is worth a toast: ends and trouble. A few are told one by one, many in one sentence.
import { soon } from "../shared/frames.js";
import { price } from "../shared/decimal.js";
import { toasts } from "../shared/toasts.js";
import { inShort } from "./words.js";

const WORTH = {
  __proto__: null,
  "order.filled": ["filled", "good"],
  "order.rejected": ["rejected", "bad"],
  "order.cancelled": ["cancelled", "calm"],
  "order.needs_attention": ["in need of attention", "bad"],
  "order.late_fill": ["filled after the end", "warn"],
};
const ONE_BY_ONE = 2;
/** News within this time are told together. */
const TOGETHER_MILLISECONDS = 400;

export class News {
  /** Called with an order's id by a toast's button. */
  show = () => {};
  #heard = [];
  #until = 0;
  #timer = 0;

  catchingUpTo(seq) {
    this.#until = seq;
  }

  heard(event) {
    if (!WORTH[event.event]) return;
    this.#heard.push(event);
    this.#timer ||= setTimeout(() => soon(() => this.#tell()), TOGETHER_MILLISECONDS);
  }

  #tell() {
    const heard = this.#heard;
    this.#heard = [];
    this.#timer = 0;
    const wasAway = heard[0].seq <= this.#until;
    if (heard.length <= ONE_BY_ONE && !wasAway) return heard.forEach((event) => this.#one(event));
    const counts = new Map();
    for (const { event } of heard) counts.set(event, (counts.get(event) ?? 0) + 1);
    const words = [...counts].map(([name, count]) => `${count} ${WORTH[name][0]}`).join(", ");
    const tones = new Set([...counts.keys()].map((name) => WORTH[name][1]));
    toasts.say(wasAway ? `While you were away: ${words}` : `Orders: ${words}`, ["bad", "warn", "good", "calm"].find((tone) => tones.has(tone)));
  }

  #one(event) {
    const [word, tone] = WORTH[event.event];
    const { order } = event;
    const detail = event.event === "order.filled" ? `Average ${price(order.average_fill_price, 4)}` : event.reason?.message ?? "";
    toasts.say(`${inShort(order)}: ${word}`, tone, { detail, action: { label: "Show", run: () => this.show(order.id) } });
  }
}
