// A small line chart of numbers over time. Points are {at: milliseconds, value: number}; it draws what it is given.
import { html } from "./view.js";

/** `series`: [{points, tone}]; `label` tells in words what is drawn. */
export function LineChart({ series, label, width = 280, height = 64 }) {
  const points = series.flatMap((each) => each.points);
  if (points.length < 2) return html`<div class="chart-empty faint small">Collecting prices …</div>`;
  const from = Math.min(...points.map((point) => point.at)), to = Math.max(...points.map((point) => point.at));
  const low = Math.min(...points.map((point) => point.value)), high = Math.max(...points.map((point) => point.value));
  const span = high - low || Math.abs(high) * 0.0005 || 1;
  const x = (point) => ((point.at - from) / (to - from || 1)) * width;
  const y = (point) => 4 + (1 - (high === low ? 0.5 : (point.value - low) / span)) * (height - 8);
  const path = (each) => each.map((point, index) => `${index ? "L" : "M"}${x(point).toFixed(1)} ${y(point).toFixed(1)}`).join("");
  return html`<svg class="chart" viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    ${series.map(
      (each, index) => html`
        ${index === 0 && html`<path class="chart-fill" d=${`${path(each.points)}L${width} ${height}L0 ${height}Z`} />`}
        <path class=${`chart-line tone-${each.tone}`} d=${path(each.points)} vector-effect="non-scaling-stroke" />
      `,
    )}
  </svg>`;
}
