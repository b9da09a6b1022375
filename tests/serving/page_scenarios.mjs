// What people do with the page, and what they read then.

const titles = (page) => page.locator("#list > li").evaluateAll((cards) => cards.map((card) => card.dataset.item));
const status = (page, text) => page.locator("#status", { hasText: text }).waitFor();
const settled = (page) => page.locator('#list[aria-busy="false"]').waitFor({ state: "attached" });
const chips = (page) => page.locator("#picks > li").allTextContents();

async function ready(page) {
  await page.locator("#list > li").first().waitFor();
  return page;
}

async function pick(page, words, name) {
  const field = page.getByRole("combobox", { name: "Search by title" });
  await field.fill(words);
  await page.getByRole("option").first().waitFor();
  await field.press("Enter");
  await status(page, `${name}: liked`);
}

const card = (page, n) => page.locator("#list > li").nth(n);

async function rate(page, n, stars) {
  const item = await card(page, n).getAttribute("data-item");
  await card(page, n).getByRole("button", { name: `${stars} star` }).click();
  await page.locator(`#list > li[data-item="${item}"]`).waitFor({ state: "detached" });
  return item;
}

async function become(page, user) {
  await page.getByRole("button", { name: /Guest|Signed in/ }).click();
  await page.getByLabel("User id").fill(user);
  await page.getByRole("button", { name: "Continue" }).click();
}

export const scenarios = {
  async guest(open) {
    const page = await ready(await open());
    const popular = await titles(page);
    const heading = await page.locator("h1").textContent();
    const first = await card(page, 0).textContent();
    await pick(page, "the matrix", "The Matrix");
    await pick(page, "HEAT", "Heat");
    const picked = await titles(page);
    const reasons = await page.locator(".reason").allTextContents();
    const from = await page.locator(".card > .from").allTextContents();
    await page.reload();
    await ready(page);
    const again = await titles(page);
    await page.getByRole("button", { name: "Remove Heat" }).click();
    await status(page, "Removed Heat");
    const one = await titles(page);
    await page.getByRole("button", { name: "Show more" }).click();
    await card(page, 20).waitFor();
    return { popular, heading, first, picked, reasons, from, again, one, more: await titles(page) };
  },

  async rates(open) {
    const page = await ready(await open());
    const before = await titles(page);
    const rated = [await rate(page, 0, 5)];
    const middle = await titles(page);
    rated.push(await rate(page, 1, 4));
    return { before, middle, after: await titles(page), rated, chips: await chips(page), status: await page.locator("#status").textContent() };
  },

  async user(open) {
    const page = await ready(await open());
    await become(page, "newcomer & co");
    await status(page, "Nothing is known of newcomer & co yet");
    const before = await titles(page);
    const rated = [await rate(page, 0, 5), await rate(page, 0, 2)];
    await status(page, "From 2 titles of newcomer & co");
    const dismissed = await card(page, 0).getAttribute("data-item");
    await card(page, 0).getByRole("button", { name: "Not for me" }).click();
    await status(page, "From 3 titles of newcomer & co");
    const after = await titles(page);
    const said = await chips(page);
    await page.reload();
    await ready(page);
    const again = await titles(page);
    page.on("dialog", (dialog) => dialog.accept());
    await page.getByRole("button", { name: "Signed in as newcomer & co" }).click();
    await page.getByRole("button", { name: "Forget everything about me" }).click();
    await status(page, "Pick a few");
    return { before, rated, dismissed, after, chips: said, again, guest: await chips(page) };
  },

  // somebody whom the service knows with half a star, and posters of long words
  async halves(open) {
    const page = await ready(await open({ viewport: { width: 1280, height: 800 } }));
    await become(page, "halves");
    await status(page, "of halves");
    const broken = await page.evaluate(async () => {
      const { poster } = await import("/page/posters.js");
      const place = document.querySelector("#list .poster").parentElement;
      const lines = (title) => {
        const made = poster({ title }, () => {});
        place.querySelector(".poster").replaceWith(made);
        const word = document.createRange();
        word.selectNodeContents(made.querySelector(".poster-name").firstChild);
        return new Set([...word.getClientRects()].map(({ top }) => top)).size;
      };
      return ["Parenthood (1989)", "Moonwalk", "Koyaanisqatsi", "Metropolis", "Extraterrestrial"].filter((title) => lines(title) > 1);
    });
    return { chips: await chips(page), broken };
  },

  async filter(open) {
    const page = await ready(await open());
    const all = await titles(page);
    await page.locator("label", { hasText: /^Comedy$/ }).click();
    await page.locator("label", { hasText: /^War$/ }).click();
    const from = page.getByRole("slider", { name: "Year, from" });
    await from.fill("1990");
    await page.getByText("1990 – 2016").waitFor();
    await settled(page);
    const filtered = await titles(page);
    await page.getByRole("slider", { name: "Year, to" }).fill("1902"); // no later than from: both move
    await page.getByText("1902 – 1902").waitFor();
    await settled(page);
    const nothing = await page.locator("#nothing").textContent();
    await page.getByRole("button", { name: "Reset" }).click();
    await page.getByText("1902 – 2016").waitFor();
    await settled(page);
    const reset = await titles(page);
    await pick(page, "toy story", "Toy Story");
    const close = await titles(page);
    const answered = page.waitForResponse("**/recommend");
    await page.getByRole("slider", { name: "Variety" }).fill("0.8");
    const sent = (await answered).request().postDataJSON();
    await settled(page);
    return { all, filtered, nothing, reset, close, varied: await titles(page), diversity: sent.diversity };
  },

  // from the address bar to a rated title and an opened one, without a pointer
  async keyboard(open) {
    const page = await ready(await open());
    const focus = () =>
      page.evaluate(() => {
        const held = document.activeElement;
        return held.getAttribute("aria-label") ?? (held.labels?.[0]?.textContent || held.textContent.trim() || held.id);
      });
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    const until = async (words, key = "Tab") => {
      for (let n = 0; n < 60; n += 1) {
        if ((await focus()).includes(words)) return n;
        await press(key);
      }
      throw new Error(`never reached ${words}; stands at ${await focus()}`);
    };
    await press("Tab");
    const first = await focus();
    await until("Search by title");
    await page.keyboard.insertText("star wars");
    await page.getByRole("option").nth(2).waitFor();
    await press("ArrowDown", "ArrowDown", "ArrowUp");
    const active = await page.locator("#search").getAttribute("aria-activedescendant");
    const marked = await page.locator('[role="option"][aria-selected="true"]').textContent();
    await press("Escape");
    const closed = await page.locator("#search").getAttribute("aria-expanded");
    await press("End", "Backspace");
    await page.getByRole("option").nth(1).waitFor();
    await press("ArrowDown", "Enter");
    await status(page, "liked");
    const picked = await chips(page);
    await until("Variety");
    await press("Tab", "Tab", "Tab", "Space"); // both sliders of the year, then the first genre
    const genre = await page.locator(".pill:has(:checked)").allTextContents();
    await settled(page);
    await until("1 star");
    const before = await titles(page);
    await press("ArrowRight", "ArrowRight", "ArrowRight", "Enter");
    await status(page, "4 of 5");
    const after = await titles(page);
    const stays = await page.evaluate(() => document.activeElement.closest("#list > li") !== null);
    await press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.locator("#alike li").first().waitFor();
    const sheet = await page.locator("#sheet-title").textContent();
    await press("Escape");
    const returned = await page.evaluate(() => document.activeElement.classList.contains("poster"));
    return { first, active, marked, closed, picked, genre, before, after, stays, sheet, returned };
  },

  async look(open, check) {
    const read = { violations: [], wide: [], grounds: {}, pressed: {} };
    for (const [name, colorScheme, width] of [["light", "light", 1200], ["dark", "dark", 1200], ["phone", "light", 360]]) {
      const settings = { colorScheme, viewport: { width, height: 800 } };
      const note = async (page, view) => {
        if (name !== "phone") read.violations.push(...(await check.violations(page)).map((one) => `${name} ${view}: ${one}`));
        if (await check.tooWide(page)) read.wide.push(`${name} ${view}`);
        await check.picture(page, `${name}-${view}`);
      };
      const people = await ready(await open(settings));
      await pick(people, "toy story", "Toy Story");
      await people.locator("#tune").evaluate((tune) => (tune.open = true));
      await note(people, "people");
      await card(people, 0).getByRole("button").first().click();
      await people.locator("#alike li").first().waitFor();
      await note(people, "sheet");
      await people.keyboard.press("Escape");
      read.grounds[name] = await people.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const owner = await open(settings, "owner");
      await owner.locator("#comparisons table").waitFor();
      await note(owner, "owner");
      if (name === "light") {
        await people.getByRole("button", { name: "Dark theme" }).click();
        await people.reload();
        read.grounds.chosen = await people.evaluate(() => getComputedStyle(document.body).backgroundColor);
        read.pressed.chosen = await people.getByRole("button", { name: "Dark theme" }).getAttribute("aria-pressed");
      }
    }
    return read;
  },

  async owner(open) {
    const page = await open({}, "owner");
    await page.locator("#comparisons table").waitFor();
    const rows = (id) =>
      page.locator(`#${id} tbody tr`).evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent.replaceAll("\u00a0", " "))));
    const answered = async () => (await rows("arms")).map((row) => row[2]);
    const before = await answered();
    const people = await ready(await open());
    await pick(people, "toy story", "Toy Story");
    await page.waitForFunction((was) => document.querySelectorAll("#arms tbody td")[1]?.textContent !== was, before[0]);
    return {
      name: await page.locator("#name").textContent(),
      card: await page.locator("#card").textContent(),
      comparison: await page.locator("#comparisons tbody tr").allTextContents(),
      tiles: await page.locator("#tiles dt").allTextContents(),
      bands: (await rows("popularity")).map((row) => row[0]),
      arms: await rows("arms"),
      before,
      routes: (await rows("routes")).map((row) => row[0]),
      shown: (await rows("shown")).length,
      rate: await page.locator("#chart").getAttribute("aria-label"),
    };
  },

  // a service that asks for a key, over a catalogue of titles alone that nobody rated
  async bare(open) {
    const page = await open();
    await page.getByRole("dialog").waitFor();
    await page.getByLabel("API key").fill("wrong");
    await page.getByRole("button", { name: "Use this key" }).click();
    await page.locator("#key-why", { hasText: "not taken" }).waitFor();
    await page.getByLabel("API key").fill("correct horse");
    await page.getByRole("button", { name: "Use this key" }).click();
    await ready(page);
    const controls = await page.getByRole("slider").or(page.getByRole("checkbox")).count();
    const tune = await page.locator("#tune").isVisible(); // there is nothing to tune by
    const stars = await page.locator(".star").count();
    const before = await titles(page);
    await card(page, 0).getByRole("button", { name: "Liked it" }).click();
    await status(page, "From 1 title you like");
    const text = await card(page, 0).textContent();
    return { controls, tune, stars, before, after: await titles(page), text, marks: await page.locator("#list b img, #picks img").count() };
  },
};
