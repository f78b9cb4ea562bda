// A stream of events, taken apart.

import assert from "node:assert/strict";
import { test } from "node:test";

import { events } from "../../../src/admin/dashboard/stream.js";

const STREAM = "retry: 1000\n\n: nothing\n\ndata: {\"a\":1}\n\nevent: end\r\ndata: {}\r\n\r\ndata: x\ndata: y\n\ndata: cut";
const EXPECTED = [
  { name: "message", data: '{"a":1}' },
  { name: "end", data: "{}" },
  { name: "message", data: "x\ny" },
];

test("events are the same however the stream is cut", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parse = events();
    const found = [];
    for (let from = 0; from < STREAM.length; from += size) found.push(...parse(STREAM.slice(from, from + size)));
    assert.deepEqual(found, EXPECTED, `in pieces of ${size}`);
  }
});
