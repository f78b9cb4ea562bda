// The stream of events, and trying again when it breaks.
//
// `fetch` and not `EventSource`, which can neither send a token nor tell a refusal from a server
// that is not there.

/** A stream that has been silent for so long is broken, whatever its socket says. */
const SILENCE_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4_000;

/** Takes the text of a stream of events apart, however it is cut: returns each as `{ name, data }`. */
export function events() {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    return blocks.map(eventOf).filter((event) => event.data !== "");
  };
}

function eventOf(block) {
  const fields = (name) =>
    block
      .split("\n")
      .filter((line) => line.startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).replace(/^ /, ""));
  return { name: fields("event").at(-1) ?? "message", data: fields("data").join("\n") };
}

/**
 * Reads `url` for ever. `heard` gets each document, `broken` a text that says why there are no more
 * for now.
 */
export async function follow(url, { token, heard, broken }) {
  let pause = FIRST_PAUSE_MS;
  const alive = (document) => {
    pause = FIRST_PAUSE_MS;
    heard(document);
  };
  for (;;) {
    broken(await once(url, token, alive));
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

/** One connection, to its end; returns why it ended. */
async function once(url, token, heard) {
  const abort = new AbortController();
  let alarm;
  const watch = () => {
    clearTimeout(alarm);
    alarm = setTimeout(() => abort.abort(), SILENCE_MS);
  };
  try {
    watch();
    const headers = { accept: "text/event-stream", ...(token && { authorization: `Bearer ${token}` }) };
    const response = await fetch(url, { headers, cache: "no-store", signal: abort.signal });
    if (!response.ok) return refusal(response.status, token);
    const parse = events();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "the stream ended";
      watch();
      for (const { name, data } of parse(decoder.decode(value, { stream: true }))) {
        if (name === "end") return "the server has ended";
        if (name === "message") heard(JSON.parse(data));
      }
    }
  } catch (error) {
    if (abort.signal.aborted) return "nothing was heard for 30 s";
    return error instanceof SyntaxError ? "what came is no status" : "no connection";
  } finally {
    clearTimeout(alarm);
    abort.abort();
  }
}

function refusal(status, token) {
  if (status === 401) return token ? "the token is not accepted" : "a token is needed: add #token=… to the address";
  return `the server answers ${status}`;
}
