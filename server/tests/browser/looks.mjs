// Whether a page can be read: measured, not looked at.

import assert from "node:assert/strict";

/** What WCAG 2 (AA) asks of texts, and of large ones. */
const CONTRAST = 4.5;
const CONTRAST_LARGE = 3;

/** Nothing is wider than the screen. */
export async function fits(page, what) {
  const wide = await page.evaluate(() => {
    const limit = document.documentElement.clientWidth;
    const over = [...document.querySelectorAll("body *")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 0 && !element.closest(".unseen, thead, svg") && box.right > limit + 0.5;
    });
    return { scroll: document.documentElement.scrollWidth - limit, over: over.map((element) => element.outerHTML.slice(0, 120)) };
  });
  assert.deepEqual(wide, { scroll: 0, over: [] }, `${what} is wider than the screen`);
}

/** Every text that is seen has enough contrast to what is behind it. */
export async function legible(page, what) {
  const texts = await page.evaluate(measure);
  assert.ok(texts.length > 40, `only ${texts.length} texts were found`);
  const faint = texts.filter(({ ratio, large }) => ratio < (large ? CONTRAST_LARGE : CONTRAST));
  assert.deepEqual(faint, [], `${what} has texts of too little contrast`);
}

/** In the page: each text with its contrast. Backgrounds are plain colours. */
function measure() {
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], alpha: a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest(".unseen, noscript, script") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const pixels = parseFloat(style.fontSize);
    const [lighter, darker] = [luminance(parse(style.color).rgb), luminance(ground(element))].sort((a, b) => b - a);
    seen.push({
      text: walker.currentNode.data.trim().slice(0, 40),
      ratio: Math.round(((lighter + 0.05) / (darker + 0.05)) * 100) / 100,
      large: pixels >= 24 || (pixels >= 18.66 && Number(style.fontWeight) >= 700),
    });
  }
  return seen;
}

/** How many animations run. */
export function animations(page) {
  return page.evaluate(() => document.getAnimations().filter((one) => one.playState === "running").length);
}
