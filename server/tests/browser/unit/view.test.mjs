// Everything the page shows, as texts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { paths } from "../../../src/admin/dashboard/chart.js";
import { fold, nothing } from "../../../src/admin/dashboard/history.js";
import { ROWS, view } from "../../../src/admin/dashboard/view.js";
import { held, shared, waits, worker } from "../status.mjs";

const of = (status) => view(fold(nothing(), status, 0), 0);

test("the three figures of the stage", () => {
  const { waiting, serving, processor } = of(held());
  assert.deepEqual([waiting.figure, serving.figure, processor.figure], ["46", "4 of 4", "–"]);
});

test("who has no answer yet is in the histogram of first answers", () => {
  const rows = of(held({ first_byte: waits(0, 3, 0, 1) })).firstAnswer.map(({ label, text }) => [label, text]);
  assert.deepEqual(rows, [["≤ 1 ms", "3"], ["≤ 10 ms", "0"], ["≤ 100 ms", "1"], ["still waiting", "46"]]);
});

test("waits beyond the last bound are not lost", () => {
  const rows = of(held({ first_byte: waits(0, 0, 0, 0, 0, 0, 0, 2) })).firstAnswer;
  assert.deepEqual(rows.map(({ label, text }) => [label, text]), [["> 60 s", "2"], ["still waiting", "46"]]);
});

test("a reason that came after this page was written is shown by its name", () => {
  const ended = { ...held().ended, eclipse: 2 };
  assert.deepEqual(of(held({ ended })).ended.at(-1), { id: "eclipse", label: "eclipse", text: "2", some: true });
});

test("every reason of a status is shown", () => {
  const shown = of(held());
  for (const [panel, key] of [["turnedAway", "rejections"], ["ended", "ended"]]) {
    assert.deepEqual(shown[panel].map(({ id }) => id), Object.keys(held()[key]));
  }
});

test("a sandbox is as good as that of the worker that is held in least", () => {
  const locked = (...layers) => layers.map((count, slot) => worker(slot, { sandbox: Array(count).fill("layer") }));
  const told = (...layers) => {
    const counters = { ...held().counters, violations: 1 };
    return of(held({ workers: locked(...layers), counters })).about.sandbox;
  };
  assert.equal(told(8, 6), "6 layers, 1 call refused");
  assert.equal(told(8, 0), "0 layers, 1 call refused");
  assert.equal(told(0, 0), null);
});

test("the table has an end and says so", () => {
  const workers = Array.from({ length: 3000 }, (_, slot) => worker(slot));
  const { rows, rest } = of(held({ workers, workers_wanted: 3000 })).workers;
  assert.deepEqual([rows.length, rest], [ROWS, "2,980 more are in /status."]);
});

test("the processor of processes that serve one client each is not known", () => {
  assert.equal(of(shared("process-per-connection", [])).processor.figure, "–");
});

test("a history is drawn from the right, with its gaps", () => {
  const { drawn } = paths([1, null, 2, 2], 2);
  assert.deepEqual(drawn.match(/M/g).length, 2);
  assert.match(drawn, /240\.0 3\.0$/);
  assert.deepEqual(paths([], 1), { filled: "", drawn: "" });
});
