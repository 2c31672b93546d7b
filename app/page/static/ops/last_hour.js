// The last hour by minute: what happened, and how long it took.
import { html, useState } from "../shared/view.js";
import { duration, hourAndMinute } from "../shared/times.js";

const WIDTH = 600;
const HEIGHT = 120;

export function LastHour({ minutes }) {
  const whole = minutes.slice(0, -1); // the running minute is not over: it would look like a fall
  return html`<section class="charts" aria-label="The last hour">
    <${Bars} title="Orders a minute" minutes=${whole}
      series=${[["filled", "Filled", "good"], ["submitted", "Accepted", "calm"]]} />
    <${Lines} title="Submit to filled, MARKET orders" minutes=${whole}
      series=${[["filled_p50_ms", "Half", "calm"], ["filled_p95_ms", "95 %", "warn"], ["filled_p99_ms", "99 %", "bad"]]} />
    <${Bars} title="Trouble a minute" minutes=${whole}
      series=${[["sent_again", "Sent again", "calm"], ["in_doubt", "In doubt", "warn"], ["needs_attention", "Need attention", "bad"], ["refused", "Refused at intake", "none"]]} />
  </section>`;
}

/** A chart with a title, a legend that shows the minute under the pointer, and a scale. */
function Chart({ title, minutes, series, most, show, children }) {
  const [chosen, choose] = useState(null);
  const minute = chosen === null ? null : minutes[chosen];
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    choose(Math.min(minutes.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * minutes.length))));
  };
  return html`<figure class="card chart-card">
    <header><h2>${title}</h2><span class="faint small">${minute ? hourAndMinute(minute.minute) : "last hour"}</span></header>
    <div class="legend small">
      ${series.map(([name, label, tone]) => html`<span key=${name} class=${`state tone-${tone}`}>
        <span class="soft">${label}</span>${minute && html` <span class="strong">${show(minute[name])}</span>`}</span>`)}
    </div>
    <div class="plot">
      <span class="scale faint small">${show(most)}</span>
      <svg class="big-chart" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
        aria-label=${`${title}: ${summary(minutes, series, show)}`} onPointerMove=${point} onPointerLeave=${() => choose(null)}>
        <path class="grid" d=${`M0 .5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}`} vector-effect="non-scaling-stroke" />
        ${chosen !== null && html`<rect class="cursor" x=${(chosen * WIDTH) / minutes.length} y="0" width=${WIDTH / minutes.length} height=${HEIGHT} />`}
        ${children}
      </svg>
    </div>
    <div class="axis faint small"><span>${hourAndMinute(minutes[0].minute)}</span><span>${hourAndMinute(minutes.at(-1).minute)}</span></div>
  </figure>`;
}

const summary = (minutes, series, show) =>
  series.map(([name, label]) => `${label}, at most ${show(Math.max(0, ...minutes.map((minute) => minute[name] ?? 0)))}`).join("; ");

function Bars({ title, minutes, series }) {
  // one behind the other and not on top of each other: an order that is accepted and filled is one order
  const most = Math.max(1, ...minutes.flatMap((minute) => series.map(([name]) => minute[name])));
  const step = WIDTH / minutes.length;
  return html`<${Chart} title=${title} minutes=${minutes} series=${series} most=${most} show=${(value) => String(Math.round(value))}>
    ${series.map(([name, , tone], place) => html`<path key=${name} class=${`bars tone-${tone}`}
      d=${minutes.map((minute, index) => bar(index * step + 1 + (place * (step - 2)) / series.length, (step - 2) / series.length, (minute[name] / most) * HEIGHT)).join("")} />`)}
  <//>`;
}

const bar = (x, width, height) => (height > 0 ? `M${x.toFixed(1)} ${HEIGHT}V${(HEIGHT - height).toFixed(1)}h${width.toFixed(1)}V${HEIGHT}Z` : "");

function Lines({ title, minutes, series }) {
  const most = Math.max(10, ...minutes.flatMap((minute) => series.map(([name]) => minute[name] ?? 0)));
  return html`<${Chart} title=${title} minutes=${minutes} series=${series} most=${most} show=${(value) => (value === null || value === undefined ? "–" : duration(value))}>
    ${series.map(([name, , tone]) => html`<path key=${name} class=${`chart-line tone-${tone}`} d=${line(minutes, name, most)} vector-effect="non-scaling-stroke" />`)}
  <//>`;
}

/** A line with gaps where nothing was measured; a minute alone is a short dash. */
function line(minutes, name, most) {
  const step = WIDTH / minutes.length;
  let path = "", drawing = false;
  minutes.forEach((minute, index) => {
    if (minute[name] === null) return (drawing = false);
    const y = (HEIGHT - (minute[name] / most) * HEIGHT).toFixed(1);
    path += drawing ? `L${((index + 0.5) * step).toFixed(1)} ${y}` : `M${(index * step + 1).toFixed(1)} ${y}H${((index + 0.5) * step).toFixed(1)}`;
    drawing = true;
  });
  return path;
}
