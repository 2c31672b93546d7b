// All orders that the page knows, each at its newest version, and listings of them that stay sorted as orders change.
import { Observed } from "../shared/observed.js";

/** Newest first, as the API lists them. */
const earlier = (a, b) => (a.created_at !== b.created_at ? a.created_at < b.created_at : a.id < b.id);

export class OrderBook {
  #known = new Map();
  #listings = new Set();
  #single = new Map();
  #children = new Map();

  get(id) {
    return this.#known.get(id)?.order;
  }

  all() {
    return this.#known.values();
  }

  /** An order as an answer holds it: all that its version means. Older than what is known, it is not taken. */
  fromAnswer(order) {
    const known = this.#known.get(order.id);
    if (known && (order.version < known.version || (order.version === known.version && known.whole))) return false;
    return this.#put(known, order, true);
  }

  /**
   * An order as an event holds it. One transaction may make several events of one version, so a later event of the
   * same version is taken, but never after an answer of that version: that was the last of them already.
   */
  fromEvent(order) {
    const known = this.#known.get(order.id);
    if (known && (order.version < known.version || (order.version === known.version && known.whole))) return false;
    return this.#put(known, order, false);
  }

  /** The known orders with this parent. */
  childrenOf(id) {
    return [...(this.#children.get(id) ?? [])].map((child) => this.get(child));
  }

  /** Something to watch for one order, and for its children. */
  watched(id) {
    if (!this.#single.has(id)) this.#single.set(id, new Observed());
    return this.#single.get(id);
  }

  add(listing) {
    this.#listings.add(listing);
  }

  remove(listing) {
    this.#listings.delete(listing);
  }

  #put(known, order, whole) {
    this.#known.set(order.id, { order, version: order.version, whole });
    for (const listing of this.#listings) listing.placed(known?.order, order);
    this.#single.get(order.id)?.changed();
    if (order.parent_id === null) return true;
    if (!this.#children.has(order.parent_id)) this.#children.set(order.parent_id, new Set());
    this.#children.get(order.parent_id).add(order.id);
    this.#single.get(order.parent_id)?.changed();
    return true;
  }
}

/**
 * The orders that fit a filter, newest first, as far back as they were fetched.
 *
 * A filter may need several lists of the API (open orders are PENDING or PARTIAL). Each list is known down to its last
 * fetched order; the listing shows what lies above the highest of these ends, so that nothing in between is missing.
 */
export class Listing extends Observed {
  orders = [];
  loading = false;
  problem = null;
  #book;
  #fetch;
  #sources;
  #ended = false;

  /** `filter`: {fits(order), queries: [query of GET /orders]}; `fetch(query)` answers a page. */
  constructor(book, filter, fetch) {
    super();
    this.filter = filter;
    this.#book = book;
    this.#fetch = fetch;
    this.#sources = filter.queries.map((query) => ({ query, cursor: null, end: null, begun: false, done: false }));
    book.add(this);
  }

  /** Whether everything that fits has been fetched. */
  get complete() {
    return this.#sources.every((source) => source.done);
  }

  get begun() {
    return this.#sources.every((source) => source.begun);
  }

  close() {
    this.#ended = true;
    this.#book.remove(this);
  }

  /** Fetch a page further back. Never throws: the problem is shown where the page would be. */
  async more() {
    if (this.loading || this.complete || this.#ended) return;
    this.loading = true;
    this.problem = null;
    this.changed();
    try {
      const before = this.#end();
      await Promise.all(this.#next().map((source) => this.#page(source)));
      if (!this.#ended) this.#reachedFurther(before);
    } catch (error) {
      this.problem = error;
    } finally {
      this.loading = false;
      this.changed();
    }
  }

  /** The book has put an order where another version of it was, or nothing. */
  placed(before, order) {
    const was = before !== undefined && this.#shows(before);
    const is = this.#shows(order);
    if (!was && !is) return;
    const index = this.#place(order);
    if (was && is) this.orders[index] = order;
    else if (is) this.orders.splice(index, 0, order);
    else this.orders.splice(index, 1);
    this.changed();
  }

  #shows(order) {
    return this.begun && this.filter.fits(order) && !this.#isBelow(order, this.#end());
  }

  #isBelow(order, end) {
    return end !== null && earlier(order, end);
  }

  /** The highest end of the lists that go on; null when none does. */
  #end() {
    let highest = null;
    for (const { done, end } of this.#sources) if (!done && end && (!highest || earlier(highest, end))) highest = end;
    return highest;
  }

  /** The lists to fetch from: all at first, then the one that ends highest. */
  #next() {
    const fresh = this.#sources.filter((source) => !source.begun);
    if (fresh.length) return fresh;
    const end = this.#end();
    return this.#sources.filter((source) => !source.done && source.end === end);
  }

  async #page(source) {
    const page = await this.#fetch({ ...source.query, limit: 100, cursor: source.cursor });
    for (const order of page.data) this.#book.fromAnswer(order);
    source.begun = true;
    source.done = page.next_cursor === null;
    source.cursor = page.next_cursor;
    source.end = page.data.at(-1) ?? null;
  }

  #reachedFurther(before) {
    if (!this.begun) return;
    const end = this.#end();
    const found = [];
    const first = this.orders.length === 0;
    for (const { order } of this.#book.all()) {
      const isNew = first || (before !== null && earlier(order, before));
      if (isNew && this.filter.fits(order) && !this.#isBelow(order, end)) found.push(order);
    }
    found.sort((a, b) => (earlier(a, b) ? 1 : -1));
    this.orders = first ? found : [...this.orders, ...found];
  }

  /** Where an order is, or belongs. */
  #place(order) {
    let low = 0, high = this.orders.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (earlier(order, this.orders[middle])) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
