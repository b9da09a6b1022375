// Uses the page as a person would, by keyboard: node check.mjs URL SCREENSHOTS TITLE ...
// Prints what was read as JSON. Asks the machine's own Chromium, CHROMIUM or /usr/bin/chromium.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, pictures, ...titles] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const read = { list: [], popular: [], violations: [], elsewhere: [], errors: [], wide: [] };

for (const [name, colorScheme, width] of [
  ["light", "light", 1100],
  ["dark", "dark", 1100],
  ["phone", "light", 360],
]) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
  page.setDefaultTimeout(90_000); // a busy machine is slow, not wrong
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url()))
      read.elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => read.errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") read.errors.push(message.text());
  });
  await page.goto(url);
  await page.locator("#status", { hasText: "What most people like" }).waitFor();
  read.popular = await page.locator("#list li").allTextContents();
  for (const [picked, title] of titles.entries()) {
    await page.getByLabel("Search by title").fill(title);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator("#liked li").nth(picked).waitFor();
  }
  await page.locator("#status", { hasText: `For ${titles.length} picked films` }).waitFor();
  read.list = await page.locator("#list li").allTextContents();
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run());
  read.violations.push(...found.violations.map((one) => `${name}: ${one.id}: ${one.help}`));
  if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) read.wide.push(name);
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  read.sizes = await page.locator("#sizes").textContent();
  await page.close();
}
await browser.close();
console.log(JSON.stringify(read));
