// The trader's page: signing in, then the desk.
import { html, render, useEffect, useState } from "../shared/view.js";
import { useObserved } from "../shared/observed.js";
import { session } from "../shared/session.js";
import { SignIn } from "../shared/sign_in.js";
import { toasts, ToastList } from "../shared/toasts.js";
import { Desk } from "./desk.js";
import { DeskView } from "./desk_view.js";

function Page() {
  useObserved(session);
  return html`
    ${session.key === null ? html`<${SignIn} title="Sign in to trade" />` : html`<${SignedIn} key=${session.key} />`}
    <${ToastList} />
  `;
}

function SignedIn() {
  const [desk, setDesk] = useState(null);
  useEffect(() => {
    let current = null;
    const start = () => {
      current = new Desk((why) => {
        current.end();
        toasts.say(why, "warn");
        start();
      });
      setDesk(current);
      current.begin();
    };
    start();
    return () => current.end();
  }, []);
  return desk && html`<${DeskView} key=${desk.number} desk=${desk} />`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${Page} />`, root);
