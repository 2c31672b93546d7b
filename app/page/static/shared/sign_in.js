// Signing in with an API key. The key is checked by asking for something before it is kept.
import { html, useState } from "./view.js";
import { get, NoAnswer } from "./api.js";
import { session } from "./session.js";

const KEY = /^[!-~]{1,200}$/;

/** `path` is what a key must be able to read to be of use here; `whose` says where demo keys are: "traders' keys are". */
export function SignIn({ path = "account", title = "Sign in", whose = "traders' keys are" }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);

  async function submit(event) {
    event.preventDefault();
    const field = event.target.elements.key;
    const key = field.value.trim();
    setProblem(null);
    if (!KEY.test(key)) {
      setProblem({ message: key ? "This is not an API key: it has characters that no key has." : "Enter your API key.", suggestion: "" });
      return field.focus();
    }
    setBusy(true);
    try {
      await get(path, key);
      session.begin(key);
    } catch (error) {
      setProblem({ message: error.message, suggestion: error instanceof NoAnswer ? "Try again in a moment." : error.suggestion });
      setBusy(false);
      field.select();
    }
  }

  return html`<main class="entrance">
    <form class="card" onSubmit=${submit} novalidate>
      <div class="brand"><${Mark} />Surefill</div>
      <h1>${title}</h1>
      ${session.farewell && html`<p class="notice" role="status">${session.farewell}</p>`}
      <div class="field">
        <label for="key">API key</label>
        <input class="input mono" id="key" name="key" type="password" autocomplete="off" autocapitalize="none" spellcheck=${false}
          autofocus maxlength="400" aria-invalid=${problem ? "true" : "false"} aria-describedby="key-problem" />
        <p class="problem" id="key-problem" role="alert">
          ${problem && html`${problem.message} <span class="advice">${problem.suggestion}</span>`}
        </p>
      </div>
      <button class="button main wide" disabled=${busy}>${busy ? "Checking …" : "Sign in"}</button>
      <p class="faint small">
        The key stays in this tab and is forgotten when it closes. With <span class="mono">make run</span>, the demo ${whose} in
        ${" "}<span class="mono">var/demo-keys.json</span>.
      </p>
    </form>
  </main>`;
}

export function Mark() {
  return html`<svg viewBox="0 0 20 20" aria-hidden="true">
    <rect width="20" height="20" rx="5" fill="#2f55d4" />
    <path d="M5 10.6 8.6 14 15.2 6.4" fill="none" stroke="#fff" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" />
  </svg>`;
}
