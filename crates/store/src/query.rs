//! What is asked for? The query as a value, and its text turned into tantivy's query.

use crate::text::Fields;
use crate::{Error, Result};
use casemate_event::{Class, Entity, Stored, TemplateId};
use jiff::Timestamp;
use std::ops::Bound;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, Query as TantivyQuery, QueryParser, RangeQuery, TermSetQuery,
};
use tantivy::schema::Field;
use tantivy::{Index, Term};

/// Which events, how many and in which order. Every part narrows the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// tantivy query syntax over `message`, `host`, `user`, `ip`, `process`, `entity`, `format`, `class`,
    /// `template`, `time`, `id` and `fields.*`; words without a field are looked for in messages and names of
    /// entities, and all have to occur. Empty for all events.
    pub text: String,
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
    /// By BM25, from the best match.
    Relevance,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResult {
    /// Events that match, returned or not.
    pub total: u64,
    /// The first of them, at most as many as asked for.
    pub hits: Vec<Stored>,
}

/// Longest query text, in bytes. The parser recurses, so what it is given is bounded.
const MAX_TEXT: usize = 4096;
/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 16;

/// Query for the text index.
pub(crate) fn compile(query: &Query, index: &Index, fields: &Fields) -> Result<Box<dyn TantivyQuery>> {
    let mut parts = vec![parse(&query.text, index, fields)?];
    if query.after.is_some() || query.before.is_some() {
        let bound = |time: Option<Timestamp>| {
            time.map_or(Bound::Unbounded, |time| {
                Bound::Included(Term::from_field_date(fields.time, crate::text::date(time)))
            })
        };
        parts.push(filter(RangeQuery::new(bound(query.after), bound(query.before))));
    }
    let sets = [
        (fields.entity, query.entities.iter().map(Entity::to_string).collect::<Vec<_>>()),
        (fields.template, query.templates.iter().map(TemplateId::to_string).collect()),
        (fields.class, query.classes.iter().map(|class| class.uid().to_string()).collect()),
    ];
    for (field, values) in sets {
        if !values.is_empty() {
            parts.push(any_of(field, &values));
        }
    }
    Ok(match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            Box::new(BooleanQuery::intersection(parts))
        }
    })
}

fn any_of(field: Field, values: &[String]) -> Box<dyn TantivyQuery> {
    filter(TermSetQuery::new(values.iter().map(|value| Term::from_field_text(field, value))))
}

/// A part that selects without adding to the relevance.
fn filter(query: impl TantivyQuery) -> Box<dyn TantivyQuery> {
    Box::new(ConstScoreQuery::new(Box::new(query), 0.0))
}

fn parse(text: &str, index: &Index, fields: &Fields) -> Result<Box<dyn TantivyQuery>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Box::new(AllQuery));
    }
    check_bounds(text)?;
    let mut parser = QueryParser::for_index(index, vec![fields.message, fields.name]);
    parser.set_conjunction_by_default();
    parser.parse_query(text).map_err(|error| refused(text, error.to_string(), hint(&error)))
}

fn check_bounds(text: &str) -> Result<()> {
    if text.len() > MAX_TEXT {
        let reason = format!("it is {} bytes long and the limit is {MAX_TEXT}", text.len());
        return Err(refused(text, reason, "search for fewer words at once"));
    }
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let reason = format!("its parentheses nest deeper than {MAX_DEPTH}");
            return Err(refused(text, reason, "use fewer, or put literal parentheses in double quotes"));
        }
    }
    Ok(())
}

fn refused(text: &str, reason: String, hint: &'static str) -> Error {
    let shown: String = text.chars().take(200).collect();
    Error::Query { text: shown, reason, hint }
}

fn hint(error: &tantivy::query::QueryParserError) -> &'static str {
    use tantivy::query::QueryParserError as E;
    match error {
        E::FieldDoesNotExist(_) | E::FieldNotIndexed(_) => {
            "fields are message, host, user, ip, process, entity, format, class, template, time, id and \
             fields.NAME (such as fields.process.cmd_line); put a value that contains a colon in double quotes"
        }
        E::AllButQueryForbidden => "add something to look for, such as *, beside what to leave out",
        E::DateFormatError(_) => "write times as \"2024-01-31T08:00:00Z\"",
        _ => {
            "put values with spaces, colons, slashes or brackets in double quotes, as in process:\"a b.exe\""
        }
    }
}
