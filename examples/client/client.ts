// Which open alerts are attacks, why, and is that so? A client of Casemate's API whose types are made from the
// /openapi.json of the very server it speaks to: what the server does not say does not compile.
//
//   node out/client.js [--entity host:ws5] [--agree ID | --disagree ID --was benign] [--reason TEXT] [--follow N]
//
// CASEMATE_TOKEN is a token of an analyst (`casemate token create NAME --role analyst`), CASEMATE_URL where the server is.

import { parseArgs } from "node:util";
import createClient from "openapi-fetch";
import type { components, paths } from "./casemate.js";

type Schemas = components["schemas"];

const { CASEMATE_URL = "http://127.0.0.1:8470", CASEMATE_TOKEN = "" } = process.env;
const casemate = createClient<paths>({
  baseUrl: CASEMATE_URL,
  headers: { Authorization: `Bearer ${CASEMATE_TOKEN}` },
});

/** Prints a line; what logs hold may be meant for the terminal. */
function say(text: string): void {
  console.log(text.replace(/\p{Cc}/gu, "\u{fffd}"));
}

/** What was answered; of a problem, what the server says to do about it is thrown. */
function answered<T>(result: { data?: T; error?: Schemas["Problem"]; response: Response }): T {
  if (result.data === undefined) {
    throw new Error(result.error?.detail ?? `the server answered ${result.response.status}`);
  }
  return result.data;
}

/** Open alerts that the investigation calls malicious. */
async function attacks(): Promise<Schemas["Alert"][]> {
  const { alerts } = answered(await casemate.GET("/v1/alerts"));
  return alerts.filter(
    (alert) => alert.closed === null && alert.investigation?.verdict === "malicious",
  );
}

/** Prints what an investigation says, each sentence with the events that it cites. */
async function report(id: number): Promise<void> {
  const found = answered(await casemate.GET("/v1/investigations/{id}", { params: { path: { id } } }));
  if ("status" in found) {
    say(`alert ${id}: the investigation is ${found.status}`);
    return;
  }
  say(`alert ${id}: ${found.alert.title}`);
  say(`  ${found.verdict}, confidence ${found.confidence.toFixed(2)}: ${found.summary}`);
  const evidence = new Map(found.evidence.map((line) => [line.label, line]));
  const context = new Map(found.context.map((line) => [line.label, line]));
  for (const sentence of found.narrative) {
    say(`  - ${sentence.text}`);
    for (const label of sentence.citations) {
      const line = evidence.get(label);
      const cited = line ? `event ${line.event}, ${line.time}: ${line.line}` : context.get(label)?.text;
      say(`      ${label} ${cited ?? "is not told"}`);
    }
  }
}

/** Prints how often something was seen, and the latest events about it. */
async function about(entity: string): Promise<void> {
  const seen = answered(await casemate.GET("/v1/entities/{entity}", { params: { path: { entity } } }));
  say(`${seen.entity}: ${seen.events} events from ${seen.first_seen} to ${seen.last_seen}`);
  const query = { entity, order: "newest", limit: 3 } satisfies paths["/v1/search"]["get"]["parameters"]["query"];
  const { events } = answered(await casemate.GET("/v1/search", { params: { query } }));
  for (const event of events) {
    say(`  event ${event.id}, ${event.time}: ${event.message}`);
  }
}

/** Says what a person thinks of a verdict. */
async function decide(id: number, body: Schemas["Feedback"]): Promise<void> {
  const path = "/v1/alerts/{id}/feedback";
  const alert = answered(await casemate.POST(path, { params: { path: { id } }, body }));
  say(`alert ${id}: ${alert.feedback?.by} ${alert.feedback?.agrees ? "agrees" : "disagrees"}`);
}

/** Opens the stream of what happens; it begins here, whenever it is read. */
async function open(): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const stream = answered(await casemate.GET("/v1/stream", { parseAs: "stream" }));
  if (stream === null) {
    throw new Error("the server sends no stream");
  }
  return stream.getReader();
}

/** Prints the next `count` events of a stream. */
async function follow(reader: ReadableStreamDefaultReader<Uint8Array>, count: number): Promise<void> {
  const decoder = new TextDecoder();
  let [told, unread] = [0, ""];
  while (told < count) {
    const { done, value } = await reader.read();
    if (done) {
      throw new Error(`the stream ended after ${told} events`);
    }
    unread += decoder.decode(value, { stream: true });
    const blocks = unread.split("\n\n");
    unread = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string): string | undefined =>
        block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [event, data] = [field("event"), field("data")];
      // Comments keep the connection alive and tell nothing.
      if (event !== undefined && data !== undefined && told < count) {
        told += 1;
        say(`${event}: ${data}`);
      }
    }
  }
  await reader.cancel();
}

function number(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`--${name} is ${text}; give a number from 1`);
  }
  return value;
}

/** What it was, as whoever disagrees says. */
function disposition(text: string | undefined): "malicious" | "benign" {
  if (text !== "malicious" && text !== "benign") {
    throw new Error("say what it was: --was malicious or --was benign");
  }
  return text;
}

async function main(): Promise<void> {
  const { values: given } = parseArgs({
    options: {
      entity: { type: "string" },
      agree: { type: "string" },
      disagree: { type: "string" },
      was: { type: "string" },
      reason: { type: "string", default: "" },
      follow: { type: "string" },
    },
  });
  const stream = given.follow === undefined ? undefined : await open();
  for (const alert of await attacks()) {
    await report(alert.id);
  }
  if (given.entity !== undefined) {
    await about(given.entity);
  }
  if (given.agree !== undefined) {
    await decide(number(given.agree, "agree"), { act: "agree", reason: given.reason });
  }
  if (given.disagree !== undefined) {
    const verdict = disposition(given.was);
    await decide(number(given.disagree, "disagree"), { act: "disagree", verdict, reason: given.reason });
  }
  if (stream !== undefined && given.follow !== undefined) {
    await follow(stream, number(given.follow, "follow"));
  }
}

main().catch((why: unknown) => {
  console.error(why instanceof Error ? why.message : why);
  process.exit(1);
});
