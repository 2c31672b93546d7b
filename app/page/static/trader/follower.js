// Follows the trader's events without a gap: over Socket.IO, and by asking while that does not stand.
//
// `lastSeq` is the number of the last event that was taken. Every connection begins after it, and only the event with
// the next number is ever taken, so it does not matter over which way an event comes, or how often.
import { io } from "../vendor/socket.io.js";
import { get, NoAnswer } from "../shared/api.js";
import { Observed } from "../shared/observed.js";
import { kept, REVOKED, session } from "../shared/session.js";
import { soon } from "../shared/frames.js";

/** How often to ask while the connection does not stand; while it does, only to check on it. */
const LOOK_MILLISECONDS = 3000;
const CHECK_EVERY_LOOKS = 5;
/** The server pings every 10 s; this long without anything from it, nobody knows whether the line still stands. */
const SILENCE_MILLISECONDS = 14_000;
const BEHIND_MILLISECONDS = 1500;
const PAGE = 500;
const NO_EVENTS = "999999999999999999";

/** The number of the trader's last event. */
export const headSeq = async () => (await get(`events?since=${NO_EVENTS}&limit=1`)).head_seq;

export class Follower extends Observed {
  lastSeq;
  headSeq = 0;
  connected = false;
  #key;
  #take;
  #startOver;
  #storedAs;
  #socket = null;
  #timer = 0;
  #looking = false;
  #looks = 0;
  #ended = false;
  #heardAt = 0;
  #polledAt = -Infinity;
  #behindSince = null;

  /** `take(event)` for each event in order; `startOver(sentence)` when the server knows less than we do. */
  constructor({ key, traderId, take, startOver }) {
    super();
    this.#key = key;
    this.#take = take;
    this.#startOver = startOver;
    this.#storedAs = `seq.${traderId}`;
  }

  /** Where this tab was when it was last open; null when it never was. */
  get stored() {
    const text = kept.get(this.#storedAs);
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
  }

  begin(lastSeq, headSeq) {
    this.lastSeq = lastSeq;
    this.headSeq = headSeq;
    this.#heardAt = performance.now();
    const socket = io({
      transports: ["websocket"],
      auth: (give) => give({ token: this.#key, last_seq: this.lastSeq }),
      reconnectionDelay: 300,
      reconnectionDelayMax: 4000,
      timeout: 8000,
      forceNew: true,
    });
    this.#socket = socket;
    socket.on("connect", () => this.#heard(true));
    socket.on("ready", ({ head_seq }) => this.#knowHead(head_seq));
    socket.on("order", (event) => (this.#heard(true), this.#receive(event)));
    socket.on("disconnect", (reason) => this.#disconnected(reason));
    socket.on("connect_error", (error) => this.#refused(error));
    socket.io.on("ping", () => this.#heard(this.connected));
    this.#timer = setInterval(() => {
      this.#looks += 1;
      if (!this.connected || this.#looks % CHECK_EVERY_LOOKS === 0) this.#look();
    }, LOOK_MILLISECONDS);
    addEventListener("online", this.#awake);
    document.addEventListener("visibilitychange", this.#awake);
  }

  end() {
    this.#ended = true;
    clearInterval(this.#timer);
    removeEventListener("online", this.#awake);
    document.removeEventListener("visibilitychange", this.#awake);
    this.#socket?.disconnect();
  }

  forget() {
    kept.remove(this.#storedAs);
  }

  /** Events that exist and were not taken yet. */
  get lag() {
    return Math.max(0, this.headSeq - this.lastSeq);
  }

  /** live, behind, stale (connected, but is it?), polling (asking instead), offline. */
  get state() {
    const now = performance.now();
    if (!this.connected) return now - this.#polledAt < 2.5 * LOOK_MILLISECONDS ? "polling" : "offline";
    if (now - this.#heardAt > SILENCE_MILLISECONDS) return "stale";
    return this.#behindSince !== null && now - this.#behindSince > BEHIND_MILLISECONDS ? "behind" : "live";
  }

  #heard(connected) {
    this.#heardAt = performance.now();
    if (connected === this.connected) return;
    this.connected = connected;
    this.changed();
  }

  #knowHead(headSeq) {
    this.headSeq = Math.max(this.headSeq, headSeq);
    if (this.lag === 0) this.#behindSince = null;
    else this.#behindSince ??= performance.now();
    this.changed();
  }

  #receive(event) {
    if (this.#ended || event.seq <= this.lastSeq) return;
    if (event.seq !== this.lastSeq + 1) {
      // never skip: whatever lost it, the server has it
      this.#socket.disconnect().connect();
      return;
    }
    this.#take(event);
    this.lastSeq = event.seq;
    this.#knowHead(event.seq);
    soon(this.#store);
  }

  #store = () => {
    if (!this.#ended) kept.set(this.#storedAs, String(this.lastSeq));
  };

  #disconnected(reason) {
    this.connected = false;
    this.changed();
    // sent away by the server, the client stays away: either the key has ended, or it may come back
    if (reason === "io server disconnect" && !this.#ended) this.#askWhetherStillWelcome();
  }

  async #askWhetherStillWelcome() {
    try {
      await get("account"); // a key that has ended signs out
    } catch {
      // no answer: the connection will tell
    }
    if (!this.#ended) setTimeout(() => this.#ended || this.#socket.connect(), 500);
  }

  #refused(error) {
    this.connected = false;
    this.changed();
    const code = error?.data?.code;
    if (code === "SEQ_AHEAD") this.#restart();
    else if (code === "API_KEY_INVALID" || code === "API_KEY_MISSING" || code === "SCOPE_MISSING") session.end(REVOKED);
    else if (!this.#socket.active && !this.#ended) setTimeout(() => this.#ended || this.#socket.connect(), 2000);
  }

  #restart() {
    this.end();
    this.forget();
    this.#startOver("The server's history began anew, so everything was loaded again.");
  }

  #awake = () => {
    if (document.hidden || this.#ended) return;
    if (!this.#socket.connected) this.#socket.connect();
    this.#look();
  };

  /** How far the server is; and, while not connected, what happened since. */
  async #look() {
    if (this.#looking || this.#ended || (document.hidden && this.connected)) return;
    this.#looking = true;
    try {
      for (;;) {
        const after = this.lastSeq;
        const page = await get(`events?since=${after}&limit=${this.connected ? 1 : PAGE}`);
        if (this.#ended) return;
        if (page.head_seq < after) return this.#restart();
        this.#polledAt = performance.now();
        if (!this.connected) page.data.forEach((event) => this.#receive(event));
        this.#knowHead(page.head_seq);
        if (this.connected || page.data.length < PAGE) break;
      }
    } catch (error) {
      if (!(error instanceof NoAnswer)) this.#polledAt = -Infinity;
    } finally {
      this.#looking = false;
      this.changed();
    }
  }
}
