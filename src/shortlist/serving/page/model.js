// The model card, and the tables of whatever comparisons the bundle holds.

import { part } from "./cards.js";
import { counted, make, one, percent } from "./dom.js";
import { facts, table, words } from "./tables.js";

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
const moment = (iso) => new Date(iso).toISOString().slice(0, 16).replace("T", " ");
const figure = (value) => value.toFixed(4).replace(/^(-?)0\./, "$1.");

export function showModel(model) {
  one("name").textContent = model.name;
  const found = model.retrieve.map(part).join(" + ");
  const span = model.seconds_from_to;
  facts(one("card"), [
    ["Stage 1", `${found}${model.rank ? `, ${counted(model.candidates, "candidate")}` : ""}`],
    ["Stage 2", model.rank && (model.rank_lists ? part(model.rank) : `${part(model.rank)}: predicts, does not order`)],
    ["Fallback", part(model.fallback)],
    ["Rules", model.rules.join(", ")],
    ["Re-ranking", model.rerank.map(part).join(", ")],
    ["Learned from", `${counted(model.rows, "row")} of ${counted(model.users, "user")} and ${counted(model.items, "item")}`],
    ["Rows from", span && `${day(span[0])} to ${day(span[1])}`],
    ["Counts as liked", model.positive ?? "every row"],
    ["Written", `${moment(model.created)} UTC, version ${model.version}`],
    ...judged(model),
  ]);
  const tables = Object.entries(model.metrics).flatMap(([protocol, held]) => comparisons(protocol, held));
  one("comparisons").replaceChildren(
    ...(tables.length ? tables : [make("p", { class: "hint" }, "The bundle holds no comparison; `shortlist train` writes one.")]),
  );
}

// what was measured of the model before it was served, beside the same figures measured live
function judged(model) {
  const held = Object.values(model.metrics).find((one) => one?.comparison?.reports);
  const metrics = held?.comparison.reports.find((one) => one.name === model.name)?.metrics ?? {};
  const told = (name, word) => (metrics[name] ? [[word, percent(metrics[name].value, 1)]] : []);
  return [
    ...told("coverage@10", "Coverage when judged"),
    ...told("hit_rate@10", "Hit rate at 10 when judged"),
  ];
}

function comparisons(protocol, held) {
  if (held === null || typeof held !== "object") return [];
  return Object.values(held)
    .filter((one) => Array.isArray(one?.lines))
    .map((comparison) => {
      const place = make("table");
      const rows = comparison.lines.map((line) => [
        line.name,
        estimate(line.estimate),
        line.difference ? figure(line.difference.value) : "",
        words(line.verdict),
      ]);
      const protocolTold = [`Held back: ${held.name ?? protocol}`, held.rows && counted(held.rows, "row"), "95 % intervals in brackets"];
      table(
        place,
        protocolTold.filter(Boolean).join("; "),
        ["Recommender", comparison.metric, "Difference", "Verdict"],
        rows,
        (n) => comparison.lines[n].best,
      );
      return make(
        "div",
        { class: "panel scroll", tabindex: "0", role: "region", "aria-label": `Comparison by ${comparison.metric}` },
        comparison.summary ? make("p", { class: "verdict-line" }, make("strong", {}, `${comparison.summary}.`)) : null,
        place,
        held.leaks ? make("p", { class: "hint" }, `What leaks: ${held.leaks}`) : null,
      );
    });
}

const estimate = ({ value, low, high }) =>
  low === null || low === undefined ? figure(value) : `${figure(value)} [${figure(low)}, ${figure(high)}]`;
