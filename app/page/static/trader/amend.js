// Other terms for an open order. It checks nothing by itself: the server does, and its errors stand at their fields.
import { html, useRef, useState } from "../shared/view.js";
import { NoAnswer } from "../shared/api.js";
import { useObserved } from "../shared/observed.js";
import { price, quantity } from "../shared/decimal.js";
import { Sheet } from "../shared/sheet.js";
import { inShort, isOpen, typeOf } from "./words.js";

const FIELDS = [["quantity", "Quantity, with what is filled"], ["price", "Price"]];

/** `id` of the order; it changes while the form is open, and the form says so. */
export function Amend({ desk, id, onClose }) {
  useObserved(desk.orders.watched(id));
  const order = desk.orders.get(id);
  const wanted = order.amendment ?? order;
  const [form, setForm] = useState({ quantity: wanted.quantity ?? order.quantity, price: wanted.price ?? order.price });
  const [errors, setErrors] = useState([]);
  const [busy, setBusy] = useState(false);
  const element = useRef(null);
  const before = useRef(form).current;

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    const terms = Object.fromEntries(FIELDS.map(([name]) => [name, form[name].trim()]).filter(([name, text]) => text !== before[name]));
    if (Object.keys(terms).length === 0) return onClose();
    setBusy(true);
    setErrors([]);
    try {
      await desk.amend(order, terms);
      onClose();
    } catch (error) {
      setErrors(problemsOf(error));
      setBusy(false);
      requestAnimationFrame(() => element.current?.querySelector('[aria-invalid="true"]')?.focus());
    }
  }

  const set = (name, value) => (setForm({ ...form, [name]: value }), setErrors(errors.filter((each) => each.field !== name)));
  const label = (name, text) => (name === "price" ? (order.order_type === "STOP" ? "Trigger price" : "Limit price") : order.filled_quantity === "0" ? "Quantity" : text);
  const others = errors.filter((each) => !FIELDS.some(([name]) => name === each.field));
  return html`<${Sheet} title=${`Amend: ${inShort(order)}`} onClose=${onClose}>
    <form ref=${element} class="amend" onSubmit=${submit} novalidate autocomplete="off">
      <p class="soft">Now ${quantity(order.quantity)}, ${typeOf(order)} at ${price(order.price)}${order.filled_quantity === "0" ? "" : `; ${quantity(order.filled_quantity)} filled`}.</p>
      <div class="pair">
        ${FIELDS.map(([name, text]) => {
          const own = errors.filter((each) => each.field === name);
          return html`<div class="field" key=${name}>
            <label for=${`amend-${name}`}>${label(name, text)}</label>
            <input class="input" id=${`amend-${name}`} name=${name} value=${form[name]} disabled=${busy} maxlength="80" inputmode="decimal" spellcheck=${false}
              autocomplete="off" autofocus=${name === "quantity"} aria-invalid=${own.length ? "true" : "false"} aria-describedby=${`amend-${name}-problem`}
              onInput=${(event) => set(name, event.target.value)} />
            <div id=${`amend-${name}-problem`}>${own.map((each) => html`<p class="problem" key=${each.code}>${each.message} <span class="advice">${each.suggestion}</span></p>`)}</div>
          </div>`;
        })}
      </div>
      <p class="small soft">What stands at the venue is cancelled first; what is left then goes out anew, at the end of the venue's queue. Until the venue has decided, a fill of the old terms may win.</p>
      <div role="alert">
        ${others.map((each) => html`<p class="problem" key=${each.code}>${each.message} <span class="advice">${each.suggestion}</span></p>`)}
        ${!isOpen(order) && others.length === 0 && html`<p class="problem">The order has ended meanwhile.</p>`}
      </div>
      <div class="choices">
        <button type="button" class="button" onClick=${onClose}>Go back</button>
        <button class="button main" disabled=${busy || !isOpen(order)}>${busy ? "Sending …" : "Amend order"}</button>
      </div>
    </form>
  <//>`;
}

function problemsOf(error) {
  if (error instanceof NoAnswer) return [{ field: "", code: "", message: `${error.message} Nobody knows whether the change was stored.`, suggestion: "Send it again: repeating it does no harm." }];
  return error.errors.length ? error.errors : [{ field: "", code: error.code, message: error.message, suggestion: error.suggestion }];
}
