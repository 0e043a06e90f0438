// The answer as it comes, below the form; what was asked before stays on the page. Without this the form does it all.
"use strict";

const form = document.querySelector("form.ask");
const answers = document.getElementById("answers");
let asked = 0;
let running = null;

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const cites = (labels, prefix) => {
  const links = (labels ?? []).flatMap((label) => [element("a", { href: `#${prefix}${label}` }, label), " "]);
  return element("span", { class: "cites" }, ...links);
};

const hows = {
  counted: "counted in the store, no model took part",
  recorded: "from the record",
  read: "written by the model, each sentence checked against what it cites",
};

const begin = (question) => {
  asked += 1;
  const parts = {
    prefix: `q${asked}-`,
    how: element("p", { class: "how" }, element("span", { class: "pulse" }), "Looking for evidence"),
    said: element("ol", { class: "sentences" }),
    draft: element("p", { class: "draft" }),
    head: element("h3", { hidden: "" }, "Evidence"),
    lines: element("ol", { class: "lines", tabindex: "0", "aria-label": "Evidence" }),
    rest: element("div"),
  };
  const { how, said, draft, head, lines, rest } = parts;
  parts.article = element("article", { class: "panel answer" }, element("h2", {}, question), how, said, draft, head, lines, rest);
  lines.hidden = true;
  answers.prepend(parts.article);
  return parts;
};

const showLines = (parts, lines) => {
  parts.head.hidden = parts.lines.hidden = lines.length === 0;
  parts.lines.replaceChildren(...lines.map((line) => element("li", { id: parts.prefix + line.label },
    element("a", { href: `/events/${line.event}` }, element("strong", {}, line.label), ` event ${line.event}`), " ",
    element("time", { class: "quiet", datetime: line.time }, line.time.replace("T", " ").slice(0, 19)), " ",
    element("span", { class: "log" }, line.line))));
};

const addSentence = (parts, told) => {
  parts.draft.textContent = "";
  parts.said.append(element("li", {}, `${told.text} `, cites(told.citations, parts.prefix)));
};

const pair = (name, ...value) => element("div", { class: "wide" }, element("dt", {}, name), element("dd", {}, ...value));

const finish = (parts, answer) => {
  parts.draft.remove();
  parts.article.classList.toggle("unknown", !answer.known);
  const sign = element("span", { class: "sign", "aria-hidden": "true" }, answer.known ? "✓" : "?");
  const badge = element("span", { class: "badge" }, sign, answer.known ? " answered" : " not known");
  const time = `${(answer.seconds.total ?? 0).toFixed(2)} s`;
  const how = element("span", { class: "quiet" }, answer.known ? `${hows[answer.how] ?? answer.how}, ${time}` : time);
  parts.how.replaceChildren(badge, " ", how);
  showLines(parts, answer.evidence);
  if (answer.known) {
    parts.said.replaceChildren();
    answer.sentences.forEach((told) => addSentence(parts, told));
  } else {
    parts.said.replaceWith(element("p", {}, answer.answer));
    parts.head.textContent = "Nearest events";
    if (answer.missing.length) parts.rest.append(element("p", { class: "quiet" }, `Needed: ${answer.missing.join("; ")}`));
  }
  if (answer.removed) {
    const many = answer.removed === 1 ? "sentence" : "sentences";
    parts.rest.append(element("p", { class: "note" }, `${answer.removed} ${many} of the model said more than the evidence: not shown.`));
  }
  const rows = answer.looked_for.map((item) => pair("Looked for", item));
  if (answer.query) {
    const href = `/search?q=${encodeURIComponent(answer.query)}`;
    rows.unshift(pair("Query", element("a", { class: "mono", href }, answer.query)));
  }
  const { model, prompt_sha256: prompt } = answer.provenance;
  if (model) rows.push(pair("Model", `${model.name} SHA-256 ${model.sha256}`));
  if (prompt) rows.push(pair("Prompt", `SHA-256 ${prompt}`));
  parts.rest.append(element("details", {}, element("summary", {}, "How it was looked for"), element("dl", { class: "pairs" }, ...rows)));
};

const fail = (parts, detail) => {
  parts.how.replaceChildren();
  parts.draft.remove();
  parts.rest.append(element("p", { class: "problem", role: "alert" }, element("strong", {}, "Not answered. "), detail));
};

const receive = (parts, name, data) => {
  if (name === "evidence") {
    showLines(parts, data.lines);
    parts.how.replaceChildren(element("span", { class: "pulse" }), "Reading the evidence");
  } else if (name === "token") {
    parts.draft.textContent += data.text;
  } else if (name === "sentence") {
    addSentence(parts, data);
  } else if (name === "done") {
    finish(parts, data);
  } else if (name === "failed") {
    fail(parts, data.detail);
  }
};

// Events are separated by an empty line; each has its name and its data on lines of their own.
const follow = async (parts, response) => {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n");
      const of = (key) => lines.filter((line) => line.startsWith(`${key}:`)).map((line) => line.slice(key.length + 1).trimStart()).join("\n");
      const name = of("event");
      if (!name) continue;
      ended = ended || name === "done" || name === "failed";
      receive(parts, name, JSON.parse(of("data")));
    }
  }
  if (!ended) fail(parts, "The connection ended before the answer did; ask again.");
};

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  const question = fields.question.trim();
  if (!question) return;
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const body = { question };
  if (fields.case) body.case = Number(fields.case);
  if (fields.investigation) body.investigation = Number(fields.investigation);
  const parts = begin(question);
  try {
    const headers = { "content-type": "application/json", accept: "text/event-stream" };
    const response = await fetch("/v1/ask", { method: "POST", headers, body: JSON.stringify(body), signal });
    if (response.ok) await follow(parts, response);
    else fail(parts, (await response.json()).detail);
  } catch (error) {
    fail(parts, signal.aborted ? "Another question was asked before this one was answered." : String(error));
  }
  form.querySelector("#question").select();
});
