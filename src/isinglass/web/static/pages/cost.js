// @ts-check
// Cost: a workload as a form, its plan followed while one types; the plan as a workbook, the workload as a file.

import { download, make } from "../dom.js";
import { job } from "../jobs.js";
import { amount, choice, grouped, words } from "../options.js";
import { read } from "../state.js";

/** Every saving there is; those with numbers can be changed. */
export const SAVINGS = [
  "one_request",
  "prefix_cache",
  "batch",
  "fewer_variations",
  "response_cache(hit_rate=0.3)",
  "routing(share=0.6, to='gpt-4o-mini')",
  "prompt_compression(kept=0.8)",
  "shorter_answers(kept=0.8)",
  "smaller_model(to='gpt-4o-mini')",
];

/** @param {string} expression */
const name = (expression) => expression.split("(")[0].trim();

/** A box for each saving, with a field where it has numbers. */
function savings() {
  return { name: "savings", initial: SAVINGS.join(";"), build: (/** @type {string} */ value, /** @type {any} */ _, /** @type {(value: string) => void} */ change) => {
    const on = value.split(";").map((one) => one.trim()).filter(Boolean);
    const own = on.filter((one) => !SAVINGS.some((known) => name(known) === name(one)));
    const rows = [...SAVINGS, ...own].map((known) => {
      const given = on.find((one) => name(one) === name(known));
      const box = make("input", { type: "checkbox", checked: given !== undefined, "aria-label": name(known), change: told });
      const input = (given ?? known).includes("(") ? make("input", { value: given ?? known, spellcheck: "false", autocomplete: "off", "aria-label": `Numbers of ${name(known)}`, change: told }) : null;
      return { box, input, element: make("div", {}, make("label", {}, box, input ? "" : known), input), known };
    });
    function told() {
      change(rows.filter(({ box }) => box.checked).map(({ input, known }) => (input ? input.value.trim() : known)).join(";"));
    }
    return make("fieldset", { class: "lab-savings", "aria-label": "Savings that may be taken" }, ...rows.map(({ element }) => element));
  } };
}

/** The tokens of the bar's text at a click. @param {HTMLInputElement} input */
function counter(input) {
  const told = make("output", { class: "lab-note" });
  return [make("button", { type: "button", click: async () => {
    const text = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea[name=text]")).value;
    const priced = read().options.priced ?? "gpt-4o";
    for await (const message of job("count", { text, priced }, new AbortController().signal)) {
      if (message.type === "failed") told.textContent = `${message.message}${message.hint ? `: ${message.hint}` : ""}`;
      if (message.type !== "shown") continue;
      const { tokens, vocabulary, exact } = message.data;
      input.value = String(tokens);
      input.dispatchEvent(new Event("input", { bubbles: true }));
      told.textContent = exact ? `counted by ${vocabulary}` : `estimated by ${vocabulary}`;
    }
  } }, "Count the bar’s text"), told];
}

/** @param {string} text */
function names(text) {
  return text.split(",").map((one) => one.trim()).filter(Boolean);
}

/** @param {string} percent */
function share(percent) {
  return Number((Number(percent) / 100).toFixed(6));
}

export default {
  verb: "cost",
  textless: true,
  modelless: true,
  lead: "What a workload costs in a month, and how its bill comes down by a target. Everything follows while you change it.",
  bar: { hint: "a prompt whose tokens can be counted" },
  open: ["What is asked for", "The plan"],
  options: [
    ...grouped("What is asked for",
      words("priced", "Priced model", "gpt-4o"), words("beside", "Beside it", "gpt-4o-mini"),
      amount("requests", "Requests a month", 100000, { min: 0, step: 1 }),
      amount("tokens_in", "Tokens in", 150, { min: 0, step: 1 }, counter),
      amount("tokens_out", "Tokens out", 200, { min: 0, step: 1 }),
      amount("variations", "Variations", 3, { min: 1, step: 1 }),
      choice("reading", "asked for as", [["separate requests", "separate requests"], ["one request", "one request"]])),
    ...grouped("The plan",
      amount("target", "To be saved (%)", 50, { min: 1, max: 99 }),
      choice("most", "Risk, at most", [["medium", "medium"], ["none", "none"], ["low", "low"], ["high", "high"]]),
      savings()),
    ...grouped("What the savings depend on",
      amount("prefix_tokens", "Shared prefix (tokens)", 0, { min: 0, step: 1 }),
      amount("wait_seconds", "Wait, at most (s)", 10, { min: 0.001 }),
      amount("personal", "Personal answers (%)", 40, { min: 0, max: 100 }),
      amount("compared", "Need all variations (%)", 100, { min: 0, max: 100 })),
    ...grouped("Months",
      amount("growth", "Growth a month (%)", 5, { min: -99 }),
      amount("months", "Months", 12, { min: 1, max: 120, step: 1 }),
      amount("one_off", "The plan costs once ($)", 2000, { min: 0 }),
      words("on", "Day of the prices", "", "today")),
    ...grouped("A machine of one’s own",
      amount("machine", "A month ($, 0: none)", 500, { min: 0 }),
      amount("speed", "Output tokens a second", 400, { min: 0.001 }),
      amount("busy", "Busy (%)", 30, { min: 0.1, max: 100 }),
      amount("watts", "Watts", 0, { min: 0 }),
      amount("kwh", "A kWh ($)", 0, { min: 0 })),
  ],

  /** @param {Record<string, string>} o */
  given(o) {
    const hardware = Number(o.machine) ? { usd_per_month: Number(o.machine), tokens_per_second: Number(o.speed), utilisation: share(o.busy), watts: Number(o.watts), usd_per_kwh: Number(o.kwh) } : null;
    return { target: share(o.target), most: o.most, workload: {
      model: o.priced.trim(), models: [o.priced.trim(), ...names(o.beside)], requests: Number(o.requests), tokens_in: Number(o.tokens_in), tokens_out: Number(o.tokens_out),
      variations: Number(o.variations), reading: o.reading, prefix_tokens: Number(o.prefix_tokens), wait_seconds: Number(o.wait_seconds),
      personal_share: share(o.personal), variations_share: share(o.compared), growth: share(o.growth), months: Number(o.months), one_off_usd: Number(o.one_off),
      on: o.on.trim() || null, savings: o.savings.split(";").map((one) => one.trim()).filter(Boolean), hardware,
    } };
  },

  /** @param {any} view @param {HTMLElement} place @param {any} message */
  shown(view, place, message) {
    if (message.slot !== "plan") return;
    const { usd, saving, target, reached, models, file, toml } = message.data;
    const money = (/** @type {number} */ value) => value.toLocaleString("en", { style: "currency", currency: "USD" });
    const percent = (/** @type {number} */ value) => `${(100 * value).toFixed(1)} %`;
    const said = [["a month as it is", money(usd[0])], ["a month with the plan", money(usd[1])], [`saved; ${percent(target)} ${reached ? "was asked for" : "was asked for, NOT reached"}`, percent(saving)]];
    place.prepend(
      make("dl", { class: "lab-bill" }, ...said.map(([what, value]) => make("div", {}, make("dt", {}, what), make("dd", {}, value)))),
      make("div", { class: "lab-files" },
        download("Plan as a workbook (XLSX)", "plan.xlsx", () => workbook(view), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        download(`Workload as a file (${file})`, file, () => toml, "application/toml")));
    offer(models);
  },
};

/** The workbook of what is shown. @param {any} view @returns {Promise<BlobPart | null>} */
async function workbook(view) {
  let bytes = null;
  for await (const message of job("workbook", view.asked.given, new AbortController().signal)) {
    if (message.type === "failed") view.fail(message);
    if (message.type === "shown") bytes = Uint8Array.from(atob(message.data.xlsx), (char) => char.charCodeAt(0));
  }
  return bytes;
}

/** Models that have a price, to choose from. @param {string[]} models */
function offer(models) {
  const input = document.querySelector(".lab-options input[name=priced]");
  if (!input || input.getAttribute("list")) return;
  input.after(make("datalist", { id: "priced-offers" }, ...models.map((value) => make("option", { value }))));
  input.setAttribute("list", "priced-offers");
}
