// @ts-check
// Attention: all heads at once, one large. The picture holds weights to a byte; the exact row of what is pointed at is asked for.

import { debounced, exact, make } from "../dom.js";
import { job } from "../jobs.js";
import { choice, during, number, only, views, words } from "../options.js";

const STATISTICS = ["induction", "duplicate", "to_previous", "to_first", "to_itself", "local", "duplicate_in_text", "induction_in_text", "entropy", "distance"];
/** @param {Record<string, string>} options */ const maps = ({ view }) => view !== "heads";
/** @param {Record<string, string>} options */ const heads = ({ view }) => view === "heads";
const RESTING = 120; // milliseconds on a cell before its exact row is asked for

export default {
  verb: "attention",
  lead: "Who looks at whom: the weights of every layer and head. Arrow keys move between heads, Enter goes into one.",
  empty: "Type a text, and see where each head looks.",
  example: "The cat sat on the mat because it was tired",
  verbs: { heads: "heads" },
  options: [
    views([["maps", "Maps"], ["heads", "Head statistics"]]),
    during(maps, number("layer", "Layer", 0, { min: 0 })),
    during(maps, number("head", "Head", 0, { min: 0 })),
    during(maps, only("encoder_decoder", choice("which", "Attention of the", [["", "decoder"], ["encoder", "encoder"], ["cross", "decoder over the encoder"]]))),
    during(maps, only("encoder_decoder", words("target", "What it has written"))),
    during(heads, choice("by", "Sorted by", STATISTICS.map((name) => [name, name.replaceAll("_", " ")]))),
    during(heads, number("window", "Reach of local heads", 4, { min: 1 })),
    during(heads, number("seed", "Seed of the random tokens", 0, { min: 0 })),
  ],

  /** @param {Record<string, string>} options */
  given({ view, layer, head, which, target, by, window, seed }) {
    if (view === "heads") return { by, window: Number(window), seed: Number(seed) };
    return { layer: Number(layer), head: Number(head), which, target };
  },

  /** @param {any} view @param {HTMLElement} place @param {any} _message @param {any} lab */
  shown(view, place, _message, lab) {
    const grid = /** @type {any} */ (place.querySelector("ig-attention-grid"));
    if (!grid) return;
    let asking = new AbortController();
    let seen = "";
    const rest = debounced(async () => {
      asking.abort();
      asking = new AbortController();
      const { layer, head, query, key } = grid;
      const { text, model, options } = lab.state;
      const { which = "", target = "" } = options;
      try {
        for await (const message of job("attention_row", { text, model, which, target, layer, head, query, key }, asking.signal))
          if (message.type === "shown" && grid.isConnected) show(lab.inspector, grid, message.data);
      } catch (fault) {
        if (!asking.signal.aborted) throw fault;
      }
    }, RESTING);
    const follow = () => {
      const now = [grid.layer, grid.head, grid.query, grid.key].join();
      if (now === seen) return;
      seen = now;
      const { layer, head } = lab.options;
      if (String(grid.layer) !== layer || String(grid.head) !== head) choose(grid, lab);
      rest();
    };
    for (const type of ["pointermove", "click", "keydown"]) grid.addEventListener(type, follow);
  },
};

/** A head opened in the picture is the one in the address, and in the fields. @param {any} grid @param {any} lab */
function choose(grid, lab) {
  lab.set({ layer: String(grid.layer), head: String(grid.head) }, { run: false });
  for (const name of ["layer", "head"]) {
    const input = document.querySelector(`.lab-options input[name=${name}]`);
    if (input instanceof HTMLInputElement) input.value = String(grid[name]);
  }
}

/** @param {any} inspector @param {any} grid @param {any} data */
function show(inspector, grid, data) {
  const rows = data.strongest.map((/** @type {any} */ one) => make("tr", {}, make("td", {}, one.position), make("td", { class: "lab-token" }, one.token), make("td", {}, exact(one.weight))));
  inspector.show(`Layer ${grid.layer}, head ${grid.head}`,
    [["weight", data.weight], ["query", `${grid.query} ${data.query}`], ["key", `${grid.key} ${data.key}`], ["sum of the row", data.sum]],
    make("h3", {}, "Where this query looks most"),
    make("table", {}, make("thead", {}, make("tr", {}, ...["key", "token", "weight"].map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, ...rows)));
}
