// One order, all about it: why it is in its state, its story, its fills, what was said with the venue, the audit log.
import { html, useEffect, useRef, useState } from "../shared/view.js";
import { get, NoAnswer } from "../shared/api.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { money, parse, plus, price, quantity, times } from "../shared/decimal.js";
import { toasts } from "../shared/toasts.js";
import { moment, precise, utc, whole } from "../shared/times.js";
import { Actions } from "./actions.js";
import { ageOf, Filled } from "./order_row.js";
import { conversation, story } from "./story.js";
import { exitOf, inShort, isOpen, stateOf, typeOf, unprotectedOf, wantedTerms } from "./words.js";

const TABS = [["story", "Timeline"], ["fills", "Fills"], ["venue", "Venue"], ["audit", "Audit"]];
const SETTLE_MILLISECONDS = 120;

export function Drawer({ desk, id, onShow, onClose }) {
  const [details, setDetails] = useState(null); // {order, audit}
  const [problem, setProblem] = useState(null);
  const [tab, setTab] = useState("story");
  const element = useRef(null);
  useObserved(desk.orders.watched(id), desk.follower, desk.books);
  useEvery(1000);
  const order = desk.orders.get(id) ?? details?.order;

  useEffect(() => {
    const before = document.activeElement;
    element.current?.focus({ preventScroll: true });
    return () => before?.isConnected && before.focus({ preventScroll: true });
  }, []);

  const [again, setAgain] = useState(0);
  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(async () => {
      try {
        const [fresh, audit] = await Promise.all([get(`orders/${id}`), get(`orders/${id}/audit`)]);
        if (!wanted) return;
        const { fills, ...known } = fresh;
        desk.orders.fromAnswer(known);
        setDetails({ order: known, fills, audit });
        if (wantsExits(known)) await desk.readExits(id);
        setProblem(null);
      } catch (error) {
        if (!wanted) return;
        setProblem(error);
        if (error instanceof NoAnswer) setTimeout(() => wanted && setAgain((count) => count + 1), 2000);
      }
    }, details ? SETTLE_MILLISECONDS : 0);
    return () => ((wanted = false), clearTimeout(timer));
  }, [id, order?.version, again]);

  return html`<div class="drawer" role="dialog" aria-label=${order ? `Order: ${inShort(order)}` : "Order"} tabindex="-1" ref=${element}>
    <div class="drawer-head">
      <div class="drawer-title">
        <h2>${order ? inShort(order) : "Order"}</h2>
        ${order && html`<span class=${`state tone-${stateOf(order).tone}`}><span>${stateOf(order).word}</span></span>`}
      </div>
      ${order && html`<div class="drawer-actions"><${Actions} order=${order} desk=${desk} /></div>`}
      <button class="button plain square" aria-label="Close (Escape)" title="Close (Escape)" onClick=${onClose}>✕</button>
    </div>
    <div class="drawer-body" tabindex="0" role="group" aria-label="Details of the order">
      ${order && html`<${Why} order=${order} audit=${details?.audit} isUnprotected=${desk.isUnprotected(order)} /><${Facts} desk=${desk} order=${order} onShow=${onShow} />
        ${wantsExits(order) && html`<${Exits} exits=${desk.exitsOf(id)} desk=${desk} order=${order} onShow=${onShow} />`}`}
      ${problem && html`<p class="notice bad-news" role="alert">${problem.message} ${problem.suggestion ?? ""}</p>`}
      <div class="segments" role="group" aria-label="Part of the order's record">
        ${TABS.map(([name, label]) => html`<button key=${name} aria-pressed=${tab === name} onClick=${() => setTab(name)}>
          ${label}${name === "fills" && details ? html` <span class="faint">${details.fills.length}</span>` : ""}</button>`)}
      </div>
      ${details
        ? html`${tab === "story" && html`<${Story} entries=${story(details.audit.data)} />`}
            ${tab === "fills" && html`<${Fills} fills=${details.fills} currency=${desk.account.currency} />`}
            ${tab === "venue" && html`<${Conversation} lines=${conversation(details.audit.data)} />`}
            ${tab === "audit" && html`<${Audit} audit=${details.audit} />`}`
        : !problem && html`<div class="loading" role="status"><span class="unseen">Loading the order</span>
            ${[80, 65, 72].map((width) => html`<span class="waiting" key=${width} style=${{ width: `${width}%` }}></span>`)}</div>`}
    </div>
  </div>`;
}

/** The answer to "why is it in this state?". */
function Why({ order, audit, isUnprotected }) {
  const { word, tone, meaning, next } = stateOf(order);
  const sent = audit?.data.filter((entry) => entry.sent_at !== null && entry.execution_state === "SENDING").at(-1);
  return html`<section class=${`why tone-${tone}`} aria-label="Why is it in this state?">
    <h3>${word}</h3>
    <p>${meaning}</p>
    ${order.reason && html`<p><strong>Why:</strong> ${order.reason.message} <span class="faint small mono">${order.reason.code}</span></p>`}
    ${order.amendment && html`<p><strong>Wanted:</strong> ${wantedTerms(order)} instead of ${quantity(order.quantity)} at ${price(order.price)}.</p>`}
    ${isUnprotected && html`<p class="unprotected"><strong class="warn">Unprotected:</strong> ${unprotectedOf(order)}</p>`}
    ${isOpen(order) && order.attempts > 0 &&
    html`<p class="soft">${order.attempts === 1 ? "One attempt" : `${order.attempts} attempts`} so far${sent ? html`, the last sent at ${precise(sent.sent_at)}` : ""}.</p>`}
    ${next && html`<p><strong>Next:</strong> ${next}</p>`}
  </section>`;
}

function Facts({ desk, order, onShow }) {
  const parent = order.parent_id && desk.orders.get(order.parent_id);
  const optional = [
    ["Stop loss", order.stop_loss && price(order.stop_loss)], ["Take profit", order.take_profit && price(order.take_profit)],
    ["Max slippage", order.max_slippage_bps !== null && `${order.max_slippage_bps} bps`],
    ["Max wait", order.max_wait_seconds !== null && `${order.max_wait_seconds} s`],
    ["Expires", order.expires_at && html`<span title=${utc(order.expires_at)}>${moment(order.expires_at)}</span>`],
    ["Exit of", order.parent_id && html`<button class="link-text" data-order=${order.parent_id} onClick=${() => onShow(order.parent_id)}>${parent ? inShort(parent) : "its entry"}</button>`],
    ["At the venue", order.venue_order_id && html`<${Id} id=${order.venue_order_id} what="venue's order id" />`],
  ];
  return html`<dl class="facts drawer-facts">
    <dt>Filled</dt><dd class="filled-fact"><${Filled} order=${order} tone=${stateOf(order).tone} always /></dd>
    <dt>Type</dt><dd>${typeOf(order)}${order.price === null ? "" : ` at ${price(order.price)}`} · ${order.time_in_force}</dd>
    <dt>Average price</dt><dd>${price(order.average_fill_price)}</dd>
    <dt>Sent</dt><dd title=${utc(order.created_at)}>${whole(order.created_at)}</dd>
    <dt>${isOpen(order) ? "Open for" : "Took"}</dt><dd>${ageOf(order)}</dd>
    <dt>Venue</dt><dd>${order.venue}</dd>
    ${optional.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}
    <dt>Order id</dt><dd><${Id} id=${order.id} what="order id" /></dd>
  </dl>`;
}

const wantsExits = (order) => order.parent_id === null && (order.stop_loss !== null || order.take_profit !== null);

/** The orders that protect what this one bought. */
function Exits({ exits, desk, order, onShow }) {
  return html`<section class="exits" aria-label="Exits">
    <h3>Exits</h3>
    ${exits.length === 0
      ? html`<p class="soft">${isOpen(order) ? "None yet: they are placed when the entry has ended." : order.filled_quantity === "0" ? "None: nothing was bought." : "None yet."}</p>`
      : html`<ul>${exits.map((each) => html`<li key=${each.id}><button class="exit" data-order=${each.id} onClick=${() => onShow(each.id)}>
          <span class="strong">${inShort(each)}</span> <span class="soft">${exitOf(each)}</span>
          <span class=${`state tone-${stateOf(each).tone}`}><span>${stateOf(each).word}</span></span>
          ${desk.isUnprotected(each) && html`<span class="warn small">Unprotected</span>`}</button></li>`)}</ul>`}
  </section>`;
}

function Id({ id, what }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(id);
      toasts.say("Copied", "calm");
    } catch {
      toasts.say("It could not be copied", "warn", { detail: "The browser does not let this page write to the clipboard." });
    }
  };
  return html`<span class="id"><span class="mono small">${id}</span><button class="button plain little copy" aria-label=${`Copy the ${what}`} title="Copy" onClick=${copy}>
      <svg viewBox="0 0 16 16" width="12" height="12" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true"><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 2.5h-7a1 1 0 0 0-1 1v7" /></svg></button></span>`;
}

function Story({ entries }) {
  return html`<ol class="story">${entries.map(
    (entry) => html`<li key=${entry.seq} class=${`tone-${entry.tone}`}>
      <div><strong>${entry.title}</strong>${entry.detail && html` <span class="soft">${entry.detail}</span>`}
        ${entry.code && html` <span class="faint small mono">${entry.code}</span>`}</div>
      <div class="faint small" title=${utc(entry.at)}>${precise(entry.at)}${entry.after && html` · ${entry.after}`}${entry.by && ` · ${entry.by}`}</div>
    </li>`,
  )}</ol>`;
}

function Fills({ fills, currency }) {
  if (!fills.length) return html`<div class="empty"><p>Nothing has been filled.</p></div>`;
  const worth = fills.map((fill) => product(fill.quantity, fill.price));
  const total = worth.every(Boolean) ? worth.reduce(plus) : null;
  return html`<table class="table small-table">
    <thead><tr><th>Time</th><th class="number">Quantity</th><th class="number">Price</th><th class="number">Value</th><th class="number">Fee</th></tr></thead>
    <tbody>${fills.map((fill, index) => html`<tr key=${fill.id}>
      <td title=${utc(fill.timestamp)}>${precise(fill.timestamp)}</td><td class="number">${quantity(fill.quantity)}</td><td class="number">${price(fill.price)}</td>
      <td class="number">${money(worth[index], currency)}</td><td class="number">${money(fill.commission, currency)}</td></tr>`)}
    </tbody>
    <tfoot><tr><td colspan="3" class="soft">Together</td><td class="number strong">${money(total, currency)}</td><td></td></tr></tfoot>
  </table>`;
}

function product(left, right) {
  const a = parse(left), b = parse(right);
  return a && b && times(a, b);
}

function Conversation({ lines }) {
  if (!lines.length) return html`<div class="empty"><p>Nothing has been said to the venue.</p></div>`;
  return html`<ol class="conversation">${lines.map(
    (line) => html`<li key=${line.seq} class=${line.ours ? "ours" : "theirs"}>
      <p>${line.text}</p>
      <p class="faint small" title=${utc(line.at)}>${line.ours ? "we said" : "we heard"} · ${precise(line.at)}${line.venueAt && html` · their time ${precise(line.venueAt)}`}</p>
    </li>`,
  )}</ol>`;
}

function Audit({ audit }) {
  return html`<div class="scrolls" tabindex="0" role="group" aria-label="Audit log"><table class="table small-table audit">
    <thead><tr><th>#</th><th>Time</th><th>Action</th><th>State</th><th>By</th><th>Hash</th></tr></thead>
    <tbody>${audit.data.map((entry) => html`<tr key=${entry.seq}>
      <td>${entry.seq}</td><td title=${utc(entry.timestamp)}>${precise(entry.timestamp)}</td>
      <td>${entry.action}${entry.error_code && html`<br /><span class="faint small">${entry.error_code}</span>`}</td>
      <td>${entry.execution_state ?? "–"}<br /><span class="faint small">${entry.status ?? ""}</span></td>
      <td class="mono small" title=${entry.actor}>${short(entry.actor)}${entry.credential && html`<br />${entry.credential}`}</td>
      <td class="mono small faint" title=${entry.hash}>${String(entry.hash).slice(0, 8)}</td>
    </tr>`)}</tbody></table>
    <p class="faint small end">${audit.data.length < audit.total ? `The first ${audit.data.length} of ${audit.total} entries. ` : ""}Each entry's hash covers the one before it.</p>
  </div>`;
}

const short = (actor) => (String(actor).startsWith("trader:") ? "trader" : String(actor));
