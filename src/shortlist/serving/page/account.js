// Who is asking: a guest, or somebody with a user id.

import { one } from "./dom.js";
import { trouble } from "./frame.js";

/** Lets somebody say who they are; changed() is called when they did. */
export function account(taste, changed) {
  const dialog = one("account");
  const become = async (work) => {
    dialog.close();
    try {
      await work();
      trouble(null);
    } catch (error) {
      trouble(error);
    }
    changed();
  };
  one("who").addEventListener("click", () => {
    one("user-id").value = taste.user ?? "";
    one("forget").hidden = taste.user === null;
    dialog.showModal();
  });
  one("account-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const user = one("user-id").value.trim();
    become(() => taste.become(user || null));
  });
  one("be-guest").addEventListener("click", () => become(() => taste.become(null)));
  one("forget").addEventListener("click", () => {
    if (confirm(`Forget everything that is known of ${taste.user}? This cannot be undone.`)) become(() => taste.forget());
  });
}
