// The operations page: signing in with a key that has the scope admin, then the state of everything.
import { html, render, useEffect, useState } from "../shared/view.js";
import { useEvery, useObserved } from "../shared/observed.js";
import { session } from "../shared/session.js";
import { Mark, SignIn } from "../shared/sign_in.js";
import { ThemeSwitch } from "../shared/theme_switch.js";
import { toasts, ToastList } from "../shared/toasts.js";
import { duration } from "../shared/times.js";
import { Figures } from "./figures.js";
import { Halts } from "./halts.js";
import { LastHour } from "./last_hour.js";
import { Machinery } from "./machinery.js";
import { Waiting } from "./waiting.js";
import { Watch } from "./watch.js";

function Page() {
  useObserved(session);
  return html`
    ${session.key === null
      ? html`<${SignIn} path="admin/operations" title="Sign in to operations" whose="operator's key is" />`
      : html`<${Operations} key=${session.key} />`}
    <${ToastList} />
  `;
}

function Operations() {
  const [watch] = useState(() => new Watch((problem) => {
    session.end(problem.suggestion ? `${problem.message} ${problem.suggestion}` : problem.message);
    toasts.say(problem.message, "bad");
  }));
  useEffect(() => (watch.begin(), () => watch.end()), [watch]);
  useObserved(watch);
  useEvery(1000);
  const { seen } = watch;
  return html`
    <header class="ops-bar">
      <h1 class="brand"><${Mark} /><span><span class="name">Surefill </span><span class="soft">operations</span></span></h1>
      <div class="tools">
        <${Freshness} watch=${watch} />
        <${ThemeSwitch} />
        <button class="button plain little" onClick=${() => session.end()}>Sign out</button>
      </div>
    </header>
    ${seen === null
      ? html`<p class="first-view" role="status">${watch.trouble ?? "Loading …"}</p>`
      : html`<main class="ops" data-old=${watch.isOld ? "yes" : "no"}>
          ${watch.trouble && html`<p class="notice bad-news" role="alert">${watch.trouble} What stands here is as it was ${duration(watch.age, true)} ago.</p>`}
          <${Figures} seen=${seen} />
          <${Halts} halts=${watch.halts} watch=${watch} />
          <${Waiting} orders=${seen.waiting} watch=${watch} />
          <${LastHour} minutes=${seen.minutes} />
          <${Machinery} seen=${seen} />
        </main>`}
  `;
}

function Freshness({ watch }) {
  const [word, tone] = watch.isOld ? ["Old", "bad"] : ["Current", "good"];
  return html`<span class=${`pill tone-${tone}`} role="status"><span>${word}${watch.isOld && watch.seen ? ` · ${duration(watch.age, true)}` : ""}</span></span>`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${Page} />`, root);
