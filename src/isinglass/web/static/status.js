// @ts-check
// The bar that says when the worker or the server is lost. Streams are few in a browser, so a hidden tab gives its own back.

const bar = /** @type {HTMLElement} */ (document.querySelector(".lab-lost"));
/** @type {EventSource | null} */ let stream = null;

/** @param {string} text */
function say(text) {
  bar.textContent = text;
  bar.hidden = !text;
}

function listen() {
  stream?.close();
  stream = null;
  if (document.hidden) return;
  stream = new EventSource("/api/status");
  stream.onmessage = (event) => {
    const { state, message } = JSON.parse(event.data);
    document.body.dataset.worker = state;
    say(state === "lost" ? message : "");
  };
  stream.onerror = () => say("The lab’s server does not answer. It is asked again and again; in the terminal: isinglass lab");
}

document.addEventListener("visibilitychange", listen);
window.addEventListener("pagehide", () => stream?.close());
listen();
