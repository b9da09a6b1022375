// A poster made of type: its colours and its pattern come from what is known of the item.

import { make } from "./dom.js";

const PATTERNS = 5;

/** The parts of a title: "Matrix, The (1999)" is The Matrix, 1999; a long addition in brackets stands apart. */
export function named(title) {
  const [, whole, year] = /^(.*?)(?:\s*\((\d{4})\))?$/s.exec(title);
  const [, bare, also] = /^(.+?)(?:\s*\(([^()]{8,})\))?$/s.exec(whole) ?? [whole, whole]; // not "Cable (2 m)"
  const turned = /^(.+), (The|A|An|Le|La|Les|Il|El|Der|Die|Das)$/s.exec(bare);
  return { name: turned ? `${turned[2]} ${turned[1]}` : bare, also: also ?? "", year: year ?? "" };
}

/** The first few tags of an item, whatever its columns are called. */
export function tags(item) {
  const found = [];
  for (const value of Object.values(item.attributes ?? {})) {
    if (Array.isArray(value)) found.push(...value.map(String));
  }
  return found.slice(0, 4);
}

/** A button that looks like a poster. */
export function poster(item, open) {
  const { name, also, year } = named(item.title);
  const kinds = tags(item);
  const number = hash(item.title);
  const hue = kinds.length ? hash(kinds[0]) * 47 + (number % 70) - 35 : number;
  const long = name.length > 34 ? " long" : name.length < 12 ? " short" : "";
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
