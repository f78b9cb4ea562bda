// How figures and times are written.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bound, bytes, many, percent, short, span, whole } from "../../../src/admin/dashboard/words.js";

const table = (write, rows) => rows.forEach(([value, text]) => assert.equal(write(value), text));

test("a figure that nobody knows is a dash and never 0", () => {
  for (const write of [whole, short, bytes, percent, span]) {
    assert.equal(write(null), "–");
    assert.equal(write(undefined), "–");
  }
});

test("counts have one or many", () => {
  assert.deepEqual([0, 1, 2, 12345].map((n) => many(n, "client")), ["0 clients", "1 client", "2 clients", "12,345 clients"]);
});

test("a figure has three digits at most and its unit", () => {
  table(short, [[0, "0"], [0.25, "0.3"], [7, "7"], [99.96, "100"], [999.4, "999"], [999.6, "1k"], [105_400, "105k"], [2e12, "2T"], [5e15, "5000T"]]);
  table(bytes, [[0, "0 B"], [1023, "1023 B"], [1024, "1 KiB"], [13_526_000, "12.9 MiB"]]);
  table(percent, [[0, "0.0 %"], [0.0031, "0.3 %"], [0.0996, "10 %"], [1.874, "187 %"]]);
});

test("times lose what does not matter any more", () => {
  table(span, [[0.9, "0 s"], [59.9, "59 s"], [60, "1 min 0 s"], [3599, "59 min 59 s"], [7500, "2 h 5 min"], [273_600, "3 d 4 h"]]);
  table(bound, [[1e-4, "100 µs"], [2.5e-3, "2.5 ms"], [0.25, "250 ms"], [1, "1 s"], [60, "60 s"]]);
});
