// Who waits, who serves and who is held.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fold, nothing } from "../../../src/admin/dashboard/history.js";
import { crowd, grouping, MARKS, scene } from "../../../src/admin/dashboard/scene.js";
import { FREE, held, queue, shared, thread, worker } from "../status.mjs";

const of = (...statuses) => scene(statuses.reduce((history, status, index) => fold(history, status, index * 1000), nothing()));
const words = ({ slots }) => slots.items.map(({ phase }) => phase);

test("four held slots and 46 who wait", () => {
  const drawn = of(held());
  assert.deepEqual(words(drawn), ["quiet", "quiet", "quiet", "quiet"]);
  assert.deepEqual([drawn.held, drawn.places, drawn.waiting.total, drawn.waiting.queue.marks], [4, 4, 46, 46]);
  assert.equal(drawn.hall, null);
});

test("a slot is free, busy or held by a quiet client", () => {
  const workers = [worker(0, FREE), worker(1, { quiet_s: 0.2 }), worker(2), worker(3, { state: "draining" })];
  assert.deepEqual(words(of(held({ workers }))), ["free", "busy", "quiet", "draining"]);
});

test("a worker that is gone leaves its place, and says whose it was", () => {
  const left = { workers: held().workers.filter(({ slot }) => slot !== 2), ended: { ...held().ended, signal: 1 } };
  const empty = of(held(), held({ uptime_s: 11, ...left })).slots.items[2];
  assert.deepEqual([empty.phase, empty.name, empty.pid], ["gone", "worker-2", 102]);
  assert.match(empty.instead, /killed by a signal; its successor is coming/);
  const back = { ...left, workers: [...left.workers, worker(2, { pid: 555 })] };
  const successor = of(held(), held({ uptime_s: 11, ...left }), held({ uptime_s: 12, ...back })).slots.items[2];
  assert.deepEqual([successor.phase, successor.pid], ["quiet", 555]);
  assert.match(successor.instead, /process 102: killed by a signal/);
});

test("a place is empty only while somebody comes", () => {
  const workers = held().workers.slice(0, 3);
  assert.deepEqual(words(of(held({ workers }))).at(-1), "gone");
  assert.deepEqual(words(of(held({ workers, state: "starting" }))).at(-1), "starting");
  assert.equal(words(of(held({ workers, state: "draining" }))).length, 3);
});

test("the threads of a pool are its slots", () => {
  const threads = [thread(0, { peer: "a:1", held_s: 5, quiet_s: 4 }), thread(1)];
  const drawn = of(held({ mode: "thread-pool", worker_mode: null, capacity: 2, workers: [worker(0, { connections: 8, threads })], connections: { queued: 7, fresh: 0, answered: 1 } }));
  assert.deepEqual(words(drawn), ["quiet", "free"]);
  assert.deepEqual([drawn.held, drawn.places, drawn.unit, drawn.waiting.known], [1, 2, "thread", 53]);
});

test("a reactor has many clients, and nobody is held", () => {
  const drawn = of(shared("epoll", [thread(0, { connections: 30 }), thread(1, { connections: 20 })]));
  assert.deepEqual([drawn.owns, drawn.hall], ["request", null]);
  assert.deepEqual(drawn.slots.items.map(({ marks, phase }) => [marks, phase]), [[30, "open"], [20, "open"]]);
});

test("clients that no thread keeps are in the one hall", () => {
  for (const mode of ["async", "ready-pool"]) {
    assert.deepEqual(of(shared(mode, [thread(0), thread(1)])).hall, { count: 50, each: 1, marks: 50 });
  }
});

test("where each has its own, there are no slots", () => {
  for (const mode of ["thread-per-connection", "process-per-connection"]) {
    const drawn = of(shared(mode, []));
    assert.deepEqual([drawn.slots.items, drawn.hall.marks, drawn.pool], [[], 50, false]);
  }
});

test("a pool of reactors has a slot for each process", () => {
  const drawn = of(held({ worker_mode: "epoll", capacity: 19936, workers: [worker(0, { ...FREE, connections: 9 }), worker(1, FREE)], workers_wanted: 2 }));
  assert.deepEqual(words(drawn), ["open", "free"]);
});

test("a strategy that is not known yet is told by its capacity", () => {
  assert.equal(of(held({ mode: "new", worker_mode: null })).owns, "connection");
  assert.equal(of(shared("newer", [thread(0)])).owns, "request");
});

test("where the kernel does not tell, nobody knows who waits", () => {
  const drawn = of(held({ listen: { queue: null, limit: null, queues: [], overflows: null } }));
  assert.deepEqual([drawn.waiting.queue, drawn.waiting.total], [null, null]);
});

test("marks stand for 1, 2, 5, 10, … and are never more than their limit", () => {
  assert.deepEqual([0, 200, 201, 401, 1001, 2001].map((count) => grouping(count)), [1, 1, 2, 5, 10, 20]);
  for (let count = 0; count < 1e7; count = 1 + Math.ceil(count * 1.07)) {
    const { each, marks } = crowd(count);
    assert.ok(marks <= MARKS && marks * each >= count && (marks - 1) * each < count, `${count}`);
  }
});

test("thousands of workers are some hundred cells", () => {
  const workers = Array.from({ length: 5000 }, (_, slot) => worker(slot, slot % 7 ? {} : FREE));
  const { slots } = of(held({ workers, workers_wanted: 5000, capacity: 5000, listen: queue(90_000) }));
  assert.equal(slots.detail, "cells");
  assert.ok(slots.items.length <= MARKS + 8, `${slots.items.length}`);
  assert.equal(new Set(slots.items.map(({ id }) => id)).size, slots.items.length);
});

test("the clients inside all slots are some hundred marks", () => {
  const workers = [1, 2, 3, 4, 5].map((slot) => worker(slot, { ...FREE, connections: 4000 * slot }));
  const { slots } = of(held({ worker_mode: "epoll", capacity: 99_999, workers, workers_wanted: 5 }));
  assert.ok(slots.items.reduce((sum, { marks }) => sum + marks, 0) <= MARKS);
});
