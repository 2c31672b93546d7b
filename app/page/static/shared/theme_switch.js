// Dark or light: as the system has it, until somebody chooses. The choice is no secret and stays on the device.
import { html, useState } from "./view.js";

const isDark = () =>
  (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

export function switchTheme() {
  const chosen = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("surefill.theme", chosen);
  } catch {
    // storage is forbidden here: it lasts as long as the page
  }
}

export function ThemeSwitch() {
  const [, again] = useState(0);
  return html`<button class="button plain square" aria-label=${isDark() ? "Use light colours" : "Use dark colours"} title="Dark or light"
    onClick=${() => (switchTheme(), again((count) => count + 1))}>
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.5" />
      <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" />
    </svg>
  </button>`;
}
