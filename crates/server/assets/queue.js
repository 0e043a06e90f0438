// The queue: keys, marking many, and rows that follow what happens. Everything here also works without, by its links
// and forms.
"use strict";
(() => {
  const table = document.getElementById("queue");
  const bulk = document.getElementById("bulk");
  const panel = document.getElementById("bulk-panel");
  const news = document.getElementById("news");
  const rows = () => (table ? [...table.tBodies[0].rows] : []);
  const linkOf = (row) => row?.querySelector("a.strong");
  const boxOf = (row) => row?.querySelector("input[name=alert]");
  const marked = () => rows().filter((row) => boxOf(row)?.checked);
  const current = () => document.activeElement?.closest?.("#queue tbody tr");

  // Marking.
  const countMarked = () => {
    if (!bulk) return;
    const count = marked().length;
    for (const row of rows()) row.classList.toggle("is-marked", boxOf(row)?.checked === true);
    bulk.classList.toggle("has-marked", count > 0);
    document.getElementById("picked").textContent =
      count === 0 ? "Decide about those marked" : `Decide about ${count} marked`;
    if (everything) {
      everything.checked = count > 0 && count === rows().length;
      everything.indeterminate = count > 0 && count < rows().length;
    }
  };
  let everything = null;
  const head = table?.querySelector("thead .pick");
  if (head && bulk) {
    const label = document.createElement("label");
    everything = document.createElement("input");
    everything.type = "checkbox";
    everything.setAttribute("aria-label", "Select all alerts on this page");
    label.append(everything);
    head.replaceChildren(label);
    everything.addEventListener("change", () => {
      for (const row of rows()) boxOf(row).checked = everything.checked;
      countMarked();
    });
    table.addEventListener("change", countMarked);
  }

  // What is to be filled in depends on what is done.
  if (bulk) {
    const reason = bulk.querySelector("[name=reason]");
    const radios = bulk.querySelectorAll("[name=verdict]");
    const need = (act) => {
      const needs = act === "close" || act === "disagree";
      reason.required = needs;
      for (const radio of radios) radio.required = needs;
    };
    for (const button of bulk.querySelectorAll("button[name=act]")) {
      button.addEventListener("click", () => need(button.value));
    }
    bulk.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target.tagName !== "INPUT" || !bulk.dataset.act) return;
      event.preventDefault();
      need(bulk.dataset.act);
      bulk.requestSubmit(bulk.querySelector(`button[value=${bulk.dataset.act}]`));
    });
    bulk.addEventListener("submit", () => {
      // Afterwards the cursor stands on the first row that is left.
      const last = marked().pop();
      const next = rows().slice(rows().indexOf(last) + 1).find((row) => !boxOf(row).checked);
      if (next) sessionStorage.setItem("casemate.row", next.dataset.id);
    });
  }

  const decide = (act) => {
    if (!bulk) return;
    const row = current();
    if (marked().length === 0) {
      if (!row) return;
      boxOf(row).checked = true;
      countMarked();
    }
    bulk.dataset.act = act;
    const by = bulk.querySelector("[name=by]");
    if (act === "agree" && (!by || by.value)) {
      bulk.requestSubmit(bulk.querySelector("button[value=agree]"));
      return;
    }
    panel.open = true;
    panel.scrollIntoView({ block: "nearest" });
    const field = { assign: "[name=to]", agree: "[name=by]" }[act] ?? "[name=reason]";
    bulk.querySelector(field).focus();
  };

  const move = (step) => {
    const all = rows();
    if (all.length === 0) return;
    const at = all.indexOf(current());
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
    linkOf(next).focus();
    next.scrollIntoView({ block: "nearest" });
  };

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const box = boxOf(current());
      if (!box) return;
      box.checked = !box.checked;
      countMarked();
    },
    a: () => decide("agree"),
    d: () => decide("disagree"),
    r: () => decide("assign"),
    c: () => decide("close"),
  };
  if (table) window.casemate.keys(keys);

  const kept = sessionStorage.getItem("casemate.row");
  if (kept) {
    sessionStorage.removeItem("casemate.row");
    linkOf(document.getElementById(`a${kept}`))?.focus();
  }

  // Following what happens: rows change in place, new ones are announced and wait to be asked for.
  if (!news || !window.EventSource) return;
  const isCases = !bulk && location.pathname === "/cases";
  const fresh = new Set();
  const stale = new Set();
  let timer = null;
  let missed = false;

  const announce = () => {
    const text = missed
      ? "The list has changed · show it as it is now"
      : fresh.size > 0
        ? `${fresh.size} ${isCases ? "changed case" : "new alert"}${fresh.size === 1 ? "" : "s"} · show`
        : "";
    if (news.textContent === text) return;
    news.replaceChildren();
    if (!text) return;
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = text;
    news.append(link);
  };

  const refresh = async () => {
    timer = null;
    announce();
    const ids = [...stale];
    stale.clear();
    if (ids.length === 0) return;
    const answer = await fetch(`/alerts/rows?ids=${ids.join(",")}`, {
      headers: { accept: "text/html", "x-casemate-unasked": "1" },
    });
    if (!answer.ok) return;
    const holder = document.createElement("template");
    holder.innerHTML = await answer.text();
    for (const row of holder.content.querySelectorAll("tr")) {
      const old = document.getElementById(row.id);
      // Nothing is changed under a cursor that stands in it.
      if (!old || old.contains(document.activeElement) && document.activeElement !== linkOf(old)) continue;
      const hadFocus = document.activeElement === linkOf(old);
      boxOf(row).checked = boxOf(old)?.checked === true;
      row.classList.add("has-changed");
      old.replaceWith(row);
      if (hadFocus) linkOf(row).focus({ preventScroll: true });
    }
    countMarked();
  };
  const soon = () => {
    timer ??= setTimeout(refresh, 600);
  };

  const source = new EventSource("/v1/stream");
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("alert", ({ id, what }) => {
    if (isCases) return;
    if (document.getElementById(`a${id}`)) stale.add(id);
    else if (what === "raised") fresh.add(id);
    else return;
    soon();
  });
  on("investigation", ({ id }) => {
    if (!document.getElementById(`a${id}`)) return;
    stale.add(id);
    soon();
  });
  on("case", ({ id }) => {
    if (!isCases) return;
    fresh.add(id);
    soon();
  });
  on("gap", () => {
    missed = true;
    soon();
  });
  const depth = document.getElementById("depth");
  const shown = ({ waiting, overdue }) => {
    if (!depth) return;
    const late = overdue > 0 ? `, ${overdue} longer than they should` : "";
    depth.textContent = waiting > 0 ? ` · ${waiting} waiting to be investigated${late}` : "";
  };
  on("queue", shown);
  on("hello", shown);
  const state = document.getElementById("live-state");
  const say = (text) => {
    if (!state) return;
    state.hidden = false;
    state.textContent = text;
  };
  source.addEventListener("open", () => say("● live"));
  source.addEventListener("error", () => say("○ not live, trying again"));
  window.addEventListener("pagehide", () => source.close());
})();
