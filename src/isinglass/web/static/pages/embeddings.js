// @ts-check
// Embeddings: texts as points, a word in two senses, words that were learned from a text. One view at a time.

import { download, make } from "../dom.js";
import { choice, during, grouped, lines, number, perhaps, views, words } from "../options.js";

/** What each view can be told. @type {Record<string, string[]>} */
const TOLD = {
  map: ["by", "texts", "method", "pooling", "layer", "clusters", "seed"],
  senses: ["by", "word", "sentences"],
  words: ["vectors", "nearest", "sums", "source", "way"],
};
const NUMBERS = ["layer", "clusters", "seed"];
const SENTENCES = "river: We sat on the bank of the river.\nmoney: The bank approved the loan.";

/** An option that is there in the views that can be told it. @param {any} option */
function told(option) {
  return during(({ view }) => TOLD[view]?.includes(option.name) ?? false, option);
}

export default {
  verb: "embeddings",
  verbs: { senses: "senses", words: "words" },
  textless: true,
  lead: "Texts and words as vectors: what lies near what. The text in the bar is looked for among the texts of the map.",
  bar: { hint: "what is to be looked for" },
  options: [
    views([["map", "Map"], ["senses", "Senses"], ["words", "Words"]]),
    told(choice("by", "Vectors by", [["minilm", "minilm, trained for it"], ["bar", "the model above"]])),
    told(choice("method", "Plane", [["pca", "PCA"], ["tsne", "t-SNE"]])),
    told(lines("texts", "Texts", "One on each line. Without any: twenty sentences of four topics.")),
    ...grouped("How the vectors are made",
      told(choice("pooling", "One vector of a text’s tokens", [["", "as the model was trained"], ["cls", "first"], ["mean", "mean"], ["max", "max"], ["last", "last"]])),
      told(perhaps("layer", "Layer", "output")),
      told(number("clusters", "Groups (0: as many as labels)", 0, { min: 0, max: 50 })),
      told(number("seed", "Seed", 0, { min: 0 }))),
    told(words("word", "Word", "bank")),
    told(lines("sentences", "Sentences", `A sense, a colon and a sentence on each line. Without any: the project’s own, for bank and apple.\n${SENTENCES}`)),
    told(words("nearest", "Nearest to", "king,bread")),
    told(words("sums", "Sums", "king - man + woman")),
    ...grouped("How they are learned",
      told(words("vectors", "Kept in", "runs/lab/words.safetensors")),
      told(words("source", "Text to learn from", "kjv")),
      told(words("way", "Method", "word2vec(d=50, epochs=5)"))),
  ],

  /** What vectors are learned from matters when they are learned. @param {string} name */
  reruns: (name) => name !== "source" && name !== "way",

  /** @param {Record<string, string>} options */
  given(options) {
    const view = /** @type {any} */ (document.querySelector(".lab-main lab-view"));
    const { action } = view;
    view.action = "look";
    const names = TOLD[options.view].filter((name) => name !== "by" && options[name] !== "");
    const values = Object.fromEntries(names.map((name) => [name, NUMBERS.includes(name) ? Number(options[name]) : options[name]]));
    if (options.view === "words") return { ...values, nearest: options.nearest, sums: options.sums, action };
    return options.by === "bar" ? values : { ...values, model: "minilm" };
  },

  /** @param {any} view @param {any} lab */
  mount(view, lab) {
    view.action = "look";
    // learning that is stopped keeps what it has; the page then looks at it
    new MutationObserver(() => {
      const { state } = view.dataset;
      if (state !== "stopped" || view.asked?.given.action !== "learn") return;
      view.kept = true;
      lab.set({});
    }).observe(view, { attributes: true, attributeFilter: ["data-state"] });
  },

  /** @param {any} view @param {HTMLElement} place @param {any} message @param {any} lab */
  shown(view, place, message, lab) {
    const { slot, data } = message;
    if (slot === "begin") begin(view, place, data, lab);
    if (slot === "groups" && data.purity !== null) place.prepend(make("p", { class: "lab-note" }, `Purity of the groups: ${(100 * data.purity).toFixed(0)} % of the texts carry the label that is most frequent in their group.`));
    if (data?.texts) /** @type {any} */ (place).texts = data.texts; // for the inspector
    if (data?.note) place.append(make("p", { class: "lab-note" }, data.note));
    if (data?.toml) place.append(make("p", { class: "lab-note" }, "The command reads the sentences from a file: ", download(data.file, data.file, () => data.toml, "application/toml")));
  },
};

/** What the vectors are, or how to get some. @param {any} view @param {HTMLElement} place @param {any} data @param {any} lab */
function begin(view, place, data, lab) {
  const { file, there, learning, words: count, d } = data;
  const learn = (/** @type {string} */ label) => make("button", { type: "button", class: there ? "lab-again" : "lab-start", click: () => {
    view.action = "learn";
    lab.set({});
  } }, label);
  if (there) {
    if (view.kept) place.append(make("p", { class: "lab-note" }, "Stopped. What was learned until then is kept."));
    view.kept = false;
    place.append(make("p", { class: "lab-note" }, `${file}: ${count.toLocaleString("en")} words with ${d} numbers each. `, learn("Learn them anew")));
    return;
  }
  place.append(make("div", { class: "lab-empty" },
    make("p", {}, `There are no vectors in ${file} yet. They are learned from the words around each word; from the King James Bible that takes about ten seconds.`),
    make("p", {}, learn("Learn them here")),
    make("p", { class: "lab-note" }, "Or in a terminal:"), make("pre", { class: "lab-recipe", tabindex: "0" }, learning)));
}
