// @ts-check
// What is looked at, kept in the address: the page is its path, model, text and the page's options its parameters.

const LONG = 4000; // characters; a longer text stands in this tab's storage, and the address holds its name

/** @typedef {{page: string, model: string, text: string, options: Record<string, string>}} State */

export const boot = JSON.parse(document.getElementById("boot")?.textContent ?? "{}");

/** @returns {State} */
export function read() {
  const { model, text, stored, token, ...options } = Object.fromEntries(new URLSearchParams(location.search));
  const page = location.pathname.slice(1);
  return {
    page: page in boot.pages ? page : Object.keys(boot.pages)[0],
    model: model ?? boot.model,
    text: stored ? sessionStorage.getItem(`text-${stored}`) ?? "" : text ?? "",
    options,
  };
}

/** @param {State} state */
export function address({ page, model, text, options }) {
  const given = new URLSearchParams();
  if (model !== boot.model) given.set("model", model);
  if (text.length > LONG) given.set("stored", store(text));
  else if (text) given.set("text", text);
  for (const [name, value] of Object.entries(options)) given.set(name, value);
  return `/${page}${given.size ? `?${given}` : ""}`;
}

/** `push` makes a new place to go back to; without it the present one changes. @param {State} state @param {{push: boolean}} how */
export function write(state, { push }) {
  const to = address(state);
  if (to === location.pathname + location.search) return;
  if (push) history.pushState(null, "", to);
  else history.replaceState(null, "", to);
}

/** @param {string} text */
function store(text) {
  let hash = 5381;
  for (let at = 0; at < text.length; at++) hash = (hash * 33 + text.charCodeAt(at)) | 0;
  const name = (hash >>> 0).toString(36);
  try {
    sessionStorage.setItem(`text-${name}`, text);
  } catch {
    // storage is full: the view works, only going back to it will not
  }
  return name;
}
