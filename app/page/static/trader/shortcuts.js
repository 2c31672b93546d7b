// Which keys do what.
import { html } from "../shared/view.js";
import { Sheet } from "../shared/sheet.js";

const KEYS = [
  [["b"], "Buy: go to the ticket"], [["s"], "Sell: go to the ticket"], [["/"], "Search orders"], [["j", "↓"], "Next order"],
  [["k", "↑"], "Order before"], [["Enter"], "Open the order"], [["a"], "Amend the chosen order"], [["c"], "Cancel the chosen order"], [["r"], "Retry the chosen order"],
  [["Esc"], "Close what is open"], [["t"], "Dark or light"], [["?"], "This list"],
];

export function Shortcuts({ onClose }) {
  return html`<${Sheet} title="Keyboard" onClose=${onClose}>
    <dl class="shortcuts">${KEYS.map(([keys, does]) => html`<dt key=${does}>${keys.map((key) => html`<kbd class="key" key=${key}>${key}</kbd> `)}</dt><dd>${does}</dd>`)}</dl>
    <div class="choices"><button class="button" autofocus onClick=${onClose}>Close</button></div>
  <//>`;
}
