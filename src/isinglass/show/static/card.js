// @ts-check
// Downloads of a card, and sorting of its table, made in the browser from what the page already holds. A body that can draw itself offers
// `pictures`: an object from a format's name to a function that gives a Blob.

/** @param {string} name @param {Blob} blob */
function offer(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {unknown} value */
function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {{title: string, columns: {name: string, values: unknown[]}[]}} data */
function rowsOf(data) {
  const count = data.columns.length ? data.columns[0].values.length : 0;
  return Array.from({ length: count }, (_, row) => data.columns.map((column) => column.values[row]));
}

/** @type {Record<string, (data: any) => Blob>} */
const TABLES = {
  CSV: (data) => {
    const lines = [data.columns.map((/** @type {any} */ column) => column.name), ...rowsOf(data)];
    return new Blob([lines.map((line) => line.map(csvCell).join(",") + "\n").join("")], { type: "text/csv" });
  },
  JSON: (data) => {
    const names = data.columns.map((/** @type {any} */ column) => column.name);
    const rows = rowsOf(data).map((row) => Object.fromEntries(row.map((value, place) => [names[place], value])));
    return new Blob([JSON.stringify({ title: data.title, rows }, null, 2)], { type: "application/json" });
  },
};

/** @param {HTMLElement} card */
function furnish(card) {
  const place = card.querySelector(".ig-downloads");
  if (!(place instanceof HTMLElement) || place.childElementCount) return;
  const title = card.querySelector("figcaption")?.textContent ?? "figure";
  const stem = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "figure";
  const body = /** @type {any} */ (card.querySelector("ig-figure, ig-attention-grid"));
  const holder = card.querySelector("script.ig-data");
  const names = [...(body ? (body.dataset.pictures ?? "PNG,SVG").split(",") : []), ...(holder ? ["CSV", "JSON"] : [])];
  for (const name of names) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-label", `Download “${title}” as ${name}`);
    button.addEventListener("click", async () => {
      const blob = name in TABLES ? TABLES[name](JSON.parse(holder?.textContent ?? "")) : await body.pictures[name]();
      offer(`${stem}.${name.toLowerCase()}`, blob);
    });
    place.append(button);
  }
  place.hidden = names.length === 0;
}

/** Order of raw values: numbers before words, what is missing last whichever way round. @param {unknown} a @param {unknown} b @param {number} sign */
function inOrder(a, b, sign) {
  const [missingA, missingB] = [a, b].map((value) => value === null || value === undefined);
  if (missingA || missingB) return Number(missingA) - Number(missingB);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** Headings become buttons that sort by the raw values; not where only the first rows of a long table are on the page. @param {HTMLElement} card */
function makeSortable(card) {
  const table = card.querySelector(".ig-scroll > table");
  const holder = card.querySelector("script.ig-data");
  if (!(table instanceof HTMLTableElement) || !holder || table.querySelector("th button")) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const { columns } = JSON.parse(holder.textContent ?? "");
  if (rows.length < 2 || columns.length !== table.tHead?.rows[0].cells.length || columns[0].values.length !== rows.length) return;
  const places = new Map(rows.map((row, place) => [row, place]));
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, number) => {
    const values = columns[number].values;
    const first = values.some((/** @type {unknown} */ value) => typeof value === "number") ? "descending" : "ascending"; // large numbers are looked for
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const at = (/** @type {HTMLTableRowElement} */ row) => places.get(row) ?? 0;
      body.append(...[...rows].sort((a, b) => inOrder(values[at(a)], values[at(b)], sign) || at(a) - at(b)));
    });
    heading.append(button);
  });
}

/** Downloads and sorting for all cards below `root`; a page that adds cards later calls it again. @param {ParentNode} root */
export function furnishAll(root) {
  root.querySelectorAll("figure.ig-card").forEach((card) => {
    furnish(/** @type {HTMLElement} */ (card));
    makeSortable(/** @type {HTMLElement} */ (card));
  });
}

furnishAll(document);
