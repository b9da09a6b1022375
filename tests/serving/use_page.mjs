// Uses the page as people do: node use_page.mjs PLAYWRIGHT URL PICTURES SCENARIO ...
// Prints what was read, by scenario, as JSON; what went wrong stands under "error".

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { scenarios } from "./page_scenarios.mjs";

const [packages, url, pictures, ...wanted] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
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

async function opened(read, settings, path = "") {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, reducedMotion: "reduce", ...settings });
  page.setDefaultTimeout(15_000);
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) read.elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => read.errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") read.errors.push(message.text());
  });
  await page.goto(url + path);
  return page;
}

const check = {
  // rules of accessibility that the page breaks as it stands
  async violations(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run());
    return found.violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")}`));
  },
  tooWide: (page) => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth),
  picture: (page, name) => page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true }),
};

const told = {};
for (const name of wanted) {
  const read = (told[name] = { errors: [], elsewhere: [] });
  const pages = [];
  const open = async (settings, path) => {
    pages.push(await opened(read, settings, path));
    return pages.at(-1);
  };
  try {
    Object.assign(read, await scenarios[name](open, check));
  } catch (error) {
    read.error = String(error.stack);
    for (const [n, page] of pages.entries()) await check.picture(page, `failed-${name}-${n}`);
  }
  for (const page of pages) await page.close();
}
await browser.close();
console.log(JSON.stringify(told));
