// The storefront: a viewer's feed, playing. Choosing a product tells the shop, and the next feed knows.

import * as api from "./api.js";
import { Card, waiting } from "./card.js";
import { showDetail } from "./detail.js";

const SLATE = 8;
const NOTICE_MS = 3500;
const GUEST = "guest";

const $ = (id) => document.getElementById(id);
const state = { viewer: null, feed: null, cards: [], personalised: true, pending: null, place: null };

async function open() {
  showWaiting();
  let viewers;
  try {
    ({ viewers } = await api.start());
  } catch (error) {
    missing(`The shop could not be opened: ${error.message}`, open);
    return;
  }
  const guest = { id: guestId(), label: viewers.length ? "Someone new" : "You" };
  $("viewers").replaceChildren(...[...viewers, guest].map(viewerButton));
  await watchAs(viewers[0] ?? guest);
}

function guestId() {
  const known = sessionStorage.getItem(GUEST) ?? `${GUEST}-${api.newId()}`;
  sessionStorage.setItem(GUEST, known);
  return known;
}

function viewerButton(viewer) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "viewer";
  button.textContent = viewer.label;
  button.dataset.viewer = viewer.id;
  button.addEventListener("click", () => watchAs(viewer));
  return button;
}

async function watchAs(viewer) {
  state.viewer = viewer;
  for (const button of $("viewers").children) button.setAttribute("aria-pressed", String(button.dataset.viewer === viewer.id));
  showWaiting();
  $("look").hidden = true;
  $("eyebrow").textContent = `For ${viewer.label}`;
  $("headline").textContent = "Putting your reel together";
  await refresh();
}

function showWaiting() {
  dropCards();
  $("grid").replaceChildren(...Array.from({ length: SLATE }, waiting));
}

async function refresh() {
  state.pending?.abort();
  const pending = state.pending = new AbortController();
  $("grid").setAttribute("aria-busy", "true");
  try {
    const feed = await api.feed(state.viewer.id, SLATE, pending.signal);
    if (pending !== state.pending) return;
    draw(feed);
    if (feed.events_url) api.follow(feed.events_url, pending.signal, arrived, lost);
  } catch (error) {
    if (error.name === "AbortError") return;
    missing(`The feed could not be loaded: ${error.message}`, () => watchAs(state.viewer));
  } finally {
    if (pending === state.pending) $("grid").setAttribute("aria-busy", "false");
  }
}

// What is on the page stays; where nothing is, the viewer can ask again.
function missing(text, again) {
  notify(text);
  if (state.cards.length) return;
  $("headline").textContent = "Your reel did not arrive";
  $("grid").replaceChildren($("again").content.firstElementChild.cloneNode(true));
  $("grid").querySelector("button").addEventListener("click", again);
  $("grid").setAttribute("aria-busy", "false");
}

function draw(feed) {
  state.feed = feed;
  dropCards();
  const onMore = (card) => showDetail(card.item, feed);
  const options = { personalised: state.personalised, onChoose: choose, onMore };
  state.cards = feed.items.map((item, position) => new Card(item, position, options));
  $("grid").replaceChildren(...state.cards.map((card) => card.element));
  $("grid").dataset.request = feed.request_id;
  $("headline").textContent = headline(feed);
  drawLook(feed.look);
  drawFacts();
  keepPlace();
}

// Who chose a product with the keyboard goes on where they were, not at the top of the page.
function keepPlace() {
  const card = state.cards[Math.min(state.place, state.cards.length - 1)];
  if (state.place !== null && document.activeElement === document.body) card?.focus();
  state.place = null;
}

function arrived({ position, clip }) {
  state.cards[position]?.arrived(clip, state.personalised);
  drawFacts();
}

// Nobody tells any more what becomes of the clips that are pending: the originals stay.
function lost() {
  for (const { item, position } of state.cards) {
    if (item.clip.status !== "pending") continue;
    arrived({ position, clip: { ...item.clip, status: "original", reason: "the shop did not say when it is ready" } });
  }
}

function drawFacts() {
  const { items, latency_ms: latency, models } = state.feed;
  const cached = items.filter(({ clip }) => clip.cached).length;
  const pending = items.filter(({ clip }) => clip.status === "pending").length;
  const clips = `${items.length} clips in ${Math.round(latency.total)} ms, ${cached} from the cache`;
  const rest = pending ? `, ${pending} on their way` : "";
  $("facts").textContent = `${clips}${rest} · ${models.generator} · ${models.recommender}`;
}

function headline({ items, look }) {
  if (!items.length) return "You have seen everything";
  const known = items.some((item) => item.reasons.length > 0);
  return known ? `Picked for you, in ${phrase(look.style)}` : "What everyone is watching";
}

function drawLook(look) {
  const shares = Object.entries(look.weights).sort((a, b) => b[1] - a[1]);
  $("look-bar").replaceChildren(...shares.map(([name, share]) => {
    const part = document.createElement("span");
    part.className = `look-part preset-${name}`;
    part.style.flexGrow = share;
    return part;
  }));
  const text = shares.map(([name, share]) => shares.length > 1 ? `${phrase(name)} ${Math.round(share * 100)} %` : phrase(name));
  $("look-text").textContent = `Your look: ${text.join(" · ")}`;
  $("look-bar").setAttribute("aria-label", $("look-text").textContent);
  $("look").hidden = false;
}

function phrase(style) {
  return style.replaceAll("_", " ");
}

async function choose(card) {
  if (card.element.classList.contains("chosen")) return;  // a double click is one choice
  card.element.classList.add("chosen");
  try {
    await api.record(card.events(state.viewer.id, state.feed.request_id));
  } catch (error) {
    card.element.classList.remove("chosen");
    notify(`That was not stored: ${error.message}`);
    return;
  }
  notify(`More like ${card.item.product.title}`);
  await refresh();
}

function togglePersonalised() {
  state.personalised = !state.personalised;
  $("personalised").setAttribute("aria-checked", String(state.personalised));
  for (const card of state.cards) card.show(state.personalised);
}

function dropCards() {
  const place = [...$("grid").children].findIndex((item) => item.contains(document.activeElement));
  if (place >= 0) state.place = place;
  for (const card of state.cards) card.remove();
  state.cards = [];
}

let hiding;
function notify(text) {
  $("notice").textContent = text;
  clearTimeout(hiding);
  hiding = setTimeout(() => { $("notice").textContent = ""; }, NOTICE_MS);
}

$("personalised").addEventListener("click", togglePersonalised);
open();
