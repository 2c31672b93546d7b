// The page of a signed-in trader: what is where, and the keys that work everywhere.
import { html, useEffect, useMemo, useRef, useState } from "../shared/view.js";
import { NoAnswer } from "../shared/api.js";
import { useObserved } from "../shared/observed.js";
import { session } from "../shared/session.js";
import { switchTheme } from "../shared/theme_switch.js";
import { Halts } from "./halts.js";
import { Header } from "./header.js";
import { Ticket } from "./ticket.js";
import { Blotter } from "./blotter.js";
import { Drawer } from "./drawer.js";
import { Account } from "./account.js";
import { Amend } from "./amend.js";
import { Positions } from "./positions.js";
import { Shortcuts } from "./shortcuts.js";

export function DeskView({ desk }) {
  useObserved(desk);
  const [shown, setShown] = useState(null); // the id of the order in the drawer
  const [place, setPlace] = useState("orders"); // of the three places, on a phone
  const [amended, setAmended] = useState(null); // the id of the order in the form
  const [listsKeys, setListsKeys] = useState(false);
  const ticket = useRef(null), blotter = useRef(null);

  useEffect(() => {
    desk.news.show = (id) => (setShown(id), setPlace("orders"));
    desk.showAmend = setAmended;
  }, [desk]);

  const keys = useMemo(
    () => ({
      "/": () => (setPlace("orders"), blotter.current?.search()),
      b: () => (setPlace("trade"), ticket.current?.begin("BUY")),
      s: () => (setPlace("trade"), ticket.current?.begin("SELL")),
      t: () => switchTheme(),
      "?": () => setListsKeys(true),
      j: () => blotter.current?.step(1),
      k: () => blotter.current?.step(-1),
    }),
    [],
  );
  useEffect(() => {
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") {
        if (event.target.matches?.("input, select")) event.target.blur();
        else setShown(null);
        return;
      }
      if (event.target.closest?.("input, select, textarea")) return;
      const run = keys[event.key];
      if (run) {
        event.preventDefault();
        run();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [keys]);

  if (desk.problem || !desk.ready) return html`<${NotReady} desk=${desk} />`;
  return html`
    <div class="desk" data-place=${place}>
      <${Header} desk=${desk} onKeys=${() => setListsKeys(true)} />
      <${Halts} desk=${desk} />
      <div class="columns">
        <aside class="left" aria-label="Trade and account">
          <${Ticket} desk=${desk} handle=${ticket} onOrder=${(order) => matchMedia("(max-width: 720px)").matches && (setPlace("orders"), order)} />
          <${Positions} desk=${desk} onPick=${(position) => (setPlace("trade"), ticket.current?.begin("SELL", position.symbol))} />
          <${Account} desk=${desk} />
        </aside>
        <main class="center">
          <${Blotter} desk=${desk} handle=${blotter} shown=${shown} onShow=${setShown} />
        </main>
      </div>
      <nav class="places" aria-label="Places">
        ${[["orders", "Orders"], ["trade", "Trade"], ["account", "Account"]].map(
          ([name, label]) => html`<button key=${name} aria-current=${place === name ? "page" : undefined} onClick=${() => setPlace(name)}>${label}</button>`,
        )}
      </nav>
      ${shown && html`<${Drawer} key=${shown} desk=${desk} id=${shown} onShow=${setShown} onClose=${() => setShown(null)} />`}
      ${amended && html`<${Amend} key=${amended} desk=${desk} id=${amended} onClose=${() => setAmended(null)} />`}
      ${listsKeys && html`<${Shortcuts} onClose=${() => setListsKeys(false)} />`}
    </div>
  `;
}

function NotReady({ desk }) {
  const { problem } = desk;
  if (!problem) {
    return html`<main class="first-view" role="status"><div class="first-lines" aria-label="Loading your orders">
      ${[80, 60, 70, 50].map((width) => html`<span class="waiting" key=${width} style=${{ width: `${width}%` }}></span>`)}
    </div></main>`;
  }
  return html`<main class="first-view"><div class="empty" role="alert">
    <h1 class="large-title">${problem.message}</h1>
    <p>${problem instanceof NoAnswer ? "Trying again by itself. Orders that were accepted go on meanwhile." : problem.suggestion}</p>
    <p class="choices">
      <button class="button main" onClick=${() => desk.begin()}>Try now</button>
      <button class="button" onClick=${() => session.end()}>Sign out</button>
    </p>
  </div></main>`;
}
