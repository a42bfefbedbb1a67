// @ts-check
// Layers: what each layer would say, what makes a logit, how alike layers are, how long their vectors. One view at a time.

import { make } from "../dom.js";
import { choice, during, number, only, perhaps, token, views, words } from "../options.js";

/** What each view can be told; the token is `answer` in the address, where `token` is what lets a browser in. @type {Record<string, string[]>} */
const TOLD = {
  lens: ["answer", "against", "position", "after"],
  contributions: ["answer", "against", "position"],
  similarity: ["position", "side", "skip"],
  norms: ["position", "side"],
};
const NUMBERS = ["position", "skip"];

/** An option that is there in the views that can be told it. @param {any} option */
function told(option) {
  return during(({ view }) => TOLD[view]?.includes(option.name) ?? false, option);
}

export default {
  verb: "layers",
  lead: "From layer to layer: what the model would say, what made it say so, how alike the layers are, how long their vectors.",
  empty: "Type a text, and see where in the model its next token appears.",
  example: "The capital of France is",
  options: [
    views([["lens", "Logit lens"], ["contributions", "Contributions"], ["similarity", "Similarity"], ["norms", "Norms"]]),
    told(token("answer", "Token", "likeliest")),
    told(token("against", "Other token", "none")),
    told(perhaps("position", "Position", "–")),
    told(choice("after", "Read after each", [["layer", "layer"], ["sublayer", "part of a layer"]])),
    told(number("skip", "First tokens left out", 0, { min: 0 })),
    told(only("encoder_decoder", choice("side", "Layers of the", [["", "decoder"], ["encoder", "encoder"]]))),
    only("encoder_decoder", words("target", "What it has written")),
  ],

  /** @param {Record<string, string>} options */
  given(options) {
    const names = ["view", ...(TOLD[options.view] ?? []), "target"].filter((name) => options[name] !== "");
    return Object.fromEntries(names.map((name) => [name === "answer" ? "token" : name, NUMBERS.includes(name) ? Number(options[name]) : options[name]]));
  },

  /** @param {any} _view @param {HTMLElement} place @param {any} message @param {any} lab */
  shown(_view, place, message, lab) {
    const { likeliest = [] } = message.data;
    for (const offers of document.querySelectorAll(".lab-options datalist")) offers.replaceChildren(...likeliest.map((/** @type {string} */ value) => make("option", { value })));
    if (lab.options.view !== "lens") return;
    pickable(place.querySelector("ig-figure"), lab);
    place.prepend(make("p", { class: "lab-note" }, "A click on a cell, or the field above, chooses the position that the curves and the table follow."));
  },
};

/** A click on a column of the map chooses its position. @param {any} map @param {any} lab */
function pickable(map, lab) {
  const watched = new WeakSet(); // a chart is made anew each time it is drawn
  map.addEventListener("pointerover", () => {
    if (watched.has(map.view)) return;
    watched.add(map.view);
    map.view.addEventListener("click", (/** @type {Event} */ _, /** @type {any} */ item) => {
      if (item?.datum?.c === undefined) return;
      const input = document.querySelector(".lab-options input[name=position]");
      if (input instanceof HTMLInputElement) input.value = String(item.datum.c);
      lab.set({ position: String(item.datum.c) });
    });
  });
}
