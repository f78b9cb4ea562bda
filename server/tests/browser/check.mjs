// The dashboard in a real browser, with real servers and loads.
//
//   npm ci && node check.mjs --server target/release/server --loadgen target/release/loadgen
//
// Builds nothing. `--screenshots DIR` keeps pictures, `--chromium PATH` takes another browser than
// Debian's.

import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { parseArgs } from "node:util";

import { live } from "./live.mjs";
import { launch } from "./pages.mjs";
import { endAll } from "./processes.mjs";
import { states } from "./states.mjs";

const options = Object.fromEntries(["server", "loadgen", "screenshots", "chromium"].map((name) => [name, { type: "string" }]));

function usage(error) {
  console.error(`check.mjs: ${error}; it takes --server PATH --loadgen PATH [--screenshots DIR] [--chromium PATH]`);
  process.exit(2);
}

function wanted() {
  try {
    const { values } = parseArgs({ options });
    if (!values.server || !values.loadgen) usage("--server and --loadgen are needed: the programs to check");
    return values;
  } catch (error) {
    return usage(error.message.split("\n")[0]);
  }
}

const { server, loadgen, screenshots, chromium = "/usr/bin/chromium" } = wanted();
if (screenshots) mkdirSync(screenshots, { recursive: true });

const context = {
  server,
  loadgen,
  browser: null,
  /** Keeps a picture of the page, if pictures are wanted. */
  picture: async (page, name) => {
    if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });
  },
};

before(async () => {
  context.browser = await launch(chromium);
});
after(() => context.browser?.close());

/** A test after which nothing runs any more, whatever came of it. */
function scoped(name, body) {
  test(name, async () => {
    try {
      await body();
    } finally {
      endAll();
      await Promise.all(context.browser.contexts().map((one) => one.close()));
    }
  });
}

live(scoped, context);
states(scoped, context);
