// The HTTP side as the page calls it. A problem document becomes an Error with its detail.

import { askForKey } from "./key.js";

async function send(path, body, signal) {
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
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || response.statusText);
  return answer;
}

// crypto.randomUUID is missing where the page comes over plain HTTP from another machine.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const start = () => send("/v1/storefront");

// Answers at once; clips that are still being rendered are pending, and follow() tells when they are there.
export const feed = (viewer, k, signal) => send("/v1/feed", { viewer, k, wait: 0 }, signal);

export function follow(url, signal, onClip) {
  const source = new EventSource(url);
  const close = () => source.close();
  for (const name of ["ready", "failed"]) source.addEventListener(name, (event) => onClip(JSON.parse(event.data)));
  source.addEventListener("done", close);
  signal.addEventListener("abort", close);
}

export const record = (events) => send("/v1/events", events);
