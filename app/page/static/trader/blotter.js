// The orders: filters, search, and a window on as many rows as there are. Only the rows in sight exist.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../shared/view.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { soon } from "../shared/frames.js";
import { Confirmation } from "../shared/sheet.js";
import { NO_FILTER, PERIODS, TABS } from "./filters.js";
import { OrderRow } from "./order_row.js";
import { mayAmend, mayCancel, needsAttention } from "./words.js";

const COLUMNS = [
  ["time", "Time"], ["symbol", "Symbol"], ["side", "Side"], ["type", "Type"], ["quantity", "Quantity", "number"], ["price", "Price", "number"],
  ["average", "Average", "number"], ["status", "Status"], ["reason", "Reason"], ["age", "Age", "number"], ["actions", "Actions", "unseen-head"],
];
const OVERSCAN = 8;
/** Rows from the end at which the next page is fetched. */
const AHEAD = 60;
const PAGES_BY_ITSELF = 10;
const TYPING_MILLISECONDS = 200;

export function Blotter({ desk, handle, shown, onShow }) {
  const [chosen, setChosen] = useState(NO_FILTER);
  const [confirms, setConfirms] = useState(false);
  const search = useRef(null), rows = useRef(null);
  const listing = useListing(desk, chosen);
  useObserved(desk.open, desk.attention, listing);

  handle.current = {
    search: () => search.current?.focus(),
    step: (by) => rows.current?.step(by),
  };
  const change = (part) => setChosen((before) => ({ ...before, ...part }));
  const isFiltered = JSON.stringify(chosen) !== JSON.stringify(NO_FILTER);
  const openCount = desk.open.orders.length;
  return html`<section class="card blotter" aria-label="Orders">
    <div class="filters">
      <div class="segments tabs" role="group" aria-label="Which orders">
        ${Object.entries(TABS).map(([name, [label]]) => html`<button key=${name} aria-pressed=${chosen.tab === name} onClick=${() => change({ tab: name })}>
          ${label}${name === "attention" && desk.attention.orders.length > 0 ? html` <span class="count">${countOf(desk.attention)}</span>` : ""}</button>`)}
      </div>
      <div class="search"><label class="unseen" for="search">Search orders by symbol, id or reason</label>
        <${SearchField} field=${search} value=${chosen.search} onSearch=${(text) => change({ search: text })} /></div>
      <label class="unseen" for="side-filter">Side</label>
      <select class="input" id="side-filter" value=${chosen.side} onChange=${(event) => change({ side: event.target.value })}>
        <option value="">Both sides</option><option value="BUY">Buys</option><option value="SELL">Sells</option></select>
      <label class="unseen" for="period-filter">Period</label>
      <select class="input" id="period-filter" value=${chosen.period} onChange=${(event) => change({ period: event.target.value })}>
        ${Object.entries(PERIODS).map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}</select>
      <button class="button" disabled=${desk.open.begun && openCount === 0} onClick=${() => setConfirms(true)}>Cancel all</button>
    </div>
    <${Rows} desk=${desk} listing=${listing} shown=${shown} onShow=${onShow} handle=${rows} isFiltered=${isFiltered}
      onClear=${() => setChosen(NO_FILTER)} />
    ${confirms && html`<${Confirmation} title=${`Cancel ${desk.open.begun ? countOf(desk.open) : "all"} open ${openCount === 1 && desk.open.complete ? "order" : "orders"}?`} yes="Cancel all open orders" danger
      onYes=${() => desk.cancelAll()} onClose=${() => setConfirms(false)}>
      <p>Every open order of yours is asked to cancel, whatever is filtered here. What has been filled stays filled, and a fill that is on its way may still win.</p>
    <//>`}
  </section>`;
}

const countOf = (listing) => `${listing.orders.length}${listing.complete ? "" : "+"}`;

/** The listing that fits; the one of everything is kept, others end when they are left. */
function useListing(desk, chosen) {
  const isAll = JSON.stringify(chosen) === JSON.stringify(NO_FILTER);
  const listing = useMemo(() => (isAll ? desk.listing : desk.list(chosen)), [desk, isAll, chosen]);
  useEffect(() => {
    if (isAll) return undefined;
    listing.more();
    return () => listing.close();
  }, [listing]);
  return listing;
}

function SearchField({ field, value, onSearch }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  const typed = (event) => {
    const { value: now } = event.target;
    setText(now);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onSearch(now), TYPING_MILLISECONDS);
  };
  return html`<input class="input" id="search" type="search" ref=${field} value=${text} placeholder="Symbol, id or reason  ( / )" spellcheck=${false}
    autocomplete="off" maxlength="100" onInput=${typed} />`;
}

function Rows({ desk, listing, shown, onShow, handle, isFiltered, onClear }) {
  useEvery(1000); // ages
  useObserved(desk.books); // what is protected
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 600, row: 34 });
  const [active, setActive] = useState(null);
  const anchor = useRef({ id: null, index: 0, listing: null });
  const { orders } = listing;

  useLayoutEffect(() => {
    const measure = () => {
      if (!box.current) return;
      const row = parseFloat(getComputedStyle(box.current).getPropertyValue("--row")) || 34;
      setView((before) => ({ ...before, height: box.current.clientHeight, row }));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  // who has scrolled down keeps the same rows in sight when new ones come above them
  const first = Math.max(0, Math.floor(view.top / view.row));
  useLayoutEffect(() => {
    const { id, index, listing: of } = anchor.current;
    if (of === listing && id !== null && view.top > view.row) {
      const now = orders[index]?.id === id ? index : orders.findIndex((order) => order.id === id);
      if (now > index) box.current.scrollTop += (now - index) * view.row;
    } else if (of !== listing) box.current.scrollTop = 0;
    anchor.current = { id: orders[first]?.id ?? null, index: first, listing };
  });

  const last = Math.min(orders.length, first + Math.ceil(view.height / view.row) + OVERSCAN);
  const begin = Math.max(0, first - OVERSCAN);
  const wantsMore = listing.begun && !listing.complete && !listing.loading && !listing.problem && last > orders.length - AHEAD;
  const byItself = useRef({ listing, pages: 0, count: 0 });
  if (byItself.current.listing !== listing || byItself.current.count !== orders.length) byItself.current = { listing, pages: 0, count: orders.length };
  const looksOn = wantsMore && byItself.current.pages < PAGES_BY_ITSELF;
  useEffect(() => {
    if (!looksOn) return;
    byItself.current.pages += 1;
    listing.more();
  });

  const scrolled = () => soon(() => box.current && setView((before) => ({ ...before, top: box.current.scrollTop })));
  const step = (by) => {
    const from = orders.findIndex((order) => order.id === (active ?? shown));
    const to = orders[Math.min(orders.length - 1, Math.max(0, from + by))];
    if (!to) return;
    setActive(to.id);
    const index = orders.indexOf(to), top = index * view.row;
    if (top < box.current.scrollTop) box.current.scrollTop = top;
    else if (top + view.row * 2 > box.current.scrollTop + view.height) box.current.scrollTop = top - view.height + view.row * 2;
    requestAnimationFrame(() => requestAnimationFrame(() => box.current?.querySelector(`[data-id="${to.id}"]`)?.focus({ preventScroll: true })));
  };
  handle.current = { step };
  const pressed = (event) => {
    const order = orders.find((each) => each.id === event.target.closest("[data-id]")?.dataset.id);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") step(event.key === "ArrowDown" ? 1 : -1);
    else if (event.target.closest("button") || !order || event.ctrlKey || event.metaKey) return;
    else if (event.key === "Enter") onShow(order.id);
    else if (event.key === "c" && mayCancel(order)) desk.act(order, "cancel", "The cancel");
    else if (event.key === "a" && mayAmend(order)) desk.showAmend(order.id);
    else if (event.key === "r" && needsAttention(order)) desk.act(order, "retry", "The retry");
    else return;
    event.preventDefault();
  };

  const tabbed = orders.slice(begin, last).some((order) => order.id === active) ? active : orders[first]?.id;
  return html`<div class="rows" ref=${box} onScroll=${scrolled} onKeyDown=${pressed}>
    <div role="grid" aria-label="Orders" aria-rowcount=${listing.complete ? orders.length + 1 : -1} aria-busy=${listing.loading}>
    <div role="rowgroup" class="head"><div role="row" aria-rowindex="1" class="row">
      ${COLUMNS.map(([name, label, extra = ""]) => html`<div role="columnheader" key=${name} class=${`cell ${name} ${extra}`}><span class=${extra === "unseen-head" ? "unseen" : ""}>${label}</span></div>`)}
    </div></div>
    <div role=${orders.length ? "rowgroup" : undefined} class="body" style=${{ height: `${orders.length * view.row}px` }}>
      ${orders.slice(begin, last).map((order, index) => html`<${OrderRow} key=${order.id} order=${order} index=${begin + index} height=${view.row} desk=${desk}
        isShown=${order.id === shown} isTabbed=${order.id === tabbed} isUnprotected=${desk.isUnprotected(order)} onShow=${onShow} />`)}
    </div>
    </div>
    <${Foot} listing=${listing} isFiltered=${isFiltered} onClear=${onClear} stopped=${wantsMore && !looksOn} />
  </div>`;
}

function Foot({ listing, isFiltered, onClear, stopped }) {
  const count = listing.orders.length;
  if (listing.problem) {
    return html`<div class="empty" role="alert"><h3>${count ? "The orders before these could not be loaded" : "The orders could not be loaded"}</h3>
      <p>${listing.problem.message} ${listing.problem.suggestion ?? ""}</p><button class="button" onClick=${() => listing.more()}>Try again</button></div>`;
  }
  if (listing.loading || !listing.begun) {
    return html`<div class="loading" role="status"><span class="unseen">Loading orders</span>
      ${(count ? [70] : [92, 84, 88, 76, 90, 81]).map((width) => html`<span class="waiting" key=${width} style=${{ width: `${width}%` }}></span>`)}</div>`;
  }
  if (stopped) {
    return html`<div class="empty"><p>${count ? "" : "Nothing found so far. "}Only part of your orders was looked through.</p>
      <button class="button" onClick=${() => listing.more()}>Look further back</button></div>`;
  }
  if (count === 0) {
    return isFiltered
      ? html`<div class="empty"><h3>No order fits</h3><p>Nothing is like this now. It appears here as soon as something is.</p>
          <button class="button" onClick=${onClear}>Show all orders</button></div>`
      : html`<div class="empty"><h3>No orders yet</h3><p>Send one with the ticket, or over the API. It appears here at once, and every step of it.</p></div>`;
  }
  return listing.complete ? html`<p class="end faint small">${count === 1 ? "1 order" : `${count.toLocaleString("en-US")} orders`}, that is all.</p>` : null;
}
