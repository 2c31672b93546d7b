// The executions of a range of days as a file. The key goes in a header, so the file is fetched first and then saved.
import { html, useState } from "../shared/view.js";
import { download, withQuery } from "../shared/api.js";
import { now } from "../shared/server_clock.js";
import { toasts } from "../shared/toasts.js";

const DAYS = 30;
const day = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);

export function Report() {
  const [from, setFrom] = useState(day(now() - DAYS * 86_400_000));
  const [to, setTo] = useState(day(now()));
  const [busy, setBusy] = useState(false);

  async function save(format) {
    setBusy(true);
    try {
      const { blob, name } = await download(withQuery("reports/executions", { from, to, format }), `executions.${format}`);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      toasts.say("No report", "bad", { detail: `${error.message} ${error.suggestion ?? "Try again."}` });
    } finally {
      setBusy(false);
    }
  }

  const field = (id, label, value, set) => html`<div class="field"><label for=${id}>${label}</label>
    <input class="input" type="date" id=${id} value=${value} required onInput=${(event) => set(event.target.value)} /></div>`;
  return html`<section class="report" aria-label="Executions report">
    <h3>Executions report <span class="faint">days in UTC</span></h3>
    <div class="pair">${field("report-from", "From", from, setFrom)}${field("report-to", "To, included", to, setTo)}</div>
    <div class="pair">${["csv", "pdf"].map((format) => html`<button key=${format} class="button" disabled=${busy || !from || !to}
      onClick=${() => save(format)}>${format.toUpperCase()}</button>`)}</div>
  </section>`;
}
