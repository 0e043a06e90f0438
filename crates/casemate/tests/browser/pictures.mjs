// Pictures of pages for README.
//
// node pictures.mjs BASE FOLDER NAME=PATH...

import { open, withBrowser } from "./browser.mjs";

const [base, folder, ...pages] = process.argv.slice(2);
await withBrowser(async (browser) => {
  for (const picture of pages) {
    const [name, path] = [picture.slice(0, picture.indexOf("=")), picture.slice(picture.indexOf("=") + 1)];
    const page = await open(browser, { viewport: { width: 1280, height: 860 } });
    await page.goto(base + path, { waitUntil: "load" });
    await page.screenshot({ path: `${folder}/${name}.png` });
    await page.context().close();
  }
});
