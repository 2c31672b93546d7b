// Sending one order so that it can never become two.
//
// The Idempotency-Key is made, and stored for this tab, before the first send. While there is no answer the same bytes
// go out again with the same key; only an answer, or the trader's word, ends it. A reload finds it and goes on.
import { newKey, NoAnswer, post, Problem } from "../shared/api.js";
import { Observed } from "../shared/observed.js";
import { kept, session } from "../shared/session.js";

const KEPT_AS = "submission";
const MAY_ARRIVE = "It was sent before without an answer, and may still be accepted.";
const PAUSES_MILLISECONDS = [400, 1000, 2000, 4000];

export class Submission extends Observed {
  /**
   * {key, body, silent}: being sent, or without an answer; null when there is none. `silent`: an attempt had no answer,
   * so it may still arrive and be accepted, whatever a later one is told.
   */
  pending = read();
  busy = false;
  /** Set when the same request was sent several times without an answer. */
  unanswered = this.pending ? "The page was closed before an answer came." : null;
  /** Whose order it is. Somebody else may sign in, in this tab, while it is still being sent. */
  #key = session.key;
  #ended = false;

  /** Send a new order. Answers the order; throws Problem when it was refused, NoAnswer when nobody knows. */
  async send(terms) {
    if (this.pending) throw new NoAnswer("The order before this one has no answer yet.");
    this.pending = { key: newKey(), body: JSON.stringify(terms), silent: false };
    return this.again();
  }

  /** Send what is pending again: the same bytes with the same key. */
  async again({ confirmDuplicate = false } = {}) {
    if (this.busy) throw new NoAnswer("It is being sent at this moment.");
    this.busy = true;
    this.unanswered = null;
    kept.set(KEPT_AS, JSON.stringify({ key: this.pending.key, body: this.pending.body }));
    this.changed();
    try {
      const order = await this.#untilAnswered(confirmDuplicate);
      this.#settle();
      return order;
    } catch (error) {
      const told = this.#told(error);
      if (told instanceof NoAnswer) this.unanswered = told.message;
      else if (told instanceof Problem && told.code !== "DUPLICATE_SUSPECTED") this.#settle();
      throw told;
    } finally {
      this.busy = false;
      this.changed();
    }
  }

  /** What an error says of the order: a refusal says nothing while an earlier attempt may still arrive. */
  #told(error) {
    const isRefusal = error instanceof Problem && error.code !== "DUPLICATE_SUSPECTED"; // that one is a question
    return isRefusal && this.pending?.silent ? new NoAnswer(`${MAY_ARRIVE} This time it was refused: ${error.message}`) : error;
  }

  /** The trader does not want the same order again: an attempt that had no answer may be one all the same. */
  goBack() {
    if (!this.pending?.silent) return this.leave();
    this.unanswered = MAY_ARRIVE;
    this.changed();
  }

  /** The trader does not want to know: if the order exists, the blotter shows it. */
  leave() {
    this.#settle();
    this.changed();
  }

  /** The ticket is gone: nothing is sent any more, and what is stored for this tab belongs to the next one. */
  end() {
    this.#ended = true;
  }

  get terms() {
    return this.pending ? JSON.parse(this.pending.body) : null;
  }

  async #untilAnswered(confirmDuplicate) {
    const pending = this.pending;
    const { key, body } = pending;
    const headers = { "Idempotency-Key": key, ...(confirmDuplicate ? { "Confirm-Duplicate": "true" } : {}) };
    for (const pause of [...PAUSES_MILLISECONDS, null]) {
      if (this.#ended) throw new NoAnswer("The ticket was closed before an answer came.");
      try {
        return await post("orders", { body, headers, key: this.#key });
      } catch (error) {
        if (error instanceof NoAnswer) pending.silent = true;
        const goesOn = error instanceof NoAnswer || error.code === "REQUEST_IN_PROGRESS";
        if (!goesOn) throw error;
        if (pause === null) throw new NoAnswer(error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    throw new NoAnswer("No answer came.");
  }

  #settle() {
    if (this.#ended) return;
    this.pending = null;
    this.unanswered = null;
    kept.remove(KEPT_AS);
  }
}

function read() {
  try {
    const { key, body } = JSON.parse(kept.get(KEPT_AS));
    JSON.parse(body);
    return typeof key === "string" ? { key, body, silent: true } : null;
  } catch {
    return null; // none, or not ours
  }
}
