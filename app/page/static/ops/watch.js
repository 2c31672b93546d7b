// Asks every two seconds, while somebody looks. An answer that does not come leaves what was seen, and says how old it is.
import { get, NoAnswer, Problem } from "../shared/api.js";
import { Observed } from "../shared/observed.js";

const EVERY_MILLISECONDS = 2000;
const OLD_MILLISECONDS = 8000;
/** Active halts come first, and lifted ones are not shown. */
const MOST_HALTS = 100;

export class Watch extends Observed {
  /** The last answer; null before the first. */
  seen = null;
  /** Halts, active ones first; null when they could not be read. */
  halts = null;
  /** Why there is no newer one, in a sentence. */
  trouble = null;
  #at = 0;
  #timer = null;
  #ended = false;
  #forbidden;

  constructor(forbidden) {
    super();
    this.#forbidden = forbidden;
  }

  /** Milliseconds since the last answer. */
  get age() {
    return performance.now() - this.#at;
  }

  get isOld() {
    return this.seen === null || this.age > OLD_MILLISECONDS;
  }

  begin() {
    this.#ended = false;
    document.addEventListener("visibilitychange", this.#shown);
    this.ask();
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#shown);
  }

  #shown = () => {
    if (!document.hidden) this.ask();
  };

  async ask() {
    clearTimeout(this.#timer);
    try {
      const [seen, halts] = await Promise.all([get("admin/operations"), get(`admin/halts?limit=${MOST_HALTS}`)]);
      this.seen = seen;
      this.halts = halts.data;
      this.#at = performance.now();
      this.trouble = null;
    } catch (error) {
      if (error instanceof Problem && error.status === 403) return this.#forbidden(error);
      if (!(error instanceof NoAnswer) && !(error instanceof Problem)) throw error;
      this.trouble = error.message;
    }
    if (this.#ended) return;
    this.changed();
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.ask(), EVERY_MILLISECONDS);
  }
}
