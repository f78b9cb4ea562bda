// A status as the server tells it, for tests that need no server. `check.mjs` compares its keys with
// those of a real one.

const BOUNDS_S = [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 60];

/** One worker of a pool of processes, which serves one client. */
export function worker(slot, changes = {}) {
  return {
    slot,
    name: `worker-${slot}`,
    pid: 100 + slot,
    state: "ready",
    age_s: 10,
    connections: 1,
    by_state: { queued: 0, fresh: 0, answered: 1 },
    peer: `127.0.0.1:${50000 + slot}`,
    held_s: 9,
    quiet_s: 8,
    accepted: 1,
    served: 1,
    requests: 1,
    cpu_s: 0.01,
    sandbox: [],
    rss_bytes: 3_000_000,
    threads: [],
    ...changes,
  };
}

/** What a worker is that serves nobody. */
export const FREE = { connections: 0, peer: null, held_s: null, quiet_s: null };

/** One thread that serves. */
export function thread(index, changes = {}) {
  return {
    name: `thread-${index}`,
    peer: null,
    held_s: null,
    quiet_s: null,
    connections: null,
    accepted: null,
    served: 0,
    requests: 0,
    ...changes,
  };
}

/** Waits of which `counts` lie between the bounds. */
export function waits(...counts) {
  let sum = 0;
  const buckets = BOUNDS_S.map((le_s, index) => ({ le_s, count: (sum += counts[index] ?? 0) }));
  return { buckets, count: sum + (counts[BOUNDS_S.length] ?? 0), sum_s: sum / 1000 };
}

/** An accept queue of one socket. */
export function queue(length, limit = 4096) {
  return { queue: length, limit, queues: [{ length, limit }], overflows: 0 };
}

/** A pool of four, each held by a quiet client, and 46 more who wait. */
export function held(changes = {}) {
  return {
    version: "0.1.0",
    pid: 99,
    addr: "127.0.0.1:7007",
    mode: "process-pool",
    worker_mode: "sequential",
    state: "ready",
    uptime_s: 10,
    workers_wanted: 4,
    capacity: 4,
    max_connections: 19936,
    cpu_s: 0.05,
    listen: queue(46),
    connections: { queued: 0, fresh: 0, answered: 4 },
    workers: [0, 1, 2, 3].map((slot) => worker(slot)),
    counters: {
      accepted: 4, closed: 0, served: 4, full: 0, rejected: 0, short: 0, per_ip: 0, idle: 0, stalled: 0,
      slow: 0, failed: 0, dismissed: 0, panics: 0, cut: 0, violations: 0, requests: 4, bytes: 256,
    },
    rejections: { full: 0, resources: 0, per_ip: 0, dismissed: 0 },
    first_byte: waits(3, 1),
    ended: { asked: 0, restarted: 0, recycled: 0, hung: 0, late: 0, signal: 0, exit: 0, unstarted: 0 },
    ...changes,
  };
}

/** 50 clients of a strategy that owns requests, with `threads` that serve them. */
export function shared(mode, threads, changes = {}) {
  return held({
    mode,
    worker_mode: null,
    workers_wanted: threads.length,
    capacity: 19936,
    listen: queue(0),
    connections: { queued: 0, fresh: 2, answered: 48 },
    workers: [worker(0, { name: mode, ...FREE, connections: 50, threads })],
    ...changes,
  });
}
