// The trader's page.
import { html, render } from "../shared/view.js";

render(html`<main class="first-view"><p>Surefill</p></main>`, document.getElementById("app"));
