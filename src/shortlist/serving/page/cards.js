// A recommended title: its poster, why it stands there, and what one can say about it.

import { make } from "./dom.js";
import { named, poster } from "./posters.js";

const PARTS = { ease: "EASE", als: "ALS", boosted: "boosted trees", network: "a list network", bias: "biases" };

/** A part of the recommender as people may read it. */
export const part = (name) => PARTS[name] ?? name.replaceAll("-", " ");

/** "Because you watched A and B", or what else there is to say. */
function reason(place) {
  const because = (place.because ?? []).slice(0, 2);
  if (because.length) return ["Because of ", ...between(because.map((entry) => make("b", {}, named(entry.title).name)))];
  return [place.popular ? "Popular with everybody" : "Fits your taste as a whole"];
}

const between = (names) => names.flatMap((name, n) => (n ? [" and ", name] : [name]));

/**
 * @param place   of the answer
 * @param does    open(item), rate(item, stars), dismiss(item), watched(item)
 * @param rates   whether titles are rated with stars here
 */
export function card(place, does, rates) {
  const { name } = named(place.title);
  const from = make(
    "p",
    { class: "from" },
    make("span", { class: "unseen" }, "Proposed by "),
    part(place.source),
    ...(place.ranker
      ? [make("span", { "aria-hidden": "true" }, " → "), make("span", { class: "unseen" }, ", put in order by "), part(place.ranker)]
      : []),
  );
  return make(
    "li",
    { class: "card", "data-item": place.item_id },
    poster(place, does.open),
    make("p", { class: "reason" }, ...reason(place)),
    from,
    verdict(place, name, does, rates),
  );
}

/** Stars (or one button) and "not for me", as one stop of the Tab key: arrows move inside. */
export function verdict(item, name, does, rates, { chosen = 0, never: words = "✕" } = {}) {
  const say = rates
    ? [1, 2, 3, 4, 5].map((n) =>
        make(
          "button",
          {
            type: "button",
            class: n <= chosen ? "star on" : "star",
            "aria-label": `${n} star${n === 1 ? "" : "s"}`,
            "aria-pressed": String(n === chosen),
            on: { click: () => does.rate(item, n) },
          },
        ),
      )
    : [make("button", { type: "button", class: "say", on: { click: () => does.watched(item) } }, "Liked it")];
  const never = make(
    "button",
    { type: "button", class: "never", "aria-label": "Not for me", title: "Not for me", on: { click: () => does.dismiss(item) } },
    words,
  );
  const buttons = [...say, never];
  buttons.forEach((button, n) => button.setAttribute("tabindex", n ? "-1" : "0"));
  const bar = make("div", { class: "verdict", role: "toolbar", "aria-label": `Your verdict on ${name}` }, ...buttons);
  bar.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const to = buttons[(moves[event.key] + buttons.length) % buttons.length];
    buttons.forEach((button) => button.setAttribute("tabindex", button === to ? "0" : "-1"));
    to.focus();
  });
  return bar;
}

/** What somebody said, in words. */
export function told(entry, stars) {
  if (entry.event === "dismiss") return "not for me";
  return stars === null ? "" : `${stars} of 5`;
}

