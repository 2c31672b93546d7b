// One row of the blotter. It is drawn again only when its order, its place or its age changes.
import { html, Component } from "../shared/view.js";
import { price, quantity, share } from "../shared/decimal.js";
import { duration, elapsed, moment, utc, whole } from "../shared/times.js";
import { Actions } from "./actions.js";
import { isOpen, sideOf, stateOf, typeOf, wantedTerms } from "./words.js";

/** How long an open order has been open, or a closed one took. */
export const ageOf = (order) => (isOpen(order) ? duration(elapsed(order.created_at), true) : duration(elapsed(order.created_at, order.closed_at)));

export class OrderRow extends Component {
  #age = "";

  shouldComponentUpdate(next) {
    const now = this.props;
    return (
      next.order !== now.order || next.index !== now.index || next.height !== now.height || next.isShown !== now.isShown ||
      next.isTabbed !== now.isTabbed || next.isUnprotected !== now.isUnprotected || (isOpen(next.order) && ageOf(next.order) !== this.#age)
    );
  }

  render({ order, index, height, isShown, isTabbed, isUnprotected, desk, onShow }) {
    const { brief, tone } = stateOf(order);
    const notes = [
      order.parent_id !== null && html`<span>Exit</span>`,
      isUnprotected && html`<span class="warn">Unprotected</span>`,
      order.amendment && html`<span>Wanted: ${wantedTerms(order)}</span>`,
    ].filter(Boolean);
    this.#age = ageOf(order);
    const open = (event) => {
      if (!event.target.closest("button") && !String(getSelection())) onShow(order.id);
    };
    return html`<div role="row" class="row order" aria-rowindex=${index + 2} aria-selected=${isShown} tabindex=${isTabbed ? 0 : -1}
      data-id=${order.id} data-version=${order.version} data-state=${order.execution_state} data-status=${order.status} data-unprotected=${isUnprotected ? "yes" : undefined}
      style=${{ transform: `translateY(${index * height}px)` }} onClick=${open}>
      <div role="gridcell" class="cell time" title=${`${whole(order.created_at)}\n${utc(order.created_at)}`}>${moment(order.created_at)}</div>
      <div role="gridcell" class="cell symbol strong cut">${order.symbol}</div>
      <div role="gridcell" class=${`cell side ${order.side === "BUY" ? "good" : "bad"}`}>${sideOf(order)}</div>
      <div role="gridcell" class="cell type">${typeOf(order)}${order.time_in_force !== "DAY" ? html` <span class="faint small">${order.time_in_force}</span>` : ""}</div>
      <div role="gridcell" class="cell quantity number"><${Filled} order=${order} tone=${tone} /></div>
      <div role="gridcell" class="cell price number">${order.price === null ? html`<span class="faint">market</span>` : price(order.price)}</div>
      <div role="gridcell" class="cell average number">${order.average_fill_price === null ? html`<span class="faint">–</span>` : price(order.average_fill_price, 4)}</div>
      <div role="gridcell" class="cell status"><span class=${`state tone-${tone}`}><span>${brief}</span></span>
        ${notes.length > 0 && html`<span class="notes">${notes}</span>`}</div>
      <div role="gridcell" class="cell reason soft" title=${order.reason?.message ?? ""}>${order.reason?.message ?? ""}</div>
      <div role="gridcell" class="cell age number soft">${this.#age}</div>
      <div role="gridcell" class="cell actions"><${Actions} order=${order} desk=${desk} little /></div>
    </div>`;
  }
}

/** "4 / 10" over a bar; the whole alone where all or nothing is filled, unless `always`. */
export function Filled({ order, tone, always = false }) {
  const part = share(order.filled_quantity, order.quantity);
  const isPart = always || (order.filled_quantity !== "0" && order.filled_quantity !== order.quantity);
  return html`<span class="filled">
    <span>${isPart ? html`<span class="strong">${quantity(order.filled_quantity)}</span> <span class="faint">/</span> ` : ""}${quantity(order.quantity)}</span>
    <span class=${`meter fill-${tone}`} role="img" aria-label=${`${Math.floor(part * 100)} percent filled`}><span style=${{ width: `${part * 100}%` }}></span></span>
  </span>`;
}
