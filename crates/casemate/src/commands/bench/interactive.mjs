// How long until a page can be used: from asking for it until its scripts have run and the browser is ready for input. Prints a
// JSON line for each path.

import { createRequire } from "node:module";
import { setTimeout } from "node:timers/promises";

const { chromium } = createRequire(`${process.env.CASEMATE_BROWSER}/package.json`)("playwright-core");
const ROUNDS = 5;
// Whoever reads a page does not open the next at once.
const READING_MS = 1500;
const [base, ...paths] = process.argv.slice(2);
const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
const browser = await chromium.launch({
  executablePath: process.env.CASEMATE_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", ...sandbox],
});
for (const path of paths) {
  const times = [];
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // A context of its own: nothing is cached.
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.goto(base + path, { waitUntil: "load" });
    const timing = await page.evaluate(() => {
      const [own] = performance.getEntriesByType("navigation");
      const linked = performance.getEntriesByType("resource");
      const sum = [own, ...linked].reduce((total, entry) => total + entry.decodedBodySize, 0);
      return { interactive: own.domContentLoadedEventEnd, bytes: sum };
    });
    times.push(timing.interactive);
    bytes = timing.bytes;
    await context.close();
    await setTimeout(READING_MS);
  }
  times.sort((a, b) => a - b);
  console.log(JSON.stringify({ path, n: ROUNDS, interactive: times[ROUNDS >> 1], most: times.at(-1), bytes }));
}
await browser.close();
