// The sentence that says how it goes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fold, nothing } from "../../../src/admin/dashboard/history.js";
import { scene } from "../../../src/admin/dashboard/scene.js";
import { sentence } from "../../../src/admin/dashboard/sentence.js";
import { FREE, held, queue, shared, thread, worker } from "../status.mjs";

const IDLE = 0.003;
const of = (status, { cpu = IDLE, away = false } = {}) => sentence(status, scene(fold(nothing(), status, 0)), cpu, away);
const says = (status, text, options) => assert.equal(of(status, options).text, text);

test("a pool that starves is told in one sentence", () => {
  says(held(), "4 of 4 workers are held by quiet clients; 46 clients wait, connected, with no answer; the processor is idle (0.3 %).");
  assert.equal(of(held()).title, "4/4 held, 46 waiting");
});

test("one is not many", () => {
  const alone = { mode: "sequential", worker_mode: null, workers_wanted: 1, capacity: 1, workers: [worker(0)], connections: { queued: 0, fresh: 0, answered: 1 } };
  says(held({ ...alone, listen: queue(1) }), "The only loop is held by a quiet client; 1 client waits, connected, with no answer; the processor is idle (0.3 %).");
});

test("busy workers are not called quiet, nor a busy processor idle", () => {
  const workers = held().workers.map((one) => ({ ...one, quiet_s: 0 }));
  says(held({ workers }), "4 of 4 workers are busy; 46 clients wait, connected, with no answer; the server uses 187 % of a processor.", { cpu: 1.87 });
});

test("free workers are counted", () => {
  const workers = [worker(0), ...[1, 2, 3].map((slot) => worker(slot, FREE))];
  const some = { workers, connections: { queued: 0, fresh: 0, answered: 1 }, listen: queue(0) };
  says(held(some), "1 of 4 workers is held by a quiet client; 3 are free; nobody waits; the processor is idle (0.3 %).");
  const none = { workers: workers.map((one) => ({ ...one, ...FREE })), connections: { queued: 0, fresh: 0, answered: 0 }, listen: queue(0) };
  says(held(none), "All 4 workers are free; nobody waits.", { cpu: null });
});

test("where workers own requests, nobody is held", () => {
  says(shared("epoll", [thread(0), thread(1)]), "50 clients share 2 reactors and hold none of them while quiet; nobody waits; the processor is idle (0.3 %).");
  says(shared("thread-per-connection", []), "50 clients have a thread each; nobody waits; the processor is idle (0.3 %).");
  says(shared("async", [thread(0)], { capacity: 50, listen: queue(7) }), "All 50 places are taken; 7 clients wait, connected, with no answer.", { cpu: null });
});

test("trouble comes first", () => {
  const workers = [worker(0, { state: "hung" }), ...held().workers.slice(1, 3)];
  assert.match(of(held({ workers })).text, /^1 of 4 workers hangs and is being ended, 1 of 4 workers has ended and its successor is coming; /);
});

test("a start, a drain and clients that are turned away have their words", () => {
  assert.match(of(held({ state: "starting", workers: [worker(0)] })).text, /^The server starts: 1 of 4 workers is ready; /);
  assert.match(of(held({ state: "draining" })).text, /^The server ends: nobody new is taken in, 4 clients are still connected; /);
  assert.match(of(held(), { away: true }).text, /; clients are being turned away; /);
});

test("what the kernel does not tell is not said to be nobody", () => {
  const listen = { queue: null, limit: null, queues: [], overflows: null };
  assert.match(of(held({ listen })).text, /; who waits, the kernel does not tell; /);
});

test("the key changes with what is said and not with its figures", () => {
  const key = (changes, options) => of(held(changes), options).key;
  assert.equal(key({ listen: queue(46) }), key({ listen: queue(12) }, { cpu: 0.004 }));
  assert.notEqual(key({}), key({ listen: queue(0) }));
  assert.notEqual(key({}), key({}, { cpu: 0.5 }));
  assert.notEqual(key({}), key({ state: "draining" }));
});
