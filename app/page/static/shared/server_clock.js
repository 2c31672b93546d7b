// What time it is at the server. The viewer's clock may be minutes off; ages are told by the server's.
//
// A Date header says that the server's clock read somewhere in that second, between sending the request and receiving
// the answer. Each answer narrows the difference of the clocks from both sides; after a few, to some milliseconds.

let least = -Infinity;
let most = Infinity;

/** Learn from an answer: its Date header, and our clock when its request left and when it came. */
export function learn(dateHeader, left, came) {
  const second = Date.parse(dateHeader ?? "");
  if (Number.isNaN(second)) return;
  const low = second - came, high = second + 1000 - left;
  least = Math.max(least, low);
  most = Math.min(most, high);
  if (least > most) {
    // one of the clocks was set: what was learned before is void
    least = low;
    most = high;
  }
}

/** Milliseconds to add to our clock. */
export function difference() {
  return Number.isFinite(least) ? (least + most) / 2 : 0;
}

/** The server's time, milliseconds since 1970. */
export const now = () => Date.now() + difference();
