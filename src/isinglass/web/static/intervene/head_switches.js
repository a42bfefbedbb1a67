// @ts-check
// <lab-head-switches>: a button for every layer and head; a pressed one is cut out. Arrow keys move, Space and Enter switch.

import { make } from "../dom.js";

export class HeadSwitches extends HTMLElement {
  /** Heads that are cut, as "LAYER.HEAD,…". @param {string} cut */
  set cut(cut) {
    this.off = new Set(cut.split(",").filter(Boolean));
    this.show();
  }

  get cut() {
    return [...this.off ?? []].join();
  }

  /** @param {{layers: number, heads: number, kv: number[] | null}} sizes */
  fit({ layers, heads, kv }) {
    if (this.layers === layers && this.heads === heads) return;
    Object.assign(this, { layers, heads });
    this.count = make("p", { class: "lab-note", role: "status" });
    this.grid = make("div", { class: "lab-switches", role: "group", "aria-label": "Heads; a pressed one is cut out. Arrow keys move between heads" });
    this.grid.style.gridTemplateColumns = `max-content repeat(${heads}, minmax(28px, 44px))`;
    /** @type {HTMLElement[]} */ this.buttons = [];
    for (let layer = 0; layer < layers; layer++) {
      this.grid.append(make("span", { "aria-hidden": "true" }, `layer ${layer}`));
      for (let head = 0; head < heads; head++) {
        const shared = kv ? `, key-value head ${kv[head]}` : "";
        const name = `layer ${layer}, head ${head}${shared}`;
        const button = make("button", { type: "button", "aria-label": name, title: name, "data-head": `${layer}.${head}`, tabindex: this.buttons.length ? "-1" : "0", click: () => this.toggle(button) });
        this.buttons.push(button);
        this.grid.append(button);
      }
    }
    this.grid.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.move(event));
    this.clear = make("button", { type: "button", click: () => this.change(new Set()) }, "Put all back");
    this.replaceChildren(make("div", { class: "lab-scroll" }, this.grid), make("div", { class: "lab-switched" }, this.count, this.clear));
    this.show();
  }

  show() {
    for (const button of this.buttons ?? []) {
      const cut = this.off?.has(button.dataset.head ?? "");
      button.setAttribute("aria-pressed", String(cut));
      button.textContent = cut ? "×" : (button.dataset.head ?? "").split(".")[1];
    }
    if (!this.count) return;
    const size = this.off?.size ?? 0;
    this.count.textContent = size ? `${size} of ${this.buttons?.length} heads cut out` : "Click heads to cut them out: × is a head whose output is zero.";
    this.clear.disabled = !size;
  }

  /** @param {HTMLElement} button */
  toggle(button) {
    this.focusable(button);
    const now = new Set(this.off);
    const head = button.dataset.head ?? "";
    if (!now.delete(head)) now.add(head);
    this.change(now);
  }

  /** @param {Set<string>} off */
  change(off) {
    this.off = off;
    this.show();
    this.dispatchEvent(new Event("change"));
  }

  /** One of the buttons is where Tab goes to. @param {HTMLElement} button */
  focusable(button) {
    for (const each of this.buttons ?? []) each.tabIndex = each === button ? 0 : -1;
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const buttons = this.buttons ?? [];
    const heads = this.heads ?? 1;
    const at = buttons.indexOf(/** @type {HTMLElement} */ (event.target));
    const column = at % heads;
    const to = /** @type {Record<string, number>} */ ({ ArrowLeft: column ? at - 1 : at, ArrowRight: column < heads - 1 ? at + 1 : at, ArrowUp: at - heads, ArrowDown: at + heads, Home: at - column, End: at - column + heads - 1 })[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    if (!buttons[to]) return;
    this.focusable(buttons[to]);
    buttons[to].focus();
  }
}

customElements.define("lab-head-switches", HeadSwitches);
