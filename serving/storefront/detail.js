// One product looked at closely: before and after, why it is here, and what a developer wants to know.

import { restyle } from "./api.js";
import { still } from "./card.js";

const template = document.getElementById("detail");
const APART_S = 0.1;

export function showDetail(item, { look, latency_ms: latency, models }) {
  const { product, clip } = item;
  const dialog = template.content.firstElementChild.cloneNode(true);
  const part = (name) => dialog.querySelector(`.${name}`);
  const [before, after, split, strength] = ["before", "after", "split", "strength"].map(part);
  part("detail-title").textContent = product.title;
  part("reasons").replaceChildren(...reasons(item).map((text) => element("li", text)));
  part("facts").replaceChildren(...facts(item, latency, models));
  const original = [...clip.refused, clip.reason].filter(Boolean).join("; ");
  part("fault").textContent = original && `Shown as it is: ${original}`;

  const show = (video, url, poster) => {
    video.poster = poster;
    video.src = url;
    if (!still.matches) video.play().catch(() => {});
  };
  const showAfter = (url) => {
    show(after, url, still.matches ? url : "");  // asked for as a picture, a clip is its first frame
    split.disabled = false;
  };
  show(before, product.clip_url, product.poster_url);
  split.disabled = true;
  if (clip.restyled) showAfter(clip.url);
  // Side by side they show the same moment.
  after.addEventListener("timeupdate", () => {
    if (Math.abs(before.currentTime - after.currentTime) > APART_S) before.currentTime = after.currentTime;
  });
  const divide = () => dialog.style.setProperty("--split", `${split.value}%`);
  split.addEventListener("input", divide);
  divide();
  strength.addEventListener("change", async () => {
    const asked = strength.value;
    const outdated = () => !dialog.open || strength.value !== asked;  // closed, or asked for another meanwhile
    part("fault").textContent = "Rendering…";
    try {
      const { url, refused } = await restyle(product.id, look.weights, Number(asked));
      if (outdated()) return;
      showAfter(url);
      part("fault").textContent = refused.length ? `Not fit to be shown: ${refused.join("; ")}` : "";
    } catch (error) {
      if (outdated()) return;
      part("fault").textContent = `That could not be rendered: ${error.message}`;
    }
  });
  part("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const video of [before, after]) {
      video.removeAttribute("src");
      video.load();
    }
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}

// Every reason with its share of the score, then why the product was moved.
function reasons({ reasons: known, why, moves }) {
  const shares = known.map(({ text, share }) => `${text}: ${Math.round(share * 100)} % of the score`);
  return [...(shares.length ? shares : [why]), ...moves];
}

function facts({ score, source, clip }, latency, models) {
  const stages = Object.entries(latency).map(([stage, ms]) => `${stage} ${ms} ms`);
  const said = {
    score: `${score.toFixed(4)} (${source})`,
    clip: `${clip.status}${clip.cached ? ", from the cache" : ""}`,
    generator: clip.model_version ?? models.generator,
    recommender: models.recommender,
    "this feed": stages.join(", "),
  };
  return Object.entries(said).flatMap(([name, text]) => [element("dt", name), element("dd", text)]);
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
