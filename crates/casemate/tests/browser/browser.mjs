// Chromium as a person uses it, driven by playwright-core. Node finds the packages through NODE_PATH's replacement here:
// the folder that CASEMATE_BROWSER names holds `node_modules`.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.CASEMATE_BROWSER}/package.json`);
const { chromium } = require("playwright-core");
export const AXE = require.resolve("axe-core/axe.min.js");

// Nothing of the browser's own may look for a network.
const FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** Runs `work` with a browser and ends it, whatever happens. */
export async function withBrowser(work) {
  // Root's Chromium refuses to start with a sandbox; the pages are ours.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({
    executablePath: process.env.CASEMATE_CHROMIUM ?? "/usr/bin/chromium",
    args: [...FLAGS, ...sandbox],
  });
  try {
    await work(browser);
  } finally {
    await browser.close();
  }
}

/** A page that collects what the console and the policy complain about, in `complaints`. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  return page;
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}
