//! What can stand in a query string or a header, and what it means.

use super::schema::{text, words};
use serde_json::{Value, json};

/// A parameter.
pub(super) struct Parameter {
    name: &'static str,
    place: &'static str,
    is: Is,
    means: &'static str,
}

/// What its value can be.
enum Is {
    Text,
    Words(&'static [&'static str]),
    /// From the first up to the second, and what it is where nothing is said.
    Number(u64, Option<u64>, Option<u64>),
}

impl Parameter {
    pub(super) fn to_json(&self) -> Value {
        let schema = match &self.is {
            Is::Text => text(),
            Is::Words(names) => words(names),
            Is::Number(least, most, usual) => {
                let mut schema = json!({ "type": "integer", "minimum": least });
                if let Some(most) = most {
                    schema["maximum"] = json!(most);
                }
                if let Some(usual) = usual {
                    schema["default"] = json!(usual);
                }
                schema
            }
        };
        json!({ "name": self.name, "in": self.place, "schema": schema, "description": self.means })
    }
}

const fn query(name: &'static str, is: Is, means: &'static str) -> Parameter {
    Parameter { name, place: "query", is, means }
}

const fn header(name: &'static str, means: &'static str) -> Parameter {
    Parameter { name, place: "header", is: Is::Text, means }
}

const fn text_of(name: &'static str, means: &'static str) -> Parameter {
    query(name, Is::Text, means)
}

const fn number_of(name: &'static str, means: &'static str) -> Parameter {
    query(name, Is::Number(1, None, None), means)
}

const LEVELS: &[&str] = &["", "informational", "low", "medium", "high", "critical"];

// What events are looked for.
pub(super) static Q: Parameter = text_of(
    "q",
    "Words, or field:value over message, host, user, ip, process, process_id, asset, entity, format, class, template, \
     time, id, fields.*",
);
pub(super) static MODE: Parameter = query(
    "mode",
    Is::Words(&["text", "semantic", "hybrid"]),
    "By a query over words and fields; by meaning of the message; or q as plain words, found by words, entities and \
     meaning at once, each event with how it was found",
);
pub(super) static FILTER: Parameter = text_of("filter", "Only events that match this query as well");
pub(super) static AFTER: Parameter =
    text_of("after", "Only events at or after this time (RFC 3339; UTC without a zone; or -24h)");
pub(super) static BEFORE: Parameter = text_of("before", "Only events at or before this time");
pub(super) static ENTITY: Parameter =
    text_of("entity", "kind:value, such as host:ws5; any of several, separated by commas");
pub(super) static NEWER: Parameter =
    query("newer", Is::Number(0, None, None), "Only events that arrived after the one with this number");
pub(super) static LIMIT: Parameter =
    query("limit", Is::Number(1, Some(1000), Some(100)), "Most that are listed");
pub(super) static ORDER: Parameter =
    query("order", Is::Words(&["oldest", "newest", "relevance"]), "Order of the events");
pub(super) static SEARCH: &[&Parameter] =
    &[&Q, &MODE, &FILTER, &AFTER, &BEFORE, &ENTITY, &LIMIT, &ORDER, &NEWER];
pub(super) static TAIL: &[&Parameter] = &[&Q, &FILTER, &ENTITY, &NEWER];
pub(super) static SCHEMA: Parameter = query(
    "format",
    Is::Words(&["casemate", "ecs"]),
    "The schema: fields named after OCSF 1.6, or an ECS document",
);

// What is counted.
pub(super) static BY: Parameter = text_of(
    "by",
    "What to count by, separated by commas: kinds of entities, class, format, source, template or names of fields",
);
pub(super) static MOST: Parameter = query("most", Is::Number(1, Some(1000), Some(10)), "Values of each");
pub(super) static BUCKETS: Parameter =
    query("buckets", Is::Number(0, Some(1000), Some(50)), "Intervals of time, of whole seconds");
pub(super) static SO_FAR: Parameter = text_of("q", "What is typed so far");

// Where a list goes on.
pub(super) static WITHIN: Parameter =
    text_of("q", "Text in the record, its source or what was wrong with it; upper and lower case alike");
pub(super) static REASON: Parameter = text_of("reason", "Only records quarantined for this reason");
pub(super) static BELOW: Parameter =
    query("below", Is::Number(0, None, None), "Only those numbered below this, to go on with a list");
pub(super) static STILL_OPEN: Parameter =
    query("open", Is::Words(&["true", "false"]), "true: only those that nobody has closed");
/// Which part of a list of alerts or cases.
pub(super) static PART: &[&Parameter] = &[&LIMIT, &BELOW, &STILL_OPEN];
pub(super) static LINES_BEFORE: Parameter =
    query("before", Is::Number(0, None, None), "Only lines numbered below this, to go on with a list");
pub(super) static LINES: Parameter = query("limit", Is::Number(1, Some(1000), Some(1000)), "Most lines told");
pub(super) static LAST_EVENT: Parameter =
    header("Last-Event-ID", "The id of the last event that was seen: the stream goes on after it");
pub(super) static IDEMPOTENCY_KEY: Parameter = header(
    "Idempotency-Key",
    "Up to 255 characters of the sender's: what is sent again under the same key is taken in once",
);

// Rules.
pub(super) static RULE_WORDS: Parameter =
    text_of("q", "Words that all have to stand in title, description, id, file or tactics");
pub(super) static TECHNIQUE: Parameter = text_of("technique", "An ATT&CK id; T1059 covers T1059.001");
pub(super) static LEVEL: Parameter = query("level", Is::Words(LEVELS), "How bad a match would be");
pub(super) static SORT: Parameter =
    query("sort", Is::Words(&["title", "alerts"]), "By title, or those that raised most first");
pub(super) static SKIP: Parameter =
    query("skip", Is::Number(0, None, Some(0)), "How many are left out before the first");
pub(super) static RULES: &[&Parameter] = &[&RULE_WORDS, &TECHNIQUE, &LEVEL, &SORT, &SKIP, &LIMIT];

// Pages. A field left empty in a form means nothing.
pub(super) static PAGE_MODE: Parameter = query(
    "mode",
    Is::Words(&["", "text", "semantic", "hybrid"]),
    "As a query, by meaning, or as plain words; else as it reads",
);
pub(super) static PAGE_ORDER: Parameter =
    query("order", Is::Words(&["", "newest", "oldest"]), "Order of the events");
pub(super) static OF_ALERT: Parameter = number_of("alert", "Only events of this alert");
pub(super) static COLUMNS: Parameter =
    text_of("cols", "Columns of the table, separated by commas: names of fields, or time, event, message …");
pub(super) static BEHIND: Parameter =
    text_of("behind", "The page behind the event with this time and number, written TIME_NUMBER");
pub(super) static UP_TO: Parameter =
    query("upto", Is::Number(0, None, None), "Only events that had arrived by this number");
pub(super) static COUNT: Parameter =
    query("count", Is::Words(&["", "all"]), "all: count every event, however long it takes");
pub(super) static SEARCH_PAGE: &[&Parameter] = &[
    &Q,
    &PAGE_MODE,
    &FILTER,
    &AFTER,
    &BEFORE,
    &ENTITY,
    &OF_ALERT,
    &PAGE_ORDER,
    &COLUMNS,
    &BEHIND,
    &UP_TO,
    &COUNT,
];

pub(super) static ALERT_WORDS: Parameter =
    text_of("q", "Words of title, entities, techniques and source; or #12 for alert 12");
pub(super) static STATE: Parameter =
    query("state", Is::Words(&["", "open", "closed", "all"]), "Alerts: open ones where nothing is said");
pub(super) static VERDICT: Parameter = text_of(
    "verdict",
    "malicious, suspicious, inconclusive, benign or none; any of several, separated by commas",
);
pub(super) static SEVERITY: Parameter = text_of("severity", "Any of several, separated by commas");
pub(super) static SOURCE: Parameter =
    text_of("source", "Rule or product; any of several, separated by commas");
pub(super) static ASSIGNEE: Parameter =
    text_of("assignee", "Whose; none for nobody's; any of several, separated by commas");
pub(super) static SEEN_AFTER: Parameter = text_of("after", "Last seen at or after this time");
pub(super) static SEEN_BEFORE: Parameter = text_of("before", "Last seen at or before this time");
pub(super) static URGENCY: Parameter =
    query("order", Is::Words(&["", "priority", "newest"]), "The most urgent first, or the newest");
pub(super) static START: Parameter = text_of("start", "How many are left out before the first");
pub(super) static QUEUE: &[&Parameter] = &[
    &ALERT_WORDS,
    &STATE,
    &VERDICT,
    &SEVERITY,
    &SOURCE,
    &TECHNIQUE,
    &ENTITY,
    &ASSIGNEE,
    &SEEN_AFTER,
    &SEEN_BEFORE,
    &URGENCY,
    &START,
];
pub(super) static CASE_STATE: Parameter =
    query("state", Is::Words(&["", "open", "closed", "all"]), "Cases: all where nothing is said");
pub(super) static CASES: &[&Parameter] = &[&CASE_STATE, &VERDICT, &URGENCY, &START];

pub(super) static ALERT_IDS: Parameter = text_of("ids", "Numbers of alerts, separated by commas, at most 75");
pub(super) static FROM: Parameter =
    text_of("from", "Beginning of the part of the timeline that is drawn (RFC 3339)");
pub(super) static TO: Parameter = text_of("to", "End of it");
pub(super) static TASK: Parameter = number_of("task", "Which prompt: place in the list of tasks");
pub(super) static READING: Parameter = number_of("reading", "Over which order of the evidence");
pub(super) static DRAFT_OF: Parameter =
    text_of("of", "Name of what is in use and is to be edited; none for something new");
pub(super) static QUESTION: Parameter = text_of("question", "Stands in the form");
pub(super) static ABOUT_CASE: Parameter = number_of("case", "The case that is asked about");
pub(super) static ABOUT_INVESTIGATION: Parameter =
    number_of("investigation", "The investigation that is asked about");
pub(super) static NEXT: Parameter = text_of("next", "The page that a login leads to");
