//! Asks a real server, and holds each answer to its `/openapi.json`.

use super::Server;
use super::http::{Answer, get, request};
use super::schema::hold;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a stream may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who asks, and holds each answer to the document.
pub(crate) struct Reader {
    address: String,
    token: String,
    pub(crate) document: Value,
    /// Operations that answered as they should when all goes well.
    pub(crate) asked: BTreeSet<String>,
    pub(crate) faults: Vec<String>,
}

impl Reader {
    pub(crate) fn new(server: &Server, token: &str) -> Self {
        let document = get(&server.address, "/openapi.json").unwrap().expect_ok();
        let (asked, faults) = (BTreeSet::new(), Vec::new());
        Self { address: server.address.clone(), token: token.to_owned(), document, asked, faults }
    }

    /// Asks with `place` in place of what the template leaves open, and gives the answer's JSON.
    pub(crate) fn ask(&mut self, method: &str, template: &str, place: &str, body: &Value) -> Value {
        self.ask_as(method, template, place, "application/json", &body.to_string(), "application/json").json()
    }

    pub(crate) fn ask_as(
        &mut self,
        method: &str,
        template: &str,
        place: &str,
        content_type: &str,
        body: &str,
        accept: &str,
    ) -> Answer {
        let (filled, query) = place.split_once('?').unwrap_or((place, ""));
        let mut path = template.to_owned();
        for part in filled.split(' ').filter(|part| !part.is_empty()) {
            let (from, to) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(from..=to, part);
        }
        assert!(!path.contains('{'), "{path} leaves something open");
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", content_type),
            ("accept", accept),
            ("sec-fetch-site", "same-origin"),
            ("x-splunk-request-channel", "7"),
        ];
        let body = if method == "GET" { "" } else { body };
        let answer = request(&self.address, method, &path, &headers, body.as_bytes()).unwrap();
        self.look(method, template, &path, &answer);
        answer
    }

    /// Holds an answer to what the document says of the operation.
    fn look(&mut self, method: &str, template: &str, path: &str, answer: &Answer) {
        let at = format!("{method} {path}");
        let responses = &self.document["paths"][template][method.to_lowercase()]["responses"];
        assert!(responses.is_object(), "{method} {template} is not in the document");
        let named = responses.get(answer.status.to_string());
        if answer.status < 400 && named.is_some() {
            self.asked.insert(format!("{method} {template}"));
        } else if answer.status < 400 {
            self.faults.push(format!("{at}: the status {} is not described", answer.status));
        }
        let content = &named.unwrap_or(&responses["default"])["content"];
        if content.is_null() {
            return;
        }
        let of =
            |line: &str| line.split_once(": ").map(|(_, value)| value.split(';').next().unwrap().to_owned());
        let media = answer.head.lines().find(|line| line.starts_with("content-type")).and_then(of);
        let media = media.unwrap_or_default();
        let Some(described) = content.get(&media) else {
            return self.faults.push(format!("{at}: {media} is not described for {}", answer.status));
        };
        let schema = &described["schema"];
        let held = match media.as_str() {
            "text/event-stream" => self.events_hold(schema, &answer.body),
            media if media.ends_with("json") => {
                let value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
                hold(&self.document, schema, &value, "answer").map(|()| 1)
            }
            _ => Ok(1),
        };
        match held {
            Ok(0) => self.faults.push(format!("{at}: nothing was told")),
            Ok(_) => {}
            Err(fault) => self.faults.push(format!("{at}: {fault}")),
        }
    }

    /// Holds server-sent events to what is said of each; gives how many there were.
    fn events_hold(&self, schema: &Value, text: &str) -> Result<usize, String> {
        let events = events(text);
        for (name, data) in &events {
            let own = &schema["x-events"][name];
            if own.is_null() {
                return Err(format!("the event {name} is not described"));
            }
            hold(&self.document, own, data, name)?;
        }
        Ok(events.len())
    }

    /// Reads a stream that goes on until each of `names` was told of; `then` happens once it has begun.
    pub(crate) fn follow(
        &mut self,
        template: &str,
        query: &str,
        names: &[&str],
        then: impl FnOnce(&mut Self),
    ) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, token) = (&self.address, &self.token);
        write!(
            stream,
            "GET {template}{query} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(stream).lines().map(|line| line.unwrap());
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        assert!(
            head[0].contains(" 200 ") && head.contains(&"content-type: text/event-stream".to_owned()),
            "{head:?}"
        );
        then(self);
        let mut text = String::new();
        while !names.iter().all(|name| events(&text).iter().any(|(told, _)| told == name)) {
            text.push_str(&lines.next().unwrap());
            text.push('\n');
        }
        let schema =
            self.document["paths"][template]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"].clone();
        match self.events_hold(&schema, &text) {
            Ok(_) => _ = self.asked.insert(format!("GET {template}")),
            Err(fault) => self.faults.push(format!("GET {template}: {fault}")),
        }
    }

    /// Operations that tell something to programs.
    pub(crate) fn operations(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let content = operation["responses"].as_object().unwrap().iter();
                let content = content.filter(|(status, _)| status.starts_with('2'));
                let mut media = content.filter_map(|(_, own)| own["content"].as_object()).flatten();
                if media.any(|(media, _)| media.ends_with("json") || media == "text/event-stream") {
                    found.insert(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        found
    }
}

/// The events of a stream that are whole, each with the JSON of its data.
fn events(text: &str) -> Vec<(String, Value)> {
    let (mut found, mut name) = (Vec::new(), "message");
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("event: ") {
            name = told;
        }
        if let Some(Ok(data)) = line.strip_prefix("data: ").map(serde_json::from_str) {
            found.push((name.to_owned(), data));
        }
    }
    found
}
