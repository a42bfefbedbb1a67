// @ts-check
// Train: a small run with its curve as it grows. It goes on while other pages are looked at, with the model that it has made so far.

import { make } from "../dom.js";
import { choice, during, number, words } from "../options.js";

const INSIDE = [["predict", "Predict"], ["attention", "Attention"], ["layers", "Layers"], ["generate", "Generate"]];

/** A number that need not be whole. @param {string} name @param {string} label @param {number} initial */
function rate(name, label, initial) {
  return number(name, label, initial, /** @type {any} */ ({ min: 0.00001, max: 1, step: "any" }));
}

/** An option of a fresh model alone, or of one that is tuned. @param {string} begin @param {any} option */
function of(begin, option) {
  return during((options) => options.begin === begin, option);
}

/** Begin or go on. @param {any} view @param {any} lab @param {"start" | "resume"} action */
function train(view, lab, action) {
  view.action = action;
  lab.set({});
}

/** What can be done now. @param {any} view */
function offer(view) {
  const training = view.dataset.state === "working" && view.action !== "look";
  const { there, finished, resumable } = view.data.curve ?? {};
  view.start.hidden = training || there !== false; // until it is known, too
  view.resume.hidden = training || !resumable || finished;
  document.querySelector(".lab-options")?.toggleAttribute("inert", training && document.contains(view) && !view.closest(".lab-away"));
}

export default {
  verb: "train",
  lasting: true,
  lead: "A small model while it learns: its loss, and how it continues the text above. What it has learned so far can be looked into on the other pages.",
  empty: "Type a beginning, which the model will continue as it learns.",
  example: "And God said",
  options: [
    choice("begin", "Train", [["fresh", "a new model"], ["tuned", "the model above, by a LoRA"]]),
    of("fresh", words("preset", "New model", "gpt2(n_layers=2, n_heads=4, d_model=64, context_length=64)")),
    words("data", "Text to learn from", "kjv"),
    of("fresh", choice("tokenizer", "Vocabulary", [["character", "characters"], ["byte", "bytes"], ["word", "words"]])),
    of("tuned", number("rank", "Rank", 8, { min: 1 })),
    number("steps", "Steps", 400, { min: 1 }),
    number("batch_size", "Batch", 16, { min: 1 }),
    rate("learning_rate", "Learning rate", 0.002),
    number("seed", "Seed", 0, { min: 0 }),
    words("folder", "Kept in", "runs/lab"),
  ],

  /** Another folder holds another run; the rest is for the next one. @param {string} name */
  reruns: (name) => name === "folder",

  /** @param {Record<string, string>} options */
  given({ begin, preset, data, tokenizer, rank, steps, batch_size, learning_rate, seed, folder }) {
    const view = /** @type {any} */ (document.querySelector(".lab-main lab-view"));
    return {
      action: view.action, preset: begin === "fresh" ? preset : "", data, tokenizer, rank: Number(rank), steps: Number(steps),
      batch_size: Number(batch_size), learning_rate: Number(learning_rate), seed: Number(seed), folder,
    };
  },

  /** @param {any} view @param {any} lab */
  mount(view, lab) {
    view.action = "look";
    view.start = make("button", { type: "button", class: "lab-start", hidden: true, click: () => train(view, lab, "start") }, "Start");
    view.resume = make("button", { type: "button", class: "lab-start", hidden: true, click: () => train(view, lab, "resume") }, "Go on");
    view.querySelector(".lab-tools").prepend(make("div", { class: "lab-begin" }, view.start, view.resume));
    new MutationObserver(() => {
      offer(view);
      if (view.dataset.state === "working" || view.action === "look") return;
      const stopped = view.dataset.state === "stopped";
      view.action = "look";
      if (!stopped) return; // an end shows itself, and after a fault its message stays
      const { given, hooks } = view.asked;
      view.run("train", { ...given, action: "settle" }, { ...hooks, done: () => {
        if (view.data.curve.there) view.notice.replaceChildren(make("p", { class: "lab-note" }, "Stopped. What it has learned is kept: Go on continues exactly there."));
      } });
    }).observe(view, { attributes: true, attributeFilter: ["data-state"] });
  },

  /** Run in the bar is the button that is offered. True: nothing is to be done, since it trains. @param {any} view */
  submit(view) {
    if (view.dataset.state === "working" && view.action !== "look") return true;
    view.action = view.start && !view.start.hidden ? "start" : view.resume && !view.resume.hidden ? "resume" : "look";
    return false;
  },

  /** The page is shown again while it trains. @param {any} view */
  back: offer,

  /** @param {any} view @param {HTMLElement} place @param {any} message @param {any} _lab @param {HTMLElement} [before] */
  shown(view, place, message, _lab, before) {
    place.classList.add("lab-live");
    const open = [...before?.querySelectorAll("details") ?? []].map((twin) => twin.open); // a table that is read stays open
    for (const [at, twin] of [...place.querySelectorAll("details")].entries()) twin.open = open[at] ?? false;
    if (message.slot !== "curve") return;
    const { there, folder, step, steps, finished, model } = message.data;
    const of = steps ? ` of ${steps.toLocaleString("en")}` : "";
    place.prepend(
      make("p", { class: "lab-note" }, there ? `${folder}: step ${step.toLocaleString("en")}${of}${finished ? ", ended" : ""}.` : `No run in ${folder} yet. Start begins one there; leaving this tab ends it, and what it has learned is kept.`),
      ...(model ? [inside(model, finished)] : []));
    offer(view);
  },
};

/** Links to the other pages with the run's model in the bar. @param {string} model @param {boolean} finished */
function inside(model, finished) {
  return make("nav", { class: "lab-inside", "aria-label": "Look inside" },
    make("p", {}, finished ? "Look inside the trained model:" : "Look inside the best model so far:"),
    ...INSIDE.map(([page, title]) => make("a", { href: `/${page}?model=${encodeURIComponent(model)}`, "data-page": page, "data-model": model }, title)));
}
