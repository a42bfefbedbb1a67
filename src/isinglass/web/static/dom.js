// @ts-check
// Elements. Text only ever becomes text: what is given as a child is a node or a text node, never markup.

/**
 * @param {string} name
 * @param {Record<string, unknown>} [attributes] functions are listeners; true is an attribute without a value; false and null are none
 * @param {...(Node | string | number | null | undefined)} children
 * @returns {any}
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, /** @type {EventListener} */ (value));
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** Calls at most once in `wait` milliseconds of quiet. @param {(...args: any[]) => void} act @param {number} wait */
export function debounced(act, wait) {
  /** @type {number | undefined} */ let timer;
  return (/** @type {any[]} */ ...args) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => act(...args), wait);
  };
}

/** A number as exactly as it is worth reading. @param {unknown} value */
export function exact(value) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) < 1e-4 && value !== 0 ? value.toExponential(4) : String(Number(value.toPrecision(6)));
}

/** A button that hands over a file; null as its content is none. @param {string} label @param {string} name of the file @param {() => BlobPart | null | Promise<BlobPart | null>} content @param {string} kind @returns {HTMLElement} */
export function download(label, name, content, kind) {
  return make("button", { type: "button", class: "lab-download", click: async () => {
    const made = await content();
    if (made === null) return;
    const link = make("a", { href: URL.createObjectURL(new Blob([made], { type: kind })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } }, label);
}
