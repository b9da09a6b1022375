// Controls for the columns that the catalogue has, and the condition that they make.

import { make } from "./dom.js";

const FEW = 24; // values shown of a column

/** Builds the controls into a place; returns where(), the condition or null. */
export function filters(place, columns) {
  const made = columns.map(control).filter((one) => one !== null);
  place.replaceChildren(...made.map((one) => one.element));
  return {
    where: () => made.map((one) => one.condition()).filter(Boolean).join(" and ") || null,
    told: () => made.forEach((one) => one.told?.()),
  };
}

function control(column) {
  if (column.kind === "number" && column.least < column.most) return range(column);
  if ((column.kind === "tags" || column.kind === "text") && column.values.length > 1) return choice(column);
  return null;
}

function range({ name, least, most }) {
  const whole = Number.isInteger(least) && Number.isInteger(most);
  const step = whole ? 1 : Number(((most - least) / 100).toPrecision(1));
  const shown = make("output", {});
  const slide = (label, value) =>
    make("input", { type: "range", min: least, max: most, step, value, "aria-label": `${titled(name)}, ${label}` });
  const from = slide("from", least);
  const to = slide("to", most);
  // a slider's steps may miss the ends: at an end it stands for the end itself
  const low = () => (Number(from.value) - least < step / 2 ? least : Number(from.value));
  const high = () => (most - Number(to.value) < step ? most : Number(to.value));
  const pair = make("div", { class: "pair" }, from, to);
  const along = (input) => `${(100 * (input.value - least)) / (most - least)}%`;
  const told = () => {
    pair.style.setProperty("--from", along(from));
    pair.style.setProperty("--to", along(to));
    shown.textContent = `${written(low(), whole)} – ${written(high(), whole)}`;
  };
  from.addEventListener("input", () => {
    if (low() > high()) to.value = from.value;
    told();
  });
  to.addEventListener("input", () => {
    if (high() < low()) from.value = to.value;
    told();
  });
  told();
  return {
    told,
    element: make(
      "fieldset",
      { class: "slider" },
      make("legend", { class: "unseen" }, titled(name)),
      make("div", { class: "row" }, make("span", { "aria-hidden": "true" }, titled(name)), shown),
      pair,
    ),
    condition: () =>
      [
        low() > least && `${name} >= ${written(low(), whole)}`,
        high() < most && `${name} <= ${written(high(), whole)}`,
      ]
        .filter(Boolean)
        .join(" and "),
  };
}

function choice({ name, kind, values }) {
  const boxes = values.slice(0, FEW).map(({ value, count }) => {
    const box = make("input", { type: "checkbox", value });
    const label = make("label", { class: "pill", title: `${count.toLocaleString("en")} titles` }, box, value);
    return { box, label };
  });
  return {
    element: make(
      "fieldset",
      {},
      make("legend", {}, titled(name)),
      make("div", { class: "pills" }, ...boxes.map((one) => one.label)),
    ),
    condition: () => {
      const wanted = boxes.filter((one) => one.box.checked).map((one) => quoted(one.box.value));
      if (!wanted.length) return "";
      if (kind === "text") return `${name} in [${wanted.join(", ")}]`;
      return `(${wanted.map((value) => `${value} in ${name}`).join(" or ")})`;
    },
  };
}

/** A text as conditions write it. */
export const quoted = (text) => `'${text.replace(/[\\']/g, "\\$&")}'`;

const written = (value, whole) => (whole ? String(value) : String(Number(value.toFixed(4))));

const titled = (name) => `${name[0].toUpperCase()}${name.slice(1).replaceAll("_", " ")}`;
