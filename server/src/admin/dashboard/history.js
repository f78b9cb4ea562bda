// What the page has seen of a server: rates of the last two minutes, and what happened. Pure: a
// status and the time go in, a new history comes out.
//
// A server that is another one than before (its leading process has another number) begins a new
// history; only the log of what happened goes on.

import { many } from "./words.js";

/** Seconds of history that are kept, one figure for each. */
export const WINDOW_S = 120;
/** Entries of the log that are kept. */
export const LOG_LENGTH = 60;
/** How long it is shown whose place a worker has taken. */
export const SUCCESSION_MS = 10_000;
/** Clients count as being turned away for so long after the last one was. */
export const TURNING_AWAY_MS = 5_000;
/** More than so many workers that end between two looks are one entry of the log. */
const SINGLY = 4;

const SERIES = ["cpu", "requests", "accepts", "bytes"];

const ENDED = {
  asked: "fewer workers were asked for",
  restarted: "restarted",
  recycled: "had served its share",
  hung: "it hung",
  late: "did not end in time",
  signal: "killed by a signal",
  exit: "it exited by itself",
  unstarted: "could not be started",
  violation: "it broke the rules of its sandbox",
};

/** In words, how a worker ended. */
export function endedBy(reason) {
  return ENDED[reason] ?? reason;
}

/** That of a page that has seen nothing yet. */
export function nothing() {
  return { status: null, at: 0, log: [] };
}

/** An entry of the log that is the page's own: the stream broke, or is back. */
export function note(history, text, at) {
  return { ...history, log: logged(history.log, [text], at) };
}

/** The history with `status`, which came at `at` (milliseconds). */
export function fold(history, status, at) {
  const before = history.status;
  if (!before || before.pid !== status.pid || status.uptime_s < before.uptime_s) {
    return begin(history, status, at);
  }
  const gone = departed(before, status);
  const events = happened(before, status, gone, history, at);
  const turned = turnedAway(status) > turnedAway(before);
  return {
    ...history,
    ...measured(history, status),
    status,
    at,
    gone: [...history.gone.filter((one) => at - one.at < SUCCESSION_MS), ...gone.map((one) => ({ ...one, at }))],
    turningAwayUntil: turned ? at + TURNING_AWAY_MS : history.turningAwayUntil,
    log: logged(history.log, events, at),
  };
}

function begin(history, status, at) {
  const text = history.status
    ? `Another server answers: process ${status.pid} instead of ${history.status.pid}.`
    : `Watching process ${status.pid}, which is ${status.state}.`;
  return {
    status,
    at,
    base: status,
    series: Object.fromEntries(SERIES.map((name) => [name, []])),
    moved: new Map(),
    gone: [],
    turningAwayUntil: 0,
    log: logged(history.log, [text], at),
  };
}

function logged(log, texts, at) {
  // The newest comes first. Each has a number of its own, so that the page can keep its element.
  const next = (log[0]?.id ?? 0) + 1;
  const entries = texts.map((text, index) => ({ id: next + index, at, text }));
  return [...entries.reverse(), ...log].slice(0, LOG_LENGTH);
}

/** A figure for each second or more that has passed; none before. */
function measured(history, status) {
  const { base, series } = history;
  const seconds = status.uptime_s - base.uptime_s;
  if (seconds < 1) return {};
  const grown = (key) => Math.max(0, status.counters[key] - base.counters[key]) / seconds;
  const figures = {
    cpu: processor(base, status, seconds),
    requests: grown("requests"),
    accepts: grown("accepted"),
    bytes: grown("bytes"),
  };
  // What was not seen has no figure of its own.
  const unseen = Array(Math.min(WINDOW_S, Math.max(0, Math.round(seconds) - 1))).fill(null);
  const longer = (name) => [...series[name], ...unseen, figures[name]].slice(-WINDOW_S);
  return {
    base: status,
    series: Object.fromEntries(SERIES.map((name) => [name, longer(name)])),
    moved: requestsOf(base, status),
  };
}

/**
 * The share of one processor that all living processes used. It is added up by process, since the
 * sum that the server tells falls when one dies.
 */
function processor(base, status, seconds) {
  if (base.cpu_s == null || status.cpu_s == null) return null;
  const before = times(base);
  let used = 0;
  for (const [pid, time] of times(status)) {
    used += Math.max(0, time - (before.get(pid) ?? 0));
  }
  return used / seconds;
}

function times(status) {
  const all = new Map();
  let leader = status.cpu_s;
  for (const worker of status.workers) {
    all.set(worker.pid, worker.cpu_s ?? 0);
    leader -= worker.cpu_s ?? 0;
  }
  if (!all.has(status.pid)) all.set(status.pid, leader);
  return all;
}

/** Whoever serves, by what it is known by: a process, or a thread of one. */
export function idOf(worker, thread) {
  return thread ? `${worker.pid}/${thread.name}` : String(worker.pid);
}

function requestsOf(base, status) {
  const counts = (one) => {
    const all = new Map();
    for (const worker of one.workers) {
      all.set(idOf(worker), worker.requests);
      for (const thread of worker.threads) all.set(idOf(worker, thread), thread.requests);
    }
    return all;
  };
  const before = counts(base);
  return new Map([...counts(status)].map(([id, now]) => [id, now - (before.get(id) ?? 0)]));
}

/** Clients that were closed unserved while the server went on. */
function turnedAway(status) {
  const { full, resources, per_ip } = status.rejections;
  return full + resources + per_ip;
}

/** Workers that were there and are not any more, with the reason where there is only one. */
function departed(before, status) {
  const here = new Set(status.workers.map((worker) => worker.pid));
  const reasons = Object.keys(status.ended).filter(
    (reason) => status.ended[reason] > (before.ended[reason] ?? 0),
  );
  const reason = reasons.length === 1 ? reasons[0] : null;
  return before.workers
    .filter((worker) => !here.has(worker.pid))
    .map(({ slot, name, pid }) => ({ slot, name, pid, reason }));
}

function happened(before, status, gone, history, at) {
  const events = [];
  if (status.state !== before.state) events.push(`The server is ${status.state}.`);
  events.push(...summed(gone, farewell, (all) => `${many(all.length, "worker")} ended.`));
  const known = new Map(before.workers.map((worker) => [worker.pid, worker]));
  const fresh = status.workers.filter((worker) => !known.has(worker.pid));
  events.push(...summed(fresh, arrival, (all) => `${many(all.length, "worker")} started.`));
  const changed = status.workers.filter((worker) => {
    const earlier = known.get(worker.pid);
    return earlier && earlier.state !== worker.state && worker.state !== "ready";
  });
  const change = ({ name, pid, state }) => `${name}, process ${pid}, is ${state}.`;
  events.push(...summed(changed, change, (all) => `${many(all.length, "worker")} changed.`));
  const lost = (status.listen.overflows ?? 0) - (before.listen.overflows ?? 0);
  if (lost > 0) events.push(`The accept queue was full: ${many(lost, "connection")} found no room in it.`);
  if (turnedAway(status) > turnedAway(before) && at >= history.turningAwayUntil) {
    events.push("Clients are being turned away.");
  }
  return events;
}

function summed(items, each, all) {
  return items.length > SINGLY ? [all(items)] : items.map(each);
}

function farewell({ name, pid, reason }) {
  return `${name}, process ${pid}, ended${reason ? `: ${endedBy(reason)}` : ""}.`;
}

function arrival({ name, pid }) {
  return `${name} started as process ${pid}.`;
}
