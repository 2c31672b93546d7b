// How long events take from being recorded to being seen here: what the trader's screen is worth.
import { difference } from "../shared/server_clock.js";

const MOST = 500;

export class Latency {
  #samples = [];
  #waiting = [];

  received(event) {
    if (document.hidden) return; // nothing is painted
    this.#waiting.push(Date.parse(event.timestamp));
    if (this.#waiting.length === 1) requestAnimationFrame(() => this.#painted());
  }

  /** After the frame that draws them: the task that follows a frame's paint. */
  #painted() {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      const now = Date.now() + difference();
      for (const at of this.#waiting) this.#samples.push(Math.max(0, now - at));
      this.#waiting = [];
      this.#samples.splice(0, this.#samples.length - MOST);
      channel.port1.close();
    };
    channel.port2.postMessage(null);
  }

  /** Milliseconds that so many of a hundred events took at most; null before the first. */
  percentile(percent) {
    if (!this.#samples.length) return null;
    const sorted = [...this.#samples].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))];
  }
}
