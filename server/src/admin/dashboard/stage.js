// Draws who waits, who serves and what the processor does.

import { chart } from "./chart.js";
import { at, each, element, marks, say } from "./dom.js";
import { PHASES } from "./view.js";
import { span, whole } from "./words.js";

/** Longer figures are written smaller. */
const LARGE = 8;

/** Draws the three acts of the stage. */
export function drawStage({ scene, waiting, serving, processor }) {
  drawWaiting(scene, waiting);
  drawServing(scene, serving);
  figures("processor", processor);
  chart(at("processor-chart"), processor.series, 1);
}

function figures(act, { figure, label, detail }) {
  const large = at(`${act}-figure`);
  say(large, figure);
  large.classList.toggle("long", figure.length > LARGE);
  say(at(`${act}-label`), label);
  say(at(`${act}-detail`), detail);
}

function drawWaiting({ waiting: { queue, queued } }, waiting) {
  at("waiting").classList.toggle("some", waiting.some);
  const each = Math.max(queue?.each ?? 1, queued.each);
  const key = each > 1 ? [`One mark is up to ${each} clients.`] : [];
  figures("waiting", { ...waiting, detail: [waiting.detail, ...key].join(" ") });
  marks(at("waiting-accept"), queue?.marks ?? 0);
  marks(at("waiting-queued"), queued.marks);
}

function drawServing({ hall, slots }, serving) {
  figures("serving", { ...serving, detail: [serving.detail, serving.key].filter(Boolean).join(". ") });
  at("hall").hidden = !hall;
  marks(at("hall"), hall?.marks ?? 0);
  const list = at("slots");
  list.className = `slots ${slots.detail}`;
  list.classList.toggle("even", slots.items.length % 4 === 0);
  list.hidden = slots.items.length === 0;
  // A cell says nothing that the line below does not.
  list.setAttribute("aria-hidden", String(slots.detail === "cells"));
  const cells = slots.detail === "cells";
  each(list, slots.items, () => (cells ? element("li", "") : slot()), cells ? updateCell : updateSlot);
}

function updateCell(cell, { phase }) {
  cell.className = `slot ${phase}`;
}

function slot() {
  return element(
    "li",
    "slot",
    element("p", "who", element("b", ""), " ", element("span", "pid")),
    element("p", "phase"),
    element("div", "crowd"),
    element("p", "peer"),
    element("p", "times"),
    element("p", "instead"),
  );
}

function updateSlot(item, one) {
  item.className = `slot ${one.phase}`;
  const [who, phase, crowd, peer, times, instead] = item.children;
  say(who.firstElementChild, one.name);
  say(who.lastElementChild, one.pid == null ? "" : String(one.pid));
  say(phase, PHASES[one.phase]);
  marks(crowd, one.marks);
  say(peer, one.peer ?? (one.alone || one.clients === 0 ? "" : `${whole(one.clients)} inside`));
  say(times, one.held_s == null ? "" : timesOf(one));
  say(instead, one.instead ?? "");
}

function timesOf({ held_s, quiet_s }) {
  const held = `for ${span(held_s)}`;
  return quiet_s == null ? held : `${held}, quiet ${span(quiet_s)}`;
}
