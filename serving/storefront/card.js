// One product of the feed: a looping clip, what it is, and why it is here.

import { newId } from "./api.js";

const template = document.getElementById("card");
export const still = matchMedia("(prefers-reduced-motion: reduce)");

// A clip off the screen does not play.
const onScreen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !still.matches) target.play().catch(() => {});
    else target.pause();
  }
}, { threshold: 0.15 });

export function waiting() {
  const item = document.createElement("li");
  item.className = "card waiting";
  item.innerHTML = '<span class="frame"></span><span class="bone"></span><span class="bone"></span>';
  item.setAttribute("aria-hidden", "true");
  return item;
}

export class Card {
  constructor(item, position, { personalised, onChoose, onMore }) {
    this.item = item;
    this.position = position;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.product = item.product.id;
    this.video = this.element.querySelector("video");
    this.video.addEventListener("playing", () => { this.playingSince ??= performance.now(); });
    for (const name of ["pause", "waiting"]) {
      this.video.addEventListener(name, () => { [this.played, this.playingSince] = [this.watched, undefined]; });
    }
    this.element.querySelector(".title").textContent = item.product.title;
    this.element.querySelector(".price").textContent = price(item.product.price);
    this.element.querySelector(".why").textContent = why(item);
    const button = this.element.querySelector("button");
    button.addEventListener("click", () => onChoose(this));
    const more = this.element.querySelector(".more");
    more.setAttribute("aria-label", `Why ${item.product.title}? Before and after`);
    more.addEventListener("click", () => onMore(this));
    this.element.classList.add("fresh");
    this.show(personalised);
    onScreen.observe(this.video);
  }

  show(personalised) {
    const { clip, product } = this.item;
    this.personalised = personalised && clip.restyled;
    const tag = this.element.querySelector(".tag");
    tag.hidden = !personalised || clip.restyled;
    tag.textContent = clip.status === "pending" ? "on its way" : "original";
    tag.title = [...clip.refused, clip.reason].filter(Boolean).join("; ");
    const source = this.personalised ? clip.url : product.clip_url;
    // Where nothing moves the poster is all there is to see; asked for as a picture, a clip is its first frame.
    this.video.poster = this.personalised && still.matches ? source : product.poster_url;
    if (this.video.getAttribute("src") === source) return;
    this.video.src = source;
    this.played = 0;
    this.playingSince = undefined;
    if (!still.matches) this.video.play().catch(() => {});
  }

  // Milliseconds the clip played; while it rests, off the screen or for want of data, it is not watched.
  get watched() {
    return this.played + (this.playingSince === undefined ? 0 : performance.now() - this.playingSince);
  }

  // The clip this card was waiting for, or why there is none.
  arrived(clip, personalised) {
    this.item.clip = clip;
    this.show(personalised);
  }

  // What the viewer did with it, as events for the shop.
  events(viewer, requestId) {
    const common = {
      viewer,
      product_id: this.item.product.id,
      position: this.position,
      request_id: requestId,
      ...(this.personalised ? { style: this.item.clip.style } : {}),
    };
    const length = this.video.duration;
    const events = [{ ...common, event_id: newId(), event_type: "click" }];
    if (this.watched > 0 && Number.isFinite(length) && length > 0) {
      const seen = { watch_seconds: Math.min(this.watched / 1000, 86400), duration_seconds: length };
      events.push({ ...common, ...seen, event_id: newId(), event_type: "watch" });
    }
    return events;
  }

  focus() {
    this.element.querySelector("button").focus({ preventScroll: true });
  }

  remove() {
    onScreen.unobserve(this.video);
    this.video.removeAttribute("src");
    this.video.load();
    this.element.remove();
  }
}

function price(value) {
  return value === null ? "" : value.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function why({ reasons, why: source }) {
  const text = reasons.length ? reasons[0].text : source;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
