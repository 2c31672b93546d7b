// What a signed-in trader's page knows, and how it keeps it true.
//
// Without a gap: first the number of the last event, then the lists, then the events from that number on. A list may
// be newer than an event that follows; versions tell (order_book.js).
import { get, NoAnswer, patch, post, withQuery } from "../shared/api.js";
import { Observed } from "../shared/observed.js";
import { session } from "../shared/session.js";
import { toasts } from "../shared/toasts.js";
import { Listing, OrderBook } from "./order_book.js";
import { Follower, headSeq } from "./follower.js";
import { filterOf, NO_FILTER } from "./filters.js";
import { News } from "./news.js";
import { Latency } from "./latency.js";
import { inShort, isOpen, wantedTerms } from "./words.js";

/** Further behind than this the story of what was missed is not told; the lists have its result anyway. */
const LONGEST_STORY = 5000;
const BOOKS_MILLISECONDS = 10_000;
const BOOKS_AFTER_EVENT_MILLISECONDS = 700;

let desks = 0;

export class Desk extends Observed {
  number = (desks += 1);
  orders = new OrderBook();
  instruments = [];
  account = null;
  positions = null;
  /** Why the account and the positions may be old; null when they are not. */
  booksProblem = null;
  /** Why there is nothing to see yet; null when there is. */
  problem = null;
  ready = false;
  follower = null;
  latency = new Latency();
  books = new Observed();
  /** Called with an order's id by its Amend button. */
  showAmend = () => {};
  #startOver;
  #timers = new Set();
  #booksDue = 0;
  #beginning = 0;
  #ended = false;

  constructor(startOver) {
    super();
    this.#startOver = startOver;
    this.news = new News(this);
  }

  async begin() {
    const mine = (this.#beginning += 1); // one of them only: "Try now" does not wait for the timer
    this.problem = null;
    this.changed();
    try {
      const [account, head, instruments] = await Promise.all([get("account"), headSeq(), get("instruments?limit=1000")]);
      if (this.#ended || mine !== this.#beginning) return;
      this.account = account;
      this.instruments = instruments.data;
      this.#follow(account.trader_id, head);
      this.listing = this.list(NO_FILTER);
      this.open = this.list({ ...NO_FILTER, tab: "open" });
      this.attention = this.list({ ...NO_FILTER, tab: "attention" });
      this.ready = true;
      this.changed();
    } catch (error) {
      if (this.#ended || mine !== this.#beginning) return;
      this.problem = error;
      this.changed();
      if (error instanceof NoAnswer) this.#after(2000, () => mine === this.#beginning && this.begin());
      return;
    }
    this.listing.more(); // its problem is told where its part of the page is
    this.#count();
    this.readBooks();
    this.#every(BOOKS_MILLISECONDS, () => {
      this.#count();
      if (!document.hidden) this.readBooks();
    });
  }

  end() {
    this.#ended = true;
    this.follower?.end();
    this.#timers.forEach((stop) => stop());
  }

  /** The orders that fit; `more()` fetches. */
  list(chosen) {
    return new Listing(this.orders, filterOf(chosen, this.instruments), (query) => get(withQuery("orders", query)));
  }

  /** Cancel, retry or acknowledge. Says how it went. */
  async act(order, action, words) {
    try {
      this.orders.fromAnswer(await post(`orders/${order.id}/${action}`));
    } catch (error) {
      toasts.say(`${words} did not go through`, "bad", { detail: `${error.message} ${error.suggestion ?? "Its state here stays true; try again."}` });
    }
  }

  /** Want other terms for an order. Throws Problem when they are refused, NoAnswer when nobody knows. */
  async amend(order, terms) {
    const changed = await patch(`orders/${order.id}`, terms);
    this.orders.fromAnswer(changed);
    toasts.say(changed.amendment ? `${inShort(order)}: change asked for` : `${inShort(changed)}: changed`, "calm",
      { detail: changed.amendment ? `${wantedTerms(changed)} once the venue has cancelled what stands there.` : "" });
  }

  /** Whether something of it is held without the exits that were wanted. Of what has ended, the account knows. */
  isUnprotected(order) {
    return order.unprotected && (isOpen(order) || this.account.unprotected.some((each) => each.order_id === order.id));
  }

  /** The exits of an order: those known here, oldest first. */
  exitsOf(id) {
    return this.orders.childrenOf(id).sort((a, b) => (a.created_at < b.created_at ? -1 : 1));
  }

  async readExits(id) {
    const { data } = await get(withQuery("orders", { parent_id: id, limit: 100 }));
    for (const order of data) this.orders.fromAnswer(order);
  }

  async cancelAll() {
    try {
      const { requested } = await post("orders/cancel-all");
      toasts.say(requested === 1 ? "Cancel of 1 order requested" : `Cancel of ${requested} orders requested`, "calm");
    } catch (error) {
      toasts.say("Not every order could be asked to cancel", "bad", { detail: `${error.message} ${error.suggestion ?? "Try again."}` });
    }
  }

  /** What is open and what needs attention, until it is known: no part of the page tells that it could not be read. */
  #count() {
    for (const listing of [this.open, this.attention]) if (!listing.begun) listing.more();
  }

  #follow(traderId, head) {
    this.follower = new Follower({
      key: session.key,
      traderId,
      take: (event) => this.#take(event),
      startOver: (why) => this.#startOver(why),
    });
    const stored = this.follower.stored;
    if (stored !== null && stored > head) {
      this.follower.forget();
      toasts.say("The server's history began anew", "warn", { detail: "Everything was loaded again." });
    }
    const resumes = stored !== null && stored <= head && head - stored <= LONGEST_STORY;
    this.news.catchingUpTo(resumes ? head : 0);
    this.follower.begin(resumes ? stored : head, head);
  }

  #take(event) {
    const isNews = this.orders.fromEvent(event.order);
    this.news.heard(event);
    if (isNews) this.latency.received(event);
    this.#booksSoon();
  }

  #booksSoon() {
    if (this.#booksDue) return;
    this.#booksDue = 1;
    this.#after(BOOKS_AFTER_EVENT_MILLISECONDS, () => ((this.#booksDue = 0), this.readBooks()));
  }

  /** Read account and positions: on a timer, after events, and when a refusal has shown that they may have changed. */
  async readBooks() {
    try {
      const [account, positions] = await Promise.all([get("account"), get("positions")]);
      if (this.#ended) return;
      this.account = account;
      this.positions = positions.data;
      this.booksProblem = null;
    } catch (error) {
      if (this.#ended) return;
      this.booksProblem = error; // it is asked again in a moment
    }
    this.books.changed();
  }

  #every(milliseconds, work) {
    const timer = setInterval(work, milliseconds);
    this.#timers.add(() => clearInterval(timer));
  }

  #after(milliseconds, work) {
    const timer = setTimeout(() => this.#ended || work(), milliseconds);
    this.#timers.add(() => clearTimeout(timer));
  }
}
