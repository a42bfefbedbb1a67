// @ts-check
// The lab: one bar, a rail of pages, one view, an inspector. The address says what is looked at; everything here follows it.

import { warm } from "./cards.js";
import { debounced, make } from "./dom.js";
import "./inspector.js";
import { job } from "./jobs.js";
import { address, boot, read, write } from "./state.js";
import "./status.js";
import "./view.js";

const TYPING = 200; // milliseconds of quiet before a live page runs

const main = /** @type {HTMLElement} */ (document.querySelector(".lab-main"));
const form = /** @type {HTMLFormElement} */ (document.querySelector(".lab-form"));
const rail = /** @type {HTMLElement} */ (document.querySelector(".lab-rail"));
const menu = /** @type {HTMLButtonElement} */ (document.querySelector(".lab-menu"));
const facts = /** @type {HTMLElement} */ (document.querySelector(".lab-facts"));
const model = /** @type {HTMLInputElement} */ (form.elements.namedItem("model"));
const text = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("text"));

const away = document.body.appendChild(make("div", { class: "lab-away", "aria-hidden": "true", inert: true })); // views that go on working while another page is shown

let state = read();
let described = "";
let architecture = "";
// What a page says of itself: `verb` (or `verbs` by view), `lead`, `options`, `given(options)` for the verb; `empty` and `example`, or
// `textless` where it needs no text; `bar` names the bar's field and button; `open` the groups of options that are not folded; `modelless`
// where the bar's model is not used; `live`, `lasting`; and the hooks `mount`, `shown`, `preview`, `submit`, `back`, `reruns`.
/** @type {any} */ let page = null;
/** @type {any} */ let view = null;

/** What a page is given besides the view. */
const lab = {
  get state() { return state; },
  get options() { return optionsOf(state); },
  /** Change options in the address; `run` runs the page again. @param {Record<string, string>} changes @param {{run?: boolean}} [how] */
  set(changes, { run: again = true } = {}) {
    const now = { ...lab.options, ...changes };
    const told = (page.options ?? []).filter((/** @type {any} */ one) => now[one.name] !== one.initial);
    const options = Object.fromEntries(told.map((/** @type {any} */ one) => [one.name, now[one.name]]));
    state = { ...state, options };
    write(state, { push: false });
    fitOptions();
    if (again) run();
  },
  inspector: /** @type {any} */ (document.querySelector("lab-inspector")),
};

/** @param {typeof state} of @returns {Record<string, string>} */
function optionsOf(of) {
  return { ...Object.fromEntries((page.options ?? []).map((/** @type {any} */ one) => [one.name, one.initial])), ...of.options };
}

function drawRail() {
  rail.querySelector("ul")?.replaceChildren(...Object.entries(boot.pages).map(([name, title]) => {
    const working = leftWorking(name);
    const to = address(working?.state ?? { ...state, page: name, options: {} });
    return make("li", {}, make("a", { href: to, "aria-current": name === state.page ? "page" : null, "data-page": name },
      title, working ? make("span", { class: "lab-busy" }, " · working") : null));
  }));
}

/** A page's view that went on working when the page was left. @param {string} name */
function leftWorking(name) {
  return /** @type {any} */ (away.querySelector(`[data-page=${name}][data-state=working]`));
}

/** @param {boolean} open */
function openMenu(open) {
  rail.classList.toggle("lab-open", open);
  menu.setAttribute("aria-expanded", String(open));
}

/** Show what the address says. */
async function follow() {
  state = read();
  model.value = state.model;
  text.value = state.text;
  grow();
  drawRail();
  document.title = `${boot.pages[state.page]} · Isinglass lab`;
  const wanted = state.page;
  const loaded = (await import(`./pages/${wanted}.js`)).default;
  if (wanted !== state.page) return; // another page was asked for meanwhile
  if (page?.lasting && view.dataset.state === "working") away.append(view);
  page = loaded;
  const before = leftWorking(wanted);
  view = before ?? make("lab-view", { "data-page": wanted });
  away.querySelector(`[data-page=${wanted}]:not([data-state=working])`)?.remove();
  const controls = make("div", { class: "lab-options", role: "group", "aria-label": "Options" });
  for (const option of page.options ?? []) {
    const { name } = option;
    const control = option.build(optionsOf(state)[name], (/** @type {string} */ value) => page.preview?.(view, name, value, lab), (/** @type {string} */ value) => lab.set({ [name]: value }, { run: page.reruns?.(name) ?? true }));
    Object.assign(control, { option });
    shelf(controls, option.group).append(control);
  }
  const { label = "Text", button = "Run", hint = "" } = page.bar ?? {};
  /** @type {HTMLElement} */ (form.querySelector(".lab-text>span")).textContent = label;
  /** @type {HTMLElement} */ (form.querySelector(".lab-run")).textContent = button;
  text.placeholder = hint;
  main.replaceChildren(make("h1", {}, boot.pages[wanted]), make("p", { class: "lab-lead" }, page.lead), ...(controls.childElementCount ? [controls] : []), view);
  fitOptions();
  drawRail();
  if (before) return page.back?.(view, lab);
  page.mount?.(view, lab);
  run();
}

/** Where an option stands: beside the others, or in a group that can be folded. @param {HTMLElement} controls @param {string} [group] */
function shelf(controls, group) {
  if (!group) return controls;
  const known = [...controls.querySelectorAll("details")].find((one) => one.dataset.group === group);
  if (known) return known;
  return controls.appendChild(make("details", { class: "lab-group", "data-group": group, open: page.open?.includes(group) }, make("summary", {}, group)));
}

/** Run the page on the state, or show how to begin. */
function run() {
  const [shown, on] = [page, view]; // another page may be there when a result comes
  on.state = state;
  if (!state.text && !page.textless) {
    view.empty(make("p", {}, page.empty), make("button", { type: "button", class: "lab-example", click: () => go({ text: page.example }) }, page.example));
    describe();
    return;
  }
  on.run(page.verbs?.[lab.options.view] ?? page.verb, { text: state.text, model: state.model, ...page.given?.(lab.options) ?? numbers(lab.options) }, {
    shown: (/** @type {HTMLElement} */ place, /** @type {any} */ message, /** @type {HTMLElement | undefined} */ before) => shown.shown?.(on, place, message, lab, before),
    done: page.modelless ? undefined : describe,
  });
}

/** Options as a verb wants them: what was typed as a number is one. @param {Record<string, string>} options */
function numbers(options) {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => {
    const initial = page.options.find((/** @type {any} */ one) => one.name === name)?.initial;
    return [name, initial !== "" && Number.isFinite(Number(initial)) ? Number(value) : value];
  }).filter(([name]) => page.options.some((/** @type {any} */ one) => one.name === name)));
}

/** Another text or model: a place to go back to. @param {Partial<typeof state>} changes @param {{push?: boolean}} [how] */
function go(changes, { push = true } = {}) {
  state = { ...state, ...changes };
  write(state, { push });
  model.value = state.model;
  text.value = state.text;
  grow();
  drawRail();
  run();
}

/** What the model is, under the rail; it is loaded for that, so not before the first view is there. */
async function describe() {
  const asked = state.model;
  if (described === asked) return;
  described = asked;
  facts.textContent = `loading ${asked} …`;
  for await (const message of job("model", { model: asked }, new AbortController().signal)) {
    if (described !== asked) return;
    if (message.type === "shown") {
      const { family, layers, heads, kv_heads, context, vocabulary, parameters } = message.data;
      const count = (/** @type {number} */ value) => value.toLocaleString("en");
      const size = parameters >= 1e6 ? `${(parameters / 1e6).toFixed(1)} M` : count(parameters);
      const shared = kv_heads === heads ? "" : `, ${kv_heads} key-value heads`;
      facts.textContent = `${asked}\n${family}, ${size} parameters\n${layers} layers, ${heads} heads${shared}\ncontext ${count(context)}\nvocabulary ${count(vocabulary)}`;
      architecture = message.data.architecture;
      fitOptions();
    } else if (message.type === "failed") {
      facts.textContent = `${asked}: ${message.message}`;
      described = "";
    }
  }
}

/** Options are there only where they say something: some to one architecture alone, some to one view of the page. */
function fitOptions() {
  for (const control of /** @type {NodeListOf<any>} */ (main.querySelectorAll(".lab-options > *, .lab-group > *"))) {
    if (!control.option) continue; // a group, or its title
    const { only = architecture, when } = control.option;
    control.hidden = only !== architecture || when?.(lab.options) === false;
  }
  for (const group of main.querySelectorAll(".lab-group")) /** @type {HTMLElement} */ (group).hidden = !group.querySelector(":scope > :not(summary, [hidden])");
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (page.submit?.(view, lab)) return;
  go({ text: text.value, model: model.value.trim() || boot.model });
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
const live = debounced(() => page?.live && text.value !== state.text && go({ text: text.value }, { push: false }), TYPING);
text.addEventListener("input", () => {
  grow();
  live();
});
model.addEventListener("change", () => go({ model: model.value.trim() || boot.model, text: text.value }));
menu.addEventListener("click", () => openMenu(menu.getAttribute("aria-expanded") === "false"));
rail.addEventListener("keydown", (event) => event.key === "Escape" && openMenu(false));
document.addEventListener("click", (event) => {
  const link = /** @type {HTMLElement} */ (event.target).closest?.("a[data-page]");
  if (!(link instanceof HTMLAnchorElement) || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  openMenu(false);
  const to = link.dataset.page ?? "";
  write(leftWorking(to)?.state ?? { page: to, model: link.dataset.model ?? state.model, text: text.value, options: {} }, { push: true });
  follow().then(() => rail.querySelector("a[aria-current]")?.focus());
});
new MutationObserver(drawRail).observe(away, { attributes: true, subtree: true, attributeFilter: ["data-state"] });
window.addEventListener("popstate", () => follow());

document.getElementById("models")?.append(...boot.models.map((/** @type {string} */ name) => make("option", { value: name })));
// the token has done its work: it is not for bookmarks and screenshots
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", address(state));
await follow();
document.body.dataset.ready = "true";
(window.requestIdleCallback ?? setTimeout)(() => warm());
