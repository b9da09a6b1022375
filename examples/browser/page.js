// The page: what is searched, picked and shown. What answers is in shortlist.js.

import { Shortlist } from "./shortlist.js";

const LENGTH = 10;
const FOUND = 6; // films shown for a search
const at = (id) => document.getElementById(id);
const liked = new Map(); // item id -> title
let answering = 0;

async function start() {
  try {
    const response = await fetch("movies.onnx");
    if (!response.ok) throw new Error(`movies.onnx: ${response.status} ${response.statusText}`);
    const model = new Uint8Array(await response.arrayBuffer());
    const shortlist = await Shortlist.load(model);
    // whoever brings nothing is answered with everything, best known first: the films to search
    const films = await shortlist.recommend([], shortlist.everything);
    ready(shortlist, films.map((film) => ({ ...film, folded: folded(film.title) })));
    at("sizes").textContent =
      `The model has ${megabytes(model.length)} and knows ${films.length.toLocaleString("en")} films; ` +
      `what runs it has ${megabytes(WASM_BYTES)}. Both were fetched once.`;
  } catch (error) {
    at("status").textContent = `The model cannot be loaded (${error.message}). Reload the page to try again.`;
    console.error(error);
  }
}

function ready(shortlist, films) {
  const search = at("search");
  const changed = () => answer(shortlist);

  search.addEventListener("input", () => showFound(films, search.value, changed));
  search.addEventListener("keydown", (event) => {
    const first = at("found").querySelector("button");
    if (event.key === "Enter" && first) first.click();
    if (event.key === "ArrowDown" && first) {
      first.focus();
      event.preventDefault();
    }
  });
  at("found").addEventListener("keydown", moveThroughFound);
  at("clear").addEventListener("click", () => {
    liked.clear();
    showLiked(changed);
    search.focus();
  });
  search.disabled = false;
  changed();
}

function showFound(films, text, changed) {
  const words = folded(text).split(" ").filter(Boolean);
  const found = words.length
    ? films.filter((film) => !liked.has(film.id) && words.every((word) => film.folded.includes(word)))
    : [];
  at("found").replaceChildren(
    ...found.slice(0, FOUND).map((film) =>
      line(film.title, `Pick ${film.title}`, () => {
        liked.set(film.id, film.title);
        at("search").value = "";
        showFound(films, "", changed);
        showLiked(changed);
        at("search").focus();
      }),
    ),
  );
  const more = found.length > FOUND ? `, ${FOUND} shown` : "";
  at("hits").textContent = words.length ? `Titles with all of these words: ${found.length}${more}.` : "";
}

function showLiked(changed) {
  at("liked").replaceChildren(
    ...[...liked].map(([id, title]) =>
      line(`${title} ×`, `Remove ${title}`, () => {
        liked.delete(id);
        showLiked(changed);
        at("search").focus();
      }),
    ),
  );
  at("clear").hidden = liked.size < 2;
  changed();
}

async function answer(shortlist) {
  const mine = ++answering; // a later pick makes an earlier answer stale
  const asked = liked.size;
  const began = performance.now();
  const list = await shortlist.recommend([...liked.keys()], LENGTH);
  if (mine !== answering) return;
  const took = Math.max(1, Math.round(performance.now() - began));
  at("list").replaceChildren(
    ...list.map((film) => {
      const item = document.createElement("li");
      item.textContent = film.title;
      return item;
    }),
  );
  at("status").textContent = asked
    ? `For ${asked} picked ${asked === 1 ? "film" : "films"}, in ${took} ms on this device.`
    : "What most people like, until you pick something.";
}

function moveThroughFound(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") at("search").focus();
  if (!step) return;
  event.preventDefault();
  const buttons = [...at("found").querySelectorAll("button")];
  const next = buttons.indexOf(document.activeElement) + step;
  (next < 0 ? at("search") : buttons[Math.min(next, buttons.length - 1)]).focus();
}

function line(text, label, picked) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-label", label);
  button.addEventListener("click", picked);
  item.append(button);
  return item;
}

function folded(text) {
  // "Amélie" is found by "amelie"
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

start();
