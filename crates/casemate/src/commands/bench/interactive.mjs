// How long until a page can be used: from asking for it until it is drawn and its scripts have run. Each is opened from another
// page, as people do all day, and as the first one of a new tab, for which the browser starts a process. Prints a JSON line for
// each path.

import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";

const { chromium } = createRequire(`${process.env.CASEMATE_BROWSER}/package.json`)("playwright-core");
const ROUNDS = 5;
// Whoever reads a page does not open the next at once.
const READING_MS = 1000;
const [base, from, ...paths] = process.argv.slice(2);
const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
const browser = await chromium.launch({
  executablePath: process.env.CASEMATE_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", ...sandbox],
});

/** Opens a page and says when it could be used, and what it weighs with all it links to. */
async function open(page, path) {
  await setTimeout(READING_MS);
  await page.goto(base + path, { waitUntil: "load" });
  return page.evaluate(async () => {
    const drawn = await new Promise((found) => {
      const look = (list) => list.getEntriesByName("first-contentful-paint").forEach((entry) => found(entry.startTime));
      new PerformanceObserver(look).observe({ type: "paint", buffered: true });
    });
    const [own] = performance.getEntriesByType("navigation");
    const linked = performance.getEntriesByType("resource");
    const bytes = [own, ...linked].reduce((total, entry) => total + entry.decodedBodySize, 0);
    return { interactive: Math.max(drawn, own.domContentLoadedEventEnd), bytes };
  });
}

const middle = (times) => times.sort((a, b) => a - b)[times.length >> 1];
for (const path of paths) {
  const [next, first] = [[], []];
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // A context of its own: nothing is cached.
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const tab = await context.newPage();
    first.push((await open(tab, path)).interactive);
    await open(tab, from);
    const opened = await open(tab, path);
    next.push(opened.interactive);
    bytes = opened.bytes;
    await context.close();
  }
  const [interactive, newTab] = [middle(next), middle(first)];
  console.log(JSON.stringify({ path, n: ROUNDS, interactive, most: next.at(-1), new_tab: newTab, bytes }));
}
await browser.close();
