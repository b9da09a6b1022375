// A text field with a list of suggestions, after the ARIA combobox pattern: the focus stays in the field,
// the arrows move through the list, Enter takes, Escape closes.

import { make } from "./dom.js";

/**
 * @param field, list, count  the elements
 * @param find    text, signal -> items with item_id, title and perhaps a note
 * @param taken   called with the item chosen
 * @param failed  called with what went wrong
 */
export function combobox({ field, list, count, find, taken, failed }) {
  let items = [];
  let at = -1;
  let asking = null;

  const close = () => {
    items = [];
    at = -1;
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };

  const mark = (place) => {
    at = place;
    for (const [n, option] of [...list.children].entries()) {
      option.setAttribute("aria-selected", String(n === at));
      if (n === at) option.scrollIntoView({ block: "nearest" });
    }
    if (at < 0) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", `found-${at}`);
  };

  const take = (item) => {
    field.value = "";
    close();
    count.textContent = "";
    taken(item);
  };

  const show = (found) => {
    items = found;
    list.replaceChildren(
      ...items.map((item, n) => {
        const option = make(
          "li",
          { id: `found-${n}`, role: "option", "aria-selected": "false" },
          item.title,
          item.note ? make("small", {}, item.note) : null,
        );
        option.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
        option.addEventListener("click", () => take(item));
        return option;
      }),
    );
    list.hidden = items.length === 0;
    field.setAttribute("aria-expanded", String(items.length > 0));
    mark(items.length ? 0 : -1);
    count.textContent = items.length ? `${items.length} found` : "Nothing found";
  };

  field.addEventListener("input", async () => {
    asking?.abort();
    const text = field.value.trim();
    if (!text) {
      count.textContent = "";
      close();
      return;
    }
    asking = new AbortController();
    try {
      show(await find(text, asking.signal));
    } catch (error) {
      if (error.name !== "AbortError") close();
      failed(error);
    }
  });

  field.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: items.length - 1, PageUp: 0 };
    if (event.key in moves && items.length) {
      event.preventDefault();
      mark((moves[event.key] + items.length) % items.length);
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      take(items[at]);
    } else if (event.key === "Escape") {
      if (items.length) close();
      else field.value = "";
    }
  });
  field.addEventListener("blur", close);
}
