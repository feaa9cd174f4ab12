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

export const feed = (viewer, k, signal) => send("/v1/feed", { viewer, k }, signal);

export const record = (events) => send("/v1/events", events);
