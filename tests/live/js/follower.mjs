// Follows one trader's events as the page does: `auth` is a function, so that every reconnect sends the last processed
// seq. Says on standard output what happens, one JSON document a line; a line "drop" on standard input cuts the
// connection as a lost network would.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, token, from] = process.argv.slice(2);
let lastSeq = from === undefined ? undefined : Number(from);
const say = (what, data) => process.stdout.write(JSON.stringify({ what, data }) + "\n");

const socket = io(url, {
  transports: ["websocket"],
  auth: (give) => give({ token, last_seq: lastSeq }),
  reconnectionDelay: 50,
  reconnectionDelayMax: 200,
});
socket.on("ready", (data) => {
  lastSeq ??= data.head_seq;
  say("ready", data);
});
socket.on("order", (event) => {
  lastSeq = event.seq;
  say("order", event);
});
socket.on("connect_error", (error) => say("connect_error", { message: error.message, data: error.data ?? null, comes_back: socket.active }));
socket.on("disconnect", (reason) => say("disconnect", { reason, comes_back: socket.active }));

createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "drop") socket.io.engine.close();
  else if (line === "shout") socket.emit("order", { seq: 1 }, new Uint8Array(8), () => say("acknowledged", null));
}).on("close", () => process.exit(0));
