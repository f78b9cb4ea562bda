// What a page remembers of a server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fold, LOG_LENGTH, note, nothing, WINDOW_S } from "../../../src/admin/dashboard/history.js";
import { held, thread, worker } from "../status.mjs";

const seen = (...statuses) => statuses.reduce((history, status, index) => fold(history, status, index * 1000), nothing());
const later = (seconds, changes = {}) => held({ uptime_s: 10 + seconds, ...changes });
const counting = (changes) => ({ counters: { ...held().counters, ...changes } });
const texts = (history) => history.log.map((entry) => entry.text);

test("rates are what was counted over the time of the server and not of the page", () => {
  const history = seen(later(0), later(2, counting({ requests: 1004, accepted: 24, bytes: 4256 })));
  const last = (name) => history.series[name].at(-1);
  assert.deepEqual([last("requests"), last("accepts"), last("bytes")], [500, 10, 2000]);
});

test("a figure comes once a second, however often there is a status", () => {
  const history = seen(...Array.from({ length: 13 }, (_, index) => later(index / 4)));
  assert.equal(history.series.requests.length, 3);
});

test("seconds that were not seen are gaps, and the window has an end", () => {
  const history = seen(later(0), later(4), later(4 + 10 * WINDOW_S), later(5 + 10 * WINDOW_S));
  assert.equal(history.series.cpu.length, WINDOW_S);
  assert.deepEqual(history.series.cpu.slice(-3), [null, 0, 0]);
  assert.deepEqual(seen(later(0), later(4)).series.cpu, [null, null, null, 0]);
});

test("a death does not make the processor time negative", () => {
  const before = later(0, { cpu_s: 10, workers: [worker(0, { cpu_s: 9 }), worker(1, { cpu_s: 0.5 })] });
  const after = later(1, { cpu_s: 1.375, workers: [worker(1, { cpu_s: 0.5 }), worker(2, { cpu_s: 0.125 })] });
  // The leader has used a quarter of a second, and who came an eighth.
  assert.deepEqual(seen(before, after).series.cpu, [0.375]);
});

test("a process that leads and serves counts once", () => {
  const alone = (seconds, cpu_s) => later(seconds, { cpu_s, workers: [worker(0, { pid: 99, cpu_s })] });
  assert.deepEqual(seen(alone(0, 1), alone(1, 1.5)).series.cpu, [0.5]);
});

test("who did something is known of processes and of threads", () => {
  const with_ = (seconds, requests) => later(seconds, { workers: [worker(0, { requests, threads: [thread(0, { requests }), thread(1)] })] });
  const { moved } = seen(with_(0, 5), with_(1, 8));
  assert.deepEqual([...moved], [["100", 3], ["100/thread-0", 3], ["100/thread-1", 0]]);
});

test("another process is another history, whose log goes on", () => {
  const history = seen(later(0), later(1), later(5, { pid: 77, ...counting({ requests: 9 }) }));
  assert.deepEqual(history.series.requests, []);
  assert.match(texts(history)[0], /process 77 instead of 99/);
  assert.equal(history.log.length, 2);
});

test("the same number with a younger age is another server too", () => {
  assert.deepEqual(seen(later(0), later(1), later(-9)).series.requests, []);
});

test("a worker that died is named with its reason, and its successor with its number", () => {
  const ended = { ...held().ended, signal: 1 };
  const without = held().workers.filter(({ slot }) => slot !== 2);
  const dead = later(1, { workers: without, ended });
  const back = later(2, { workers: [...without, worker(2, { pid: 555 })], ended });
  const history = seen(later(0), dead, back);
  assert.deepEqual(texts(history).slice(0, 2), ["worker-2 started as process 555.", "worker-2, process 102, ended: killed by a signal."]);
  assert.deepEqual(history.gone, [{ slot: 2, name: "worker-2", pid: 102, reason: "signal", at: 1000 }]);
});

test("of two reasons at a time none is guessed", () => {
  const ended = { ...held().ended, signal: 1, exit: 1 };
  const history = seen(later(0), later(1, { workers: held().workers.slice(2), ended }));
  assert.deepEqual(history.gone.map(({ reason }) => reason), [null, null]);
});

test("many endings are one line, and the log has an end", () => {
  const all = Array.from({ length: 2000 }, (_, slot) => worker(slot));
  let history = seen(later(0, { workers: all }), later(1, { workers: [] }));
  assert.equal(texts(history)[0], "2,000 workers ended.");
  for (let index = 0; index < 2 * LOG_LENGTH; index += 1) history = note(history, `${index}`, 0);
  assert.equal(history.log.length, LOG_LENGTH);
  assert.equal(new Set(history.log.map(({ id }) => id)).size, LOG_LENGTH);
});

test("turning away is told once while it lasts", () => {
  const away = (seconds, full) => later(seconds, { rejections: { full, resources: 0, per_ip: 0, dismissed: 0 } });
  const history = seen(away(0, 0), away(1, 5), away(2, 9), away(3, 12));
  assert.equal(texts(history).filter((text) => text.includes("turned away")).length, 1);
  assert.equal(history.turningAwayUntil, 8000);
});

test("a queue that overflowed, a hung worker and a drain are told", () => {
  const listen = { ...held().listen, overflows: 3 };
  const workers = [worker(0, { state: "hung" }), ...held().workers.slice(1)];
  const history = seen(later(0), later(1, { listen, workers, state: "draining" }));
  assert.deepEqual(texts(history).slice(0, 3), [
    "The accept queue was full: 3 connections found no room in it.",
    "worker-0, process 100, is hung.",
    "The server is draining.",
  ]);
});
