// The view for the owner: looks at the service every two seconds, and reckons with what changed.

import { ask } from "./api.js";
import { counted, draw, make, one, percent } from "./dom.js";
import { answers, milliseconds, percentile, rates, requests, times, total } from "./figures.js";
import { frame, trouble } from "./frame.js";
import { showModel } from "./model.js";
import { share, table } from "./tables.js";

const EVERY = 2000; // milliseconds
const KEPT = 150; // looks: five minutes
const FEWEST = 30; // places of the chart
const MINUTE = 60; // seconds
const SHORTLISTS = "/recommend";
const BROAD = "Popularity bias"; // the tile with most to say

let looks = [];
let paused = false;
let version = null;

async function look() {
  if (paused || document.hidden) return;
  try {
    const stats = await ask("GET", "/stats");
    if (looks.length && requests(stats.routes) < requests(looks.at(-1).routes)) looks = []; // it was started again
    looks = [...looks, stats].slice(-KEPT);
    if (version !== stats.version) {
      version = stats.version;
      showModel(await ask("GET", "/model"));
    }
    show(stats);
    trouble(null);
  } catch (error) {
    trouble(error);
  }
}

async function watch() {
  await look();
  setTimeout(watch, EVERY);
}

function show(stats) {
  const made = counted(requests(stats.routes), "request");
  one("since").textContent = `Up ${lasted(stats.up_seconds)}, ${made}${stats.reload_refused ? "; the last bundle offered was refused, see the log" : ""}.`;
  showRate();
  showTiles(stats);
  showSpread(stats);
  showArms(stats);
  showRoutes(stats);
}

function showRate() {
  const points = rates(looks);
  const now = points.slice(-3); // what is told is steadier than what is drawn
  const rate = now.length ? total(now.map((one) => one.rate)) / now.length : 0;
  one("rate").textContent = rate.toLocaleString("en", { maximumFractionDigits: rate < 10 ? 1 : 0 });
  const most = Math.max(1, ...points.map((one) => one.rate));
  const wide = Math.max(FEWEST, points.length);
  const place = ({ rate: value }, n) => `${(300 * (wide - points.length + n)) / (wide - 1)},${(78 - (74 * value) / most).toFixed(1)}`;
  const line = points.map(place);
  one("most").textContent = `At most ${most.toLocaleString("en", { maximumFractionDigits: 1 })} in the last five minutes that this page was open, its own questions left out.`;
  const chart = one("chart");
  chart.setAttribute("aria-label", `Requests a second: now ${rate.toFixed(1)}, at most ${most.toFixed(1)} while this page was open`);
  const base = draw("line", { class: "base", x1: 0, x2: 300, y1: 78, y2: 78 });
  chart.replaceChildren(base);
  if (line.length < 2) return;
  const [from, to] = [line[0], line.at(-1)].map((point) => point.split(",")[0]);
  chart.append(
    draw("polygon", { class: "area", points: `${from},78 ${line.join(" ")} ${to},78` }),
    draw("polyline", { class: "line", points: line.join(" ") }),
  );
}

function showTiles(stats) {
  const before = looks.findLast((one) => stats.time - one.time >= MINUTE) ?? looks[0];
  let counts = times(stats, before, SHORTLISTS);
  const recent = total(counts) > 0;
  if (!recent) counts = times(stats, null, SHORTLISTS);
  const when = recent ? "shortlists, last minute" : "shortlists, since the start";
  const late = (part) => milliseconds(percentile(stats.bounds, counts, part));
  const shortlists = total(stats.arms.map((one) => one.shortlists));
  const fallbacks = total(stats.arms.map((one) => one.fallbacks));
  const busy = stats.routes.filter(answers);
  const failed = total(busy.map((one) => one.failed));
  const events = total(Object.values(stats.events));
  const kinds = Object.entries(stats.events).map(([kind, count]) => `${count.toLocaleString("en")} ${kind}`);
  const popular = stats.popularity.filter((one) => one.to <= 0.1);
  const tiles = [
    ["Half within", late(0.5), when],
    ["95 % within", late(0.95), when],
    ["99 % within", late(0.99), when],
    ["Fallback", shortlists ? percent(fallbacks / shortlists, 1) : "–", `of ${counted(shortlists, "shortlist")}`],
    ["Coverage", percent(stats.coverage, 1), "of the catalogue was shown"],
    ["Failed", failed.toLocaleString("en"), `${total(busy.map((one) => one.refused)).toLocaleString("en")} refused`],
    ["Events kept", events.toLocaleString("en"), kinds.join(", ") || "none yet"],
    ["Memory", `${Math.round(stats.resident_bytes / 1e6)} MB`, `${stats.waiting} waiting`],
    [BROAD, shortlists ? percent(total(popular.map((one) => one.shown))) : "–",
      `of places go to the most popular tenth, which has ${percent(total(popular.map((one) => one.learned)))} of the rows`],
  ];
  one("tiles").replaceChildren(
    ...tiles.map(([name, value, note]) => make("div", { class: name === BROAD ? "tile broad" : "tile" }, make("dt", {}, name), make("dd", {}, value), make("dd", {}, note))),
  );
}

function showSpread(stats) {
  table(
    one("popularity"),
    "Items by popularity: their share of the places shown, and of the rows learned from",
    ["Items", "Shown", "Learned from"],
    stats.popularity.map((band) => [
      band.above ? `${Math.round(100 * band.above)} – ${percent(band.to)}` : `Top ${percent(band.to)}`,
      share(band.shown, "shown"),
      share(band.learned, "learned"),
    ]),
  );
  table(
    one("shown"),
    "Shown most since the start",
    ["Title", "Shortlists"],
    stats.most_shown.map((item) => [item.title, item.shortlists.toLocaleString("en")]),
  );
}

function showArms(stats) {
  const all = Math.max(1, total(stats.arms.map((one) => one.shortlists)));
  const alone = stats.arms.length < 2 ? "One version answers everybody" : "Arms and versions that answered since the start";
  const shadow = stats.agreement === null ? "" : `; a shadow lists ${percent(stats.agreement)} of the same titles`;
  const given = (arm) => total(stats.arms.filter((one) => one.arm === arm).map((one) => one.shortlists));
  const told = (arm, ...kinds) => {
    const count = total(kinds.map((kind) => stats.events_by_arm[arm]?.[kind] ?? 0));
    return ((100 * count) / given(arm)).toFixed(1);
  };
  table(
    one("arms"),
    `${stats.arms.length ? alone : "No shortlist was asked for yet"}${shadow}`,
    ["Arm", "Version", "Shortlists", "Share", "Fallback", "Taken per 100", "Dismissed per 100"],
    stats.arms.map(({ arm, version: answered, shortlists, fallbacks }) => [
      arm,
      answered,
      shortlists.toLocaleString("en"),
      percent(shortlists / all, 1),
      percent(fallbacks / shortlists, 1),
      told(arm, "watch", "purchase", "rating"),
      told(arm, "dismiss"),
    ]),
  );
}

function showRoutes(stats) {
  const rows = stats.routes.filter(answers).map((route) => [
    `${route.method} ${route.route}`,
    ...[route.answered, route.refused, route.failed].map((count) => count.toLocaleString("en")),
    ...[0.5, 0.95, 0.99].map((part) => milliseconds(percentile(stats.bounds, route.seconds, part))),
  ]);
  table(one("routes"), rows.length ? "Times are estimates between the histogram's bounds" : "Nobody asked yet",
    ["Route", "Answered", "Refused", "Failed", "50 %", "95 %", "99 %"], rows);
}

function lasted(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = parts.find(([one]) => seconds >= one) ?? parts.at(-1);
  return `${Math.floor(seconds / size)} ${unit}`;
}

frame();
one("pause").addEventListener("click", () => {
  paused = !paused;
  one("pause").setAttribute("aria-pressed", String(paused));
});
watch();
