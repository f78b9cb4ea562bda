// The page beside a real server: a pool that starves, a worker that dies, a server that goes and
// comes back.

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { counts, open, shows, text } from "./pages.mjs";
import { startLoad, startServer } from "./processes.mjs";
import { held, thread, worker } from "./status.mjs";
import { until } from "./wait.mjs";

const POOL = ["--mode", "process-pool", "--workers", "4"];
const STARVING = ["-c", "50", "--hold", "60s", "-d", "30s"];
/** What the page complains of while its server is gone. */
const GONE = /net::ERR_.*\/events/;

async function starved(page) {
  await shows(page, "#serving-figure", "4 of 4");
  await shows(page, "#waiting-figure", "46");
  await counts(page, "#slots .slot.quiet", 4);
  await counts(page, "#waiting-accept .mark", 46);
}

export function live(test, context) {
  const server = (options) => startServer(context.server, options);
  const load = (addr, args = STARVING) => startLoad(context.loadgen, addr, args);
  const view = (admin, options) => open(context.browser, admin, options);

  test("four slots are held, 46 clients wait, and the processor is idle", async () => {
    const pool = await server({ args: POOL });
    const clients = load(pool.addr);
    const { page, close } = await view(pool.admin);
    await starved(page);
    await shows(page, "#sentence", /^4 of 4 workers are held by quiet clients; 46 clients wait, connected, with no answer; the processor is idle \(\d\.\d %\)\.$/);
    assert.match(await page.title(), /^4\/4 held, 46 waiting/);
    await shows(page, "#announcer", /^4 of 4 workers are held by quiet clients/);
    await shows(page, "#pid", String(pool.pid));
    const peers = await page.locator("#slots .peer").allTextContents();
    assert.ok(peers.length === 4 && peers.every((peer) => /^127\.0\.0\.1:\d+$/.test(peer)), `${peers}`);
    await context.picture(page, "held");
    await close();
    await clients.stop();
    await pool.stop();
  });

  test("a worker that is killed is seen to go, and its successor to come", async () => {
    const pool = await server({ args: POOL });
    const clients = load(pool.addr);
    const { page, close } = await view(pool.admin);
    await starved(page);
    const slot = "#slots .slot:nth-child(3)";
    const [name, killed] = [await text(page, `${slot} b`), await text(page, `${slot} .pid`)];
    process.kill(Number(killed), "SIGKILL");
    await shows(page, "#log", new RegExp(`${name}, process ${killed}, ended: killed by a signal\\.`));
    const successor = await until("a successor", async () => {
      const { workers } = await pool.status();
      return workers.length === 4 && workers.find((one) => one.name === name && String(one.pid) !== killed);
    });
    await shows(page, "#log", new RegExp(`${name} started as process ${successor.pid}\\.`));
    await shows(page, "#slots", new RegExp(`${name} ${successor.pid}`));
    await shows(page, "#slots", new RegExp(`took the place of process ${killed}: killed by a signal`));
    await shows(page, '#ended [data-id="signal"] .count', "1");
    await shows(page, "#serving-figure", "4 of 4");
    await context.picture(page, "successor");
    await close();
    await clients.stop();
    await pool.stop();
  });

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`the page outlives its server, ended by ${signal}, and follows the next one`, async () => {
      const first = await server({ args: POOL });
      const { page, close, expect } = await view(first.admin);
      expect(GONE);
      await shows(page, "#pid", String(first.pid));
      await first.stop(signal);
      await shows(page, "#link", /^connection lost \(.+\), trying again; what is shown is \d+ s old$/);
      assert.match(await page.title(), /^connection lost/);
      await context.picture(page, `lost-${signal}`);
      const second = await server({ addr: first.addr, admin: first.admin, args: POOL });
      await shows(page, "#pid", String(second.pid));
      await shows(page, "#link", "ready");
      await shows(page, "#log", new RegExp(`process ${second.pid} instead of ${first.pid}`));
      await close();
      await second.stop();
    });
  }

  test("nobody is held where a reactor serves, and all are drawn inside", async () => {
    const reactors = await server({ args: ["--mode", "async", "--workers", "2"] });
    const clients = load(reactors.addr);
    const { page, close } = await view(reactors.admin);
    await counts(page, "#hall .mark", 50);
    await shows(page, "#sentence", /^50 clients share 2 threads and hold none of them while quiet; nobody waits/);
    await close();
    await clients.stop();
    await reactors.stop();
  });

  test("a token in the fragment is used, and the want of one is said", async () => {
    const token = "0123456789abcdef0123456789abcdef";
    const file = join(mkdtempSync(join(tmpdir(), "echolab-")), "token");
    writeFileSync(file, token, { mode: 0o600 });
    const guarded = await server({ args: ["--admin-token-file", file] });
    const without = await view(guarded.admin);
    without.expect(/status of 401/);
    await shows(without.page, "#link", /a token is needed: add #token=… to the address/);
    await without.close();
    const { page, close } = await view(guarded.admin, { fragment: `#token=${token}` });
    await shows(page, "#pid", String(guarded.pid));
    await close();
    await guarded.stop();
  });

  test("without JavaScript the page points to the status", async () => {
    const plain = await server();
    const { page, close } = await view(plain.admin, { javaScriptEnabled: false });
    assert.match(await text(page, "noscript"), /The same figures are text at \/status/);
    assert.ok((await page.locator('noscript a[href="/status"]').count()) === 1);
    await close();
    await plain.stop();
  });

  test("what the other tests feed to the page is what a server tells", async () => {
    const keys = (value) => {
      if (Array.isArray(value)) return value.length > 0 ? [keys(value[0])] : [];
      if (value === null || typeof value !== "object") return null;
      return Object.fromEntries(Object.keys(value).sort().map((key) => [key, keys(value[key])]));
    };
    const pool = await server({ args: POOL });
    assert.deepEqual(keys(await pool.status()), keys(held()));
    await pool.stop();
    const threads = await server({ args: ["--mode", "thread-pool", "--workers", "2"] });
    const { workers } = await threads.status();
    assert.deepEqual(keys(workers), keys([worker(0, { threads: [thread(0)] })]));
    await threads.stop();
  });
}
