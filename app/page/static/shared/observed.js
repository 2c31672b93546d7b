// Something that changes, and views that follow it: they are drawn again at most once a frame.
import { useEffect, useState } from "./view.js";
import { soon } from "./frames.js";

export class Observed {
  #watchers = new Set();
  #told = false;

  /** Call `watcher` after changes, once a frame; returns how to stop it. */
  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  changed() {
    if (this.#told) return;
    this.#told = true;
    soon(() => {
      this.#told = false;
      for (const watcher of [...this.#watchers]) watcher();
    });
  }
}

/** Draw the view again when one of these has changed. */
export function useObserved(...observed) {
  const [, again] = useState(0);
  useEffect(() => {
    const ends = observed.map((each) => each?.watch(() => again((count) => count + 1)));
    again((count) => count + 1); // what changed between the first drawing and now
    return () => ends.forEach((end) => end?.());
  }, observed);
}

/** Draw the view again so often: for ages. */
export function useEvery(milliseconds) {
  const [, again] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => again((count) => count + 1), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}
