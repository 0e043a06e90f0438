// One investigation as an analyst reads it: citations open their event beside it, the timeline is looked at nearer, and all of
// it by keyboard.
//
// node investigation.mjs BASE NUMBER

import { check, open, withBrowser } from "./browser.mjs";

const [base, number] = process.argv.slice(2);

await withBrowser(async (browser) => {
  const page = await open(browser);
  await page.goto(`${base}/investigations/${number}`, { waitUntil: "load" });
  const beside = page.locator("#beside");

  // A citation in the facts, by keyboard: the event opens beside, the report stays where it is.
  const cite = page.locator("#why .cites a[data-event]").first();
  const label = (await cite.textContent()).trim();
  await cite.scrollIntoViewIfNeeded();
  await cite.focus();
  const before = await page.evaluate(() => scrollY);
  check(await page.locator(`tr[data-evidence="${label}"].lit`).count(), "the row of a focused citation is not lit");
  check(await page.locator(`#timeline a[data-cite="${label}"].lit`).count(), "its mark in the timeline is not lit");
  await page.keyboard.press("Enter");
  await beside.locator(".raw").first().waitFor();
  check((await page.evaluate(() => scrollY)) === before, "opening an event moved the report");
  check(await page.evaluate(() => document.activeElement.id === "beside-title"), "focus did not go to the event");
  check((await page.locator("h1").count()) === 1, "the event brought a second heading of the page");
  const title = await page.locator("#beside-title").textContent();
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((old) => document.getElementById("beside-title").textContent !== old, title);
  await page.keyboard.press("Escape");
  check(await beside.isHidden(), "Escape does not close the event");
  check(await cite.evaluate((link) => link === document.activeElement), "focus did not come back to the citation");

  // Nearer and back, by keys.
  const area = page.locator("[data-timeline]");
  await area.focus();
  await page.keyboard.press("+");
  await page.waitForURL(/from=.*to=/);
  const within = await page.locator("#timeline .steps-bar").textContent();
  check(/\d+ of \d+ lines/.test(within), `a part does not say how much it shows: ${within}`);
  check(await page.evaluate(() => document.activeElement.matches("[data-timeline]")), "zooming lost the focus");
  await page.keyboard.press("0");
  await page.waitForURL((url) => !url.search.includes("from="));

  // By dragging over a stretch, and by the wheel.
  await area.scrollIntoViewIfNeeded();
  const box = await area.locator("svg").boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + box.height - 6);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height - 6, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/from=.*to=/);
  const part = page.url();
  await area.locator(".axis").hover({ force: true });
  await page.keyboard.down("Control");
  await page.mouse.wheel(0, 100);
  await page.keyboard.up("Control");
  await page.waitForURL((url) => String(url) !== part);

  check(page.complaints.length === 0, page.complaints.join("; "));

  // Without scripts: a citation leads to its row, which leads to the event; links zoom.
  const plain = await open(browser, { javaScriptEnabled: false });
  await plain.goto(`${base}/investigations/${number}`);
  await plain.locator("#why .cites a").first().click();
  check(new URL(plain.url()).hash === `#${label}`, `a citation leads to ${plain.url()}`);
  await plain.locator('a.step[data-step="in"]').click();
  check((await plain.locator('a.step[data-step="out"]').count()) === 1, "no way back out of a part");
  await plain.locator("tr[data-evidence] a[data-event]").first().click();
  check(/\/events\/\d+$/.test(plain.url()), "the row does not lead to its event");
});
