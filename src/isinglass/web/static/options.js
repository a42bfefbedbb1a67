// @ts-check
// The controls of a page's options. Each is a value in the address; `input` is for what can be shown at once, `change` for what runs.

import { debounced, make } from "./dom.js";

const TYPING = 300; // milliseconds of quiet before a number that is typed runs
const LONGEST = 12000; // characters of lines, which stand in the address

/**
 * @typedef {{name: string, initial: string, build: (value: string, input: (value: string) => void, change: (value: string) => void) => HTMLElement, only?: string, when?: (options: Record<string, string>) => boolean, group?: string}} Option
 */

/** A whole number. @param {string} name @param {string} label @param {number} initial @param {{min?: number, max?: number}} [limits] @returns {Option} */
export function number(name, label, initial, limits = {}) {
  return { name, initial: String(initial), build: (value, _, change) => field(label, make("input", {
    type: "number", name, value, ...limits, change: (/** @type {any} */ event) => event.target.reportValidity() && event.target.value && change(event.target.value) })) };
}

/** A number that is followed while it is typed; it need not be whole. @param {string} name @param {string} label @param {number} initial @param {{min?: number, max?: number, step?: number | string}} [limits] @param {(input: HTMLInputElement) => Node[]} [beside] what stands beside it @returns {Option} */
export function amount(name, label, initial, limits = {}, beside = () => []) {
  return { name, initial: String(initial), build: (value, _, change) => {
    const follow = debounced(() => input.isConnected && input.value !== "" && input.checkValidity() && change(input.value), TYPING);
    const input = make("input", { type: "number", name, value, step: "any", ...limits, input: follow, change: () => input.reportValidity() });
    const shown = field(label, input);
    const more = beside(input);
    return more.length ? make("div", { class: "lab-beside" }, shown, ...more) : shown;
  } };
}

/** A number on a line. @param {string} name @param {string} label @param {number} initial @param {{min: number, max: number, step: number}} limits @returns {Option} */
export function slider(name, label, initial, limits) {
  return { name, initial: String(initial), build: (value, input, change) => {
    const shown = make("output", {}, value);
    const line = make("input", { type: "range", name, ...limits, value,
      input: (/** @type {any} */ event) => { shown.textContent = event.target.value; input(event.target.value); },
      change: (/** @type {any} */ event) => change(event.target.value) });
    return field(label, line, shown);
  } };
}

/** One of several. @param {string} name @param {string} label @param {[string, string][]} choices value and what it is called @returns {Option} */
export function choice(name, label, choices) {
  return { name, initial: choices[0][0], build: (value, _, change) => field(label, make("select", { name, change: (/** @type {any} */ event) => change(event.target.value) },
    ...choices.map(([each, text]) => make("option", { value: each, selected: each === value }, text)))) };
}

/** Any of several, with commas between. @param {string} name @param {string} label @param {string[]} choices @param {string[]} [initial] @returns {Option} */
export function several(name, label, choices, initial = []) {
  return { name, initial: initial.join(","), build: (value, _, change) => {
    const on = value.split(",");
    const boxes = choices.map((each) => make("input", { type: "checkbox", value: each, checked: on.includes(each),
      change: () => change(boxes.filter((box) => box.checked).map((box) => box.value).join(",")) }));
    return make("fieldset", { class: "lab-several" }, make("legend", {}, label), ...boxes.map((box) => make("label", {}, box, box.value)));
  } };
}

/** Which of a page's views is shown. @param {[string, string][]} choices value and what it is called @returns {Option} */
export function views(choices) {
  return { name: "view", initial: choices[0][0], build: (value, _, change) => make("fieldset", { class: "lab-views" }, make("legend", {}, "View"),
    ...choices.map(([each, text]) => make("label", {}, make("input", { type: "radio", name: "view", value: each, checked: each === value, change: () => change(each) }), text))) };
}

/** A whole number, or nothing. @param {string} name @param {string} label @param {string} nothing what stands there then @returns {Option} */
export function perhaps(name, label, nothing) {
  return { name, initial: "", build: (value, _, change) => field(label, make("input", {
    type: "number", name, value, placeholder: nothing, change: (/** @type {any} */ event) => event.target.reportValidity() && change(event.target.value) })) };
}

/** One token, in which spaces count; a datalist of the id `NAME-offers` offers some. @param {string} name @param {string} label @param {string} nothing what stands there when it is empty @returns {Option} */
export function token(name, label, nothing) {
  return { name, initial: "", build: (value, _, change) => field(label, make("input", { type: "text", class: "lab-token", name, value, placeholder: nothing,
    list: `${name}-offers`, spellcheck: "false", autocomplete: "off", size: 14, change: (/** @type {any} */ event) => change(event.target.value) }),
  make("datalist", { id: `${name}-offers` })) };
}

/** Words. @param {string} name @param {string} label @param {string} [initial] @param {string} [nothing] what stands there when it is empty @returns {Option} */
export function words(name, label, initial = "", nothing = "") {
  return { name, initial, build: (value, _, change) => field(label, make("input", { name, value, placeholder: nothing || null, spellcheck: "false", autocomplete: "off",
    change: (/** @type {any} */ event) => change(event.target.value) })) };
}

/** Lines of text. @param {string} name @param {string} label @param {string} nothing what stands there when it is empty @returns {Option} */
export function lines(name, label, nothing) {
  return { name, initial: "", build: (value, _, change) => {
    const area = make("textarea", { name, rows: Math.min(8, Math.max(2, value.split("\n").length)), maxlength: LONGEST, placeholder: nothing, spellcheck: "false",
      change: () => change(area.value.trim()) });
    area.value = value;
    const shown = field(label, area);
    shown.classList.add("lab-lines");
    return shown;
  } };
}

/** An option that is there for models of one architecture alone. @param {string} architecture @param {Option} option @returns {Option} */
export function only(architecture, option) {
  return { ...option, only: architecture };
}

/** An option that says something only while `when` holds. @param {(options: Record<string, string>) => boolean} when @param {Option} option @returns {Option} */
export function during(when, option) {
  return { ...option, when };
}

/** Options in a part of the page that can be folded. @param {string} group its title @param {...Option} options */
export function grouped(group, ...options) {
  return options.map((option) => ({ ...option, group }));
}

/** @param {string} label @param {...Node} inner */
export function field(label, ...inner) {
  return make("label", { class: "lab-option" }, make("span", {}, label), ...inner);
}
