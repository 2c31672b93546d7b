// The key, for this tab only: it ends with the tab. It is nowhere else: no cookie, no address, no lasting storage.
//
// Each page has one of its own: an operator who looks at /ops in a trader's tab leaves the trader signed in, and the
// order that has no answer yet where it is.
import { Observed } from "./observed.js";

const OURS = location.pathname.startsWith("/ops") ? "surefill.ops." : "surefill.trader.";
const KEY = `${OURS}key`;

/** What this page keeps for this tab, until the key is given up. */
export const kept = {
  get: (name) => sessionStorage.getItem(OURS + name),
  set: (name, text) => sessionStorage.setItem(OURS + name, text),
  remove: (name) => sessionStorage.removeItem(OURS + name),
};

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
    // also where the feed was, and an order that was being sent
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(OURS)) sessionStorage.removeItem(name);
    this.key = null;
    this.farewell = farewell;
    this.changed();
  }
}

export const session = new Session();
export const REVOKED = "You were signed out: your key was revoked or has expired. Ask your operator for a new one.";
