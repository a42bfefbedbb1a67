// @ts-check
// Tokens: one text through several vocabularies, while one types.

import { words } from "../options.js";

export default {
  verb: "tokens",
  live: true,
  lead: "How vocabularies cut the same text. · is a space, ↵ a line end; bytes that are no character show as numbers.",
  empty: "Type a text, and see how each vocabulary cuts it.",
  example: "GPT-4 costs $10/M tokens: naïve café, 日本語 and 👩‍👩‍👧",
  options: [words("vocabularies", "Beside the model’s own", "gpt2,cl100k_base,o200k_base,bert-base-uncased,t5")],
  /** @param {any} _view @param {any} place @param {any} message */
  shown(_view, place, message) {
    place.tokens = message.data; // for the inspector: bytes and characters of each token
  },
};
