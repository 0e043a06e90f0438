// An analyst's main path: an alert arrives while the queue is open, is watched to its verdict, what it cites is opened beside it,
// the verdict is disagreed with, and the next alert like it shows that.
//
// node paths.mjs BASE TOKEN FIRST.json SECOND.json

import { readFile } from "node:fs/promises";
import { check, open, withBrowser } from "./browser.mjs";

const [base, token, first, second] = process.argv.slice(2);
const PATIENCE = 400_000;
const REASON = "red team exercise 4711";

/** Sends logs the way a shipper does. */
async function ship(file) {
  const answer = await fetch(`${base}/v1/ingest/auto`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", Authorization: `Bearer ${token}` },
    body: await readFile(file),
  });
  check(answer.ok, `intake answered ${answer.status}`);
}

async function logIn(page) {
  await page.goto(`${base}/`);
  await page.getByLabel("Password").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Alerts", level: 1 }).waitFor();
}

/** Opens the newest alert with this title from the queue and waits for its verdict; returns what the page says. */
async function watch(page, title, host) {
  const row = page.getByRole("row").filter({ hasText: title }).filter({ hasText: host }).first();
  await row.waitFor({ timeout: PATIENCE });
  await row.getByRole("link", { name: title }).first().click();
  await page.waitForURL(/\/(alerts|investigations)\/\d+/);
  const start = page.getByRole("button", { name: "Investigate", exact: true });
  if (await start.count()) await start.first().click();
  const call = page.locator("section.verdict .call");
  await call.waitFor({ timeout: PATIENCE });
  // To more digits than the page shows.
  const number = /investigations\/(\d+)/.exec(page.url())[1];
  const answer = await fetch(`${base}/v1/investigations/${number}`, { headers: { Authorization: `Bearer ${token}` } });
  const { probability, similar_closed } = await answer.json();
  return { url: page.url(), call: (await call.innerText()).trim(), probability, similar: similar_closed?.length ?? 0 };
}

await withBrowser(async (browser) => {
  const page = await open(browser);
  page.setDefaultTimeout(30_000);
  await logIn(page);

  // It arrives by itself: nobody reloads.
  await ship(first);
  const news = page.getByText(/new alerts?/i);
  await news.waitFor({ timeout: PATIENCE });
  await news.click();

  const title = "LSASS memory dumped through comsvcs.dll";
  const before = await watch(page, title, "desk1");
  check(/malicious|suspicious|inconclusive/.test(before.call), `the verdict is ${before.call}`);

  // What it cites opens beside it, as received.
  const citation = page.locator(".sentences .cites a").first();
  const label = (await citation.innerText()).trim();
  await citation.click();
  // The panel opens at once; the event comes when it was read.
  const panel = page.getByRole("complementary", { name: /event/i }).or(page.getByRole("dialog")).first();
  await panel.locator(".raw").first().waitFor();
  const raw = await panel.innerText();
  check(/comsvcs|winword|whoami|powershell/i.test(raw), `${label} shows ${raw.slice(0, 200)}`);
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "hidden" });
  check(page.url().startsWith(before.url.split("#")[0]), "reading place was lost");

  // One key, and why.
  await page.keyboard.press("d");
  const form = page.locator(".feedback details[open]");
  await form.getByLabel("benign", { exact: true }).check();
  await form.getByLabel("Because").fill(REASON);
  // A token may stand for several people.
  await form.getByLabel("Your name").fill("mira");
  await form.getByRole("button", { name: "Disagree" }).click();
  await page.getByText(REASON).first().waitFor();

  // The next one like it.
  await page.goto(`${base}/`);
  await ship(second);
  await page.getByText(/new alerts?/i).click({ timeout: PATIENCE });
  const after = await watch(page, title, "desk2");
  await page.getByText(REASON).first().waitFor();
  check(after.similar > before.similar, "no closed case is called alike");
  check(after.probability < before.probability, `an attack at ${before.probability} before, ${after.probability} after`);

  check(page.complaints.length === 0, page.complaints.join("\n"));
  console.log(JSON.stringify({ before, after }));
});
