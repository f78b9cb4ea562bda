// The page: takes each status from the stream into its history, and draws it.
//
// What to show is decided in `history.js`, `scene.js`, `sentence.js` and `view.js`, which know no
// document; `stage.js` and `panels.js` draw it.

import { at, say } from "./dom.js";
import { fold, note, nothing } from "./history.js";
import { drawLog, drawPanels } from "./panels.js";
import { drawStage } from "./stage.js";
import { follow } from "./stream.js";
import { view } from "./view.js";
import { span } from "./words.js";

/** A sentence is read aloud once it has held for so long. */
const SETTLED_MS = 1_500;

let history = nothing();
/** Why nothing comes, or null while something does. */
let trouble = null;
/** What the next picture shows, or null if none is due. */
let shown = null;
let announced = "";
let settling = { key: "", since: 0 };

/** In the fragment, which is sent to nobody. */
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// Who follows a link sends no token with it.
at("links").hidden = token !== null;

follow("/events", {
  token,
  heard(status) {
    if (trouble !== null && history.status) history = note(history, "The connection is back.", Date.now());
    trouble = null;
    history = fold(history, status, Date.now());
    soon();
  },
  broken(reason) {
    if (trouble === null && history.status) history = note(history, `The connection is lost: ${reason}.`, Date.now());
    trouble = reason;
    soon();
  },
});

// The age of what is shown grows, though nothing comes.
setInterval(() => trouble !== null && soon(), 1_000);

/**
 * Draws with the next picture of the screen. A tab that nobody sees has none and draws nothing; its
 * title is seen all the same.
 */
function soon() {
  const waiting = shown !== null;
  shown = { view: history.status && view(history, Date.now()) };
  document.title = trouble === null ? `${shown.view.sentence.title} – echolab` : "connection lost – echolab";
  if (!waiting) requestAnimationFrame(draw);
}

function draw() {
  const { view: current } = shown;
  shown = null;
  drawLink();
  document.body.classList.toggle("stale", trouble !== null);
  if (trouble !== null) {
    announce({ key: "lost", text: "Connection lost, trying again." });
    drawLog(history.log);
    return;
  }
  say(at("sentence"), current.sentence.text);
  announce(current.sentence);
  drawStage(current);
  drawPanels(current);
}

function drawLink() {
  const link = at("link");
  link.className = `link ${trouble === null ? "live" : "lost"}`;
  if (trouble === null) say(link, history.status.state);
  else if (!history.status) say(link, `no connection (${trouble}), trying again`);
  else say(link, `connection lost (${trouble}), trying again; what is shown is ${span((Date.now() - history.at) / 1000)} old`);
}

function announce({ key, text }) {
  const now = Date.now();
  if (settling.key !== key) settling = { key, since: now };
  if (announced === key || now - settling.since < SETTLED_MS) return;
  announced = key;
  say(at("announcer"), text);
}
