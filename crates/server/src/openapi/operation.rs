//! One entry of the document: what a route takes, and what it answers.

use super::parameters::Parameter;
use super::schema::{by_name, entity_kind, events_of, format_or_auto, id, named, text};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Media type of most answers.
pub(super) const JSON: &str = "application/json";
/// Media type of problem details (RFC 9457).
pub(super) const PROBLEM: &str = "application/problem+json";
/// Media type of server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";
/// Media type of pages.
pub(super) const HTML: &str = "text/html";

/// What a route takes and answers.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    summary: Cow<'static, str>,
    parameters: Vec<&'static Parameter>,
    /// Schemas of the body by media type.
    body: Option<Value>,
    /// Each with its status, and with media type and schema of its body if it has one.
    answers: Vec<(&'static str, Option<(&'static str, Value)>)>,
    /// Ways to tell of a problem beside the usual one of the path.
    problems: Vec<(&'static str, Value)>,
}

impl Operation {
    pub(super) fn get(
        path: &'static str,
        summary: impl Into<Cow<'static, str>>,
        media: &'static str,
        schema: Value,
    ) -> Self {
        Self {
            method: "get",
            path,
            summary: summary.into(),
            parameters: Vec::new(),
            body: None,
            answers: vec![("200", Some((media, schema)))],
            problems: Vec::new(),
        }
    }

    pub(super) fn json(path: &'static str, summary: &'static str, schema: Value) -> Self {
        Self::get(path, summary, JSON, schema)
    }

    /// A page.
    pub(super) fn html(path: &'static str, summary: &'static str) -> Self {
        Self::get(path, summary, HTML, text())
    }

    /// A stream of server-sent events, each with the JSON of its data.
    pub(super) fn events(path: &'static str, summary: &'static str, events: &Value) -> Self {
        Self::get(path, summary, EVENTS, events_of(events))
    }

    pub(super) fn post(
        path: &'static str,
        summary: &'static str,
        body: Value,
        status: &'static str,
        schema: Value,
    ) -> Self {
        let answers = vec![(status, Some((JSON, schema)))];
        Self { method: "post", body: Some(body), answers, ..Self::json(path, summary, text()) }
    }

    pub(super) fn put(self) -> Self {
        Self { method: "put", ..self }
    }

    /// A form of the page, which leads to another page.
    pub(super) fn form(path: &'static str, summary: &'static str) -> Self {
        Self { answers: vec![("303", None)], ..Self::form_shown(path, summary) }
    }

    /// A form of the page, answered with a page.
    pub(super) fn form_shown(path: &'static str, summary: &'static str) -> Self {
        let fields = json!({ "application/x-www-form-urlencoded": { "schema": by_name(&text()) } });
        Self { method: "post", body: Some(fields), ..Self::html(path, summary) }
    }

    /// Parameters beside those of the path.
    pub(super) fn takes(self, parameters: &[&'static Parameter]) -> Self {
        Self { parameters: [&self.parameters, parameters].concat(), ..self }
    }

    /// Another answer: of another status, or of another media type.
    pub(super) fn or(mut self, status: &'static str, body: Option<(&'static str, Value)>) -> Self {
        self.answers.push((status, body));
        self
    }

    /// Another way to tell of a problem.
    pub(super) fn or_problem(mut self, media: &'static str, schema: Value) -> Self {
        self.problems.push((media, schema));
        self
    }

    /// The entry; `needs` is the right it takes, nothing where it takes none.
    pub(super) fn to_json(&self, needs: Option<&str>) -> Value {
        let mut answers = json!({});
        for (status, body) in &self.answers {
            if answers[status].is_null() {
                answers[status] = json!({ "description": said_of(status) });
            }
            if let Some((media, schema)) = body {
                answers[status]["content"][media] = json!({ "schema": schema });
            }
        }
        let mut problems = json!({});
        for (media, schema) in self.usual_problem().iter().chain(&self.problems) {
            problems[media] = json!({ "schema": schema });
        }
        answers["default"] = json!({ "description": "A problem.", "content": problems });
        let mut entry = json!({
            "summary": self.summary,
            "description": needs.map_or("For anybody.".to_owned(), |needs| format!("Needs {needs}.")),
            "security": if needs.is_some() { json!([{ "token": [] }, { "session": [] }]) } else { json!([]) },
            "parameters": self.in_path().chain(self.parameters.iter().map(|parameter| parameter.to_json())).collect::<Vec<_>>(),
            "responses": answers,
        });
        if let Some(body) = &self.body {
            entry["requestBody"] = json!({ "required": true, "content": body });
        }
        entry
    }

    fn in_path(&self) -> impl Iterator<Item = Value> {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.map(|name| {
            let schema = match name {
                "id" | "event" => id(),
                "kind" => entity_kind(),
                "format" => format_or_auto(),
                _ => text(),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
    }

    /// How problems of this path are told: as [`guard`](crate::guard) has them told.
    fn usual_problem(&self) -> Vec<(&'static str, Value)> {
        if crate::api::openai::is_its(self.path) {
            return vec![(JSON, named("OpenAiError"))];
        }
        if crate::page::is_page(self.path) {
            return vec![(HTML, text())];
        }
        vec![(PROBLEM, named("Problem"))]
    }
}

fn said_of(status: &str) -> &'static str {
    match status {
        "201" => "Made.",
        "202" => "Accepted.",
        "303" => "Done; the page to go to.",
        "503" => "Not now.",
        _ => "Done.",
    }
}

/// A body of JSON that is this.
pub(super) fn json_body(name: &str) -> Value {
    json!({ JSON: { "schema": named(name) } })
}

/// A body of JSON in which nothing is asked for.
pub(super) fn empty_body() -> Value {
    json!({ JSON: { "schema": { "type": "object" } } })
}
