// The key, for this tab only: it ends with the tab. It is nowhere else: no cookie, no address, no lasting storage.
import { Observed } from "./observed.js";

const KEY = "surefill.key";

class Session extends Observed {
  key = sessionStorage.getItem(KEY);
  /** Why the last session ended, in a sentence. */
  farewell = null;

  begin(key) {
    sessionStorage.setItem(KEY, key);
    this.key = key;
    this.farewell = null;
    this.changed();
  }

  end(farewell = null) {
    if (this.key === null) return;
    sessionStorage.clear(); // also where the feed was, and an order that was being sent
    this.key = null;
    this.farewell = farewell;
    this.changed();
  }
}

export const session = new Session();
export const REVOKED = "You were signed out: your key was revoked or has expired. Ask your operator for a new one.";
