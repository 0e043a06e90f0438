// The official Node client against Casemate: node openai_node.mjs BASE_URL TOKEN FOLDER_OF_NODE_MODULES
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [base, token, modules] = process.argv.slice(2);
const found = createRequire(`${modules}/package.json`).resolve("openai");
const { default: OpenAI } = await import(pathToFileURL(found).href);
const Client = OpenAI.default ?? OpenAI;
const client = new Client({ baseURL: `${base}/v1`, apiKey: token, maxRetries: 0 });

const models = [];
for await (const model of client.models.list()) models.push(model);
const model = models[0].id;
const embedder = models.find((one) => one.dimensions).id;

const messages = [{ role: "user", content: "Say hello to the analyst." }];
const chat = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 16 });
assert.ok(chat.choices[0].message.content);

const stream = await client.chat.completions.create({
  model, messages, temperature: 0, max_tokens: 16, stream: true, stream_options: { include_usage: true },
});
let text = "";
let usage = null;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, chat.choices[0].message.content);
assert.deepEqual(usage.completion_tokens, chat.usage.completion_tokens);

const parameters = {
  type: "object",
  properties: { host: { type: "string", enum: ["WS5", "DC1"] } },
  required: ["host"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "search_events", strict: true, parameters } }];
const called = await client.chat.completions.create({
  model, messages, temperature: 0, tools, tool_choice: "required", parallel_tool_calls: false,
});
const call = called.choices[0].message.tool_calls[0];
assert.equal(call.function.name, "search_events");
assert.ok(["WS5", "DC1"].includes(JSON.parse(call.function.arguments).host));
assert.equal(called.choices[0].finish_reason, "tool_calls");

const runner = client.chat.completions.stream({
  model, messages, temperature: 0, tools, tool_choice: "required", parallel_tool_calls: false,
});
const final = await runner.finalChatCompletion();
assert.equal(final.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);

const embedded = await client.embeddings.create({ model: embedder, input: ["failed login", "turbine"] });
assert.deepEqual(embedded.data.map((one) => one.embedding.length), [384, 384]);

await assert.rejects(client.chat.completions.create({ model: "gpt-0", messages }), (error) => {
  assert.ok(error instanceof Client.NotFoundError);
  assert.equal(error.code, "model_not_found");
  return true;
});
console.log("all of the Node client");
