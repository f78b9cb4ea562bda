// Servers and loads as processes, which end with the test.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { until } from "./wait.mjs";

const READY = /^listening on (\S+) .*pid=(\d+)/m;
const ADMIN = /admin=http:\/\/([^/\s]+)\//;

/** All that run: whatever happens to the test, they end with it. */
const running = new Set();

/** Ends what a test has left. */
export function endAll() {
  for (const child of running) child.kill("SIGKILL");
}

process.on("exit", endAll);
// Without these, a signal would be the end of this process and of no other.
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", RUST_LOG: "info" } });
  const said = { out: "", err: "" };
  child.stdout.on("data", (data) => (said.out += data));
  child.stderr.on("data", (data) => (said.err += data));
  child.on("error", (error) => (said.err += error));
  running.add(child);
  child.on("exit", () => running.delete(child));
  return { child, said };
}

/** Ends a process by a signal, and waits for it. */
async function end({ child }, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  await gone;
}

/** A server that is ready, with its addresses. Without an address of its own it gets free ports. */
export async function startServer(program, { addr = "127.0.0.1:0", admin = "127.0.0.1:0", args = [] } = {}) {
  const server = start(program, [addr, "--admin", admin, ...args]);
  const { said, child } = server;
  await until(`a server that is ready: ${said.err}`, () => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${said.err}`);
    return READY.test(said.out) && ADMIN.test(said.err);
  });
  const [, listens, pid] = READY.exec(said.out);
  return {
    addr: listens,
    admin: ADMIN.exec(said.err)[1],
    pid: Number(pid),
    stop: (signal = "SIGTERM") => end(server, signal),
    status: async () => (await fetch(`http://${ADMIN.exec(said.err)[1]}/status`, { headers: { accept: "application/json" } })).json(),
  };
}

/** A load that runs until it is stopped. */
export function startLoad(program, addr, args) {
  const load = start(program, [addr, ...args]);
  return { stop: () => end(load, "SIGKILL") };
}
