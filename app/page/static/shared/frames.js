// Work that waits for the next frame, once, however much asked for it. A hidden page has no frames: then a timer.

let waiting = [];
let frame = 0;
let timer = 0;

const HIDDEN_MILLISECONDS = 250;

function run() {
  cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = timer = 0;
  const work = waiting;
  waiting = [];
  for (const each of work) each();
}

/** Call `work` before the next paint, together with everything else that waits for it. */
export function soon(work) {
  waiting.push(work);
  if (timer) return;
  if (!document.hidden) frame = requestAnimationFrame(run);
  timer = setTimeout(run, HIDDEN_MILLISECONDS);
}
