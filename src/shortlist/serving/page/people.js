// The view for people: pick titles, read a list with reasons, tune it.

import { account } from "./account.js";
import { ask } from "./api.js";
import { card, told } from "./cards.js";
import { combobox } from "./combobox.js";
import { counted, make, one, settled } from "./dom.js";
import { filters } from "./filters.js";
import { frame, trouble } from "./frame.js";
import { colour, named, tags } from "./posters.js";
import { sheet } from "./sheet.js";
import { Taste } from "./taste.js";

const MORE = 18;
const MOST = 1000; // that one answer holds
const PICKS = 10; // chips shown
const FALLBACK = " (fallback)"; // after the name of the part that proposed something

const taste = new Taste();
let chosen = { where: () => null, told: () => {} };
let items = 0; // of the catalogue
let k = MORE;
let varied = false; // whether somebody touched the slider
let asking = null;

const rates = () => taste.scale !== null;

async function refresh(news = "") {
  asking?.abort();
  const mine = (asking = new AbortController());
  busy(true);
  const where = chosen.where();
  const body = {
    ...taste.asker(),
    k,
    explain: true,
    attributes: true,
    ...(where ? { where } : {}),
    ...(varied ? { diversity: Number(one("diversity").value) } : {}),
  };
  try {
    const answer = await ask("POST", "/recommend", body, mine.signal);
    if (mine.signal.aborted) return;
    trouble(null);
    showList(answer, news);
  } catch (error) {
    if (error.name === "AbortError") return;
    one("status").textContent = "";
    trouble(error);
  }
  busy(false);
}

const busy = (is) => one("list").setAttribute("aria-busy", String(is));

function showList(answer, news) {
  const places = answer.recommendations;
  const list = one("list");
  const before = placeOfFocus(list);
  const cards = places.map((place) => {
    const popular = place.source.endsWith(FALLBACK);
    const source = popular ? place.source.slice(0, -FALLBACK.length) : place.source;
    return card({ ...place, source, popular, ranker: popular ? null : answer.ranker }, does, rates());
  });
  const shown = new Set([...list.children].map((one) => one.dataset.item));
  for (const one of cards) if (!shown.has(one.dataset.item)) one.classList.add("new");
  list.replaceChildren(...cards);
  one("list-heading").textContent = answer.known_user ? "For you" : "What most people like";
  const unknown = taste.user !== null && !answer.known_user;
  const why = unknown ? `Nothing is known of ${taste.user} yet` : basis();
  one("status").textContent = `${news}${counted(places.length, "title")}. ${why}.`;
  const none = one("nothing");
  none.hidden = places.length > 0;
  none.textContent = places.length ? "" : "Nothing fits these wishes. Loosen a filter, or reset them.";
  one("more").hidden = places.length < k || k >= MOST;
  one("answered").textContent = `Chosen among ${counted(items, "title")} by version ${answer.version}.`;
  if (before >= 0) (cards[Math.min(before, cards.length - 1)]?.querySelector("button") ?? list).focus();
}

// a card that is gone must not take the focus with it
function placeOfFocus(list) {
  const held = document.activeElement?.closest("#list > li");
  return held ? [...list.children].indexOf(held) : -1;
}

function basis() {
  const liked = taste.entries.filter((entry) => entry.liked).length;
  if (taste.user !== null) return `From ${counted(taste.total, "title")} of ${taste.user}`;
  return liked ? `From ${counted(liked, "title")} you like` : "Pick a few you enjoyed to make it yours";
}

function showPicks() {
  one("who").textContent = taste.user === null ? "Guest" : taste.user;
  one("who").setAttribute("aria-label", taste.user === null ? "Guest: sign in" : `Signed in as ${taste.user}`);
  const guest = taste.user === null;
  one("picks").replaceChildren(...taste.entries.slice(0, PICKS).map((entry) => chip(entry, guest)));
  const hidden = taste.total - Math.min(PICKS, taste.entries.length);
  const more = hidden > 0 ? `and ${hidden.toLocaleString("en")} more` : "";
  const kept = guest ? "Kept in this tab only." : "";
  one("picks-note").textContent = taste.total ? [more, kept].filter(Boolean).join(". ") : "";
  one("clear").hidden = !guest || taste.total === 0;
}

function chip(entry, guest) {
  const { name } = named(entry.title);
  const stars = taste.stars(entry.rating);
  const said = told(entry, stars);
  const open = make(
    "button",
    { type: "button", class: "chip-name", "aria-haspopup": "dialog", on: { click: () => opened(entry) } },
    make("span", { class: "chip-title" }, name),
    said ? make("span", { class: "chip-said" }, entry.event === "dismiss" ? "✕" : `${stars}★`) : null,
    said ? make("span", { class: "unseen" }, `, ${said}`) : null,
  );
  const remove = make(
    "button",
    { type: "button", class: "chip-remove", "aria-label": `Remove ${name}`, on: { click: () => removed(entry) } },
    "✕",
  );
  return make("li", { class: entry.liked ? "chip" : "chip against" }, open, guest ? remove : null);
}

function removed(entry) {
  taste.remove(entry.item_id);
  showPicks();
  one("search").focus();
  refresh(`Removed ${named(entry.title).name}. `);
}

async function tell(item, event, rating, news) {
  try {
    await taste.tell(item, event, rating);
  } catch (error) {
    trouble(error);
    return;
  }
  showPicks();
  await refresh(`${news}. `);
}

const does = {
  open: (item) => opened(item),
  rate: (item, stars) => tell(item, "rating", taste.starred(stars), `${named(item.title).name}: ${stars} of 5`),
  watched: (item) => tell(item, "watch", undefined, `${named(item.title).name}: liked`),
  dismiss: (item) => tell(item, "dismiss", undefined, `${named(item.title).name}: not for you`),
};
const opened = sheet({ taste, does, rates, trouble });

function listen() {
  account(taste, () => {
    showPicks();
    k = MORE;
    refresh();
  });
  combobox({
    field: one("search"),
    list: one("found"),
    count: one("found-count"),
    find: async (text, signal) => {
      const { items: found } = await ask("GET", `/items?limit=8&search=${encodeURIComponent(text)}`, undefined, signal);
      return found.map((item) => ({ ...item, note: tags(item).join(", ") }));
    },
    taken: does.watched,
    failed: trouble,
  });
  one("clear").addEventListener("click", () => {
    taste.clear();
    showPicks();
    one("search").focus();
    refresh("Cleared. ");
  });
  one("more").addEventListener("click", async () => {
    const first = k;
    k = Math.min(MOST, k + MORE);
    await refresh();
    one("list").children[first]?.querySelector("button")?.focus();
  });
  const soon = settled(refresh, 150);
  const tuned = () => {
    busy(true);
    k = MORE;
    soon();
  };
  one("filters").addEventListener("input", (event) => {
    if (event.target.id === "diversity") {
      varied = true;
      one("diversity-told").textContent = `${Math.round(event.target.value * 100)} %`;
    }
    tuned();
  });
  one("filters").addEventListener("submit", (event) => event.preventDefault());
  one("filters").addEventListener("reset", () => {
    varied = false;
    one("diversity-told").textContent = "as it comes";
    setTimeout(() => {
      chosen.told(); // once the controls have their first values again
      tuned();
    });
  });
}

async function start() {
  frame();
  listen();
  one("tune").open = matchMedia("(min-width: 60rem)").matches;
  try {
    const catalogue = await ask("GET", "/catalogue");
    items = catalogue.items;
    taste.scale = catalogue.ratings !== null && catalogue.ratings.most > catalogue.ratings.least ? catalogue.ratings : null;
    taste.positive = catalogue.positive;
    colour(catalogue.columns);
    chosen = filters(one("columns"), catalogue.columns);
    one("variety").hidden = !catalogue.diversity;
    one("tune").hidden = !catalogue.diversity && !one("columns").hasChildNodes();
    await taste.read();
  } catch (error) {
    one("status").textContent = "";
    trouble(error);
    return;
  }
  showPicks();
  await refresh();
}

start();
