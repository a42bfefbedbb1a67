// @ts-check
// Ask: a question to documents, answered from passages that are found for it. What stands in a document is text and stays text.

import { make } from "../dom.js";
import { amount, choice, number, several } from "../options.js";
import { boot } from "../state.js";

const MARK = /(\[\d+\])/; // a citation
const PAST = 20; // earlier questions that are kept while the page is open
const COLLECTION = "";

/** Whose documents: the folder that the lab was started with comes first. */
const PLACES = /** @type {[string, string][]} */ ([...(boot.documents ? [[boot.documents, boot.documents]] : []), [COLLECTION, "Tidewell (the project’s own)"]]);

export default {
  verb: "ask",
  lead: "An answer from documents, with the passages it rests on; beside it what the model says without them.",
  bar: { label: "Question", button: "Ask", hint: "What do the documents say about …?" },
  empty: "Type a question, and see which passages answer it.",
  example: "How long is the warranty on the heating element?",
  options: [
    choice("documents", "Documents", PLACES),
    choice("by", "Answer by", [["extract", "the best sentence itself"], ["model", "the model above"]]),
    several("beside", "Beside it", ["without documents"], ["without documents"]),
    number("passages", "Passages", 3, { min: 1, max: 10 }),
    amount("fits", "Refuse below a fit of", 0.52, { min: 0, max: 1, step: 0.01 }),
  ],

  /** @param {Record<string, string>} options */
  given({ documents, by, beside, passages, fits }) {
    return { documents: PLACES.some(([place]) => place === documents) ? documents : PLACES[0][0], by, alone: beside !== "", passages: Number(passages), fits: Number(fits) };
  },

  /** @param {any} view */
  mount(view) {
    view.past = make("section", { class: "lab-past", hidden: true, "aria-label": "Earlier questions" }, make("h2", {}, "Earlier questions"));
    view.append(view.past);
    new MutationObserver(() => {
      if (view.dataset.state === "working") return;
      view.querySelector(".lab-board")?.closest(".lab-slot")?.classList.remove("lab-live"); // from now on it is the answer before
      for (const said of view.querySelectorAll(".lab-board .lab-waiting")) said.textContent = "stopped";
      if (view.dataset.state === "stopped") view.notice.replaceChildren(make("p", { class: "lab-note" }, "Stopped. What was written until then is kept."));
    }).observe(view, { attributes: true, attributeFilter: ["data-state"] });
  },

  /** @param {any} view @param {HTMLElement} place @param {any} message @param {any} lab */
  shown(view, place, message, lab) {
    const { slot, data } = message;
    if (slot === "board") begin(view, place, data);
    if (slot === "writing" || slot === "alone") place.hidden = true; // what it brings stands in its column
    if (slot === "writing") written(view.board.said, data.text);
    if (slot === "alone") alone(view.board.alone, data);
    if (slot === "answer") answered(view, place, data, lab);
  },
};

/** Two columns, still empty; the answer before goes down among the earlier ones. @param {any} view @param {HTMLElement} place @param {any} data */
function begin(view, place, data) {
  if (view.board?.data && view.board.question !== data.question) remember(view, view.board);
  for (const slot of ["answer", "ranking", "alone", "writing"]) if (view.slots.has(slot)) view.drop(slot, view.slots.get(slot)); // they are of the question before
  const column = () => make("div", { class: "lab-said lab-waiting", "aria-live": "polite" }, "waits …");
  const said = column();
  const own = data.alone ? column() : null;
  view.board = { question: data.question, said, alone: own };
  place.classList.add("lab-live");
  place.append(
    make("div", { class: "lab-board" },
      make("section", { class: "ig-card lab-column", "aria-label": "From the documents" }, make("h2", {}, data.by ? `${data.by}, from the documents` : "From the documents"), said),
      ...(own ? [make("section", { class: "ig-card lab-column", "aria-label": "Without documents" }, make("h2", {}, `${data.alone}, without documents`), own)] : [])),
    make("p", { class: "lab-note" }, `${data.passages.toLocaleString("en")} passages of ${data.documents.toLocaleString("en")} documents.`,
      ...(data.skipped.length ? [" Left out: ", data.skipped.map((/** @type {any} */ one) => `${one.name} (${one.reason})`).join(", "), data.n_skipped > data.skipped.length ? ` and ${data.n_skipped - data.skipped.length} more.` : "."] : [])));
}

/** @param {HTMLElement} column @param {string} text */
function written(column, text) {
  column.classList.remove("lab-waiting");
  column.textContent = text;
}

/** @param {HTMLElement | null} column @param {any} data */
function alone(column, { text, fault, hint }) {
  if (!column) return;
  written(column, fault ? `No answer: ${fault}. ${hint}` : text);
  column.classList.toggle("lab-quiet", Boolean(fault));
}

/** The answer with marks that can be clicked, or the refusal, or what went wrong. @param {any} view @param {HTMLElement} place @param {any} data @param {any} lab */
function answered(view, place, data, lab) {
  const { said } = view.board;
  const rows = /** @type {HTMLTableRowElement[]} */ ([...place.querySelectorAll("tbody tr")]);
  for (const [at, row] of rows.entries()) row.cells[0].replaceChildren(opener(data, at + 1, lab, `[${at + 1}]`));
  if (data.pending) return;
  view.board.data = data;
  said.classList.remove("lab-waiting");
  if (data.refused) {
    said.classList.add("lab-refused");
    said.replaceChildren(make("p", {}, make("b", {}, "Refused. "), data.answer),
      make("p", { class: "lab-note" }, `The best passage fits ${data.best.toFixed(2)}; an answer needs ${data.fits}.`));
  } else if (data.fault) {
    said.replaceChildren(make("p", {}, make("b", {}, "No answer: "), `${data.fault}. ${data.hint}`), make("p", { class: "lab-note" }, "The passages that were found stand below."));
  } else {
    said.replaceChildren(...marked(data, lab), ...warnings(data));
  }
}

/** The words of an answer; its marks open the passage. @param {any} data @param {any} lab */
function marked(data, lab) {
  return data.answer.split(MARK).map((/** @type {string} */ part) => (MARK.test(part) ? opener(data, Number(part.slice(1, -1)), lab, part) : part));
}

/** A button that opens a passage beside the answer. @param {any} data @param {number} no @param {any} lab @param {string} label */
function opener(data, no, lab, label) {
  const passage = data.passages[no - 1];
  if (!passage) return make("span", { class: "lab-quiet" }, label);
  return make("button", { type: "button", class: "lab-cite", "aria-label": `Open passage ${no} of ${passage.source}`, click: () => {
    const own = data.citations.filter((/** @type {any} */ one) => one.number === no);
    const support = own.map((/** @type {any} */ one) => `${(100 * one.support).toFixed(0)} %`).join(", ");
    lab.inspector.show(`[${no}] ${passage.source}`,
      [["fit", passage.fit], ["characters", `${passage.start} to ${passage.end}`], ...(support ? [["support", support]] : [])],
      make("h3", {}, "The passage"), make("blockquote", { class: "lab-passage", tabindex: "0" }, passage.text));
    if (getComputedStyle(lab.inspector.handle).display !== "none" && !lab.inspector.classList.contains("lab-open")) lab.inspector.toggle(); // at phone width it is a sheet
  } }, label);
}

/** What is wrong with the citations of an answer. @param {any} data */
function warnings(data) {
  const said = data.citations.filter((/** @type {any} */ one) => !one.holds)
    .map((/** @type {any} */ one) => (one.exists ? `[${one.number}] holds ${(100 * one.support).toFixed(0)} % of the statement’s words: check it.` : `[${one.number}] is no passage.`));
  if (!data.citations.length) said.push("The answer names no passage: check it against the sources below.");
  return said.map((/** @type {string} */ text) => make("p", { class: "lab-note" }, text));
}

/** @param {any} view @param {any} board */
function remember(view, { question, data, alone: own }) {
  const sources = data.refused ? [] : [...new Set(data.passages.map((/** @type {any} */ one) => one.source))];
  view.past.hidden = false;
  view.past.querySelector("h2").after(make("details", { class: "lab-group" }, make("summary", {}, question),
    make("p", { class: "lab-said" }, data.fault ? `No answer: ${data.fault}` : data.answer),
    sources.length ? make("p", { class: "lab-note" }, `From: ${sources.join(", ")}`) : null,
    own?.textContent ? make("p", { class: "lab-note" }, `Without documents: ${own.textContent}`) : null));
  for (const old of [...view.past.querySelectorAll("details")].slice(PAST)) old.remove();
}
