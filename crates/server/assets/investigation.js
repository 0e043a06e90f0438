// Enhancements of one investigation: it reads without this file.
"use strict";

document.documentElement.classList.add("scripted");

/* What cites the same evidence lights up together: citations, rows, marks and nodes. */
const cited = (element) => element?.closest?.("[data-cite]")?.dataset.cite ?? element?.closest?.("[data-evidence]")?.dataset.evidence;
let lit;
const light = (label) => {
  if (label === lit) return;
  for (const element of document.querySelectorAll(".lit")) element.classList.remove("lit");
  lit = label;
  if (!label) return;
  for (const element of document.querySelectorAll("[data-cite], [data-evidence], [data-labels]")) {
    const own = element.dataset.cite ?? element.dataset.evidence ?? element.dataset.labels ?? "";
    if (own.split(" ").includes(label)) element.classList.add("lit");
  }
};
let opened;
document.addEventListener("pointerover", (event) => light(cited(event.target) ?? opened));
document.addEventListener("focusin", (event) => light(cited(event.target) ?? opened));

/* A citation opens its event beside the report, which stays where it is. */
const beside = document.getElementById("beside");
if (beside) {
  const body = beside.querySelector(".beside-body");
  const title = beside.querySelector("h2");
  const order = [...document.querySelectorAll("tr[data-evidence]")].map((row) => row.dataset.evidence);
  const events = new Map([...document.querySelectorAll("tr[data-evidence] [data-event]")].map((link) => [link.dataset.cite, link.dataset.event]));
  let from;
  let asked = 0;
  const show = async (label) => {
    const event = events.get(label);
    if (!event) return false;
    const mine = ++asked;
    opened = label;
    light(label);
    title.textContent = `${label} · event #${event}`;
    beside.querySelector("[data-go=page]").href = `/events/${event}`;
    body.setAttribute("aria-busy", "true");
    if (beside.hidden) body.textContent = "…";
    beside.hidden = false;
    document.body.classList.add("with-beside");
    try {
      const answer = await fetch(`/events/${event}`, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return true;
      const whole = page.querySelector("main");
      // The report has its heading.
      const heading = whole.querySelector("h1");
      if (heading) {
        const line = page.createElement("p");
        line.className = heading.className;
        line.append(...heading.childNodes);
        heading.replaceWith(line);
      }
      body.replaceChildren(...[...whole.childNodes].map((node) => document.importNode(node, true)));
      body.scrollTop = 0;
    } catch (error) {
      if (mine !== asked) return true;
      body.textContent = `The event could not be read: ${error.message}`;
    }
    body.removeAttribute("aria-busy");
    return true;
  };
  const close = () => {
    if (beside.hidden) return;
    beside.hidden = true;
    opened = undefined;
    document.body.classList.remove("with-beside");
    from?.focus({ preventScroll: true });
    light();
  };
  const go = (by) => {
    const seen = order.filter((label) => events.has(label));
    const place = seen.indexOf(opened);
    if (place >= 0) show(seen[(place + by + seen.length) % seen.length]);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-cite]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    const label = link.dataset.cite;
    if (!events.has(label)) return;
    event.preventDefault();
    if (!beside.contains(link)) from = link;
    show(label).then(() => title.focus({ preventScroll: true }));
  });
  beside.addEventListener("click", (event) => {
    const what = event.target.closest("[data-go]")?.dataset.go;
    if (what === "close") close();
    if (what === "previous") go(-1);
    if (what === "next") go(1);
  });
  document.addEventListener("keydown", (event) => {
    if (beside.hidden) return;
    if (event.key === "Escape") close();
    else if (!beside.contains(document.activeElement)) return;
    else if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
    else return;
    event.preventDefault();
  });
}

/* The timeline: its own links, followed without leaving the place; + − ← → 0, Ctrl and wheel, and dragging. */
const look = async (href) => {
  const url = new URL(href, location.href);
  url.hash = "";
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = document.getElementById("timeline");
  const next = page.getElementById("timeline");
  if (!now || !next) return;
  const focused = now.contains(document.activeElement) ? document.activeElement : null;
  const step = focused?.dataset?.step;
  const open = now.querySelector("details")?.open;
  now.replaceWith(document.importNode(next, true));
  history.replaceState(null, "", url);
  const there = document.getElementById("timeline");
  if (open) there.querySelector("details").open = true;
  if (focused) (there.querySelector(`a.step[data-step="${step}"]`) ?? there.querySelector("[data-timeline]")).focus({ preventScroll: true });
};
const stretches = (area) => area.dataset.timeline.split(";").map((one) => one.split(" ").map(Number));
const place = (area, event) => {
  const svg = area.querySelector("svg");
  const box = svg.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
};
const timeAt = (area, x) => {
  const all = stretches(area);
  const [x1, x2, start, end] = all.find(([, right]) => x <= right) ?? all[all.length - 1];
  return start + Math.min(1, Math.max(0, (x - x1) / (x2 - x1))) * (end - start);
};
const between = (from, to) => {
  const length = Math.max(500, to - from);
  const middle = (from + to) / 2;
  const iso = (time) => new Date(Math.round(time)).toISOString();
  return look(`?from=${iso(middle - length / 2)}&to=${iso(middle + length / 2)}`);
};
const follow = (area, step) => {
  const link = area.closest("section").querySelector(`a.step[data-step="${step}"]`);
  if (link) look(link.href);
  return Boolean(link);
};
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#timeline a[data-step]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  link.focus?.({ preventScroll: true });
  look(link.href?.baseVal ?? link.href);
});
document.addEventListener("keydown", (event) => {
  const area = document.activeElement?.closest?.("[data-timeline]");
  if (!area || event.ctrlKey || event.metaKey || event.altKey) return;
  const steps = { "+": "in", "=": "in", "-": "out", ArrowLeft: "earlier", ArrowRight: "later", 0: "all" };
  const step = steps[event.key];
  // Arrows still scroll a timeline that has nowhere to go.
  if (step && follow(area, step)) event.preventDefault();
});
let wheeled = 0;
document.addEventListener("wheel", (event) => {
  const area = event.target.closest?.("[data-timeline]");
  if (!area || !event.ctrlKey) return;
  event.preventDefault();
  if (event.timeStamp - wheeled < 150) return;
  wheeled = event.timeStamp;
  const all = stretches(area);
  const [from, to] = [all[0][2], all[all.length - 1][3]];
  const at = timeAt(area, place(area, event));
  const factor = event.deltaY < 0 ? 0.6 : 1 / 0.6;
  if (event.deltaY > 0 && !new URL(location.href).searchParams.has("from")) return;
  between(at - (at - from) * factor, at + (to - at) * factor);
}, { passive: false });
let drag;
document.addEventListener("pointerdown", (event) => {
  const area = event.target.closest?.("[data-timeline]");
  if (!area || event.button !== 0 || event.pointerType === "touch" || event.target.closest("a")) return;
  drag = { area, x: place(area, event) };
  event.preventDefault();
  area.focus({ preventScroll: true });
});
document.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const svg = drag.area.querySelector("svg");
  drag.box ??= svg.appendChild(document.createElementNS(svg.namespaceURI, "rect"));
  const x = place(drag.area, event);
  drag.box.setAttribute("class", "selection");
  drag.box.setAttribute("x", Math.min(x, drag.x));
  drag.box.setAttribute("width", Math.abs(x - drag.x));
  drag.box.setAttribute("y", 0);
  drag.box.setAttribute("height", svg.viewBox.baseVal.height);
});
document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { area, x, box } = drag;
  drag = undefined;
  box?.remove();
  const until = place(area, event);
  if (Math.abs(until - x) > 8) between(timeAt(area, Math.min(x, until)), timeAt(area, Math.max(x, until)));
});

/* A running investigation: stage, progress and time left as they come, each step, then the report. */
const live = document.querySelector("[data-stream]");
if (live) {
  const list = live.querySelector(".steps");
  const bar = live.querySelector("[data-progress]");
  const left = live.querySelector("[data-left]");
  const stages = [...live.querySelectorAll("[data-stage]")];
  const known = Number(live.dataset.steps);
  let began = list.children.length ? performance.now() - Number(live.dataset.elapsed) * 1000 : 0;
  let since = performance.now();
  const tick = () => {
    const now = stages.findIndex((stage) => stage.classList.contains("now"));
    if (!began || stages.some((stage) => !stage.dataset.usual)) return;
    const inStage = (performance.now() - since) / 1000;
    let ahead = 0;
    stages.forEach((stage, place) => {
      const usual = Number(stage.dataset.usual);
      if (place === now) ahead += Math.max(0, usual - inStage);
      else if (place > now) ahead += usual;
    });
    const elapsed = (performance.now() - began) / 1000;
    bar.max = elapsed + Math.max(ahead, 0.5);
    bar.value = elapsed;
    left.textContent = ahead < 1 ? "about to end" : `about ${Math.round(ahead)} s left`;
  };
  const timer = setInterval(tick, 500);
  const source = new EventSource(live.dataset.stream);
  const show = (event) => {
    const step = JSON.parse(event.data);
    if (event.type === "started") {
      began ||= performance.now();
      live.querySelector("[data-headline]").textContent = "Investigating";
    }
    if (step.type === "stage") {
      const place = stages.findIndex((stage) => stage.dataset.stage === step.name);
      since = began + step.elapsed * 1000;
      stages.forEach((stage, at) => {
        const state = at < place ? "done" : at === place ? "now" : "next";
        stage.className = state;
        stage.querySelector(".sign").textContent = { done: "✓", now: "●", next: "○" }[state];
        if (state === "now") stage.setAttribute("aria-current", "step");
        else stage.removeAttribute("aria-current");
      });
      tick();
    }
    if (Number(event.lastEventId) <= known || !step.text) return;
    const item = document.createElement("li");
    item.textContent = step.text;
    list.append(item);
  };
  source.addEventListener("started", show);
  source.addEventListener("progress", show);
  source.addEventListener("done", () => {
    source.close();
    clearInterval(timer);
    location.reload();
  });
}
