// Asks the service; a key, where one is needed, is asked for once and kept in this tab.

import { one } from "./dom.js";

const KEY = "shortlist.key";

class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export async function ask(method, path, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = {};
    if (body !== undefined) headers["content-type"] = "application/json";
    if (key) headers.authorization = `Bearer ${key}`;
    const answer = await sent(method, path, { method, headers, body: JSON.stringify(body), signal });
    if (answer.ok) return answer.json();
    const refusal = await told(answer);
    const short = refusal.code === "forbidden";
    if (refusal.status !== 401 && !short) throw refusal;
    await keyed(key ? refusal.message : "");
  }
}

async function sent(method, path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "The service cannot be reached; is it still running?");
  }
}

async function told(answer) {
  try {
    const { error } = await answer.json();
    return new Refusal(answer.status, error.code, error.message);
  } catch {
    return new Refusal(answer.status, "unreadable", `the service answered ${answer.status}`);
  }
}

let waiting = null;

function keyed(why) {
  waiting ??= new Promise((resolve, reject) => {
    const dialog = one("key-dialog");
    if (why) one("key-why").textContent = `The key was not taken: ${why}.`;
    one("key").value = "";
    one("key-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, one("key").value);
      dialog.onclose = null;
      dialog.close();
      waiting = null;
      resolve();
    };
    dialog.onclose = () => {
      waiting = null;
      reject(new Refusal(401, "unauthorized", "No key was given, so this was not done; reload the page to enter one"));
    };
    dialog.showModal();
  });
  return waiting;
}
