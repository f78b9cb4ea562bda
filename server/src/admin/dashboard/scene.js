// Who waits, who serves and who is held, as it is drawn. Pure: a history goes in.
//
// Never more than some hundred marks come out: beyond that, one mark stands for several.

import { endedBy, idOf } from "./history.js";

/** A client that says nothing for so long is quiet. */
export const QUIET_S = 1;
/** Marks that are drawn of a crowd at most. */
export const MARKS = 200;
/** Slots that are drawn with all that is known of them, and those with their names at least. */
export const DETAILED = 8;
export const NAMED = 24;

/** What a strategy means for a client. `owns` is what a worker has until it is done with it. */
const MODES = {
  sequential: { owns: "connection", unit: "loop", pool: true },
  "thread-per-connection": { owns: "connection", unit: "thread", pool: false },
  "process-per-connection": { owns: "connection", unit: "process", pool: false },
  "thread-pool": { owns: "connection", unit: "thread", pool: true },
  rayon: { owns: "connection", unit: "thread", pool: true },
  "ready-pool": { owns: "request", unit: "thread", pool: true },
  async: { owns: "request", unit: "thread", pool: true },
  epoll: { owns: "request", unit: "reactor", pool: true },
  "io-uring": { owns: "request", unit: "ring", pool: true },
};

/** A strategy that came after this page was written is told by its capacity. */
function unheard({ capacity, workers_wanted: workers }) {
  return { owns: capacity > workers ? "request" : "connection", unit: "worker", pool: true };
}

/** How many clients one mark stands for, so that there are not too many: 1, 2, 5, 10, 20, … */
export function grouping(count, most = MARKS) {
  for (let ten = 1; ; ten *= 10) {
    for (const step of [1, 2, 5]) {
      if (count <= step * ten * most) return step * ten;
    }
  }
}

/** A crowd of `count`. */
export function crowd(count, most = MARKS) {
  const each = grouping(count, most);
  return { count, each, marks: Math.ceil(count / each) };
}

/** The scene of a server that has been seen. */
export function scene(history) {
  const { status } = history;
  const pool = status.mode === "process-pool";
  const inside = MODES[pool ? status.worker_mode : status.mode] ?? unheard(status);
  const held = status.connections.fresh + status.connections.answered;
  const slots = slotsOf(history, pool, inside);
  return {
    owns: inside.owns,
    // Of a strategy with a worker for each client, workers are not what clients wait for.
    pool: inside.pool,
    unit: pool && inside.unit === "loop" ? "worker" : inside.unit,
    perConnection: !inside.pool,
    held,
    places: status.capacity,
    open: held + status.connections.queued,
    phases: phases(slots),
    slots: gathered(slots),
    hall: inHall(status, inside, pool) ? crowd(held) : null,
    waiting: waiting(status),
  };
}

/** Clients that are in nobody's slot but in the one room of the process. */
function inHall(status, inside, pool) {
  if (pool) return false;
  if (!inside.pool) return true;
  return inside.owns === "request" && status.workers.some(({ threads }) => threads.every((one) => one.connections == null));
}

function waiting({ listen, connections }) {
  const { queue } = listen;
  return {
    queue: queue == null ? null : crowd(queue),
    queued: crowd(connections.queued),
    total: queue == null ? null : queue + connections.queued,
    known: (queue ?? 0) + connections.queued,
  };
}

function slotsOf(history, pool, inside) {
  const { status } = history;
  const workers = status.workers;
  if (pool) {
    const slots = [...workers.map((one) => workerSlot(history, one, inside)), ...absent(history)];
    // Each stays where it is when others come and go.
    return slots.sort((one, other) => (one.slot < other.slot ? -1 : Number(one.slot > other.slot)));
  }
  if (!inside.pool) return [];
  const [worker] = workers;
  if (!worker) return [];
  if (inside.unit === "loop") return [workerSlot(history, worker, inside)];
  return worker.threads.map((one) => threadSlot(history, worker, one, inside));
}

function workerSlot(history, worker, inside) {
  const before = history.gone.findLast((one) => one.slot === worker.slot);
  // A worker that has threads serves as many clients at once.
  const alone = inside.unit === "loop";
  return {
    id: idOf(worker),
    slot: worker.slot,
    name: worker.name,
    pid: worker.pid,
    phase: worker.state === "ready" ? phase(history, worker, idOf(worker), inside, alone) : worker.state,
    peer: worker.peer,
    held_s: worker.held_s,
    quiet_s: worker.quiet_s,
    clients: worker.connections,
    alone,
    instead: before ? `took the place of process ${before.pid}${because(before)}` : null,
  };
}

function threadSlot(history, worker, thread, inside) {
  const alone = inside.owns === "connection";
  return {
    id: idOf(worker, thread),
    name: thread.name,
    pid: null,
    phase: phase(history, thread, idOf(worker, thread), inside, alone),
    peer: thread.peer,
    held_s: thread.held_s,
    quiet_s: thread.quiet_s,
    clients: thread.connections ?? (thread.held_s == null ? 0 : 1),
    alone,
    instead: null,
  };
}

function because({ reason }) {
  return reason ? `: ${endedBy(reason)}` : "";
}

function phase(history, one, id, inside, alone) {
  const moved = (history.moved.get(id) ?? 0) > 0;
  if (inside.owns === "request") {
    if (moved) return "busy";
    return one.connections > 0 ? "open" : "free";
  }
  if (alone ? one.held_s == null && !(one.connections > 0) : !(one.connections > 0)) return "free";
  if (one.quiet_s == null) return moved ? "busy" : "quiet";
  return one.quiet_s >= QUIET_S ? "quiet" : "busy";
}

/** Places whose workers have not come yet, or have ended and have no successor. */
function absent({ status, gone }) {
  const missing = Math.max(0, status.workers_wanted - status.workers.length);
  if (status.state === "draining" || missing === 0) return [];
  const slots = new Set(status.workers.map((worker) => worker.slot));
  const ghosts = gone.filter((one) => !slots.has(one.slot)).slice(-missing);
  return Array.from({ length: missing }, (_, index) => vacancy(index, ghosts[index], status.state));
}

function vacancy(index, ghost, state) {
  const nobody = { slot: ghost?.slot ?? Infinity, peer: null, held_s: null, quiet_s: null, clients: 0, alone: true };
  if (!ghost) {
    const phase = state === "starting" ? "starting" : "gone";
    return { ...nobody, id: `missing ${index}`, name: "worker", pid: null, phase, instead: "a worker is coming" };
  }
  const instead = `ended${because(ghost)}; its successor is coming`;
  return { ...nobody, id: `gone ${ghost.pid}`, name: ghost.name, pid: ghost.pid, phase: "gone", instead };
}

function phases(slots) {
  const counts = { quiet: 0, busy: 0, open: 0, free: 0, starting: 0, draining: 0, hung: 0, gone: 0 };
  for (const slot of slots) counts[slot.phase] += 1;
  return counts;
}

/** The slots as they are drawn: each by itself, or as cells that stand for several of one phase. */
function gathered(slots) {
  if (slots.length <= NAMED) {
    // All slots together have as many marks as one crowd.
    const each = grouping(Math.max(1, ...slots.map((slot) => slot.clients)), Math.floor(MARKS / Math.max(1, slots.length)));
    return {
      detail: slots.length <= DETAILED ? "all" : "names",
      each,
      items: slots.map((slot) => ({ ...slot, marks: Math.ceil(slot.clients / each) })),
    };
  }
  const each = grouping(slots.length);
  const items = Object.entries(phases(slots)).flatMap(([phase, count]) =>
    Array.from({ length: Math.ceil(count / each) }, (_, index) => ({ id: `${phase} ${index}`, phase })),
  );
  return { detail: "cells", each, items };
}
