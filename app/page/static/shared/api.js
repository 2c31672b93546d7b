// The HTTP API: requests with the key, answers as documents, refusals as problems with all their errors.
import { learn } from "./server_clock.js";
import { REVOKED, session } from "./session.js";

const PATIENCE_MILLISECONDS = 15_000;

/** No answer, or one that says that nobody knows (503): what was asked for may have happened or not. */
export class NoAnswer extends Error {}

/** The API refused: `code`, `detail`, `suggestion`, and `errors` with every failed rule. */
export class Problem extends Error {
  constructor(status, document, retryAfter) {
    super(text(document?.detail) || `The server answered with status ${status}.`);
    this.status = status;
    this.code = text(document?.code);
    this.suggestion = text(document?.suggestion);
    this.retryAfter = retryAfter;
    const errors = Array.isArray(document?.errors) ? document.errors : [];
    this.errors = errors.map((each) => ({
      field: text(each?.field), code: text(each?.code), message: text(each?.message), suggestion: text(each?.suggestion),
    }));
  }
}

const text = (value) => (typeof value === "string" ? value : "");

/** GET a document below /api/v1. Throws NoAnswer, Problem. */
export const get = (path, key = session.key) => call("GET", path, { key });

/** POST. Throws NoAnswer, Problem. */
export const post = (path, { body, headers, key = session.key } = {}) => call("POST", path, { body, headers, key });

/** PATCH, DELETE; both are safe to repeat. Throw NoAnswer, Problem. */
export const patch = (path, body) => call("PATCH", path, { body: JSON.stringify(body), key: session.key });
export const remove = (path, body) => call("DELETE", path, { body: JSON.stringify(body), key: session.key });

/** GET a file: {blob, name}. Throws NoAnswer, Problem. */
export async function download(path, otherwise) {
  const read = (answer) => (answer.ok ? answer.blob() : answer.json());
  const { response, document: blob } = await answered("GET", path, { key: session.key, read, mayTakeLong: true });
  const name = /filename="?([\w.-]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { blob, name: name ?? otherwise };
}

const call = async (method, path, options) => (await answered(method, path, options)).document;

/** {response, document} of an answer that is no refusal. */
async function answered(method, path, { body, headers = {}, key, read = (answer) => answer.json(), mayTakeLong = false }) {
  const left = Date.now();
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(new DOMException("", "TimeoutError")), PATIENCE_MILLISECONDS);
  let response, document;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      body,
      headers: { Authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: patience.signal,
    });
    learn(response.headers.get("Date"), left, Date.now());
    if (mayTakeLong) clearTimeout(timer); // it has begun to come: how long the rest takes depends on how much it is
    document = await read(response);
  } catch (error) {
    // no connection, no answer in time, or one that broke off; what else a proxy says is no answer of the API either
    throw new NoAnswer(error?.name === "TimeoutError" ? "The server did not answer in time." : "The server cannot be reached.");
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return { response, document };
  const problem = new Problem(response.status, document, Number(response.headers.get("Retry-After")) || null);
  if (response.status === 401 && key === session.key) session.end(REVOKED);
  if (response.status >= 500 && response.status !== 501) throw new NoAnswer(problem.message);
  throw problem;
}

/** A path with its query; what is empty is left out. */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** A new random UUID; crypto.randomUUID is missing where the page came over plain HTTP. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
