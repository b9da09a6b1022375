// A title opened: why it stands in the list, one's verdict, and titles like it.

import { ask } from "./api.js";
import { part, verdict } from "./cards.js";
import { make, one, percent } from "./dom.js";
import { named, poster, tags } from "./posters.js";

const LIKE = 12;

/**
 * @param given   { taste, does, rates, trouble }
 * @returns open(item): shows an item, or a place of the list
 */
export function sheet({ taste, does, rates, trouble }) {
  const dialog = one("sheet");
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the sheet
  });

  const open = async (item) => {
    let whole = item;
    try {
      if (!item.attributes) whole = { ...item, ...(await ask("GET", `/items/${encodeURIComponent(item.item_id)}`)) };
    } catch (error) {
      trouble(error);
      return;
    }
    show(whole);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    one("sheet-title").focus();
    await alike(whole);
  };

  const show = (item) => {
    const { name, also, year } = named(item.title);
    const entry = taste.of(item.item_id);
    const then = (act) => (...given) => {
      dialog.close();
      act(...given);
    };
    const acts = { rate: then(does.rate), dismiss: then(does.dismiss), watched: then(does.watched) };
    dialog.replaceChildren(
      make("button", { type: "button", class: "close quiet icon", "aria-label": "Close", on: { click: () => dialog.close() } }, "✕"),
      make(
        "div",
        { class: "sheet-head" },
        make("p", { class: "from" }, [year, ...tags(item)].filter(Boolean).join(" · ")),
        make("h2", { id: "sheet-title", tabindex: "-1" }, name, also ? make("small", {}, ` ${also}`) : null),
        verdict(item, name, acts, rates(), { chosen: taste.stars(entry?.rating) ?? 0, never: "Not for me" }),
        columns(item),
      ),
      ...why(item),
      make("section", { id: "alike", "aria-labelledby": "alike-title", hidden: true }),
    );
  };

  const alike = async (item) => {
    const place = one("alike");
    try {
      const { similar } = await ask("POST", "/similar", { item_id: item.item_id, k: LIKE, attributes: true });
      if (one("alike") !== place) return; // another title was opened meanwhile
      place.replaceChildren(
        make("h3", { id: "alike-title" }, "Titles like it"),
        make("ul", { class: "strip" }, ...similar.map((like) => make("li", {}, poster(like, open)))),
      );
      place.hidden = similar.length === 0;
    } catch (error) {
      if (error.code !== "not_available") trouble(error);
    }
  };

  return open;
}

// the columns that are neither tags nor in the title
function columns(item) {
  const { year } = named(item.title);
  const shown = Object.entries(item.attributes ?? {}).filter(
    ([, value]) => value !== null && !Array.isArray(value) && String(value) !== year,
  );
  if (!shown.length) return null;
  return make(
    "dl",
    { class: "facts" },
    ...shown.flatMap(([name, value]) => [make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, String(value))]),
  );
}

function why(place) {
  if (place.source === undefined) return [];
  const stages = place.ranker
    ? `${part(place.source)} found it among everything; ${part(place.ranker)} gave it place ${place.rank}.`
    : `${part(place.source)} found it, at place ${place.rank}.`;
  const because = place.because ?? [];
  const ranked = place.ranked_by ?? [];
  return [
    make(
      "section",
      { "aria-labelledby": "why-title" },
      make("h3", { id: "why-title" }, "Why it is in your list"),
      because.length ? bars(because) : null,
      make("p", { class: "hint" }, `${stages[0].toUpperCase()}${stages.slice(1)}`),
      ranked.length
        ? make("p", { class: "hint" }, "What the ranking weighed: ", ranked.map((one) => `${one.feature} (${one.added < 0 ? "−" : "+"})`).join(", "), ".")
        : null,
    ),
  ];
}

function bars(because) {
  return make(
    "ul",
    { class: "bars", "aria-label": "Which of your titles speak for it, and how much" },
    ...because.map((entry) =>
      make(
        "li",
        {},
        make("span", {}, named(entry.title).name),
        make("span", { class: "bar", "aria-hidden": "true", set: { "--share": entry.share } }),
        make("span", { class: "number" }, percent(entry.share)),
      ),
    ),
  );
}
