//! What happened since the start, in numbers? Prometheus text format 0.0.4.
//!
//! Counts of what is stored are read from the store when asked for; only requests are counted here.

use crate::hub::lock;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Mutex;

/// Requests by method, route and status. Routes are those of the router's table, so there is a bounded number.
#[derive(Default)]
pub(crate) struct Requests(Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>);

impl Requests {
    pub(crate) fn count(&self, method: &'static str, route: &'static str, status: u16) {
        *lock(&self.0).entry((method, route, status)).or_default() += 1;
    }

    pub(crate) fn write(&self, text: &mut Text) {
        text.head("casemate_http_requests_total", "counter", "Requests answered, by route and status.");
        for ((method, route, status), count) in lock(&self.0).iter() {
            let status = status.to_string();
            text.row(
                "casemate_http_requests_total",
                &[("method", method), ("route", route), ("status", &status)],
                count,
            );
        }
    }
}

/// Metrics text under construction.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    /// Starts a metric.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn row(&mut self, name: &str, labels: &[(&str, &str)], value: &dyn Display) {
        self.0.push_str(name);
        for (index, (label, content)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let content = content.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{open}{label}=\"{content}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric with one value.
    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.row(name, &[], &value);
    }

    /// A metric with one label.
    pub(crate) fn by(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) {
        self.head(name, "gauge", help);
        for (content, value) in values {
            self.row(name, &[(label, &content)], &value);
        }
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.by("m", "Help.", "l", [("a\"b\\c\nd".to_owned(), 1)]);
        assert_eq!(text.finish(), "# HELP m Help.\n# TYPE m gauge\nm{l=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn requests_are_counted_by_route() {
        let requests = Requests::default();
        requests.count("GET", "/v1/events", 200);
        requests.count("GET", "/v1/events", 200);
        let mut text = Text::default();
        requests.write(&mut text);
        let expected = "casemate_http_requests_total{method=\"GET\",route=\"/v1/events\",status=\"200\"} 2\n";
        assert!(text.finish().ends_with(expected));
    }
}
