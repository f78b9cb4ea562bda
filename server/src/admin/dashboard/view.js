// Everything the page shows of a history, as texts and figures. Pure: it knows no document.

import { endedBy } from "./history.js";
import { scene } from "./scene.js";
import { sentence } from "./sentence.js";
import { bound, bytes, many, percent, short, span, UNKNOWN, whole } from "./words.js";

/** Rows of the table of workers at most. */
export const ROWS = 20;

const TURNED_AWAY = {
  full: "no place was free",
  resources: "descriptors, threads, processes or memory were short",
  per_ip: "their address had too many",
  dismissed: "still in the accept queue at the end",
};

const CLOSED = {
  idle: "silent for too long",
  slow: "too slow with a message",
  stalled: "took no bytes for too long",
  failed: "broken by the peer or the network",
  panics: "ended by a panic",
  cut: "cut at the deadline of a drain",
};

/** What is shown of a history that has seen a status. */
export function view(history, at) {
  const { status, series } = history;
  const drawn = scene(history);
  // A process of its own for each client is not among those whose processor time is known.
  const cpu = drawn.unit === "process" ? null : (series.cpu.at(-1) ?? null);
  return {
    about: about(status),
    scene: drawn,
    sentence: sentence(status, drawn, cpu, at < history.turningAwayUntil),
    waiting: waitingFigure(drawn.waiting),
    serving: servingFigure(drawn),
    processor: processorFigure(cpu, drawn, series.cpu),
    rates: rates(status, series),
    connections: connections(status, drawn.waiting),
    queue: queue(status.listen),
    firstAnswer: firstAnswer(status.first_byte, drawn.waiting.known),
    turnedAway: rows(status.rejections, TURNED_AWAY),
    closed: rows(status.counters, CLOSED, Object.keys(CLOSED)),
    ended: rows(status.ended, Object.fromEntries(Object.keys(status.ended).map((key) => [key, endedBy(key)]))),
    workers: workers(status),
    log: history.log,
  };
}

function about(status) {
  return {
    mode: status.worker_mode ? `${status.mode} of ${status.worker_mode}` : status.mode,
    addr: status.addr,
    pid: String(status.pid),
    uptime: span(status.uptime_s),
    version: status.version,
    state: status.state,
    sandbox: sandbox(status),
  };
}

/** What the worker that is held in least has; null where none is held in at all. */
function sandbox({ workers, counters }) {
  const layers = workers.map((worker) => worker.sandbox.length);
  if (!layers.some((count) => count > 0)) return null;
  return `${many(Math.min(...layers), "layer")}, ${many(counters.violations, "call")} refused`;
}

function waitingFigure({ total, known, queue, queued }) {
  const places = [];
  if (queue == null) places.push("The kernel does not tell who is in the accept queue");
  if (queue?.count > 0) places.push(`${many(queue.count, "client")} in the accept queue`);
  if (queued.count > 0) places.push(`${many(queued.count, "client")} in the queue of the server`);
  return {
    figure: total == null && known === 0 ? UNKNOWN : whole(known),
    label: `${known === 1 ? "client waits" : "clients wait"}, connected, with no answer`,
    detail: places.length > 0 ? `${places.join(", ")}.` : "Nobody waits.",
    some: known > 0,
  };
}

function servingFigure({ owns, pool, held, places, unit, phases, hall, slots }) {
  if (owns === "connection" && pool) {
    return {
      figure: `${whole(Math.min(held, places))} of ${whole(places)}`,
      label: `${places === 1 ? unit : `${unit}s`} held by a client`,
      detail: said(phases),
      key: slots.each > 1 ? `One mark is ${whole(slots.each)}.` : "",
    };
  }
  const each = hall?.each ?? slots.each;
  return {
    figure: whole(held),
    label: `${held === 1 ? "client" : "clients"} inside; room for ${whole(places)}`,
    detail: pool ? said(phases) : `a ${unit} for each`,
    key: each > 1 ? `One mark is ${whole(each)} clients.` : "",
  };
}

/** `3 held, quiet · 1 busy`. */
function said(phases) {
  const present = Object.entries(phases).filter(([, count]) => count > 0);
  return present.map(([phase, count]) => `${whole(count)} ${PHASES[phase]}`).join(" · ");
}

/** What the phases of a slot are called. */
export const PHASES = {
  free: "free",
  busy: "busy",
  quiet: "held, quiet",
  open: "idle, with clients",
  starting: "starting",
  draining: "draining",
  hung: "hung",
  gone: "ended",
};

function processorFigure(cpu, { unit }, series) {
  if (unit === "process") {
    return { figure: UNKNOWN, label: "of a processor", detail: "not known of processes that serve one client each", series: [] };
  }
  const top = Math.max(1, ...series);
  return { figure: percent(cpu), label: "of one processor", detail: `the last two minutes; the full height is ${percent(top)}`, series };
}

function rates({ counters }, series) {
  const tile = (label, name, write, total) => ({
    id: name,
    label,
    figure: write(series[name].at(-1) ?? null),
    total,
    peak: series[name].length > 0 ? write(Math.max(0, ...series[name])) : UNKNOWN,
    series: series[name],
  });
  return [
    tile("requests per second", "requests", short, `${short(counters.requests)} in all`),
    tile("accepts per second", "accepts", short, `${short(counters.accepted)} in all`),
    tile("echoed per second", "bytes", bytes, `${bytes(counters.bytes)} in all`),
  ];
}

function connections({ connections: { queued, fresh, answered } }, { queue }) {
  const states = [
    { id: "answered", label: "have got an answer", count: answered },
    { id: "fresh", label: "with a worker, no answer yet", count: fresh },
    { id: "queued", label: "admitted, no worker yet", count: queued },
  ];
  if (queue) states.push({ id: "accept", label: "in the accept queue", count: queue.count });
  const all = states.reduce((sum, one) => sum + one.count, 0);
  return states.map((one) => ({ ...one, text: whole(one.count), share: all > 0 ? one.count / all : 0 }));
}

function queue({ queue: length, limit, overflows, queues }) {
  const sockets = queues.length > 1 ? queues.map((one) => whole(one.length)).join(", ") : null;
  return {
    length: whole(length),
    limit: whole(limit),
    overflows: whole(overflows),
    overflown: overflows > 0,
    sockets,
    share: length != null && limit > 0 ? Math.min(1, length / limit) : 0,
  };
}

/** The waits between the shortest and the longest that occurred, and those that have not ended. */
function firstAnswer({ buckets, count }, waiting) {
  let before = 0;
  const bars = buckets.map(({ le_s, count: upTo }) => {
    const bar = { id: String(le_s), label: `≤ ${bound(le_s)}`, count: upTo - before };
    before = upTo;
    return bar;
  });
  const last = buckets.at(-1);
  if (last) bars.push({ id: "longer", label: `> ${bound(last.le_s)}`, count: Math.max(0, count - before) });
  const first = bars.findIndex((bar) => bar.count > 0);
  const end = bars.findLastIndex((bar) => bar.count > 0) + 1;
  const shown = first < 0 ? [] : bars.slice(first, end);
  if (waiting > 0) shown.push({ id: "waiting", label: "still waiting", count: waiting, waiting: true });
  const most = Math.max(1, ...shown.map((bar) => bar.count));
  return shown.map((bar) => ({ ...bar, text: whole(bar.count), share: bar.count / most }));
}

/** A row for each key; those without a text are shown by their names. */
function rows(counts, texts, keys = Object.keys(counts)) {
  return keys.map((key) => ({ id: key, label: texts[key] ?? key, text: whole(counts[key]), some: counts[key] > 0 }));
}

function workers(status) {
  const all = status.workers.flatMap((worker) => [
    row(String(worker.pid), worker, { pid: String(worker.pid), state: worker.state }),
    ...worker.threads.map((thread) => row(`${worker.pid}/${thread.name}`, thread, { pid: "", state: "thread" })),
  ]);
  const hidden = all.length - ROWS;
  return {
    rows: all.slice(0, ROWS),
    rest: hidden > 0 ? `${whole(hidden)} more are in /status.` : "",
  };
}

function row(id, one, { pid, state }) {
  return {
    id,
    cells: [
      one.name,
      pid,
      state,
      one.peer ?? UNKNOWN,
      span(one.held_s),
      span(one.quiet_s),
      whole(one.connections),
      whole(one.accepted),
      whole(one.requests),
      span(one.cpu_s),
      bytes(one.rss_bytes),
    ],
  };
}
