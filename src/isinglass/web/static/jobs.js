// @ts-check
// One job: a request whose answer is a stream of events. Aborting the request stops the job.

/** @typedef {{type: string, [key: string]: any}} Message */

/**
 * @param {string} verb @param {Record<string, unknown>} given @param {AbortSignal} signal
 * @returns {AsyncGenerator<Message>}
 */
export async function* job(verb, given, signal) {
  let answer;
  try {
    answer = await fetch("/api/jobs", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ verb, arguments: given }),
      signal,
    });
  } catch (fault) {
    if (signal.aborted) throw fault;
    yield failed("the lab's server does not answer", "is isinglass lab still running in the terminal?");
    return;
  }
  if (!answer.ok || !answer.body) {
    yield failed(`the server refused (${answer.status})`, await reason(answer));
    return;
  }
  let ended = false;
  try {
    for await (const message of events(answer.body)) {
      ended ||= ["done", "failed", "cancelled"].includes(message.type);
      yield message;
    }
  } catch (fault) {
    if (signal.aborted) throw fault;
  }
  if (!ended) yield failed("the connection to the lab's server broke off", "run once more");
}

/** @param {string} message @param {string} hint @returns {Message} */
function failed(message, hint) {
  return { type: "failed", message, details: [], hint };
}

/** @param {Response} answer */
async function reason(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).message;
  } catch {
    return text;
  }
}

/** @param {ReadableStream<Uint8Array>} body */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  /** @type {string[]} */ let parts = []; // a large event comes in many pieces
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const pieces = value.split(/(?<=\n)/);
    for (const piece of pieces) {
      parts.push(piece);
      if (!piece.endsWith("\n")) continue;
      const line = parts.join("").trimEnd();
      parts = [];
      if (line.startsWith("data:")) yield JSON.parse(line.slice(5));
    }
  }
}
