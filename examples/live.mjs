// Live updates with socket.io-client, in Node and in a browser. Every event once, in order, also after a lost connection.
//   npm install socket.io-client
//   export SUREFILL_URL=http://127.0.0.1:8000 SUREFILL_KEY=…      (demo keys: var/demo-keys.json)
// In a browser: put URL and KEY where your page has them (never into its source). Requests of pages from other origins are
// refused, so serve yours behind the same host name as Surefill.
import { io } from "socket.io-client";

const URL = globalThis.process?.env.SUREFILL_URL ?? globalThis.location.origin;
const KEY = globalThis.process?.env.SUREFILL_KEY ?? sessionStorage.getItem("key");

let lastSeq; // keep it where your page or program keeps its state
let ours;
const closed = new Set(); // an order may be filled before the answer to its submit is here
const socket = io(URL, {
  transports: ["websocket"],
  // a function, so that a reconnect sends the last number that was processed
  auth: (send) => send(lastSeq === undefined ? { token: KEY } : { token: KEY, last_seq: lastSeq }),
});

socket.on("connect_error", (error) => {
  console.error("not connected:", error.message, error.data ?? "");
  if (error.data) done(1); // refused with a reason, such as a wrong key: trying again will not help
});
socket.on("ready", async ({ head_seq }) => {
  const first = lastSeq === undefined;
  lastSeq ??= head_seq;
  if (first) await submit();
});
socket.on("order", (event) => {
  lastSeq = event.seq;
  console.log(event.seq, event.event, event.order.symbol, event.filled_quantity);
  if (event.execution_state === "CLOSED") closed.add(event.order_id);
  if (closed.has(ours)) done(0);
});

async function submit() {
  const request = {
    method: "POST",
    headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify({ symbol: "MSFT", side: "BUY", quantity: "2", order_type: "MARKET" }),
  };
  let silent = false;
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const within = AbortSignal.timeout(10_000);
    const answer = await fetch(`${URL}/api/v1/orders`, { ...request, signal: within }).catch(() => null);
    const said = answer && (await answer.json().catch(() => null)); // null: cut off, or no answer that can be read
    if (answer?.status === 201 && said?.id) {
      ours = said.id;
      return closed.has(ours) && done(0);
    }
    silent ||= !said?.code || answer.status >= 500; // the order may exist or not
    // after a silence the first request may still arrive, and be accepted: then a refusal says nothing
    if (!silent && said.code !== "REQUEST_IN_PROGRESS") {
      console.error(said.detail, said.suggestion);
      return done(1);
    }
    await new Promise((go) => setTimeout(go, 200 * 2 ** attempt)); // the same key again never makes a second order
  }
  console.error("nobody knows whether the order exists: submit the same again with", request.headers["Idempotency-Key"]);
  done(1);
}

function done(code) {
  socket.close();
  if (globalThis.process) process.exitCode = code;
}
