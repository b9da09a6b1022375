// Tables of figures.

import { make, percent } from "./dom.js";

/** Fills a table: head is a list of words, rows are lists of cells, the first of each its heading. */
export function table(place, caption, head, rows, best = () => false) {
  place.replaceChildren(
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head.map((word) => make("th", { scope: "col", class: word === "Verdict" ? "words" : null }, word)))),
    make(
      "tbody",
      {},
      ...rows.map(([first, ...cells], n) =>
        make(
          "tr",
          { class: best(n) ? "best" : null },
          make("th", { scope: "row" }, first),
          ...cells.map((cell) => (cell instanceof Node ? cell : make("td", {}, cell))),
        ),
      ),
    ),
  );
}

/** A cell with a bar beside its figure. */
export const share = (value, kind) =>
  make(
    "td",
    {},
    make(
      "div",
      { class: `share ${kind}` },
      make("span", { class: "bar", "aria-hidden": "true", set: { "--share": value } }),
      make("span", {}, percent(value, value < 0.1 ? 1 : 0)),
    ),
  );

export const words = (text) => make("td", { class: "words" }, text);

/** Terms and what they are; those that are null are left out. */
export function facts(place, pairs) {
  place.replaceChildren(
    ...pairs.filter(([, value]) => value != null && value !== "").flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]),
  );
}
