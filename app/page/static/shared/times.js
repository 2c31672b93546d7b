// Times in the viewer's zone, in UTC to the microsecond on hover; ages by the server's clock.
import { now } from "./server_clock.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SHORT_DATE = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });

/** Milliseconds since 1970 of an RFC 3339 text; NaN for what is none. */
export const at = (text) => Date.parse(text ?? "");

/** "14:03:27" today, "21 Nov 14:03" before. */
export function moment(text) {
  const time = at(text);
  if (Number.isNaN(time)) return "–";
  if (SHORT_DATE.format(time) === SHORT_DATE.format(now())) return CLOCK.format(time);
  return `${DAY.format(time)} ${hourAndMinute(text)}`;
}

/** "14:03", of whatever day. */
export function hourAndMinute(text) {
  const time = at(text);
  return Number.isNaN(time) ? "–" : CLOCK.format(time).slice(0, 5);
}

/** "14:03:27.418" */
export function precise(text) {
  const time = at(text);
  return Number.isNaN(time) ? "–" : `${CLOCK.format(time)}.${String(new Date(time).getMilliseconds()).padStart(3, "0")}`;
}

export function whole(text) {
  const time = at(text);
  return Number.isNaN(time) ? "–" : WHOLE.format(time);
}

/** For a title: "2026-01-05 14:30:00.000000 UTC". */
export const utc = (text) => (typeof text === "string" ? `${text.replace("T", " ").replace("Z", "")} UTC` : "");

/** Milliseconds from one time to another, or until now; never negative, whatever the clocks say. */
export const elapsed = (from, to) => Math.max(0, (to ? at(to) : now()) - at(from));

/** "85 ms", "3.2 s", "4 m 10 s", "2 h 5 m", "3 d 4 h". */
export function duration(milliseconds, coarse = false) {
  if (Number.isNaN(milliseconds)) return "–";
  if (milliseconds < 1000 && !coarse) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 10 && !coarse) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m${minutes < 10 ? ` ${Math.floor(seconds % 60)} s` : ""}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h${hours < 10 ? ` ${minutes % 60} m` : ""}`;
  return `${Math.floor(hours / 24)} d`;
}
