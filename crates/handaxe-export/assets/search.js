// Filters the list as one types: every word must be in a tool's words. Without it the list is whole.
"use strict";
const box = document.getElementById("search");
const input = document.getElementById("words");
const found = document.getElementById("found");
const items = [...document.querySelectorAll("#tools > li")];
if (box && input && found) {
  box.hidden = false;
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const fits = words.every((word) => item.dataset.words.includes(word));
      item.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    found.textContent = words.length ? `${shown} of ${items.length}` : "";
  };
  input.addEventListener("input", filter);
  filter();
}
