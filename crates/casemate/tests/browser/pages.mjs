// Every page, in both colour schemes, wide and on a phone, with and without scripts: no violation of WCAG 2.2 AA that axe-core
// finds, nothing that the console complains about, nothing to scroll sideways for, and no more than it may weigh.
//
// node pages.mjs BASE PATH...

import { AXE, check, open, withBrowser } from "./browser.mjs";

const MOST_BYTES = 150_000;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const [base, ...paths] = process.argv.slice(2);

/** Bytes of the page and of everything it links to, from an empty cache. */
async function weigh(page, path) {
  let bytes = 0;
  const bodies = [];
  const add = (response) => bodies.push(response.body().then((body) => (bytes += body.length), () => {}));
  page.on("response", add);
  await page.goto(base + path, { waitUntil: "load" });
  page.off("response", add);
  await Promise.all(bodies);
  return bytes;
}

async function violations(page) {
  await page.addScriptTag({ path: AXE });
  const found = await page.evaluate((tags) => axe.run(document, { runOnly: tags }), RULES);
  return found.violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}

const problems = [];
await withBrowser(async (browser) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [WIDE, PHONE]) {
      const kind = `${colorScheme}, ${viewport.width} px`;
      for (const path of paths) {
        // axe-core is put in by the test, which the page's policy rightly refuses.
        const page = await open(browser, { colorScheme, viewport, bypassCSP: true });
        const bytes = await weigh(page, path);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        const say = (what) => problems.push(`${path} (${kind}): ${what}`);
        if (bytes > MOST_BYTES) say(`${bytes} bytes, more than ${MOST_BYTES}`);
        if (wider > 0) say(`${wider} px wider than the screen`);
        page.complaints.forEach(say);
        (await violations(page)).forEach(say);
        console.log(JSON.stringify({ path, kind, bytes }));
        await page.context().close();
      }
    }
  }
  for (const path of paths) {
    const page = await open(browser, { javaScriptEnabled: false });
    const response = await page.goto(base + path);
    const heading = await page.locator("h1").count();
    if (!response.ok() || heading !== 1) problems.push(`${path} without scripts: ${response.status()}, ${heading} headings`);
    await page.context().close();
    // With the policy in force: nothing inline but what it names, nothing from elsewhere.
    const strict = await open(browser);
    await strict.goto(base + path, { waitUntil: "load" });
    strict.complaints.forEach((complaint) => problems.push(`${path}: ${complaint}`));
    await strict.context().close();
  }
});
problems.forEach((problem) => console.error(problem));
check(problems.length === 0, `${problems.length} problems`);
