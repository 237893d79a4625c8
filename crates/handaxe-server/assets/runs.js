// Keeps a run's page up to date while the run goes on. The page is whole without it.
"use strict";

(() => {
  const run = document.querySelector("[data-follow]");
  if (!run) return;
  const source = new EventSource(run.dataset.follow);
  // The server draws each part; what the person had opened stays open.
  const put = (event) => {
    const place = document.getElementById(event.type);
    const state = new Map([...place.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
    place.innerHTML = event.data;
    for (const d of place.querySelectorAll("details[id]")) if (state.has(d.id)) d.open = state.get(d.id);
  };
  for (const part of ["state", "live", "timeline"]) source.addEventListener(part, put);
  // Closed by us, or the browser would ask again.
  source.addEventListener("ended", () => source.close());
})();
