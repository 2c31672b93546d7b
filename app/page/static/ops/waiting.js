// Orders that wait: for a person, for the venue's word, or longer than they should. Actions follow the state.
import { html, useState } from "../shared/view.js";
import { NoAnswer, post, Problem } from "../shared/api.js";
import { Confirmation } from "../shared/sheet.js";
import { toasts } from "../shared/toasts.js";
import { duration, elapsed, utc } from "../shared/times.js";

const WORDS = {
  __proto__: null,
  NEEDS_ATTENTION: ["Needs attention", "bad"], IN_DOUBT: ["In doubt", "warn"], QUEUED: ["Queued", "calm"],
  SENDING: ["Sending", "calm"], WORKING: ["Working", "calm"], CANCELLING: ["Cancelling", "calm"],
};

const ACTIONS = {
  retry: {
    label: "Retry", title: "Try this order again?", yes: "Try again", danger: false, done: "It is tried again.",
    text: "The venue is asked first. It is sent again only where that cannot execute it twice. The market may have moved since: speak with the trader. Your name goes into the audit log.",
  },
  acknowledge: {
    label: "Give up", title: "Give this order up?", yes: "Give up", danger: true, done: "It is given up.",
    text: "It ends as rejected once its absence at the venue is proven. If the venue turns out to have it, it is cancelled there; what was filled stands. Your name goes into the audit log.",
  },
};

export function Waiting({ orders, watch }) {
  const [asking, ask] = useState(null);
  const [busy, setBusy] = useState({});

  async function act({ order, action }) {
    setBusy((before) => ({ ...before, [order.id]: true }));
    try {
      await post(`admin/orders/${order.id}/${action}`);
      toasts.say(ACTIONS[action].done, "good", { detail: `${order.trader}: ${order.side} ${order.quantity} ${order.symbol}` });
    } catch (error) {
      if (error instanceof NoAnswer) toasts.say("Nobody knows whether that was stored.", "warn", { detail: `${error.message} Look again, then repeat it: repeating does no harm.` });
      else if (error instanceof Problem) toasts.say(error.message, "bad", { detail: error.suggestion });
      else throw error;
    }
    setBusy(({ [order.id]: _, ...others }) => others);
    watch.ask();
  }

  return html`<section class="card" aria-labelledby="waiting">
    <header><h2 id="waiting">Waiting orders</h2>${orders.length > 0 && html`<span class="count">${orders.length}${orders.length === 100 ? "+" : ""}</span>`}</header>
    ${orders.length === 0
      ? html`<div class="empty"><h3>Nothing waits</h3><p>No order needs a person, none is in doubt, none is overdue.</p></div>`
      : html`<div class="scroller"><table class="table waiting-table">
          <thead><tr><th>State</th><th>Trader</th><th>Order</th><th>Why</th><th class="number">Tries</th><th class="number">For</th><th><span class="unseen">Actions</span></th></tr></thead>
          <tbody>${orders.map((order) => html`<${Row} key=${order.id} order=${order} busy=${busy[order.id]} ask=${ask} />`)}</tbody>
        </table></div>`}
    ${asking && html`<${Confirmation} title=${ACTIONS[asking.action].title} yes=${ACTIONS[asking.action].yes} danger=${ACTIONS[asking.action].danger}
      onYes=${() => act(asking)} onClose=${() => ask(null)}>
      <p class="strong">${asking.order.trader}: ${asking.order.side} ${asking.order.quantity} ${asking.order.symbol}</p>
      <p>${ACTIONS[asking.action].text}</p>
    <//>`}
  </section>`;
}

function Row({ order, busy, ask }) {
  const [word, tone] = WORDS[order.execution_state] ?? [order.execution_state, "none"];
  const waits = order.execution_state === "NEEDS_ATTENTION";
  return html`<tr>
    <td data-label="State"><span class=${`state tone-${tone}`}><span>${word}</span></span></td>
    <td data-label="Trader" class="cut" title=${order.trader_id}>${order.trader}</td>
    <td data-label="Order"><span class=${order.side === "BUY" ? "good strong" : "bad strong"}>${order.side}</span> ${order.quantity} <span class="strong">${order.symbol}</span>
      <span class="faint small"> ${order.order_type}${order.price ? ` ${order.price}` : ""}${order.filled_quantity === "0" ? "" : `, ${order.filled_quantity} filled`}</span>
      <div class="mono faint small">${order.id}</div></td>
    <td data-label="Why" class="why">${order.reason ? html`${order.reason.message} <span class="faint small">${order.reason.code}</span>` : html`<span class="faint">Due, and nobody has taken it.</span>`}
      ${order.alarm && html` <span class="count">${order.alarm}</span>`}</td>
    <td data-label="Tries" class="number">${order.attempts}</td>
    <td data-label="For" class="number" title=${utc(order.updated_at)}>${duration(elapsed(order.updated_at), true)}</td>
    <td class="row-actions">${waits && ["retry", "acknowledge"].map((action) => html`<button key=${action} class="button little" disabled=${busy}
      onClick=${() => ask({ order, action })}>${ACTIONS[action].label}</button>`)}</td>
  </tr>`;
}
