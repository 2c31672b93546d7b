// The order ticket. It checks nothing by itself: the server does, all rules at once, and its errors stand at their fields.
import { html, useEffect, useMemo, useRef, useState } from "../shared/view.js";
import { NoAnswer } from "../shared/api.js";
import { useObserved } from "../shared/observed.js";
import { money } from "../shared/decimal.js";
import { Confirmation } from "../shared/sheet.js";
import { toasts } from "../shared/toasts.js";
import { estimateOf } from "./estimate.js";
import { QuotePanel } from "./quote_panel.js";
import { Quotes } from "./quotes.js";
import { Submission } from "./submission.js";
import { fieldName, inShort } from "./words.js";

const EMPTY = {
  symbol: "AAPL", side: "BUY", quantity: "", order_type: "MARKET", price: "",
  stop_loss: "", take_profit: "", time_in_force: "DAY", max_slippage_bps: "", max_wait_seconds: "",
};
const MORE = [
  ["stop_loss", "Stop loss", "price", "decimal"],
  ["take_profit", "Take profit", "price", "decimal"],
  ["max_slippage_bps", "Max slippage", "basis points", "numeric"],
  ["max_wait_seconds", "Max wait", "seconds", "numeric"],
];
const AS_INTEGERS = ["max_slippage_bps", "max_wait_seconds"];
const TYPES = [["MARKET", "Market"], ["LIMIT", "Limit"], ["STOP", "Stop"]];
const TIMES_IN_FORCE = [["DAY", "Day"], ["GTC", "Until cancelled"], ["IOC", "Immediate or cancel"], ["FOK", "Fill or kill"]];

export function Ticket({ desk, handle, onOrder }) {
  const submission = useMemo(() => new Submission(), []);
  const quotes = useMemo(() => new Quotes(), []);
  const [form, setForm] = useState(() => startingForm(submission, desk));
  const [problem, setProblem] = useState(null);
  const [duplicate, setDuplicate] = useState(null);
  const [more, setMore] = useState(false);
  const element = useRef(null);
  useObserved(submission, quotes, desk.books);

  const symbol = form.symbol.trim().toUpperCase();
  const instrument = desk.instruments.find((each) => each.symbol === symbol);
  useEffect(() => quotes.follow(symbol, Boolean(instrument)), [symbol, Boolean(instrument)]);
  useEffect(() => () => (quotes.end(), submission.end()), []);

  const set = (name, value) => {
    setForm((before) => ({ ...before, [name]: value }));
    if (problem) setProblem({ ...problem, changed: { ...problem.changed, [name]: true } });
  };
  handle.current = {
    begin(side, wanted) {
      setForm((before) => ({ ...before, side, ...(wanted ? { symbol: wanted } : {}) }));
      requestAnimationFrame(() => element.current?.elements.quantity.focus());
    },
  };

  async function send(run) {
    setProblem(null);
    try {
      const order = await run();
      desk.orders.fromAnswer(order);
      toasts.say(`${inShort(order)}: accepted`, "calm");
      setForm((before) => ({ ...before, quantity: "", stop_loss: "", take_profit: "" }));
      onOrder?.(order);
    } catch (error) {
      if (error instanceof NoAnswer) return; // the submission tells
      if (error.code === "DUPLICATE_SUSPECTED") return setDuplicate(error);
      setProblem(problemOf(error));
      desk.readBooks();
      if (error.errors.some(({ field }) => field === "time_in_force" || MORE.some(([name]) => name === field))) setMore(true);
      requestAnimationFrame(() => element.current?.querySelector('[aria-invalid="true"]')?.focus());
    }
  }
  const submit = (event) => {
    event.preventDefault();
    if (!submission.busy && !submission.pending) send(() => submission.send(termsOf(form)));
  };

  const locked = submission.busy || submission.pending !== null;
  const field = { form, set, problem, locked };
  const estimate = estimateOf(form, quotes.quote, desk.account.currency);
  const verb = form.side === "SELL" ? "Sell" : "Buy";
  return html`<section class="card ticket" aria-label="Order ticket">
    <header><h2>New order</h2><span class="faint small cut">${instrument?.name ?? ""}</span></header>
    <form ref=${element} onSubmit=${submit} novalidate autocomplete="off">
      <${Segments} label="Side" name="side" choices=${[["BUY", "Buy"], ["SELL", "Sell"]]} className="sides" ...${field} />
      <${Field} name="symbol" label="Symbol" list="symbols" autocapitalize="characters" ...${field} />
      <datalist id="symbols">${desk.instruments.map((each) => html`<option key=${each.symbol} value=${each.symbol}>${each.name}</option>`)}</datalist>
      <${QuotePanel} quotes=${quotes} instrument=${instrument} symbol=${symbol}
        onPrice=${(price) => setForm((before) => ({ ...before, price, order_type: before.order_type === "MARKET" ? "LIMIT" : before.order_type }))} />
      <${Segments} label="Type" name="order_type" choices=${TYPES} ...${field} />
      <div class="pair">
        <${Field} name="quantity" label="Quantity" inputmode="decimal" ...${field} />
        ${form.order_type === "MARKET"
          ? html`<div class="field"><span class="label">Price</span><span class="input stand-in">at the market</span></div>`
          : html`<${Field} name="price" label=${form.order_type === "STOP" ? "Trigger price" : "Limit price"} inputmode="decimal" ...${field} />`}
      </div>
      <button type="button" class="button plain little fold" aria-expanded=${more} aria-controls="more" onClick=${() => setMore(!more)}>
        <span class="arrow" aria-hidden="true">▸</span>More: exits, time in force, limits</button>
      ${more &&
      html`<div class="more" id="more">
        <div class="field wide">
          <label for="time_in_force">Time in force</label>
          <select class="input" id="time_in_force" value=${form.time_in_force} disabled=${locked} onChange=${(event) => set("time_in_force", event.target.value)}>
            ${TIMES_IN_FORCE.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
          </select>
          <${Errors} name="time_in_force" problem=${problem} />
        </div>
        ${MORE.map(([name, label, unit, mode]) => html`<${Field} key=${name} name=${name} label=${label} placeholder=${unit} inputmode=${mode} ...${field} />`)}
      </div>`}
      <dl class="estimate">
        <dt>${estimate.title}</dt>
        <dd><strong>${estimate.amount ?? "–"}</strong> <span class="faint small">${estimate.basis}</span></dd>
        <dt>Buying power</dt><dd>${money(desk.account.buying_power, desk.account.currency)}</dd>
      </dl>
      <div role="alert"><${OtherErrors} problem=${problem} shown=${more} /></div>
      ${submission.unanswered
        ? html`<${Unanswered} submission=${submission} onAgain=${() => send(() => submission.again())} />`
        : html`<button class=${`button wide ${form.side === "SELL" ? "danger" : "buy"}`} disabled=${locked}>
            ${submission.busy ? "Sending …" : `${verb} ${form.quantity.trim()} ${symbol}`.replace("  ", " ")}</button>`}
    </form>
    ${duplicate &&
    html`<${Confirmation} title="The same order again?" yes="Yes, send it again" onYes=${() => send(() => submission.again({ confirmDuplicate: true }))}
      onClose=${() => (setDuplicate(null), requestAnimationFrame(() => submission.busy || submission.goBack()))}>
      <p>${duplicate.message}</p><p>If it was sent twice by mistake, go back${submission.pending?.silent ? "" : ": nothing was stored"}.</p>
    <//>`}
  </section>`;
}

function startingForm(submission, desk) {
  const first = desk.instruments.find((each) => each.status === "ACTIVE")?.symbol ?? EMPTY.symbol;
  const terms = submission.terms ?? {};
  return Object.fromEntries(Object.entries({ ...EMPTY, symbol: first, ...terms }).map(([name, value]) => [name, String(value)]));
}

/** The request: texts as they were typed, so that no digit is lost; what is empty is left out. */
function termsOf(form) {
  const terms = {};
  for (const name of Object.keys(EMPTY)) {
    const value = form[name].trim();
    if (value === "" || (name === "price" && form.order_type === "MARKET")) continue;
    terms[name] = AS_INTEGERS.includes(name) && /^\d{1,12}$/.test(value) ? Number(value) : value;
  }
  return terms;
}

function problemOf(error) {
  const errors = error.errors.length ? error.errors : [{ field: "", message: error.message, suggestion: error.suggestion }];
  return { errors, changed: {} };
}

const errorsOf = (problem, name) => (problem && !problem.changed[name] ? problem.errors.filter((each) => each.field === name) : []);

/** What is wrong with one field. It goes when the field changes. */
function Errors({ name, problem }) {
  return html`<div id=${`${name}-problem`}>
    ${errorsOf(problem, name).map((each) => html`<p class="problem" key=${each.code}>${each.message} <span class="advice">${each.suggestion}</span></p>`)}
  </div>`;
}

/** What is wrong with the order as a whole, or with a field that is not on the ticket now. */
function OtherErrors({ problem, shown }) {
  const onTicket = (name) => name in EMPTY && (shown || !(name === "time_in_force" || MORE.some(([each]) => each === name)));
  return problem?.errors
    .filter(({ field }) => !onTicket(field))
    .map((each) => html`<p class="problem whole" key=${each.code}>
      ${each.field && html`<strong>${fieldName(each.field)}: </strong>`}${each.message} <span class="advice">${each.suggestion}</span></p>`);
}

function Field({ name, label, form, set, problem, locked, ...input }) {
  const wrong = errorsOf(problem, name).length > 0;
  return html`<div class="field">
    <label for=${name}>${label}</label>
    <input class="input" id=${name} name=${name} value=${form[name]} disabled=${locked} maxlength="80" spellcheck=${false} autocomplete="off"
      aria-invalid=${wrong ? "true" : "false"} aria-describedby=${`${name}-problem`} onInput=${(event) => set(name, event.target.value)} ...${input} />
    <${Errors} name=${name} problem=${problem} />
  </div>`;
}

function Segments({ label, name, choices, className = "", form, set, problem, locked }) {
  return html`<div>
    <div class=${`segments ${className}`} role="group" aria-label=${label}>
      ${choices.map(([value, word]) => html`<button type="button" key=${value} data-value=${value} aria-pressed=${form[name] === value} disabled=${locked}
        onClick=${() => set(name, value)}>${word}</button>`)}
    </div>
    <${Errors} name=${name} problem=${problem} />
  </div>`;
}

function Unanswered({ submission, onAgain }) {
  const { symbol, side, quantity } = submission.terms;
  return html`<div class="notice unanswered" role="alert">
    <div>
      <p><strong>Nobody knows yet whether “${side} ${quantity} ${symbol}” exists.</strong> ${submission.unanswered}</p>
      <p class="small soft">Sending it again is safe: it has the same key, so it cannot become a second order.</p>
      <p class="choices">
        <button type="button" class="button main" onClick=${onAgain}>Send it again</button>
        <button type="button" class="button" onClick=${() => submission.leave()}>Leave it</button>
      </p>
    </div>
  </div>`;
}
