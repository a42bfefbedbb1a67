// @ts-check
// The library's cards on this page: their scripts are fetched when first needed, and a card takes its place once it is drawn.

import { boot } from "./state.js";

const DRAWN = "ig-figure, ig-attention-grid";
const PATIENCE = 8000; // milliseconds for a chart to be drawn; then it is shown as far as it is
/** @type {Map<string, Promise<unknown>>} */ const loaded = new Map();

/** @param {string} need */
function load(need) {
  const known = loaded.get(need);
  if (known) return known;
  const loading = need === "vega" ? script(boot.vega) : import(`/static/show/${need}.js`);
  loaded.set(need, loading);
  return loading;
}

/** @param {string} address */
function script(address) {
  return new Promise((done, failed) => {
    const element = document.createElement("script");
    Object.assign(element, { src: address, type: "module", onload: done, onerror: failed });
    document.head.append(element);
  });
}

/** Fetch what charts need before the first one comes. */
export function warm() {
  return Promise.all([load("vega"), load("card")]).then(() => load("figure"));
}

/**
 * Put cards into `place`, which may be hidden but must have its width, and wait until they are drawn.
 * The HTML is the server's own, in which every text is escaped.
 * @param {HTMLElement} place @param {{html: string, needs: string[]}[]} parts
 */
export async function fill(place, parts) {
  const needs = new Set(parts.flatMap((part) => part.needs));
  if (needs.has("vega")) await load("vega");
  const [card] = await Promise.all([load("card"), ...[...needs].map(load)]);
  place.innerHTML = parts.map((part) => part.html).join("\n");
  /** @type {any} */ (card).furnishAll(place);
  const until = performance.now() + PATIENCE;
  const drawing = () => [.../** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll(DRAWN))].some((body) => !body.dataset.ready);
  while (drawing() && performance.now() < until) await new Promise((done) => setTimeout(done, 16));
}
