// The kill switch: what is halted, halting, and lifting with a reason.
import { html, useRef, useState } from "../shared/view.js";
import { NoAnswer, post, Problem, remove } from "../shared/api.js";
import { Sheet } from "../shared/sheet.js";
import { toasts } from "../shared/toasts.js";
import { duration, elapsed, utc } from "../shared/times.js";

const SCOPES = [["GLOBAL", "Everything"], ["TRADER", "A trader"], ["SYMBOL", "A symbol"]];
const TARGETS = { TRADER: ["trader_id", "Trader id"], SYMBOL: ["symbol", "Symbol"] };
const WHAT = { GLOBAL: () => "All trading", TRADER: (halt) => `Trader ${halt.trader_id}`, SYMBOL: (halt) => `Symbol ${halt.symbol}` };

export function Halts({ halts, watch }) {
  const [form, setForm] = useState(null); // {lifts: the halt} or {}
  const active = halts?.filter((halt) => halt.lifted_at === null) ?? [];
  return html`<section class="card" aria-labelledby="halts">
    <header><h2 id="halts">Halts</h2>${active.length > 0 && html`<span class="count">${active.length}</span>`}
      <button class="button little" onClick=${() => setForm({})}>Halt …</button></header>
    ${halts === null ? html`<p class="notice">Whether anything is halted is not known now.</p>`
      : active.length === 0 ? html`<p class="soft padded">Nothing is halted.</p>`
      : html`<ul class="halt-list">${active.map((halt) => html`<li key=${halt.id}>
          <div><span class="state tone-bad"><span class="strong">${WHAT[halt.scope](halt)}</span></span>
            <p>${halt.reason} ${halt.code !== "OPERATOR" && html`<span class="faint small">${halt.code}</span>`}</p>
            <p class="faint small" title=${utc(halt.created_at)}>for ${duration(elapsed(halt.created_at), true)}, by ${halt.halted_by}${halt.cancel_exits ? "; exits were cancelled, too" : ""}</p></div>
          <button class="button little" onClick=${() => setForm({ lifts: halt })}>Lift …</button></li>`)}</ul>`}
    ${form && html`<${Form} lifts=${form.lifts} onDone=${() => watch.ask()} onClose=${() => setForm(null)} />`}
  </section>`;
}

/** Halting, or lifting where `lifts` is a halt. Each wants a reason, which goes into the audit log. */
function Form({ lifts, onDone, onClose }) {
  const [scope, setScope] = useState("GLOBAL");
  const [errors, setErrors] = useState([]);
  const [busy, setBusy] = useState(false);
  const element = useRef(null);
  const target = lifts ? null : TARGETS[scope];

  async function submit(event) {
    event.preventDefault();
    const { elements } = element.current;
    const reason = elements.reason.value.trim();
    setBusy(true);
    setErrors([]);
    try {
      if (lifts) await remove(`admin/halts/${lifts.id}`, reason ? { reason } : {});
      else {
        const body = { scope, reason, cancel_exits: elements.cancel_exits.checked, ...(target && { [target[0]]: elements[target[0]].value.trim() }) };
        await post("admin/halts", { body: JSON.stringify(body) });
      }
      toasts.say(lifts ? "The halt is lifted." : "Halted.", lifts ? "good" : "warn");
      onClose();
      onDone();
    } catch (error) {
      if (!(error instanceof NoAnswer) && !(error instanceof Problem)) throw error;
      setErrors(error.errors?.length ? error.errors
        : [{ field: "", code: "", message: error.message, suggestion: error.suggestion ?? "Nobody knows whether it was stored. Repeating it does no harm." }]);
      setBusy(false);
    }
  }

  const wrong = (name) => errors.filter((each) => each.field === name).map((each) => html`<p class="problem" key=${each.code}>${each.message} <span class="advice">${each.suggestion}</span></p>`);
  const fields = ["reason", target?.[0]];
  return html`<${Sheet} title=${lifts ? `Lift the halt of ${lowered(WHAT[lifts.scope](lifts))}?` : "Halt trading"} onClose=${onClose}>
    <form ref=${element} class="halt-form" onSubmit=${submit} novalidate autocomplete="off">
      <p class="soft">${lifts ? "New orders are accepted again, and exits that wait are sent. What was cancelled stays cancelled."
        : "New orders and changes are refused from now on, and open orders are cancelled at the venue. Exits that stand there stay."}</p>
      ${!lifts && html`<div class="segments" role="group" aria-label="What to halt">${SCOPES.map(([value, label]) => html`<button type="button" key=${value}
        aria-pressed=${scope === value} onClick=${() => (setScope(value), setErrors([]))}>${label}</button>`)}</div>`}
      ${target && html`<div class="field"><label for=${target[0]}>${target[1]}</label>
        <input class="input mono" id=${target[0]} name=${target[0]} maxlength="80" spellcheck=${false} aria-invalid=${wrong(target[0]).length ? "true" : "false"} />${wrong(target[0])}</div>`}
      <div class="field"><label for="reason">${lifts ? "Why it is lifted (traders do not see it)" : "Reason (traders see it)"}</label>
        <input class="input" id="reason" name="reason" maxlength="500" autofocus aria-invalid=${wrong("reason").length ? "true" : "false"} />${wrong("reason")}</div>
      ${!lifts && html`<label class="check"><input type="checkbox" name="cancel_exits" /> <span>Cancel exits, too: positions are unprotected then.</span></label>`}
      <div role="alert">${errors.filter((each) => !fields.includes(each.field)).map((each) => html`<p class="problem" key=${each.code}>${each.message} <span class="advice">${each.suggestion}</span></p>`)}</div>
      <div class="choices"><button type="button" class="button" onClick=${onClose}>Go back</button>
        <button class=${`button ${lifts ? "main" : "danger"}`} disabled=${busy}>${lifts ? "Lift it" : "Halt"}</button></div>
    </form>
  <//>`;
}

const lowered = (text) => text.charAt(0).toLowerCase() + text.slice(1);
