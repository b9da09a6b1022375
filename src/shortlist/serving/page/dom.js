// Elements made of data: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const one = (id) => document.getElementById(id);

/** Makes an element: make("button", { class: "link", on: { click } }, "Clear"). */
export function make(tag, settings = {}, ...children) {
  return fill(document.createElement(tag), settings, children);
}

/** The same for SVG. */
export function draw(tag, settings = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), settings, children);
}

function fill(element, { on = {}, set = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(set)) element.style.setProperty(name, value);
  for (const [name, handle] of Object.entries(on)) element.addEventListener(name, handle);
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** Calls once nothing has called for a while. */
export function settled(call, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds, ...given);
  };
}

export const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;
