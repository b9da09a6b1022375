// A poster made of type: its colours and its pattern come from what is known of the item.

import { make } from "./dom.js";

const PATTERNS = 5;
const GOLDEN = 0.618; // of a circle: neighbours in a list get colours far apart
const [FIRST, WIDE] = [150, 250]; // degrees, green to red: dark yellows are browns
const hues = new Map();

/** Gives every value of the catalogue's columns a colour, the frequent ones first. */
export function colour(columns) {
  for (const { values } of columns) for (const { value } of values) if (!hues.has(value)) hues.set(value, spread(hues.size));
}

const spread = (n) => FIRST + WIDE * ((GOLDEN * n) % 1);

/** The parts of a title: "Matrix, The (1999)" is The Matrix, 1999; a long addition in brackets stands apart. */
export function named(title) {
  const [, whole, year] = /^(.*?)(?:\s*\((\d{4})\))?$/s.exec(title);
  const [, bare, also] = /^(.+?)(?:\s*\(([^()]{8,})\))?$/s.exec(whole) ?? [whole, whole]; // not "Cable (2 m)"
  const turned = /^(.+), (The|A|An|Le|La|Les|Il|El|Der|Die|Das)$/s.exec(bare);
  return { name: turned ? `${turned[2]} ${turned[1]}` : bare, also: also ?? "", year: year ?? "" };
}

/** The first few tags of an item, whatever its columns are called. */
export const tags = (item) =>
  Object.values(item.attributes ?? {})
    .flat()
    .filter((value) => typeof value === "string" && hues.has(value))
    .slice(0, 4);

/** A button that looks like a poster. */
export function poster(item, open) {
  const { name, also, year } = named(item.title);
  const kinds = tags(item);
  const number = hash(item.title);
  const hue = kinds.length ? hues.get(kinds[0]) + (number % 40) - 20 : spread(number);
  const widest = Math.max(...name.split(/[\s-]+/).map((word) => word.length)); // a word must not be broken
  const long = name.length > 34 || widest > 11 ? " long" : name.length < 12 && widest < 9 ? " short" : "";
  return make(
    "button",
    {
      type: "button",
      class: `poster pattern-${number % PATTERNS}${long}`,
      "aria-haspopup": "dialog",
      set: { "--hue": hue % 360, "--turn": `${number % 60}deg` },
      on: { click: () => open(item) },
    },
    make("span", { class: "poster-top", "aria-hidden": "true" }, make("span", {}, kinds[0] ?? ""), make("span", {}, year)),
    make("span", { class: "poster-name" }, name, also ? make("span", { class: "poster-also" }, also) : null),
    year ? make("span", { class: "unseen" }, ` (${year})`) : null,
  );
}

function hash(text) {
  let sum = 7;
  for (const sign of text) sum = (sum * 31 + sign.codePointAt(0)) % 1_000_003;
  return sum;
}
