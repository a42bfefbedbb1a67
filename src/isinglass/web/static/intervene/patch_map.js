// @ts-check
// <lab-patch-map>: layers x positions or heads, filling in. An estimate is a small square, an exact cell a whole one; arrow keys move between cells.

import { exact, make } from "../dom.js";

const ROW = 18; // pixels of a layer
const TOP = 6;

/** `#rrggbb` between three stops, at -1..1. @param {string[]} stops @param {number} at */
function blend(stops, at) {
  const share = Math.min(1, Math.abs(at));
  const parts = [stops[1], at < 0 ? stops[0] : stops[2]].map((stop) => [1, 3, 5].map((from) => parseInt(stop.slice(from, from + 2), 16)));
  return `rgb(${parts[0].map((low, n) => Math.round(low + share * (parts[1][n] - low))).join()})`;
}

export class PatchMap extends HTMLElement {
  /** What the map is of: `layers`, `columns`, `kind`, `base`, `what`, `question`, `clean`, `corrupted`. @param {any} outline */
  begin(outline) {
    this.outline = outline;
    this.done = 0;
    this.total = outline.layers * outline.columns.length;
    /** @type {{effect: number, value?: number, exact: boolean}[]} */ this.cells = [];
    this.at = { layer: outline.layers - 1, column: outline.columns.length - 1 };
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": `Patch map: ${outline.layers} layers and ${outline.columns.length} ${outline.kind}s; arrow keys move between cells` });
    this.readout = make("p", { class: "lab-readout", "aria-live": "polite" });
    this.key = make("p", { class: "lab-note" });
    this.table = make("details", { toggle: () => this.fillTable() }, make("summary", {}, "As a table"));
    this.replaceChildren(make("h2", {}, `What ${outline.what} does, layer by ${outline.kind}`),
      make("p", { class: "lab-note" }, `${outline.question}: ${exact(outline.corrupted)} in the corrupted run (effect 0), ${exact(outline.clean)} in the clean run (effect 1)`),
      this.canvas, this.readout, this.key, this.table);
    this.canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.point(event));
    this.canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.move(event));
    this.canvas.addEventListener("focus", () => this.tell());
    this.repaint = () => this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.repaint);
    new ResizeObserver(this.repaint).observe(this.canvas);
  }

  disconnectedCallback() {
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.repaint);
  }

  /** @param {number[][]} effects of layers, of columns */
  estimate(effects) {
    effects.forEach((row, layer) => row.forEach((effect, column) => (this.cells[this.place(layer, column)] = { effect, exact: false })));
    this.changed();
  }

  /** @param {[number, number, number, number][]} cells layer, column, effect, value @param {number} done */
  add(cells, done) {
    for (const [layer, column, effect, value] of cells) this.cells[this.place(layer, column)] = { effect, value, exact: true };
    this.done = done;
    this.changed();
  }

  /** @param {number} layer @param {number} column */
  place(layer, column) {
    return layer * this.outline.columns.length + column;
  }

  changed() {
    const moved = this.cells.map((cell) => Math.abs(cell.effect - this.outline.base)).filter(Number.isFinite);
    this.limit = Math.max(1e-9, ...moved);
    const value = this.outline.base ? "effect − 1" : "effect";
    this.key.textContent = `scale: ${value} from −${exact(this.limit)} (blue) to ${exact(this.limit)} (orange); small squares are estimates; exact: ${this.done} of ${this.total} cells`;
    this.fillTable();
    this.draw();
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    const { layers, columns } = this.outline;
    const style = getComputedStyle(this);
    const color = (/** @type {string} */ name) => style.getPropertyValue(`--ig-${name}`).trim();
    const stops = color("effects").split(",").map((stop) => stop.trim());
    const longest = Math.min(14, Math.max(...columns.map((/** @type {string} */ label) => [...label].length)));
    const left = 34;
    const bottom = longest > 3 ? 12 + 7.4 * longest : 20;
    const height = TOP + layers * ROW + bottom;
    const ratio = devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    const cell = Math.min(64, (width - left - 4) / columns.length);
    this.frame = { left, cell };
    pen.fillStyle = stops[1];
    pen.fillRect(left, TOP, cell * columns.length, ROW * layers);
    this.cells.forEach((one, place) => {
      const [x, y] = [left + (place % columns.length) * cell, TOP + Math.floor(place / columns.length) * ROW];
      pen.fillStyle = blend(stops, (one.effect - this.outline.base) / this.limit);
      if (one.exact) pen.fillRect(x, y, cell + 0.5, ROW + 0.5);
      else pen.fillRect(x + cell / 4, y + ROW / 4, cell / 2, ROW / 2);
    });
    pen.strokeStyle = color("line");
    pen.strokeRect(left - 0.5, TOP - 0.5, cell * columns.length + 1, ROW * layers + 1);
    pen.strokeStyle = color("ink");
    pen.lineWidth = 2;
    pen.strokeRect(left + this.at.column * cell + 1, TOP + this.at.layer * ROW + 1, Math.max(1, cell - 2), ROW - 2);
    pen.font = `12px ${color("tokens")}`;
    pen.fillStyle = color("quiet");
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let layer = 0; layer < layers; layer++) pen.fillText(String(layer), left - 8, TOP + (layer + 0.5) * ROW);
    const step = Math.ceil(15 / cell);
    for (let column = 0; column < columns.length; column += step) {
      pen.save();
      pen.translate(left + (column + 0.5) * cell, TOP + layers * ROW + 8);
      if (longest > 3) pen.rotate(-Math.PI / 2);
      else pen.textAlign = "center";
      pen.fillText(this.label(column).slice(0, 14), 0, longest > 3 ? 0 : 4);
      pen.restore();
    }
  }

  /** @param {number} column */
  label(column) {
    return this.outline.columns[column].replaceAll(" ", "·").replaceAll("\n", "↵");
  }

  /** @param {PointerEvent} event */
  point(event) {
    const { layers, columns } = this.outline;
    const column = Math.floor((event.offsetX - this.frame.left) / this.frame.cell);
    const layer = Math.floor((event.offsetY - TOP) / ROW);
    if (column < 0 || column >= columns.length || layer < 0 || layer >= layers) return;
    if (column !== this.at.column || layer !== this.at.layer) this.go(layer, column);
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const { layer, column } = this.at;
    const last = { layer: this.outline.layers - 1, column: this.outline.columns.length - 1 };
    const to = /** @type {Record<string, [number, number]>} */ ({ ArrowUp: [layer - 1, column], ArrowDown: [layer + 1, column], ArrowLeft: [layer, column - 1], ArrowRight: [layer, column + 1],
      Home: [layer, 0], End: [layer, last.column], PageUp: [0, column], PageDown: [last.layer, column] })[event.key];
    if (!to) return;
    event.preventDefault();
    this.go(Math.max(0, Math.min(last.layer, to[0])), Math.max(0, Math.min(last.column, to[1])));
  }

  /** @param {number} layer @param {number} column */
  go(layer, column) {
    this.at = { layer, column };
    this.draw();
    this.tell();
  }

  /** The cell in words, and as an event for the inspector. */
  tell() {
    const { layer, column } = this.at;
    const one = this.cells[this.place(layer, column)];
    const where = `layer ${layer}, ${this.outline.kind} ${column}${this.outline.kind === "head" ? "" : ` ${this.label(column)}`}`;
    this.readout.textContent = `${where}: ${one ? `effect ${exact(one.effect)}, ${one.exact ? "exact" : "estimated"}` : "not done"}`;
    /** @type {[string, unknown][]} */ const values = [["effect", one?.effect ?? "not done"], ["layer", layer], [this.outline.kind, column]];
    if (this.outline.kind !== "head") values.push(["token", this.outline.columns[column]]);
    if (one) values.push(["how", one.exact ? "exact" : "estimated"]);
    if (one?.exact) values.push([this.outline.question, one.value]);
    this.dispatchEvent(new CustomEvent("look", { detail: { title: "Patched cell", values } }));
  }

  /** Made when it is opened: many cells are many nodes. */
  fillTable() {
    if (!this.table.open) return;
    const { layers, columns, kind } = this.outline;
    const heads = columns.map((/** @type {string} */ _, /** @type {number} */ column) => make("th", { scope: "col" }, kind === "head" ? column : `${column} ${this.label(column)}`));
    const rows = Array.from({ length: layers }, (_, layer) => make("tr", {}, make("th", { scope: "row" }, layer), ...columns.map((/** @type {string} */ _label, /** @type {number} */ column) => {
      const one = this.cells[this.place(layer, column)];
      return make("td", {}, one ? `${one.exact ? "" : "≈ "}${exact(Number(one.effect.toPrecision(4)))}` : "");
    })));
    const made = make("table", {}, make("caption", {}, "Effects; ≈ is an estimate"), make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "layer"), ...heads)), make("tbody", {}, ...rows));
    const place = this.table.querySelector("div") ?? this.table.appendChild(make("div", { class: "lab-scroll", tabindex: "0", role: "region", "aria-label": "Effects as a table" }));
    place.replaceChildren(made);
  }
}

customElements.define("lab-patch-map", PatchMap);
