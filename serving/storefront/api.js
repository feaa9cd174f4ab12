// The HTTP side as the page calls it. A problem document becomes an Error with its detail.

import { askForKey } from "./key.js";

const FOLLOW_TRIES = 6;
const FIRST_WAIT_MS = 500;

async function answered(path, body, signal) {
  const options = body === undefined ? { signal } : {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  };
  let response = await fetch(path, options);
  if (response.status === 401) {
    await askForKey();
    response = await fetch(path, options);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));  // what stands in front may answer with a page of its own
  throw new Error(problem.detail ?? `it answers with status ${response.status}`);
}

const send = async (path, body, signal) => (await answered(path, body, signal)).json();

// crypto.randomUUID is missing where the page comes over plain HTTP from another machine.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const start = () => send("/v1/storefront");

// Answers at once; clips that are still being rendered are pending, and follow() tells when they are there.
export const feed = (viewer, k, signal) => send("/v1/feed", { viewer, k, wait: 0 }, signal);

// A browser takes up a stream that broke off by itself, but never one that was refused, as by a server that is busy or
// being started anew: that is asked for again here. onLost is called where nothing more will be told.
export function follow(url, signal, onClip, onLost) {
  let refused = 0;
  const open = () => {
    if (signal.aborted) return;
    const source = new EventSource(url);
    const close = () => source.close();
    for (const name of ["ready", "failed"]) {
      source.addEventListener(name, (event) => { refused = 0; onClip(JSON.parse(event.data)); });
    }
    source.addEventListener("done", () => { close(); onLost(); });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED || signal.aborted) return;
      refused += 1;
      if (refused < FOLLOW_TRIES) setTimeout(open, FIRST_WAIT_MS * 2 ** (refused - 1));
      else onLost();
    });
    signal.addEventListener("abort", close);
  };
  open();
}

export const record = (events) => send("/v1/events", events);

// Where a product's clip in a style is, and why it is the original where it is.
export async function restyle(product, style, strength) {
  const { headers } = await answered("/v1/clips", { product_id: product, style, strength });
  return { url: headers.get("location"), refused: JSON.parse(headers.get("x-refused")) };
}
