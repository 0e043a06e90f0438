// Search: suggestions while typing, spans drawn over the histogram, counting to the end, following what arrives.
// Enhancements only: the page reads and searches without this file.
"use strict";

(() => {
  const box = document.getElementById("q");
  const list = document.getElementById("suggested");
  if (!box || !list) return;
  let timer = 0;
  let latest = "";
  // A name is suggested once it is begun; values of entities too.
  box.addEventListener("input", () => {
    clearTimeout(timer);
    const typed = box.value;
    const word = typed.split(/[\s(]/).pop().replace(/^[-!+]/, "");
    if (typed.length > 500 || word.length < 2) return;
    timer = setTimeout(async () => {
      latest = typed;
      const answer = await fetch("/v1/suggest?q=" + encodeURIComponent(typed)).catch(() => null);
      if (!answer || !answer.ok || latest !== typed) return;
      const found = await answer.json();
      list.replaceChildren(...found.suggestions.map(({ text, events }) => {
        const option = document.createElement("option");
        option.value = text;
        if (events) option.label = `${text}  (${events})`;
        return option;
      }));
    }, 250);
  });
})();

// Arrow keys go from bar to bar, so that the histogram is one stop of the Tab key; dragging over bars spans a time.
const brush = (histogram) => {
  const bars = [...histogram.querySelectorAll("a[data-from]")];
  const svg = histogram.querySelector("svg");
  if (!bars.length || !svg) return;
  bars.forEach((bar, place) => bar.setAttribute("tabindex", place ? "-1" : "0"));
  let anchor = null;
  const open = (one, other) => {
    const [from, until] = one.dataset.from < other.dataset.from ? [one, other] : [other, one];
    const address = new URL(location.href);
    for (const name of ["behind", "upto", "count"]) address.searchParams.delete(name);
    address.searchParams.set("after", from.dataset.from);
    address.searchParams.set("before", until.dataset.until);
    location.assign(address);
  };
  svg.addEventListener("keydown", (event) => {
    const place = bars.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (place < 0) return;
    if (step) {
      event.preventDefault();
      const next = bars[Math.min(Math.max(place + step, 0), bars.length - 1)];
      if (event.shiftKey) anchor ??= bars[place];
      else anchor = null;
      bars[place].setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
      if (anchor) mark(anchor, next);
    } else if (event.key === "Enter" && anchor) {
      event.preventDefault();
      open(anchor, bars[place]);
    }
  });
  const shade = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  shade.setAttribute("class", "brush");
  shade.setAttribute("y", "0");
  shade.setAttribute("height", svg.viewBox.baseVal.height);
  const mark = (one, other) => {
    const spans = [one, other].map((bar) => bar.querySelector(".slot"));
    const starts = spans.map((slot) => Number(slot.getAttribute("x")));
    const ends = spans.map((slot, n) => starts[n] + Number(slot.getAttribute("width")));
    shade.setAttribute("x", Math.min(...starts));
    shade.setAttribute("width", Math.max(...ends) - Math.min(...starts));
    svg.append(shade);
  };
  // The nearest bar, as intervals without events have none.
  const near = (event) => {
    const at = event.clientX;
    const distance = (bar) => {
      const place = bar.getBoundingClientRect();
      return Math.max(place.left - at, at - place.right, 0);
    };
    return bars.reduce((best, bar) => (distance(bar) < distance(best) ? bar : best));
  };
  let start = null;
  let dragged = false;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch") start = { bar: near(event), x: event.clientX };
  });
  svg.addEventListener("dragstart", (event) => event.preventDefault());
  svg.addEventListener("pointermove", (event) => {
    if (!start || Math.abs(event.clientX - start.x) < 6) return;
    dragged = true;
    mark(start.bar, near(event));
  });
  addEventListener("pointerup", (event) => {
    if (start && dragged) open(start.bar, near(event));
    start = null;
  });
  // The link under the pointer is not meant at the end of a drag.
  svg.addEventListener("click", (event) => {
    if (dragged) event.preventDefault();
    dragged = false;
  });
};
document.querySelectorAll(".histogram").forEach(brush);

// On a phone events come first; what they are made of opens when asked for.
if (matchMedia("(max-width: 760px)").matches) document.querySelector(".facets")?.removeAttribute("open");

// What was not counted in time is counted in place when asked for, while the page can be read.
document.getElementById("overview")?.addEventListener("click", async (event) => {
  const overview = event.currentTarget;
  const link = event.target.closest("#partly a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const said = link.textContent;
  link.textContent = "Counting…";
  const answer = await fetch(link.href).catch(() => null);
  if (!answer || !answer.ok) {
    link.textContent = `${said} (failed, try again)`;
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const whole = page.getElementById("overview");
  if (!whole) return;
  overview.replaceChildren(...whole.childNodes);
  overview.querySelectorAll(".histogram").forEach(brush);
});

// New events on top of the table, once asked for.
(() => {
  const button = document.getElementById("follow");
  const body = document.querySelector("#rows tbody");
  const said = document.getElementById("following");
  if (!button || !body) return;
  const most = 300;
  let source = null;
  let arrived = 0;
  let newest = "";
  button.hidden = false;
  const stop = () => {
    source?.close();
    source = null;
    button.setAttribute("aria-pressed", "false");
    button.textContent = "Follow new events";
  };
  button.addEventListener("click", () => {
    if (source) {
      stop();
      said.textContent = arrived ? `${arrived} arrived` : "";
      return;
    }
    const address = new URL(button.dataset.tail, location.href);
    if (newest) address.searchParams.set("newer", newest);
    source = new EventSource(address);
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop following";
    said.textContent = "Waiting for new events";
    source.addEventListener("row", (event) => {
      newest = event.lastEventId;
      arrived += 1;
      body.insertAdjacentHTML("afterbegin", event.data);
      body.firstElementChild.classList.add("arrived");
      while (body.rows.length > most) body.lastElementChild.remove();
      said.textContent = `${arrived} arrived`;
    });
    source.addEventListener("skipped", (event) => {
      said.textContent = `${event.data} more arrived than are shown`;
    });
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        stop();
        said.textContent = "Following ended; the server does not answer";
      }
    });
  });
})();
