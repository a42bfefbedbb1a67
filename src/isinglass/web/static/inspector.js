// @ts-check
// <lab-inspector>: the exact values of what is pointed at or focused, of any card. At phone width it is a sheet that opens.

import { exact, make } from "./dom.js";

const HIDDEN = /^(order|text|ink|r|c|right|left)$|_(start|end)$/; // fields of a chart's rows that are for drawing

class Inspector extends HTMLElement {
  connectedCallback() {
    if (this.list) return;
    this.setAttribute("role", "complementary");
    this.setAttribute("aria-label", "Inspector");
    this.handle = make("button", { type: "button", class: "lab-handle", "aria-expanded": "false", click: () => this.toggle() }, "Inspector");
    this.heading = make("h2", {}, "Inspector");
    this.list = make("div", { class: "lab-values" }, make("p", { class: "lab-note" }, "Point at something, or focus it: its exact values stand here."));
    this.append(this.handle, this.heading, this.list);
    this.watched = new WeakSet();
    for (const type of ["pointerover", "focusin"]) document.addEventListener(type, (event) => this.look(/** @type {Element} */ (event.target)));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.classList.contains("lab-open") && this.toggle());
  }

  toggle() {
    this.handle.setAttribute("aria-expanded", String(this.classList.toggle("lab-open")));
  }

  /** Values by name, in order. @param {string} title @param {[string, unknown][]} values @param {...Node} more */
  show(title, values, ...more) {
    this.heading.textContent = title;
    const rows = values.map(([name, value]) => [make("dt", {}, name), make("dd", {}, exact(value))]);
    this.list.replaceChildren(make("dl", {}, ...rows.flat()), ...more);
    this.handle.textContent = `${title} · ${values.slice(0, 2).map(([, value]) => exact(value)).join(" · ")}`;
  }

  /** @param {Element | null} target */
  look(target) {
    const chip = target?.closest?.(".ig-tokens li");
    if (chip instanceof HTMLElement) return this.token(chip);
    const figure = /** @type {any} */ (target?.closest?.("ig-figure"));
    if (figure?.view && !this.watched.has(figure.view)) {
      this.watched.add(figure.view); // made anew each time a chart is drawn
      figure.view.addEventListener("pointermove", (/** @type {Event} */ _, /** @type {any} */ item) => item?.datum && this.mark(figure, item.datum));
    }
  }

  /** @param {HTMLElement} chip */
  token(chip) {
    const place = [...(chip.parentElement?.children ?? [])].indexOf(chip);
    const [id, ...fact] = (chip.dataset.id ?? "").split(" · ");
    const strip = chip.closest(".ig-strip")?.querySelector("b")?.textContent;
    const more = /** @type {any} */ (chip.closest(".lab-slot"))?.tokens?.[strip ?? ""]?.[place];
    /** @type {[string, unknown][]} */ const values = [["token", chip.textContent], ["id", id], ["position", place]];
    if (strip) values.push(["vocabulary", strip]);
    for (const each of fact) values.push(["value", each]);
    for (const [name, value] of Object.entries(more ?? {})) values.push([name, value]);
    this.show("Token", values);
  }

  /** @param {HTMLElement} figure @param {Record<string, unknown>} datum */
  mark(figure, datum) {
    const values = Object.entries(datum).filter(([name, value]) => !HIDDEN.test(name) && value !== "" && typeof value !== "object").map(whole(figure));
    if (values.length) this.show(figure.getAttribute("aria-label") ?? "Figure", values);
  }
}

/** Texts have no room in a chart: there they begin with their number, here they are whole. @param {HTMLElement} figure */
function whole(figure) {
  const texts = /** @type {any} */ (figure.closest(".lab-slot"))?.texts;
  return (/** @type {[string, unknown]} */ [name, value]) => {
    const number = texts && typeof value === "string" ? value.match(/^\d+(?= )/)?.[0] : undefined;
    return /** @type {[string, unknown]} */ ([name, number ? `${number} ${texts[Number(number) - 1]}` : value]);
  };
}

customElements.define("lab-inspector", Inspector);
