// Enhancements of the pages of playbooks and rules: they work without this file.
"use strict";

// A file of one's own instead of pasting it.
const typed = document.querySelector(".draft textarea");
if (typed) {
  const label = document.createElement("label");
  label.className = "button second";
  label.textContent = "Open a file … ";
  const file = document.createElement("input");
  file.type = "file";
  file.accept = ".toml,.yml,.yaml,text/plain";
  file.className = "unseen";
  file.addEventListener("change", async () => {
    const chosen = file.files[0];
    if (chosen && chosen.size <= 65536) typed.value = await chosen.text();
    else if (chosen) label.firstChild.data = "That file is larger than 64 KiB. Open a file … ";
  });
  label.append(file);
  typed.form.querySelector(".actions").append(label);
}

// A try that runs: say how far it is, then show what came out.
const trying = document.querySelector("[data-try]");
if (trying) {
  const known = Number(trying.dataset.steps);
  const source = new EventSource(trying.dataset.try);
  source.addEventListener("progress", (event) => {
    if (Number(event.lastEventId) <= known) return;
    const step = JSON.parse(event.data);
    const bar = trying.querySelector("progress");
    bar.max = Math.max(step.of, 1);
    bar.value = step.done;
    trying.querySelector("[data-said]").textContent = step.text;
  });
  source.addEventListener("done", () => {
    source.close();
    location.reload();
  });
}
