// The bar at the top: what the account is worth, whether the page is live, and the way out.
import { html, useRef, useState } from "../shared/view.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { money, sign } from "../shared/decimal.js";
import { Mark } from "../shared/sign_in.js";
import { session } from "../shared/session.js";
import { ThemeSwitch } from "../shared/theme_switch.js";
import { difference } from "../shared/server_clock.js";
import { duration } from "../shared/times.js";
import { limitsOf, nearest, toneOfShare } from "./limits.js";

export function Header({ desk, onKeys }) {
  useObserved(desk.books);
  const { account } = desk;
  const limit = nearest(limitsOf(account));
  return html`<header class="bar">
    <h1 class="brand"><${Mark} /><span>Surefill</span></h1>
    <dl class="figures">
      <${Figure} name="Equity" value=${money(account.equity, account.currency)} />
      <${Figure} name="Buying power" value=${money(account.buying_power, account.currency)} />
      <${Figure} name="Today" value=${money(account.realized_pnl_today, account.currency, true)} tone=${toneOf(account.realized_pnl_today)} />
      ${limit && html`<${Figure} name="Nearest limit" value=${`${limit.name} ${Math.floor(limit.share * 100)} %`} tone=${toneOfShare(limit.share)} extra="roomy" />`}
    </dl>
    <div class="tools">
      <${Connection} desk=${desk} />
      <button class="button plain square keys" title="Keyboard shortcuts (?)" aria-label="Keyboard shortcuts" onClick=${onKeys}>
        <span class="key" aria-hidden="true">?</span></button>
      <${ThemeSwitch} />
      <button class="button plain little" onClick=${() => session.end()}>Sign out</button>
    </div>
  </header>`;
}

export const toneOf = (amount) => ["bad", "", "good"][sign(amount) + 1];

const Figure = ({ name, value, tone = "", extra = "" }) =>
  html`<div class=${extra}><dt>${name}</dt><dd class=${tone}>${value}</dd></div>`;

const STATES = {
  live: ["Live", "good", "Every event reaches this page as it happens."],
  behind: ["Catching up", "warn", "Connected, and events are on their way."],
  stale: ["Stale", "warn", "Connected, but nothing has been heard for a while. What you see may be old."],
  polling: ["Delayed", "warn", "The live connection is down; the server is asked every few seconds instead."],
  offline: ["Offline", "bad", "The server cannot be reached. What you see is as it was; it reconnects by itself and misses nothing."],
};

/** Whether the page is live, in a word; more about it in a panel. */
function Connection({ desk }) {
  const { follower, latency } = desk;
  const [open, setOpen] = useState(false);
  const button = useRef(null);
  useObserved(follower);
  useEvery(1000);
  const [word, tone, meaning] = STATES[follower.state];
  const figure = (percent) => (latency.percentile(percent) === null ? "–" : duration(latency.percentile(percent)));
  return html`<div class="connection" onKeyDown=${(event) => event.key === "Escape" && open && (event.stopPropagation(), setOpen(false), button.current.focus())}>
    <button ref=${button} class=${`pill tone-${tone}`} aria-expanded=${open} aria-controls="connection" data-state=${follower.state}
      onClick=${() => setOpen(!open)}><span>${word}${follower.lag > 0 ? html` <span class="soft">−${follower.lag}</span>` : ""}</span></button>
    <span class="unseen" role="status">${follower.state === "live" ? "" : `Connection: ${word}`}</span>
    ${open &&
    html`<div class="panel" id="connection">
      <p>${meaning}</p>
      <dl class="facts small">
        <dt>Last event here</dt><dd>${follower.lastSeq}</dd>
        <dt>Last event at the server</dt><dd>${follower.headSeq}</dd>
        <dt>Still to come</dt><dd>${follower.lag}</dd>
        <dt>Event to screen, half</dt><dd>${figure(50)}</dd>
        <dt>Event to screen, 99 %</dt><dd data-figure="p99">${figure(99)}</dd>
        <dt>Your clock is</dt><dd>${skew()}</dd>
      </dl>
    </div>`}
  </div>`;
}

function skew() {
  const milliseconds = difference();
  if (Math.abs(milliseconds) < 1500) return "right";
  return `${duration(Math.abs(milliseconds))} ${milliseconds > 0 ? "slow" : "fast"}`;
}
