//! What do programs get that speak to a model, or for one: OpenAI's API and the Model Context Protocol?
//!
//! The schemas of OpenAI's shapes stand beside the code that reads and writes them ([`crate::api::openai::described`]).

use super::operation::{EVENTS, JSON, Operation, json_body};
use super::schema::{Schemas, any_of, integer, named, open, text, whole, with, words};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::json("/v1/models", "Models, in OpenAI's words and in Casemate's", named("Models")),
        Operation::json("/v1/models/{model}", "One of them (OpenAI)", named("OpenAiModel")),
        Operation::post(
            "/v1/chat/completions",
            "What the assistant says next (OpenAI): streamed, under a JSON schema, with tools and log-probabilities",
            json_body("ChatRequest"),
            "200",
            named("ChatAnswer"),
        )
        .or("200", Some((EVENTS, text()))),
        Operation::post(
            "/v1/completions",
            "What follows a text (OpenAI)",
            json_body("CompletionRequest"),
            "200",
            named("CompletionAnswer"),
        )
        .or("200", Some((EVENTS, text()))),
        Operation::post(
            "/v1/embeddings",
            "Texts as vectors (OpenAI), by the model that search by meaning uses",
            json_body("EmbeddingRequest"),
            "200",
            named("EmbeddingAnswer"),
        ),
        Operation::post(
            "/mcp",
            "Model Context Protocol (2026-07-28, and 2025-11-25 and 2025-06-18 with initialize), streamable HTTP: one \
             JSON-RPC message, answered as JSON, or as server-sent events where progress was asked for",
            json_body("McpMessage"),
            "200",
            named("McpAnswer"),
        )
        .or("200", Some((EVENTS, text())))
        .or("202", None)
        .or_problem(JSON, named("McpAnswer")),
    ]
}

pub(super) fn schemas() -> Schemas {
    let methods =
        ["initialize", "notifications/initialized", "ping", "server/discover", "tools/list", "tools/call"];
    let number_or_text = json!({ "type": ["integer", "string"] });
    let answer_id = json!({ "type": ["number", "string", "null"] });
    let fault = with(&json!({ "code": integer(), "message": text() }), &json!({ "data": {} }));
    vec![
        (
            "McpMessage",
            with(
                &json!({ "jsonrpc": { "const": "2.0" }, "method": words(&methods) }),
                &json!({ "id": number_or_text, "params": open() }),
            ),
        ),
        (
            "McpAnswer",
            any_of(&[
                whole(&json!({ "jsonrpc": { "const": "2.0" }, "id": answer_id, "result": open() })),
                whole(&json!({ "jsonrpc": { "const": "2.0" }, "id": answer_id, "error": fault })),
            ]),
        ),
    ]
}
