// Enhances pages that are whole without it: keys on the approvals' pages, and no form sent twice.
"use strict";

(() => {
  const typing = (at) => at.closest("input, textarea, select, [contenteditable]");
  const first = (selector) => document.querySelector(selector);

  // The queue: j and k walk its entries.
  const walk = (step) => {
    const items = [...document.querySelectorAll('[data-key="item"]')];
    const here = items.indexOf(document.activeElement);
    const next = items[here < 0 ? (step > 0 ? 0 : items.length - 1) : here + step];
    if (next) next.focus();
    return items.length > 0;
  };
  const go = (selector) => {
    const at = first(selector);
    if (!at) return false;
    at.scrollIntoView({ block: "center" });
    at.focus();
    return true;
  };
  const keys = {
    j: () => walk(1),
    k: () => walk(-1),
    a: () => go('[data-key="a"]'),
    r: () => go('[data-key="r"]'),
    d: () => go(".approval #diff"),
    c: () => go(".approval #code"),
    u: () => {
      if (!first(".approval")) return false;
      location.assign("/approvals");
      return true;
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    const key = Object.hasOwn(keys, event.key) ? keys[event.key] : undefined;
    if (key && key()) event.preventDefault();
  });

  // The server refuses a second sending; this spares the person the sight of it.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.hasAttribute("data-once")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  });
  // Coming back to a page that was kept: its forms can be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-once]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
    }
  });

  // What came of trying a tool is what was asked for.
  document.addEventListener("htmx:afterSwap", () => {
    const tried = first("#tried");
    if (tried && tried.childElementCount > 0) tried.focus();
  });
})();
