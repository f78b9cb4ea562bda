// Every state the page can be in, fed to it: each can be read in light and dark, and at any width.

import assert from "node:assert/strict";

import { animations, fits, legible } from "./looks.mjs";
import { counts, open, shows } from "./pages.mjs";
import { startServer } from "./processes.mjs";
import { FREE, held, queue, shared, thread, waits, worker } from "./status.mjs";

const HOSTILE = `"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`;
/** Elements of a page at most, however much there is to show. */
const ELEMENTS = 1000;
const WIDTHS = [360, 768, 1440, 1920];

const four = (change) => [0, 1, 2, 3].map((slot) => worker(slot, change(slot)));

const STATES = {
  held: held(),
  free: held({ workers: four(() => FREE), connections: { queued: 0, fresh: 0, answered: 0 }, listen: queue(0) }),
  troubled: held({
    workers: [worker(0, { state: "hung" }), worker(1, { state: "starting", ...FREE }), worker(2, { state: "draining" })],
    rejections: { full: 9, resources: 1, per_ip: 2, dismissed: 0 },
  }),
  draining: held({ state: "draining", workers: four(() => ({ state: "draining" })), listen: queue(0) }),
  threads: held({
    mode: "thread-pool",
    worker_mode: null,
    connections: { queued: 42, fresh: 0, answered: 4 },
    listen: queue(4),
    workers: [worker(0, { ...FREE, connections: 46, threads: [0, 1, 2, 3].map((index) => thread(index, { peer: `10.0.0.9:${index}`, held_s: 9, quiet_s: 8 })) })],
  }),
  async: shared("async", [thread(0), thread(1)], { first_byte: waits(5, 20, 9, 5, 3, 2, 1, 5) }),
  epoll: shared("epoll", [thread(0, { connections: 30 }), thread(1, { connections: 20 })]),
  each: shared("process-per-connection", []),
  twenty: held({ workers_wanted: 20, capacity: 20, connections: { queued: 0, fresh: 0, answered: 20 }, workers: Array.from({ length: 20 }, (_, slot) => worker(slot)) }),
  thousands: held({
    workers_wanted: 5000,
    capacity: 5000,
    workers: Array.from({ length: 5000 }, (_, slot) => worker(slot, slot % 3 ? {} : FREE)),
    connections: { queued: 0, fresh: 0, answered: 3333 },
    listen: { ...queue(4000), overflows: 12345 },
  }),
  unix: held({ addr: "unix:/run/a/rather/long/path/of/a/socket/that/has/no/end.sock", listen: { queue: null, limit: null, queues: [], overflows: null } }),
  ipv6: held({ workers: four(() => ({ peer: "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff%ethernet0]:65535" })) }),
};

export function states(test, context) {
  // The files and their policy come from a server; what happens comes from the test.
  const fed = async (options, body) => {
    const server = await startServer(context.server);
    const opened = await open(context.browser, server.admin, { fed: true, ...options });
    await body(opened);
    await opened.close();
    await server.stop();
  };

  for (const colorScheme of ["light", "dark"]) {
    test(`every state can be read at every width (${colorScheme})`, () =>
      fed({ colorScheme, reducedMotion: "reduce" }, async ({ page, feed }) => {
        for (const [name, status] of Object.entries(STATES)) {
          await feed({ ...status, pid: status.pid + name.length });
          for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: 900 });
            await fits(page, `${name} at ${width} px`);
            await context.picture(page, `${name}-${width}-${colorScheme}`);
          }
          await legible(page, name);
          const elements = await page.locator("*").count();
          assert.ok(elements <= ELEMENTS, `${name} has ${elements} elements`);
        }
      }));
  }

  test("whatever a peer calls itself is text", () =>
    fed({}, async ({ page, feed }) => {
      await feed(held({ addr: HOSTILE, version: HOSTILE, workers: four((slot) => ({ peer: HOSTILE, name: `${HOSTILE}${slot}` })) }));
      await feed(held({ uptime_s: 11, workers: [], ended: { ...held().ended, [HOSTILE]: 4 } }));
      await feed(held({ uptime_s: 12, addr: HOSTILE, workers: four(() => ({ peer: HOSTILE })) }));
      await shows(page, "#addr", HOSTILE);
      assert.equal(await page.locator("#slots .peer").first().textContent(), HOSTILE);
      assert.equal(await page.locator("main img, main script, #addr *").count(), 0);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    }));

  for (const [reducedMotion, moves] of [["no-preference", true], ["reduce", false]]) {
    test(`a worker that comes ${moves ? "moves" : "does not move where motion is not wanted"}`, () =>
      fed({ reducedMotion }, async ({ page, feed }) => {
        await feed(held({ workers: four((slot) => (slot === 2 ? { state: "starting", ...FREE } : {})) }));
        await counts(page, "#slots .slot.starting", 1);
        assert.equal((await animations(page)) > 0, moves);
      }));
  }

  test("a status that changes changes only what it must", () =>
    fed({}, async ({ page, feed }) => {
      await feed(held());
      // A slot that is made anew, or moved, comes in once more.
      await page.waitForFunction(() => document.getAnimations().length === 0);
      await feed(held({ uptime_s: 11, listen: queue(12) }));
      await counts(page, "#waiting-accept .mark", 12);
      assert.equal(await animations(page), 0);
      await feed(held({ uptime_s: 12, workers: [worker(0), worker(1), worker(3), worker(2, { pid: 555 })] }));
      await shows(page, "#slots", /worker-2 555/);
      assert.deepEqual(await page.evaluate(() => document.getAnimations().map(({ effect }) => effect.target.dataset.id)), ["555"]);
    }));

  test("what can be used can be reached by the keyboard, and is seen to be", () =>
    fed({}, async ({ page, feed }) => {
      await feed(held());
      const reached = [];
      for (let step = 0; step < 3; step += 1) {
        await page.keyboard.press("Tab");
        reached.push(await page.evaluate(() => {
          const { id, href, matches } = document.activeElement;
          const outline = getComputedStyle(document.activeElement).outlineStyle;
          return [id || new URL(href).pathname, matches.call(document.activeElement, ":focus-visible") && outline];
        }));
      }
      assert.deepEqual(reached, [["log", "solid"], ["/status", "solid"], ["/metrics", "solid"]]);
    }));
}
