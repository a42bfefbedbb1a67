// @ts-check
// Generate: up to four strategies write on from the same text, each in its column. Tokens come as they are chosen; Stop keeps them.

import { make } from "../dom.js";
import { number } from "../options.js";

const MOST = 4; // columns
const HIGH = 10; // nats, where a chip is full
const MARKS = "·↵␍⇥";
const ENDS = { length: "the limit is reached", end: "the model ended it", context: "the context is full", stop: "a stop text was met" };
export const STRATEGIES = [
  "greedy",
  "sample(temperature=0.8, top_p=0.9)",
  "sample(temperature=0.8)",
  "sample(top_p=0.9)",
  "sample(top_k=40)",
  "sample(min_p=0.1)",
  "beam(n_beams=4)",
  "contrastive(k=4, alpha=0.6)",
  "speculative(n_tokens=4)",
];

/** One row per column: a menu of what there is, and the expression itself, which may say anything. @param {string} initial */
function strategies(initial) {
  return { name: "strategies", initial, build: (/** @type {string} */ value, /** @type {any} */ _, /** @type {(value: string) => void} */ change) => {
    const rows = make("ol", { class: "lab-strategies" });
    const adder = make("button", { type: "button", click: () => { rows.append(row(STRATEGIES[rows.childElementCount])); told(true); } }, "Add a strategy");
    const told = (/** @type {boolean} */ now) => {
      const all = [...rows.children];
      adder.hidden = all.length >= MOST;
      for (const [at, one] of all.entries()) {
        one.querySelector("button").hidden = all.length === 1;
        one.querySelector("input").setAttribute("aria-label", `Strategy ${at + 1}`);
        one.querySelector("select").setAttribute("aria-label", `Menu of strategy ${at + 1}`);
      }
      if (now) change(all.map((one) => one.querySelector("input").value).join(";"));
    };
    const row = (/** @type {string} */ expression) => {
      const input = make("input", { value: expression, spellcheck: "false", autocomplete: "off", change: () => {
        if (!input.value.trim()) input.value = STRATEGIES[0];
        fit();
        told(true);
      } });
      const menu = make("select", { change: () => { input.value = menu.value; fit(); told(true); } });
      const fit = () => {
        const own = STRATEGIES.includes(input.value) ? [] : [input.value];
        menu.replaceChildren(...[...own, ...STRATEGIES].map((each) => make("option", { value: each, selected: each === input.value }, own.includes(each) ? "your own" : each)));
      };
      fit();
      return make("li", {}, menu, input, make("button", { type: "button", "aria-label": "Remove this strategy", title: "Remove this strategy", click: (/** @type {any} */ event) => {
        event.currentTarget.closest("li").remove();
        told(true);
        adder.focus();
      } }, "×"));
    };
    rows.append(...value.split(";").map((one) => one.trim()).filter(Boolean).map(row));
    if (!rows.childElementCount) rows.append(row(STRATEGIES[0]));
    told(false);
    return make("fieldset", { class: "lab-writers" }, make("legend", {}, "Strategies"), rows, adder);
  } };
}

/** One column, empty. @param {any} told @param {any} view */
function column(told, view) {
  const parts = {
    status: make("p", { class: "lab-note" }, told.late ? "searches; its text comes at its end" : "reads the text"),
    chips: make("ol", { class: "ig-tokens", "aria-label": `Tokens of ${told.strategy}`, keydown: walk }),
    text: make("p", { class: "lab-written" }),
    meter: make("meter", { min: 0, max: 1, value: 0 }),
    cache: make("span", {}, "–"),
    speed: make("span", {}, "–"),
    measures: make("tbody"),
  };
  const copy = (/** @type {string} */ kind, /** @type {string} */ label) => view.copier.call({ recipe: told, notice: view.notice }, kind, label);
  const element = make("section", { class: "ig-card lab-column", "aria-label": told.strategy },
    make("h2", {}, told.strategy), parts.status, parts.chips,
    make("dl", {}, make("dt", {}, "KV cache"), make("dd", {}, parts.meter, " ", parts.cache), make("dt", {}, "speed"), make("dd", {}, parts.speed)),
    make("table", {}, parts.measures),
    make("details", {}, make("summary", {}, "The text"), parts.text),
    make("div", { class: "lab-alone" }, copy("python", "Copy as Python"), copy("command", "Copy as command")));
  return { element, ...parts, ended: false };
}

/** What is new in a column. @param {any} column @param {any} told */
function add(column, told) {
  column.chips.append(...told.new.map((/** @type {any} */ token, /** @type {number} */ at) => chip(token, column.chips.childElementCount + at === 0)));
  column.text.textContent = told.text;
  if (told.tokens || told.finish) column.status.textContent = `${told.tokens} token${told.tokens === 1 ? "" : "s"}${told.finish ? `; ${ENDS[/** @type {keyof typeof ENDS} */ (told.finish)]}` : " …"}`;
  column.ended = Boolean(told.finish);
  if (!told.cache.whole) return;
  Object.assign(column.meter, { max: told.cache.whole, value: told.cache.used });
  column.cache.textContent = told.cache.text;
  column.meter.setAttribute("aria-label", `KV cache: ${told.cache.text}`);
  column.speed.textContent = told.speed;
  column.measures.replaceChildren(...told.measures.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value))));
}

/** @param {{id: number, text: string, surprisal: number}} token @param {boolean} first */
function chip({ id, text, surprisal }, first) {
  const fact = `surprisal (nats) ${Number(surprisal.toPrecision(4))}`;
  const shown = [...text].map((char) => (MARKS.includes(char) ? make("i", {}, char) : char));
  const element = make("li", { tabindex: first ? "0" : "-1", "data-id": `${id} · ${fact}`, "aria-label": `${text}, id ${id}, ${fact}` }, ...shown);
  const high = Math.round(100 * Math.min(1, surprisal / HIGH));
  element.style.background = `linear-gradient(to top,color-mix(in srgb,var(--ig-ember) 32%,var(--ig-surface)) ${high}%,transparent 0)`;
  return element;
}

/** Tab goes into a column, arrows from chip to chip: hundreds of stops would be a wall. @param {KeyboardEvent} event */
function walk(event) {
  const chips = /** @type {HTMLElement[]} */ ([.../** @type {HTMLElement} */ (event.currentTarget).children]);
  const at = chips.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: chips.length - 1 }[event.key];
  if (to === undefined || !chips[to]) return;
  event.preventDefault();
  chips[at].tabIndex = -1;
  chips[to].tabIndex = 0;
  chips[to].focus();
}

export default {
  verb: "generate",
  lead: "Strategies side by side: the same text written on, token by token. The fuller a chip, the more surprising its token was to the model.",
  empty: "Type a beginning, and see how each strategy writes on.",
  example: "It was a cold night and",
  options: [strategies("greedy;sample(temperature=0.8, top_p=0.9)"), number("max_tokens", "Tokens, at most", 64, { min: 1, max: 1024 }), number("seed", "Seed", 0, { min: 0 })],

  /** Follow the job's state: while it writes, the columns are not yesterday's. @param {any} view */
  mount(view) {
    new MutationObserver(() => {
      const board = view.results.querySelector(".lab-live");
      if (!board) return;
      board.classList.remove("lab-live");
      for (const one of view.columns) if (!one.ended) one.status.textContent = `stopped after ${one.chips.childElementCount} tokens`;
      if (view.dataset.state === "stopped") view.notice.replaceChildren(make("p", { class: "lab-note" }, "Stopped. What was written until then is kept."));
    }).observe(view, { attributes: true, attributeFilter: ["data-state"] });
  },

  /** @param {any} view @param {any} place @param {any} message */
  shown(view, place, message) {
    if (message.slot === "board") {
      view.columns = message.data.map((/** @type {any} */ each) => column(each, view));
      view.slots.get("table")?.remove(); // it is of the text before
      view.slots.delete("table");
      place.classList.add("lab-live");
      place.append(make("div", { class: "lab-columns" }, ...view.columns.map((/** @type {any} */ one) => one.element)),
        make("p", { class: "lab-note" }, `Chips are filled by surprisal, -log p under the model itself, from 0 to ${HIGH} nats and more.`));
    } else if (message.slot === "tokens") {
      place.hidden = true; // what it brings stands in the columns
      message.data.forEach((/** @type {any} */ each, /** @type {number} */ at) => add(view.columns[at], each));
    }
  },
};
