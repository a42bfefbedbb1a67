// @ts-check
// Predict: what follows, at any temperature. The slider weights anew at once, from all logits; what is printed follows when it is let go.

import { make } from "../dom.js";
import { number, several, slider } from "../options.js";

/** softmax(logits / temperature) of the first `count` of all logits (largest first), and the entropy in nats. @param {Float32Array} logits @param {number} temperature @param {number} count */
export function weighted(logits, temperature, count) {
  let total = 0;
  let moment = 0;
  for (const logit of logits) {
    const scaled = (logit - logits[0]) / temperature;
    const weight = Math.exp(scaled);
    total += weight;
    moment += weight * scaled;
  }
  const top = Array.from(logits.subarray(0, count), (logit) => Math.exp((logit - logits[0]) / temperature) / total);
  return { top, entropy: Math.log(total) - moment / total };
}

/** @param {string} text */
function floats(text) {
  return new Float32Array(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
}

export default {
  verb: "predict",
  lead: "The next token, over the whole vocabulary; and how surprising each token of the text is to the model.",
  empty: "Type a text, and see what the model expects after it.",
  example: "The capital of France is",
  options: [
    slider("temperature", "Temperature", 1, { min: 0.1, max: 3, step: 0.05 }),
    number("top", "Tokens shown", 10, { min: 1, max: 50 }),
    several("normalizations", "Beside softmax", ["sparsemax", "entmax15", "l1", "argmax"]),
  ],

  /** @param {any} _view @param {any} place @param {any} message */
  shown(_view, place, message) {
    if (message.slot === "next") place.logits = floats(message.data.logits);
    if (message.slot === "surprisal" && message.data) place.append(make("p", { class: "lab-note" }, message.data.note));
  },

  /** While the slider moves: the same chart with new weights. @param {any} view @param {string} name @param {string} value */
  async preview(view, name, value) {
    const place = view.slots.get("next");
    const figure = place?.querySelector("ig-figure");
    if (name !== "temperature" || !figure?.view) return;
    const rows = figure.content.spec.data.values;
    const { top, entropy } = weighted(place.logits, Number(value), rows.length);
    rows.forEach((/** @type {any} */ row, /** @type {number} */ at) => Object.assign(row, { value: top[at], text: `${(100 * top[at]).toFixed(1)} %` }));
    place.querySelector(".ig-note").textContent = `temperature ${Number(value)}: entropy ${entropy.toFixed(2)} nats over ${place.logits.length.toLocaleString("en")} tokens`;
    place.classList.add("lab-previewed"); // tables below are of the temperature before
    if (figure.drawing) return;
    figure.drawing = true;
    await figure.draw(); // with what the rows hold now; a later value waits for the next move or for the slider to be let go
    figure.drawing = false;
  },
};
