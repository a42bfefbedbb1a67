// @ts-check
// Intervene: put activations of one prompt into another, cut heads out, steer. Which of the three is in the address, as `doing`.

import { make } from "../dom.js";
import "../intervene/head_switches.js";
import "../intervene/patch_map.js";
import { choice, number, only, slider, words } from "../options.js";
import { address, read } from "../state.js";

const WAYS = /** @type {Record<string, string>} */ ({ patch: "patch between two prompts", ablate: "cut heads out", steer: "steer by a difference" });
const EXAMPLE = { text: "The capital of France is", corrupted: "The capital of Italy is", answer: " Paris", other: " Rome" };

/** An option of one way alone. @param {string} way @param {import("../options.js").Option} option */
function of(way, option) {
  return { ...option, way, build: (/** @type {any[]} */ ...given) => {
    const control = /** @type {any} */ (option.build)(...given);
    control.dataset.way = way;
    return control;
  } };
}

function way() {
  const { doing = "" } = read().options;
  return doing in WAYS ? doing : "patch";
}

const OPTIONS = [
  choice("doing", "What to do", Object.entries(WAYS).map(([name, title]) => [name, title])),
  of("patch", words("corrupted", "Corrupted prompt")),
  of("patch", words("answer", "Answer token")),
  of("patch", words("other", "Other token")),
  of("patch", choice("what", "Put in", [["resid_pre", "residual stream"], ["attention.out", "attention output"], ["mlp.post", "MLP inside"], ["heads", "heads"]])),
  of("patch", choice("direction", "From", [["denoise", "clean into corrupted"], ["noise", "corrupted into clean"]])),
  of("patch", only("encoder_decoder", choice("side", "Of the", [["", "decoder"], ["encoder", "encoder"]]))),
  of("ablate", { name: "cut", initial: "", build: (value, _, change) => {
    const switches = make("lab-head-switches", { change: () => change(switches.cut) });
    switches.cut = value;
    return switches;
  } }),
  of("ablate", only("encoder_decoder", choice("which", "Attention of the", [["", "decoder"], ["encoder", "encoder"], ["cross", "decoder over the encoder"]]))),
  of("steer", words("toward", "Toward", "I love this")),
  of("steer", words("away", "Away from", "I hate this")),
  of("steer", number("layer", "Behind layer", 0, { min: 0 })),
  of("steer", slider("strength", "Strength", 2, { min: -10, max: 10, step: 0.25 })),
];

export default {
  get verb() { return way(); },
  lead: "Change what the model computes, in this pass alone, and see what it says then. The text above is the prompt; to patch, it is the clean one.",
  empty: "Type a prompt, and change what happens inside.",
  example: EXAMPLE.text,
  options: OPTIONS,

  /** What the way's verb takes; numbers as numbers. @param {Record<string, string>} options */
  given(options) {
    show();
    const mine = OPTIONS.filter((/** @type {any} */ one) => one.way === way());
    return Object.fromEntries(mine.map(({ name }) => [name, name === "layer" || name === "strength" ? Number(options[name]) : options[name]]));
  },

  /** @param {any} view */
  mount(view) {
    show();
    document.querySelector(".lab-options select[name=doing]")?.addEventListener("change", () => view.clear()); // what another way found
    // after the view's own words: what was done of a map is kept
    view.stopper.addEventListener("click", () => {
      const map = view.querySelector("lab-patch-map");
      if (map && !map.settled) view.notice.replaceChildren(make("p", { class: "lab-note" }, `Stopped. The ${map.done} of ${map.total} exact cells that are done are kept.`));
    });
  },

  /** @param {any} view @param {HTMLElement} place @param {any} message @param {any} lab */
  shown(view, place, message, lab) {
    const { slot, data } = message;
    if (slot === "begin") begin(place, data, lab);
    if (slot === "heads") /** @type {any} */ (document.querySelector("lab-head-switches")).fit(data);
    if (slot === "map") {
      const map = /** @type {any} */ (make("lab-patch-map", { look: (/** @type {CustomEvent} */ event) => lab.inspector.show(event.detail.title, event.detail.values) }));
      place.classList.add("lab-live");
      place.append(map);
      map.begin(data);
      view.map = map;
    }
    if (slot === "estimate") view.map.estimate(data.effects);
    if (slot === "cells") view.map.add(data.cells, data.done);
    if (slot === "result" && view.map) view.map.settled = true;
    if (data?.note) place.append(make("p", { class: "lab-note" }, data.note));
  },
};

/** Only the controls of the way that is chosen. */
function show() {
  for (const control of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".lab-options [data-way]"))) control.classList.toggle("lab-otherway", control.dataset.way !== way());
}

/** Nothing to patch from yet. @param {HTMLElement} place @param {any} data @param {any} lab */
function begin(place, data, lab) {
  const { text, ...options } = EXAMPLE;
  if (lab.state.text === text && !lab.options.corrupted) {
    for (const [name, value] of Object.entries(options)) {
      const field = document.querySelector(`.lab-options input[name=${name}]`);
      if (field instanceof HTMLInputElement) field.value = value;
    }
    queueMicrotask(() => lab.set(options));
    return;
  }
  const to = address({ page: "intervene", model: lab.state.model, text, options });
  place.append(make("p", {}, `Write a corrupted prompt above: this text with a word changed, of as many tokens (${data.tokens}).`),
    make("p", {}, "Or see an example: ", make("a", { href: to }, `“${text}” against “${options.corrupted}”`)));
}
