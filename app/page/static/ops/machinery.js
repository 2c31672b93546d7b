// What carries the orders: processes, queues, the venue, the feed. Unknown is shown as unknown, never as zero.
import { html } from "../shared/view.js";
import { duration } from "../shared/times.js";

const EXPECTED = ["web", "worker", "listener", "sweeper", "quotes", "sequencer"];
const QUEUES = { orders: "Orders", cancels: "Cancels", reconciliations: "Questions to the venue" };
const EVENTS = [
  ["submitted", "Accepted"], ["refused", "Refused at intake"], ["filled", "Filled"], ["rejected", "Rejected"], ["cancelled", "Cancelled"],
  ["sent_again", "Sent again"], ["in_doubt", "In doubt"], ["recovered", "Recovered"], ["needs_attention", "Needed attention"], ["late_fill", "Late fills"], ["alarm", "Alarms"],
];

export function Machinery({ seen }) {
  return html`<section class="machinery" aria-label="Machinery">
    <${Processes} processes=${seen.processes} />
    <div class="stack">
      <${Venue} venue=${seen.venue} />
      <${Queues} queues=${seen.queues} redis=${seen.redis} delivery=${seen.latency_ms.event_delivery} confirmed=${seen.latency_ms.submit_to_confirmed} />
    </div>
    <article class="card"><header><h2>Since the beginning</h2></header>
      <dl class="facts padded">${EVENTS.map(([name, label]) => html`<dt key=${name}>${label}</dt><dd>${(seen.totals[name] ?? 0).toLocaleString()}</dd>`)}</dl>
    </article>
  </section>`;
}

function Processes({ processes }) {
  const names = processes && [...EXPECTED, ...new Set(processes.map((each) => each.process).filter((name) => !EXPECTED.includes(name)))];
  return html`<article class="card"><header><h2>Processes</h2></header>
    ${processes === null
      ? html`<p class="notice">Redis does not answer, so nobody knows which processes live. Orders go on without it.</p>`
      : html`<div class="scroller"><table class="table"><thead><tr><th>Process</th><th>Where</th><th class="number">Last heard</th></tr></thead><tbody>
          ${names.flatMap((name) => {
            const all = processes.filter((each) => each.process === name);
            const alive = all.filter((each) => each.alive);
            const shown = alive.length ? alive : all.slice(-1);
            if (!shown.length) return [html`<tr key=${name}><td><span class="state tone-bad"><span>${name}</span></span></td><td class="bad">never heard of</td><td></td></tr>`];
            return shown.map((each) => html`<tr key=${`${each.host} ${each.pid}`}>
              <td><span class=${`state tone-${each.alive ? "good" : "bad"}`}><span>${name}</span></span></td>
              <td class="soft">${each.host} <span class="faint">· ${each.pid} · ${each.version}</span></td>
              <td class=${`number ${each.alive ? "" : "bad"}`}>${duration(each.silent_seconds * 1000, true)}</td></tr>`);
          })}</tbody></table></div>`}
  </article>`;
}

function Venue({ venue }) {
  const silent = venue.silent_seconds;
  const tone = silent === null ? "none" : silent > 60 ? "bad" : silent > 10 ? "warn" : "good";
  const submits = venue.calls.filter((each) => each.kind === "SUBMIT");
  const total = submits.reduce((sum, each) => sum + each.count, 0);
  const unknown = submits.filter((each) => ["UNKNOWN", "SENDER_GONE"].includes(each.outcome)).reduce((sum, each) => sum + each.count, 0);
  const accepted = submits.find((each) => each.outcome === "ACCEPTED");
  return html`<article class="card"><header><h2>Venue</h2><span class=${`state tone-${tone}`}><span>${venue.name}</span></span></header>
    <dl class="facts padded">
      <dt>Last confirmed quote</dt><dd class=${tone === "good" ? "" : tone}>${silent === null ? "not known" : `${duration(silent * 1000, true)} ago`}</dd>
      <dt>Books compared with it</dt><dd class=${venue.books_unchecked_seconds > 172800 ? "bad" : ""}>${duration(venue.books_unchecked_seconds * 1000, true)} ago</dd>
      <dt>Instruments</dt><dd>${venue.instruments === null ? "not known" : `${venue.instruments}${venue.not_tradable ? `, ${venue.not_tradable} not tradable` : ""}`}</dd>
      <dt>Submits, last 5 min</dt><dd>${total}</dd>
      <dt>Without an answer</dt><dd class=${unknown ? "warn" : ""}>${total ? `${unknown} (${((unknown / total) * 100).toFixed(1)} %)` : "–"}</dd>
      <dt>Its answer, 95 %</dt><dd>${accepted?.p95_ms == null ? "–" : duration(accepted.p95_ms)}</dd>
    </dl></article>`;
}

function Queues({ queues, redis, delivery, confirmed }) {
  return html`<article class="card"><header><h2>Queue and feed</h2><span class=${`state tone-${redis ? "good" : "bad"}`}><span>${redis ? "Redis answers" : "Redis is away"}</span></span></header>
    <dl class="facts padded">
      ${Object.entries(QUEUES).map(([name, label]) => html`<dt key=${name}>${label} waiting</dt><dd class=${queues?.[name] > 100 ? "warn" : ""}>${queues === null ? "not known" : queues[name]}</dd>`)}
      <dt>Submit to the venue's answer, 95 %</dt><dd>${confirmed.p95 === null ? "–" : duration(confirmed.p95)}</dd>
      <dt>Event to socket, 99 %</dt><dd>${delivery.count === 0 ? "–" : delivery.p99 === null ? "over 10 s" : `≤ ${duration(delivery.p99)}`}</dd>
    </dl></article>`;
}
