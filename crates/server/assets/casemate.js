// Enhancements only: every page reads without this file.
"use strict";

// "/" puts the cursor into the search box.
document.addEventListener("keydown", (event) => {
  const typing = /^(input|textarea|select)$/i.test(document.activeElement?.tagName ?? "");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = document.querySelector("input[type=search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// A running investigation: show each step as it comes, then the report.
const live = document.querySelector("[data-stream]");
if (live) {
  const list = live.querySelector("ol");
  const known = Number(live.dataset.steps);
  const source = new EventSource(live.dataset.stream);
  const show = (event) => {
    if (Number(event.lastEventId) <= known) return;
    const text = JSON.parse(event.data).text;
    if (!text) return;
    const item = document.createElement("li");
    item.textContent = text;
    list.append(item);
  };
  source.addEventListener("started", show);
  source.addEventListener("progress", show);
  source.addEventListener("done", () => {
    source.close();
    location.reload();
  });
}
