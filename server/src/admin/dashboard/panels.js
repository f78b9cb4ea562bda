// Draws everything below the stage.

import { chart } from "./chart.js";
import { at, each, element, say } from "./dom.js";
import { UNKNOWN } from "./words.js";

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Draws the header and the panels. */
export function drawPanels(view) {
  for (const key of ["mode", "addr", "pid", "uptime", "version"]) say(at(key), view.about[key]);
  at("locked-in").hidden = view.about.sandbox == null;
  say(at("sandbox"), view.about.sandbox ?? UNKNOWN);
  each(at("rates"), view.rates, rate, updateRate);
  each(at("connections"), view.connections, bar, updateBar);
  drawQueue(view.queue);
  each(at("first"), view.firstAnswer, bar, updateBar);
  at("first-none").hidden = view.firstAnswer.length > 0;
  each(at("away"), view.turnedAway, count, updateCount);
  each(at("closed"), view.closed, count, updateCount);
  each(at("ended"), view.ended, count, updateCount);
  each(at("workers"), view.workers.rows, row, updateRow);
  say(at("workers-rest"), view.workers.rest);
  drawLog(view.log);
}

/** Draws what happened, the newest first. */
export function drawLog(log) {
  each(at("log"), log, entry, () => {});
}

function rate() {
  return element(
    "li",
    "",
    element("p", "label"),
    element("p", "value", element("strong", "")),
    element("div", "chart"),
    element("p", "note"),
  );
}

function updateRate(item, { label, figure, peak, total, series }) {
  const [name, value, history, note] = item.children;
  say(name, label);
  say(value.firstElementChild, figure);
  chart(history, series, 1);
  say(note, `at most ${peak}; ${total}`);
}

function bar() {
  return element(
    "li",
    "",
    element("span", "label"),
    element("span", "count"),
    element("div", "track", element("div", "fill")),
  );
}

function updateBar(item, { label, text, share, waiting, id }) {
  const [name, count, track] = item.children;
  item.classList.toggle("waits", Boolean(waiting) || id === "accept" || id === "queued");
  say(name, label);
  say(count, text);
  track.firstElementChild.style.width = `${share * 100}%`;
}

function drawQueue({ length, limit, overflows, overflown, sockets, share }) {
  say(at("queue-length"), length);
  say(at("queue-limit"), limit);
  say(at("queue-overflows"), overflows);
  at("queue-overflows").classList.toggle("bad", overflown);
  say(at("queue-sockets"), sockets ? `By socket: ${sockets}.` : "");
  at("queue-fill").style.width = `${share * 100}%`;
}

function count() {
  return element("li", "", element("span", "label"), element("span", "count"));
}

function updateCount(item, { label, text, some }) {
  const [name, figure] = item.children;
  item.classList.toggle("none", !some);
  say(name, label);
  say(figure, text);
}

function row(item) {
  const heads = at("workers").closest("table").querySelectorAll("thead th");
  const cells = item.cells.map((_, index) => {
    const cell = element(index === 0 ? "th" : "td", "");
    if (index === 0) cell.scope = "row";
    // On a narrow screen each cell says itself what it is.
    cell.dataset.label = heads[index].textContent;
    return cell;
  });
  return element("tr", "", ...cells);
}

function updateRow(line, { cells }) {
  cells.forEach((text, index) => say(line.children[index], text));
}

function entry({ at: time, text }) {
  return element("li", "", element("time", "", CLOCK.format(time)), " ", text);
}
