// What somebody said about titles. A guest's stays in this tab; a user's is kept by the service.

import { ask } from "./api.js";

const KEPT = "shortlist.guest";
const USER = "shortlist.user";
const MOST = 1000; // entries that the service reads of a guest

export class Taste {
  constructor() {
    this.user = sessionStorage.getItem(USER);
    this.entries = []; // newest first: item_id, title, liked, event, rating
    this.total = 0;
    this.scale = null;
    this.positive = null;
  }

  /** Reads what is known: of the user from the service, of a guest from this tab. */
  async read() {
    if (this.user === null) {
      this.entries = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
      this.total = this.entries.length;
      return;
    }
    const told = await ask("GET", `/users/${encodeURIComponent(this.user)}/history?limit=60`);
    this.entries = unique(told.history);
    this.total = told.total;
  }

  async become(user) {
    this.user = user;
    if (user === null) sessionStorage.removeItem(USER);
    else sessionStorage.setItem(USER, user);
    await this.read();
  }

  /** The part of a request that says who asks. */
  asker() {
    if (this.user !== null) return { user_id: this.user };
    const some = this.entries.slice(0, MOST);
    const ids = (liked) => some.filter((entry) => entry.liked === liked).map((entry) => entry.item_id);
    const deny = ids(false);
    return { history: ids(true).reverse(), ...(deny.length ? { deny } : {}) };
  }

  /** Tells what happened with an item: event is watch, rating or dismiss. */
  async tell(item, event, rating) {
    if (this.user !== null) {
      const told = { event, user_id: this.user, item_id: item.item_id, event_id: ticket() };
      await ask("POST", "/events", { events: [{ ...told, ...(rating === undefined ? {} : { rating }) }] });
      await this.read();
      return;
    }
    const liked = event === "watch" || (event === "rating" && this.likes(rating));
    const entry = { item_id: item.item_id, title: item.title, liked, event, rating };
    this.keep([entry, ...this.without(item.item_id)]);
  }

  of(itemId) {
    return this.entries.find((entry) => entry.item_id === itemId);
  }

  /** Takes a guest's entry back. */
  remove(itemId) {
    this.keep(this.without(itemId));
  }

  clear() {
    this.keep([]);
  }

  async forget() {
    await ask("DELETE", `/users/${encodeURIComponent(this.user)}`);
    await this.become(null);
  }

  without(itemId) {
    return this.entries.filter((entry) => entry.item_id !== itemId);
  }

  keep(entries) {
    this.entries = entries;
    this.total = entries.length;
    sessionStorage.setItem(KEPT, JSON.stringify(entries));
  }

  // the bundle's own line between liked and not, or else the middle of the scale
  likes(rating) {
    const line = /^\s*rating\s*(>=?)\s*(-?[\d.]+)\s*$/.exec(this.positive ?? "");
    if (line) return line[1] === ">" ? rating > Number(line[2]) : rating >= Number(line[2]);
    return this.scale === null || rating >= (this.scale.least + this.scale.most) / 2;
  }

  /** What n of five stars are on the bundle's scale. */
  starred(n) {
    const { least, most } = this.scale;
    return fifths(this.scale) ? (most * n) / 5 : least + ((most - least) * (n - 1)) / 4;
  }

  /** And back: how many stars a rating is, 3.5 as well; null for none. */
  stars(rating) {
    if (rating === undefined || this.scale === null) return null;
    const { least, most } = this.scale;
    const n = fifths(this.scale) ? (5 * rating) / most : 1 + (4 * (rating - least)) / (most - least);
    return Math.round(10 * n) / 10;
  }
}

// whether a fifth of the highest rating is a rating: what lies off the scale is refused
function fifths({ least, most }) {
  return least >= 0 && least <= most / 5;
}

function unique(history) {
  const seen = new Set();
  return history.filter(({ item_id: itemId }) => !seen.has(itemId) && seen.add(itemId));
}

// crypto.randomUUID is only there over TLS and on localhost
function ticket() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
