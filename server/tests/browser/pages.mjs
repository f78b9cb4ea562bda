// The page in a browser, under watch: it may complain of nothing and ask nobody else.

import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { LIMIT_MS } from "./wait.mjs";

/** A browser without a window. As root it runs only without its sandbox. */
export function launch(executablePath) {
  return chromium.launch({ executablePath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
}

/**
 * The page of the server at `admin`. With `fed` it does not hear the server but what the test gives
 * to `feed`.
 */
export async function open(browser, admin, { fed = false, fragment = "", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  const complaints = [];
  const expected = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} (${message.location().url})`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== admin) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  await page.exposeBinding("violated", (_, what) => complaints.push(`violation: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violated(`${event.violatedDirective} by ${event.blockedURI}`);
    });
  });
  if (fed) await page.addInitScript(takeOver);
  await page.goto(`http://${admin}/${fragment}`);
  return {
    page,
    /** Complaints that match are no failure: of a server that the test ended, for one. */
    expect: (pattern) => expected.push(pattern),
    feed: async (status) => {
      await page.evaluate((text) => window.feed(text), JSON.stringify(status));
      // What was given has been drawn when the next picture has.
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    },
    close: async () => {
      await context.close();
      const unexpected = complaints.filter((one) => !expected.some((pattern) => pattern.test(one)));
      assert.deepEqual(unexpected, [], "the page complained");
    },
  };
}

/** In the page, before its scripts: the stream of events is the test's. */
function takeOver() {
  let stream;
  const real = window.fetch;
  window.fetch = (url, ...rest) => {
    if (url !== "/events") return real(url, ...rest);
    return Promise.resolve(new Response(new ReadableStream({ start: (controller) => (stream = controller) })));
  };
  window.feed = (text) => stream.enqueue(new TextEncoder().encode(`data: ${text}\n\n`));
}

/** The text of an element. */
export function text(page, selector) {
  return page.locator(selector).first().textContent();
}

/** Waits until the element has that text, or one that matches. */
export async function shows(page, selector, expected) {
  const state = [selector, expected.source ?? null, expected.source ? null : expected];
  const matches = ([where, pattern, whole]) => {
    const found = document.querySelector(where)?.textContent ?? "";
    return pattern === null ? found === whole : new RegExp(pattern).test(found);
  };
  await page.waitForFunction(matches, state).catch(async () => {
    assert.fail(`${selector} shows “${await text(page, selector)}” and not ${expected}`);
  });
}

/** Waits until there are exactly so many of an element. */
export async function counts(page, selector, count) {
  const matches = ([where, many]) => document.querySelectorAll(where).length === many;
  await page.waitForFunction(matches, [selector, count]).catch(async () => {
    assert.fail(`there are ${await page.locator(selector).count()} of ${selector} and not ${count}`);
  });
}
