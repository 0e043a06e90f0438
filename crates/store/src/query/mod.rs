//! What is asked for? The query as a value, its language, and what it means.

mod expr;
mod glob;
mod matches;
mod parse;
mod time;
mod words;

pub(crate) use expr::{Bound, Expr, Test};
pub(crate) use glob::Glob;
pub(crate) use matches::class_name;
pub(crate) use parse::parse;
pub use parse::{Reading, read};
pub(crate) use words::{MAX_WORD, each_word, words};

use casemate_event::{Class, Entity, EventId, Stored, TemplateId};
use jiff::Timestamp;

/// Which events, how many and in which order. Every part narrows the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// What to look for, in a language in the manner of KQL and Lucene: `user:alice AND
    /// process.cmd_line:*enc* earliest=-24h`. Words without a field are looked for in messages and names of
    /// entities, and all have to occur. Empty for all events.
    pub text: String,
    /// What it is narrowed to, in the same language, read apart from the text. Empty for no narrowing.
    pub filter: String,
    /// Not earlier than this.
    pub after: Option<Timestamp>,
    /// Not later than this.
    pub before: Option<Timestamp>,
    /// About any of these; empty for no matter what.
    pub entities: Vec<Entity>,
    /// Folded to any of these; empty for no matter which.
    pub templates: Vec<TemplateId>,
    /// Of any of these; empty for no matter which.
    pub classes: Vec<Class>,
    /// With these whole values of normalised fields (name and value, regardless of case), each of them. What a log
    /// says can be asked for as it stands here, without the escapes of the language.
    pub values: Vec<(String, String)>,
    /// Any of these; empty for no matter which.
    pub ids: Vec<EventId>,
    /// Arrived after this one: what is new since a search.
    pub newer_than: Option<EventId>,
    /// Arrived no later than this one: what was there when a search began.
    pub up_to: Option<EventId>,
    /// Behind the event with this time and number in an order by time: the next page. Not for other orders.
    pub behind: Option<(Timestamp, EventId)>,
    /// Most events to return. The total is counted in any case.
    pub limit: usize,
    /// Order of the events returned.
    pub order: Order,
}

/// Order of the events found. Events that tie are ordered by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By time, from the earliest.
    #[default]
    OldestFirst,
    /// By time, from the latest.
    NewestFirst,
    /// By BM25 over the words of messages, from the best match.
    Relevance,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResult {
    /// Events that match, returned or not; the most there can be, unless `counted`.
    pub total: u64,
    /// Whether the total was counted to the end. Where each event has to be read to be sure (phrases, patterns
    /// over several words), only so many are: then who shows the total says "at most".
    pub counted: bool,
    /// The first of them, at most as many as asked for.
    pub hits: Vec<Stored>,
}

/// Reads a time as people write it: RFC 3339, a date with or without a time of day (UTC), or one relative to `now`, as
/// in `-15m`, `-24h`, `now-7d`, `-1d@d`.
pub fn parse_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    time::parse(text.trim(), now)
}
