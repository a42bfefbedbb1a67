// @ts-check
// <ig-attention-grid>: every layer and head as a thumbnail, one head enlarged. Token text only ever becomes text: textContent or fillText.
// Weights come as one gzip per layer, a byte each, keys 0..query of each row when causal.

const THUMB = 96; // pixels of a thumbnail at most; longer texts are shown in blocks, the largest weight of each
const LABEL = 13; // pixels a token label needs; labels that would stand closer are left out
const ZOOMS = [16, 32, 64, 128, 256, 512];

/** @param {string} text */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {string} name @param {Record<string, string>} [attributes] @param {string} [text] */
function make(name, attributes = {}, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

/** 256 colours between evenly spaced `#rrggbb` stops, as packed RGB triples. @param {string[]} stops */
function colors(stops) {
  const table = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  const out = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level++) {
    const at = (level / 255) * (table.length - 1);
    const low = Math.min(Math.floor(at), table.length - 2);
    for (let part = 0; part < 3; part++) out[level * 3 + part] = Math.round(table[low][part] + (at - low) * (table[low + 1][part] - table[low][part]));
  }
  return out;
}

class AttentionGrid extends HTMLElement {
  connectedCallback() {
    if (this.content) return;
    this.content = JSON.parse(this.querySelector("script")?.textContent ?? "{}");
    this.time = this.content.tokens.length;
    [this.layer, this.head] = this.content.focus;
    this.query = this.time - 1;
    this.key = 0;
    this.span = this.time;
    this.scale = this.content.scale;
    /** @type {Uint8Array[]} */ this.bytes = [];
    this.pictures = { PNG: () => this.picture() };
    this.build();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
    new ResizeObserver(() => this.drawHead()).observe(this.map);
    this.read();
  }

  build() {
    const { layers, heads, kvHeadOf } = this.content;
    this.grid = make("div", { class: "ig-heads", role: "group", "aria-label": "All layers and heads; arrow keys move between heads" });
    this.grid.style.gridTemplateColumns = `max-content repeat(${heads}, minmax(${heads > 12 ? 26 : 21}px, 76px))`;
    if (kvHeadOf) this.buildKeyValueHeads(kvHeadOf);
    this.grid.append(make("span", { class: "ig-row" }, "head"), ...Array.from({ length: heads }, (_, head) => make("span", {}, String(head))));
    /** @type {HTMLElement[]} */ this.buttons = [];
    for (let layer = 0; layer < layers; layer++) {
      this.grid.append(make("span", { class: "ig-row" }, `layer ${layer}`));
      for (let head = 0; head < heads; head++) {
        const kv = kvHeadOf ? `, key-value head ${kvHeadOf[head]}` : "";
        const name = `layer ${layer}, head ${head}${kv}`;
        const button = make("button", { type: "button", "aria-pressed": "false", tabindex: "-1", "aria-label": name, title: name });
        button.append(make("canvas", { "aria-hidden": "true" }));
        button.addEventListener("click", () => this.choose(layer, head));
        this.buttons.push(button);
        this.grid.append(button);
      }
    }
    this.grid.addEventListener("keydown", (event) => this.moveHead(event));
    this.append(this.grid, this.buildHead());
    this.choose(this.layer, this.head);
  }

  /** @param {number[]} kvHeadOf */
  buildKeyValueHeads(kvHeadOf) {
    this.grid.append(make("span"));
    for (let start = 0; start < kvHeadOf.length; ) {
      let end = start;
      while (end < kvHeadOf.length && kvHeadOf[end] === kvHeadOf[start]) end++;
      const label = make("span", { class: "ig-kv", title: `these query heads read key-value head ${kvHeadOf[start]}` }, `KV ${kvHeadOf[start]}`);
      label.style.gridColumn = `span ${end - start}`;
      this.grid.append(label);
      start = end;
    }
  }

  buildHead() {
    const side = make("div", { class: "ig-head" });
    const bar = make("div", { class: "ig-head-bar" });
    this.name = make("strong");
    const closer = make("button", { type: "button", "aria-label": "Show fewer tokens" }, "+");
    const wider = make("button", { type: "button", "aria-label": "Show more tokens" }, "−");
    closer.addEventListener("click", () => this.zoom(-1));
    wider.addEventListener("click", () => this.zoom(1));
    const choice = /** @type {HTMLSelectElement} */ (make("select", { "aria-label": "Colour scale" }));
    for (const [value, text] of [["linear", "scale 0 to 1"], ["sqrt", "scale 0 to 1, square root"], ["head", "scale 0 to the head’s largest"]])
      choice.append(make("option", value === this.scale ? { value, selected: "" } : { value }, text));
    choice.addEventListener("change", () => {
      this.scale = choice.value;
      this.repaint();
    });
    bar.append(this.name, choice, ...(this.time > ZOOMS[0] ? [closer, wider] : []));
    this.map = /** @type {HTMLCanvasElement} */ (make("canvas", { class: "ig-map", tabindex: "0", role: "application" }));
    this.map.addEventListener("pointermove", (event) => this.point(event));
    this.map.addEventListener("pointerdown", (event) => this.point(event));
    this.map.addEventListener("keydown", (event) => this.moveCell(event));
    this.readout = make("p", { class: "ig-readout", "aria-live": "polite" });
    this.legend = make("div", { class: "ig-legend" });
    side.append(bar, this.map, this.readout, this.legend);
    return side;
  }

  async read() {
    this.palette = this.readPalette();
    const levels = this.content.payload.map(inflate); // all at once: each wait for one would let the page be painted in between
    for (const [layer, inflated] of levels.entries()) {
      this.bytes[layer] = await inflated;
      for (let head = 0; head < this.content.heads; head++) this.drawThumb(layer, head);
      if (layer === this.layer) this.lookAtStrongest();
    }
    this.dataset.ready = "true";
  }

  /** Begin where the last query looks most. */
  lookAtStrongest() {
    for (let key = 0; key < this.time; key++)
      if (this.level(this.layer, this.head, this.query, key) > this.level(this.layer, this.head, this.query, this.key)) this.key = key;
    this.drawHead();
  }

  readPalette() {
    const style = getComputedStyle(this);
    const of = (/** @type {string} */ name) => style.getPropertyValue(`--ig-${name}`).trim();
    return { levels: colors(of("scale").split(",").map((stop) => stop.trim())), surface: of("surface"), ink: of("ink"), quiet: of("quiet"), ember: of("ember"), line: of("line"), font: of("tokens") };
  }

  /** A weight as a byte; -1 where the mask hides the key. @param {number} layer @param {number} head @param {number} query @param {number} key */
  level(layer, head, query, key) {
    const { causal } = this.content;
    if (causal && key > query) return -1;
    const size = causal ? (this.time * (this.time + 1)) / 2 : this.time * this.time;
    return this.bytes[layer][head * size + (causal ? (query * (query + 1)) / 2 : query * this.time) + key];
  }

  /** @param {number} layer @param {number} head */
  limit(layer, head) {
    if (this.scale !== "head") return 255;
    const size = this.bytes[layer].length / this.content.heads;
    let most = 1;
    for (let at = head * size; at < (head + 1) * size; at++) most = Math.max(most, this.bytes[layer][at]);
    return most;
  }

  /** Draw `count` tokens from (query, key) on into a canvas, which gets at most `side` pixels. */
  raster(/** @type {HTMLCanvasElement} */ canvas, /** @type {number} */ layer, /** @type {number} */ head, /** @type {number} */ query, /** @type {number} */ key, /** @type {number} */ count, /** @type {number} */ side) {
    const size = Math.min(count, side);
    canvas.width = canvas.height = size;
    // kept in plain memory, the pictures are painted with what stands around them; else each of some hundred is a layer of its own
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    const image = context.createImageData(size, size);
    const limit = this.limit(layer, head);
    const edges = Array.from({ length: size + 1 }, (_, at) => Math.floor((at * count) / size));
    for (let row = 0; row < size; row++)
      for (let column = 0; column < size; column++) {
        let most = -1;
        for (let q = edges[row]; q < edges[row + 1]; q++)
          for (let k = edges[column]; k < edges[column + 1]; k++) most = Math.max(most, this.level(layer, head, query + q, key + k));
        if (most < 0) continue; // hidden by the mask: nothing is painted
        const share = Math.min(1, most / limit);
        const level = Math.round(255 * (this.scale === "sqrt" ? Math.sqrt(share) : share));
        image.data.set(this.palette.levels.subarray(level * 3, level * 3 + 3), (row * size + column) * 4);
        image.data[(row * size + column) * 4 + 3] = 255;
      }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  /** @param {number} layer @param {number} head */
  drawThumb(layer, head) {
    const canvas = /** @type {HTMLCanvasElement} */ (this.buttons[layer * this.content.heads + head].firstElementChild);
    this.raster(canvas, layer, head, 0, 0, this.time, THUMB);
  }

  repaint() {
    this.palette = this.readPalette();
    this.bytes.forEach((_, layer) => {
      for (let head = 0; head < this.content.heads; head++) this.drawThumb(layer, head);
    });
    this.drawHead();
  }

  /** First token of the part shown, so that the pointed-at place is inside. @param {number} at */
  start(at) {
    return Math.max(0, Math.min(this.time - this.span, Math.floor(at / this.span) * this.span, at));
  }

  drawHead() {
    const width = this.map.clientWidth;
    if (!this.bytes[this.layer] || !width) return;
    const ratio = devicePixelRatio || 1;
    const longest = Math.max(...this.content.tokens.map((/** @type {string} */ token) => [...token].length));
    const margin = Math.min(width * 0.26, 22 + 7.4 * Math.min(longest, 14));
    const plot = Math.floor(width - margin - 2);
    this.map.width = width * ratio;
    this.map.height = (plot + margin + 2) * ratio;
    this.map.style.height = `${plot + margin + 2}px`;
    const context = /** @type {CanvasRenderingContext2D} */ (this.map.getContext("2d"));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [q0, k0] = [this.start(this.query), this.start(this.key)];
    const cell = plot / this.span;
    this.frame = { margin, plot, cell, q0, k0 };
    context.imageSmoothingEnabled = false;
    const picture = /** @type {HTMLCanvasElement} */ (make("canvas"));
    context.drawImage(this.raster(picture, this.layer, this.head, q0, k0, this.span, Math.floor(plot * ratio)), margin, margin, plot, plot);
    context.strokeStyle = this.palette.line;
    context.strokeRect(margin - 0.5, margin - 0.5, plot + 1, plot + 1);
    this.drawLabels(context);
    context.strokeStyle = this.palette.ember;
    context.lineWidth = 1.5;
    const thick = Math.max(cell, 3);
    context.strokeRect(margin + (this.key - k0 + 0.5) * cell - thick / 2, margin + (this.query - q0 + 0.5) * cell - thick / 2, thick, thick);
    this.say();
  }

  /** @param {CanvasRenderingContext2D} context */
  drawLabels(context) {
    const { margin, cell, q0, k0 } = this.frame;
    const step = Math.ceil(LABEL / cell);
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const [rows, first, chosen] of [[true, q0, this.query], [false, k0, this.key]]) {
      context.save();
      context.translate(margin, margin);
      if (!rows) context.rotate(Math.PI / 2);
      const places = Array.from({ length: this.span }, (_, at) => Number(first) + at).filter((at) => at % step === 0 && Math.abs(at - Number(chosen)) * cell >= LABEL);
      for (const at of [...places, Number(chosen)]) {
        const middle = (at - Number(first) + 0.5) * cell;
        context.fillStyle = at === chosen ? this.palette.ember : this.palette.quiet;
        context.font = `${at === chosen ? "bold " : ""}12px ${this.palette.font}`;
        context.fillText(this.shortened(context, this.content.tokens[at], margin - 10), -5, rows ? middle : -middle);
      }
      context.restore();
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {string} text @param {number} room */
  shortened(context, text, room) {
    if (context.measureText(text).width <= room) return text;
    const chars = [...text];
    while (chars.length > 1 && context.measureText(chars.join("") + "…").width > room) chars.pop();
    return chars.join("") + "…";
  }

  say() {
    const { tokens, kvHeadOf, heads } = this.content;
    const kv = kvHeadOf ? ` (KV head ${kvHeadOf[this.head]})` : "";
    const level = this.level(this.layer, this.head, this.query, this.key);
    this.name.textContent = `Layer ${this.layer}, head ${this.head}${kv}`;
    const weight = level < 0 ? "hidden by the causal mask" : `${(level / 255).toFixed(3)} ± 0.002`;
    this.readout.replaceChildren(
      `query ${this.query} `, make("code", {}, tokens[this.query]), ` looks at key ${this.key} `, make("code", {}, tokens[this.key]), ": ", make("b", {}, weight));
    this.map.setAttribute("aria-label", `${this.name.textContent}: query down, key across; arrow keys move. ${this.readout.textContent}`);
    const limit = this.limit(this.layer, this.head) / 255;
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => (this.scale === "sqrt" ? at * at : at) * limit);
    const numbers = make("div");
    numbers.append(...ticks.map((value) => make("span", {}, String(Number(value.toPrecision(2))))));
    this.legend.replaceChildren("attention weight", make("i"), numbers);
    this.dataset.chosen = String(this.layer * heads + this.head);
  }

  /** @param {number} layer @param {number} head */
  choose(layer, head) {
    const { heads } = this.content;
    const old = this.buttons[this.layer * heads + this.head];
    old.setAttribute("aria-pressed", "false");
    old.tabIndex = -1;
    [this.layer, this.head] = [layer, head];
    const button = this.buttons[layer * heads + head];
    button.setAttribute("aria-pressed", "true");
    button.tabIndex = 0;
    this.drawHead();
    return button;
  }

  /** @param {KeyboardEvent} event */
  moveHead(event) {
    const { layers, heads } = this.content;
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === "Enter") this.map.focus();
    else if (event.key === "Home") this.choose(this.layer, 0).focus();
    else if (event.key === "End") this.choose(this.layer, heads - 1).focus();
    else if (down || right) {
      const layer = Math.max(0, Math.min(layers - 1, this.layer + down));
      this.choose(layer, Math.max(0, Math.min(heads - 1, this.head + right))).focus();
    } else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  moveCell(event) {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === "Escape") this.buttons[this.layer * this.content.heads + this.head].focus();
    else if (event.key === "+") this.zoom(-1);
    else if (event.key === "-") this.zoom(1);
    else if (down || right) {
      this.query = Math.max(0, Math.min(this.time - 1, this.query + down));
      this.key = Math.max(0, Math.min(this.time - 1, this.key + right));
      this.drawHead();
    } else return;
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  point(event) {
    if (!this.frame) return;
    const { margin, cell, q0, k0 } = this.frame;
    const [column, row] = [Math.floor((event.offsetX - margin) / cell), Math.floor((event.offsetY - margin) / cell)];
    if (column < 0 || row < 0 || column >= this.span || row >= this.span) return;
    [this.query, this.key] = [q0 + row, k0 + column];
    this.drawHead();
  }

  /** @param {number} step */
  zoom(step) {
    const spans = [...ZOOMS.filter((span) => span < this.time), this.time];
    this.span = spans[Math.max(0, Math.min(spans.length - 1, spans.indexOf(this.span) + step))];
    this.drawHead();
  }

  /** The whole grid as a PNG. @returns {Promise<Blob | null>} */
  picture() {
    const { layers, heads } = this.content;
    const side = Math.min(this.time, THUMB) * Math.max(1, Math.ceil(56 / this.time));
    const canvas = /** @type {HTMLCanvasElement} */ (make("canvas"));
    [canvas.width, canvas.height] = [70 + heads * (side + 4), 24 + layers * (side + 4)];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.fillStyle = this.palette.surface;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = this.palette.quiet;
    for (let head = 0; head < heads; head++) context.fillText(String(head), 70 + head * (side + 4) + side / 2 - 4, 16);
    for (let layer = 0; layer < layers; layer++) {
      context.fillText(`layer ${layer}`, 8, 24 + layer * (side + 4) + side / 2);
      for (let head = 0; head < heads; head++)
        context.drawImage(/** @type {HTMLCanvasElement} */ (this.buttons[layer * heads + head].firstElementChild), 70 + head * (side + 4), 24 + layer * (side + 4), side, side);
    }
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
}

if (!customElements.get("ig-attention-grid")) customElements.define("ig-attention-grid", AttentionGrid);
