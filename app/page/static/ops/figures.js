// The first look: is anything wrong, and how fast are we?
import { html } from "../shared/view.js";
import { duration } from "../shared/times.js";

const LATELY_MINUTES = 5;

export function Figures({ seen }) {
  const open = Object.fromEntries(seen.open.map((each) => [each.state, each]));
  const count = (state) => open[state]?.count ?? 0;
  const overdue = seen.open.reduce((sum, each) => sum + each.overdue, 0);
  const lately = seen.minutes.slice(-LATELY_MINUTES - 1, -1);
  const perMinute = (event) => (lately.reduce((sum, minute) => sum + minute[event], 0) / (lately.length || 1)).toFixed(1).replace(/\.0$/, "");
  const filled = seen.latency_ms.submit_to_filled;
  const live = seen.open.reduce((sum, each) => sum + each.count, 0);
  return html`<section class="figures-row" aria-label="Now">
    <${Figure} name="Need attention" value=${count("NEEDS_ATTENTION")} tone=${count("NEEDS_ATTENTION") ? "warn" : "good"} note="a person decides" />
    <${Figure} name="In doubt" value=${count("IN_DOUBT")} tone=${count("IN_DOUBT") ? "warn" : "good"} note="the venue is asked" />
    <${Figure} name="Overdue" value=${overdue} tone=${overdue ? "bad" : "good"}
      note=${overdue ? `oldest by ${duration(seen.oldest_overdue_seconds * 1000, true)}` : "nothing waits too long"} />
    <${Figure} name="Open orders" value=${live}
      note=${`${count("QUEUED") + count("SENDING")} on their way, ${count("WORKING")} working, ${count("CANCELLING")} being cancelled`} />
    <${Figure} name="Orders a minute" value=${perMinute("submitted")} note=${`${perMinute("filled")} filled, last ${LATELY_MINUTES} min`} />
    <${Figure} name="Submit to filled" value=${filled.p95 === null ? "–" : duration(filled.p95)}
      note=${filled.p95 === null ? "no MARKET order lately" : `95 % · half in ${duration(filled.p50)} · 99 % in ${duration(filled.p99)}`} />
  </section>`;
}

const Figure = ({ name, value, note, tone = "" }) => html`<div class="card figure">
  <h2 class="label">${name}</h2>
  <p class=${`figure-value ${tone === "good" ? "" : tone}`}>${value}</p>
  <p class="faint small">${note}</p>
</div>`;
