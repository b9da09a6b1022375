// What both views share: the theme's button, and a place for trouble.

import { one } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

export function frame() {
  const button = one("theme");
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("shortlist.theme", theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme === "dark" || (theme !== "light" && dark.matches);
}

/** Says what went wrong; null when all is well again. */
export function trouble(error) {
  if (error?.name === "AbortError") return; // a newer question has overtaken it
  const place = one("trouble");
  place.hidden = error == null;
  place.textContent = error == null ? "" : said(error);
}

function said(error) {
  const text = error.message || String(error);
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
