//! How does `/openapi.json` describe what is asked and answered in OpenAI's shapes?

use serde_json::{Map, Value, json};

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// An object that takes no other members.
fn closed(required: &[&str], properties: &Value) -> Value {
    let mut schema = object(required, properties);
    schema["additionalProperties"] = json!(false);
    schema
}

/// Schemas by name, to stand among the others.
pub(crate) fn schemas() -> Map<String, Value> {
    let all = json!({
        "OpenAiError": object(&["error"], &json!({ "error": object(&["message", "type", "param", "code"], &json!({
            "message": { "type": "string" },
            "type": { "type": "string", "enum": ["invalid_request_error", "rate_limit_error", "server_error"] },
            "param": { "type": ["string", "null"] },
            "code": { "type": ["string", "null"] },
        })) })),
        "OpenAiModel": object(&["id", "object", "created", "owned_by"], &json!({
            "id": { "type": "string" }, "object": { "const": "model" }, "created": { "type": "integer" },
            "owned_by": { "type": "string" }, "context_window": { "type": "integer" },
            "sha256": { "type": "string" }, "dimensions": { "type": "integer" },
        })),
        "Models": object(&["object", "data", "models", "semantic_search", "templates_indexed"], &json!({
            "object": { "const": "list" },
            "data": { "type": "array", "items": reference("OpenAiModel") },
            "models": { "type": "array", "items": reference("Judge") },
            "semantic_search": { "type": "boolean" },
            "templates_indexed": { "type": "integer" },
        })),
        "Usage": object(&["prompt_tokens", "total_tokens"], &json!({
            "prompt_tokens": { "type": "integer" }, "completion_tokens": { "type": "integer" },
            "total_tokens": { "type": "integer" },
            "prompt_tokens_details": object(&["cached_tokens", "audio_tokens"], &json!({
                "cached_tokens": {
                    "type": "integer",
                    "description": "Of the prompt, what had been read before and was not computed again",
                },
                "audio_tokens": { "const": 0 },
            })),
            "completion_tokens_details": { "type": "object", "additionalProperties": { "const": 0 } },
        })),
        "ChatRequest": chat_request(),
        "ChatMessage": chat_message(),
        "Tool": object(&["type", "function"], &json!({
            "type": { "const": "function" },
            "function": object(&["name"], &json!({
                "name": { "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$" }, "description": { "type": "string" },
                "parameters": { "type": "object", "description": "JSON schema of the arguments" },
                "strict": { "type": ["boolean", "null"] },
            })),
        })),
        "ToolCall": object(&["id", "type", "function"], &json!({
            "id": { "type": "string" }, "type": { "const": "function" },
            "function": object(&["name", "arguments"], &json!({
                "name": { "type": "string" }, "arguments": { "type": "string", "description": "JSON" },
            })),
        })),
        "ChatAnswer": answer("chat.completion", &object(&["index", "message", "finish_reason"], &json!({
            "index": { "type": "integer" },
            "message": object(&["role", "content"], &json!({
                "role": { "const": "assistant" }, "content": { "type": ["string", "null"] },
                "refusal": { "type": ["string", "null"] }, "annotations": { "type": "array", "maxItems": 0 },
                "tool_calls": { "type": "array", "items": reference("ToolCall") },
            })),
            "logprobs": { "oneOf": [reference("TokenLogprobs"), { "type": "null" }] },
            "finish_reason": { "type": "string", "enum": ["stop", "length", "tool_calls"] },
        }))),
        "TokenLogprobs": object(&["content"], &json!({
            "refusal": { "type": "null" },
            "content": { "type": "array", "items": object(&["token", "logprob", "bytes", "top_logprobs"], &json!({
                "token": { "type": "string" },
                "logprob": {
                    "type": "number",
                    "description": "Natural logarithm of the model's own probability, before temperature, top_p and grammar",
                },
                "bytes": { "type": "array", "items": { "type": "integer" } },
                "top_logprobs": { "type": "array", "items": object(&["token", "logprob", "bytes"], &json!({
                    "token": { "type": "string" }, "logprob": { "type": "number" },
                    "bytes": { "type": "array", "items": { "type": "integer" } },
                })) },
            })) },
        })),
        "CompletionRequest": completion_request(),
        "CompletionAnswer": answer("text_completion", &object(&["index", "text", "finish_reason"], &json!({
            "index": { "type": "integer" }, "text": { "type": "string" },
            "logprobs": { "oneOf": [reference("TextLogprobs"), { "type": "null" }] },
            "finish_reason": { "type": "string", "enum": ["stop", "length"] },
        }))),
        "TextLogprobs": object(&["tokens", "token_logprobs", "top_logprobs", "text_offset"], &json!({
            "tokens": { "type": "array", "items": { "type": "string" } },
            "token_logprobs": { "type": "array", "items": { "type": ["number", "null"] } },
            "top_logprobs": { "type": "array", "items": {
                "type": ["object", "null"], "additionalProperties": { "type": "number" },
            } },
            "text_offset": { "type": "array", "items": { "type": "integer" } },
        })),
        "EmbeddingRequest": closed(&["model", "input"], &json!({
            "model": { "type": "string" },
            "input": texts(2048),
            "encoding_format": { "type": ["string", "null"], "enum": ["float", "base64", null] },
            "dimensions": { "type": ["integer", "null"], "description": "The model's own number alone" },
            "user": { "type": ["string", "null"] },
        })),
        "EmbeddingAnswer": object(&["object", "data", "model", "usage"], &json!({
            "object": { "const": "list" },
            "data": { "type": "array", "items": object(&["object", "index", "embedding"], &json!({
                "object": { "const": "embedding" }, "index": { "type": "integer" },
                "embedding": { "oneOf": [
                    { "type": "array", "items": { "type": "number" } },
                    { "type": "string", "description": "Little-endian 32-bit floats in base64" },
                ] },
            })) },
            "model": { "type": "string" },
            "usage": reference("Usage"),
        })),
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn answer(object_name: &str, choice: &Value) -> Value {
    object(
        &["id", "object", "created", "model", "choices"],
        &json!({
            "id": { "type": "string" }, "object": { "const": object_name }, "created": { "type": "integer" },
            "model": { "type": "string" }, "system_fingerprint": { "type": "string" }, "service_tier": { "type": "string" },
            "choices": { "type": "array", "items": choice },
            "usage": reference("Usage"),
        }),
    )
}

/// A text, several, or the same in token numbers.
fn texts(most: usize) -> Value {
    let tokens = json!({ "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1 });
    json!({ "oneOf": [
        { "type": "string" },
        { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": most },
        tokens,
        { "type": "array", "items": tokens, "minItems": 1, "maxItems": most },
    ] })
}

/// What chat and completions both take.
fn choosing() -> Map<String, Value> {
    let all = json!({
        "model": { "type": "string", "description": "An id of /v1/models, or `default`" },
        "temperature": { "type": ["number", "null"], "minimum": 0, "maximum": 2, "default": 1,
            "description": "0 takes the most probable token and is deterministic" },
        "top_p": { "type": ["number", "null"], "minimum": 0, "maximum": 1, "default": 1 },
        "seed": { "type": ["integer", "null"], "description": "The same seed and request give the same answer" },
        "n": { "type": ["integer", "null"], "minimum": 1, "maximum": 8, "default": 1 },
        "stop": { "oneOf": [
            { "type": "null" },
            { "type": "string", "minLength": 1 },
            { "type": "array", "items": { "type": "string", "minLength": 1 }, "maxItems": 4 },
        ] },
        "stream": { "type": ["boolean", "null"], "description": "Server-sent events, the last `[DONE]`" },
        "stream_options": { "type": ["object", "null"], "properties": { "include_usage": { "type": "boolean" } } },
        "max_tokens": { "type": ["integer", "null"], "minimum": 0 },
        "max_completion_tokens": { "type": ["integer", "null"], "minimum": 1 },
        "service_tier": { "type": ["string", "null"], "enum": ["auto", "default", "priority", "flex", null],
            "description": "`flex` waits behind people, like the backlog" },
        "user": { "type": ["string", "null"] },
        "frequency_penalty": { "enum": [0, null] },
        "presence_penalty": { "enum": [0, null] },
        "logit_bias": { "type": ["object", "null"], "maxProperties": 0 },
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn with(mut own: Map<String, Value>, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        own.insert(key.clone(), value.clone());
    }
    Value::Object(own)
}

fn chat_request() -> Value {
    let properties = with(
        choosing(),
        &json!({
            "messages": { "type": "array", "minItems": 1, "items": reference("ChatMessage") },
            "response_format": { "oneOf": [
                { "type": "null" },
                object(&["type"], &json!({ "type": { "type": "string", "enum": ["text", "json_object"] } })),
                object(&["type", "json_schema"], &json!({
                    "type": { "const": "json_schema" },
                    "json_schema": object(&["name"], &json!({
                        "name": { "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$" },
                        "description": { "type": "string" }, "strict": { "type": ["boolean", "null"] },
                        "schema": { "type": "object", "description": "What the answer always conforms to" },
                    })),
                })),
            ] },
            "tools": { "type": ["array", "null"], "maxItems": 128, "items": reference("Tool") },
            "tool_choice": { "oneOf": [
                { "type": "null" },
                { "type": "string", "enum": ["none", "auto", "required"] },
                object(&["type", "function"], &json!({
                    "type": { "const": "function" },
                    "function": object(&["name"], &json!({ "name": { "type": "string" } })),
                })),
            ] },
            "parallel_tool_calls": { "type": ["boolean", "null"] },
            "logprobs": { "type": ["boolean", "null"] },
            "top_logprobs": { "type": ["integer", "null"], "minimum": 0, "maximum": 20 },
            "modalities": { "enum": [["text"], null] },
            "store": { "enum": [false, null] },
            "metadata": { "type": ["object", "null"] },
            "prompt_cache_key": { "type": ["string", "null"] },
            "safety_identifier": { "type": ["string", "null"] },
        }),
    );
    closed(&["model", "messages"], &properties)
}

fn chat_message() -> Value {
    let part =
        object(&["type", "text"], &json!({ "type": { "const": "text" }, "text": { "type": "string" } }));
    object(
        &["role"],
        &json!({
            "role": { "type": "string", "enum": ["system", "developer", "user", "assistant", "tool"] },
            "content": { "oneOf": [{ "type": ["string", "null"] }, { "type": "array", "items": part }],
                "description": "Data: no special token forms from it" },
            "name": { "type": "string" },
            "tool_calls": { "type": "array", "items": reference("ToolCall") },
            "tool_call_id": { "type": "string" },
        }),
    )
}

fn completion_request() -> Value {
    let properties = with(
        choosing(),
        &json!({
            "prompt": texts(16),
            "echo": { "type": ["boolean", "null"] },
            "logprobs": { "type": ["integer", "null"], "minimum": 0, "maximum": 5 },
            "best_of": { "enum": [1, null] },
        }),
    );
    closed(&["model", "prompt"], &properties)
}
