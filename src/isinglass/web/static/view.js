// @ts-check
// <lab-view>: one job and what it shows, in one of the states empty, working, done and failed. While it works, the old result stays, dimmed.

import { fill } from "./cards.js";
import { make } from "./dom.js";
import { job } from "./jobs.js";

export class View extends HTMLElement {
  connectedCallback() {
    if (this.results) return;
    /** @type {Map<string, HTMLElement>} */ this.slots = new Map();
    /** @type {Record<string, any>} */ this.data = {};
    this.recipe = { python: "", command: "" };
    this.results = make("div", { class: "lab-results" });
    this.notice = make("div", { class: "lab-notice" });
    this.doing = make("span", { class: "lab-doing" });
    this.progress = make("progress", { "aria-label": "Progress" });
    this.stopper = make("button", { type: "button", click: () => this.stop() }, "Stop");
    this.work = make("div", { class: "lab-work", role: "status", hidden: true }, this.progress, this.doing, this.stopper);
    this.copies = make("div", { class: "lab-copies", hidden: true }, this.copier("python", "Copy as Python"), this.copier("command", "Copy as command"));
    this.append(make("div", { class: "lab-tools" }, this.work, this.copies), this.notice, this.results);
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.controller?.abort()); // one that only moves goes on
  }

  /** Nothing to show yet. @param {...Node} children */
  empty(...children) {
    this.controller?.abort();
    this.settle("empty");
    this.clear();
    this.notice.replaceChildren(make("div", { class: "lab-empty" }, ...children));
  }

  /**
   * Start a job in place of the one that runs. `hooks.shown` is called with (slot's element, message, the element before) when a result is to take its place.
   * @param {string} verb @param {Record<string, unknown>} given
   * @param {{shown?: (place: HTMLElement, message: any, before?: HTMLElement) => void, done?: () => void}} [hooks]
   */
  async run(verb, given, hooks = {}) {
    this.controller?.abort();
    const controller = (this.controller = new AbortController());
    Object.assign(this, { asked: { verb, given, hooks } });
    const renewed = new Set();
    let filling = Promise.resolve();
    this.begin();
    try {
      for await (const message of job(verb, given, controller.signal)) {
        if (controller !== this.controller) return;
        if (message.type === "accepted") this.accept(message);
        else if (message.type === "working") this.say(message);
        else if (message.type === "shown") {
          renewed.add(message.slot);
          filling = filling.then(() => this.put(message, hooks, controller));
        } else if (message.type === "failed") this.fail(message);
        else if (message.type === "cancelled") this.settle("stopped");
        else if (message.type === "done") {
          await filling;
          if (controller !== this.controller) return;
          for (const [slot, place] of this.slots) if (!renewed.has(slot)) this.drop(slot, place);
          this.dataset.seconds = message.seconds.toFixed(3);
          this.settle("done");
          hooks.done?.();
        }
      }
    } catch (fault) {
      if (!controller.signal.aborted) throw fault;
    }
  }

  stop() {
    this.controller?.abort();
    this.settle("stopped");
    this.notice.replaceChildren(make("p", { class: "lab-note" }, this.slots.size ? "Stopped. What is shown is the result before." : "Stopped."));
  }

  begin() {
    this.dataset.state = "working";
    this.notice.replaceChildren();
    this.progress.removeAttribute("value");
    this.doing.textContent = "asking the model …";
    this.work.hidden = false;
  }

  /** @param {string} state */
  settle(state) {
    this.dataset.state = state;
    this.work.hidden = true;
  }

  /** @param {any} message */
  accept(message) {
    this.recipe = message;
    this.copies.hidden = false;
    for (const button of this.copies.children) button.hidden = !message[button.dataset.kind];
  }

  /** @param {any} message */
  say(message) {
    const { doing, done, total } = message;
    this.doing.textContent = total ? `${doing}: ${done} of ${total}` : `${doing} …`;
    if (total) Object.assign(this.progress, { max: total, value: done });
    else this.progress.removeAttribute("value");
  }

  /** The error in the house form. @param {any} message */
  fail(message) {
    this.settle("failed");
    this.notice.replaceChildren(
      make("div", { class: "lab-failed", role: "alert" },
        make("p", {}, make("b", {}, "error: "), message.message),
        ...message.details.map((/** @type {string} */ line) => make("p", { class: "lab-detail" }, line)),
        message.hint ? make("p", {}, make("b", {}, "hint: "), message.hint) : null));
  }

  /** A result takes the place of the one before when it is drawn. @param {any} message @param {any} hooks @param {AbortController} controller */
  async put(message, hooks, controller) {
    const before = this.slots.get(message.slot);
    const place = make("section", { class: "lab-slot lab-incoming", "data-slot": message.slot });
    if (before) before.before(place);
    else this.results.append(place);
    await fill(place, message.parts);
    if (controller !== this.controller) return place.remove();
    this.data[message.slot] = message.data;
    this.slots.set(message.slot, place);
    hooks.shown?.(place, message, before);
    before?.remove();
    place.classList.remove("lab-incoming");
  }

  /** @param {string} slot @param {HTMLElement} place */
  drop(slot, place) {
    place.remove();
    this.slots.delete(slot);
    delete this.data[slot];
  }

  clear() {
    for (const [slot, place] of this.slots) this.drop(slot, place);
    this.copies.hidden = true;
  }

  /** @param {"python" | "command"} kind @param {string} label */
  copier(kind, label) {
    const button = make("button", { type: "button", "data-kind": kind, click: async () => {
      const text = this.recipe[kind];
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = label), 1500);
      } catch {
        // no clipboard here: the text itself, to be taken by hand
        this.notice.replaceChildren(make("pre", { class: "lab-recipe", tabindex: "0" }, text));
      }
    } }, label);
    return button;
  }
}

customElements.define("lab-view", View);
