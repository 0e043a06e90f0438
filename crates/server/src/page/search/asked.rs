//! What was asked for on the search page, how is it read, and what does the address of a neighbouring search look like?

use crate::api::suggest::clause;
use crate::page::parts::{shorten, url_encode};
use crate::params::{Mode, OrderParam, SearchParams};
use crate::problem::{Problem, Result};
use casemate_event::{AlertId, EntityKind, EventId};
use casemate_store::{Error, Order, Query, Reading, read};
use jiff::Timestamp;
use serde::Deserialize;

/// Events shown on one page.
pub(super) const PAGE_SIZE: usize = 25;
/// Columns beside those that are always there.
const MAX_COLUMNS: usize = 12;
/// Longest encoded search that every link of a page repeats: there are a hundred of them.
const MAX_LINKED: usize = 500;
/// Longest text that any link repeats; no longer one is a query.
const MAX_TEXT: usize = 4096;
/// Characters of a query in the title of the page.
const TITLE_CHARS: usize = 80;

/// Names of the query string, in the order in which addresses have them.
const NAMES: [&str; 12] =
    ["q", "mode", "filter", "entity", "alert", "after", "before", "order", "cols", "behind", "upto", "count"];
/// Those that mean one page of the results, or how they are counted.
const OF_PAGE: [&str; 3] = ["behind", "upto", "count"];

/// The query string of the page. Everything is text, so that a field left empty in the form means nothing.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageParams {
    pub(super) q: String,
    pub(super) mode: String,
    pub(super) filter: String,
    pub(super) entity: String,
    pub(super) alert: String,
    pub(super) after: String,
    pub(super) before: String,
    pub(super) order: String,
    pub(super) cols: String,
    behind: String,
    pub(super) upto: String,
    pub(super) count: String,
}

/// How the text is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As a query over words and fields.
    Query,
    /// As plain words: by words, names and meaning at once.
    Hybrid,
    /// By meaning alone.
    Semantic,
}

/// A reading, why it was chosen, and what else it could have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) how: How,
    pub(super) said: &'static str,
    pub(super) others: Vec<(&'static str, String)>,
}

/// What is wrong with a query, and where.
pub(super) struct Mistake {
    pub(super) before: String,
    /// The character it is about; empty at the end.
    pub(super) at: String,
    pub(super) after: String,
    pub(super) reason: String,
    pub(super) hint: &'static str,
    /// The same as plain words, where that may have been meant.
    pub(super) as_words: Option<String>,
}

/// A condition that narrows the search, and the search without it.
pub(super) struct Chip {
    pub(super) text: String,
    pub(super) without: String,
}

impl PageParams {
    fn get(&self, name: &str) -> &str {
        match name {
            "q" => &self.q,
            "mode" => &self.mode,
            "filter" => &self.filter,
            "entity" => &self.entity,
            "alert" => &self.alert,
            "after" => &self.after,
            "before" => &self.before,
            "order" => &self.order,
            "cols" => &self.cols,
            "behind" => &self.behind,
            "upto" => &self.upto,
            _ => &self.count,
        }
    }

    /// The text as a query: a question's mark, which would stand for any character, is left out of plain words.
    pub(super) fn text(&self) -> &str {
        let text = self.q.trim();
        let words = text.strip_suffix('?').filter(|_| matches!(read(text), Ok(Reading::Words(_))));
        words.unwrap_or(text)
    }

    /// What the page is called after.
    pub(super) fn title(&self) -> String {
        shorten(self.q.trim(), TITLE_CHARS)
    }

    /// The search without anything that narrows it.
    pub(super) fn cleared(&self) -> String {
        self.href(&[("filter", ""), ("entity", ""), ("alert", ""), ("after", ""), ("before", "")])
    }

    /// The entity whose page is meant, if nothing but an entity is asked for.
    pub(super) fn only_entity(&self) -> Option<casemate_event::Entity> {
        let others =
            NAMES.iter().filter(|name| **name != "entity").all(|name| self.get(name).trim().is_empty());
        if others { self.entity.trim().parse().ok() } else { None }
    }

    /// The same search with other values, from its first page on.
    pub(super) fn href(&self, changes: &[(&str, &str)]) -> String {
        self.address("/search", changes)
    }

    pub(super) fn address(&self, path: &str, changes: &[(&str, &str)]) -> String {
        let value = |name: &str| {
            let changed = changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
            let is_left = OF_PAGE.contains(&name) || self.get(name).len() > MAX_TEXT;
            let kept = if is_left { "" } else { self.get(name).trim() };
            changed.unwrap_or(kept).to_owned()
        };
        let pairs = NAMES.iter().map(|name| (*name, value(name))).filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", url_encode(&value))).collect();
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
    }

    /// Whether the query is short enough to be repeated in every link of the page.
    pub(super) fn is_linkable(&self) -> bool {
        let parts = ["q", "filter", "entity", "cols"];
        parts.iter().map(|name| url_encode(self.get(name)).len()).sum::<usize>() <= MAX_LINKED
    }

    /// The search narrowed by one more condition.
    pub(super) fn narrowed(&self, condition: &str) -> String {
        let filter = match self.filter.trim() {
            "" => condition.to_owned(),
            filter => format!("{filter} AND {condition}"),
        };
        self.href(&[("filter", &filter)])
    }

    /// The search narrowed to what has a value, and to what has not.
    pub(super) fn with_and_without(&self, name: &str, value: &str) -> (String, String) {
        let condition = clause(name, value);
        (self.narrowed(&condition), self.narrowed(&format!("NOT {condition}")))
    }

    /// What narrows the search beside its text.
    pub(super) fn chips(&self) -> Vec<Chip> {
        let conditions = conditions(&self.filter);
        let mut chips = Vec::new();
        for (place, condition) in conditions.iter().enumerate() {
            let others = conditions.iter().enumerate().filter(|(other, _)| *other != place);
            let rest: Vec<&str> = others.map(|(_, condition)| *condition).collect();
            chips.push(Chip {
                text: (*condition).to_owned(),
                without: self.href(&[("filter", &rest.join(" AND "))]),
            });
        }
        for (name, said) in
            [("entity", "about "), ("alert", "of alert #"), ("after", "from "), ("before", "until ")]
        {
            let value = self.get(name).trim();
            if !value.is_empty() {
                chips.push(Chip { text: format!("{said}{value}"), without: self.href(&[(name, "")]) });
            }
        }
        chips
    }

    pub(super) fn is_oldest_first(&self) -> bool {
        self.order == "oldest"
    }

    /// Columns asked for, without doubles.
    pub(super) fn columns(&self) -> Result<Vec<String>> {
        let mut columns: Vec<String> = Vec::new();
        for name in self.cols.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !columns.iter().any(|known| known == name) {
                columns.push(name.to_owned());
            }
        }
        if columns.len() > MAX_COLUMNS || columns.iter().any(|name| name.len() > 100) {
            let detail = format!("a table has {MAX_COLUMNS} columns at most, each the name of a field");
            return Err(Problem::bad_request(detail));
        }
        Ok(columns)
    }

    /// The query the store answers; `text` apart, as plain words are no part of it.
    pub(super) fn to_query(&self, text: &str, alert_events: Vec<EventId>) -> Result<Query> {
        let order = match self.order.as_str() {
            "" | "newest" => Order::NewestFirst,
            "oldest" => Order::OldestFirst,
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(Problem::bad_request(format!("order is {shown:?}; it can be newest or oldest")));
            }
        };
        let search = SearchParams {
            filter: self.filter.clone(),
            after: self.after.clone(),
            before: self.before.clone(),
            entity: self.entity.clone(),
            limit: Some(PAGE_SIZE),
            order: Some(if order == Order::OldestFirst { OrderParam::Oldest } else { OrderParam::Newest }),
            ..SearchParams::default()
        };
        Ok(Query {
            ids: alert_events,
            up_to: self.up_to()?,
            behind: self.behind()?,
            ..search.to_query(text, order)?
        })
    }

    /// Whether this is another page than the first.
    pub(super) fn is_later_page(&self) -> bool {
        !self.behind.trim().is_empty()
    }

    /// The newest event when the first page was made.
    pub(super) fn up_to(&self) -> Result<Option<EventId>> {
        Ok(whole_number("upto", &self.upto)?.map(EventId))
    }

    /// How many of a list by rank the pages before this one had.
    pub(super) fn ranks_before(&self) -> Result<usize> {
        let before = whole_number("behind", &self.behind)?.unwrap_or(0);
        Ok(usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// Where the page before this one ended.
    fn behind(&self) -> Result<Option<(Timestamp, EventId)>> {
        let text = self.behind.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let read = text
            .rsplit_once('_')
            .and_then(|(time, id)| Some((time.parse().ok()?, EventId(id.parse().ok()?))));
        let wrong =
            || Problem::bad_request("behind is no place in a list; go on from the first page by its links");
        read.map(Some).ok_or_else(wrong)
    }

    /// The alert whose events are asked for.
    pub(super) fn alert(&self) -> Result<Option<AlertId>> {
        Ok(whole_number("alert", &self.alert)?.map(AlertId))
    }

    /// How the text is to be read: as asked for, or as it looks.
    ///
    /// # Errors
    /// The inner one says what is wrong with it as a query.
    pub(super) fn choose(&self, can_semantic: bool) -> Result<std::result::Result<Choice, Box<Mistake>>> {
        let other = |label, mode: &str| (label, self.href(&[("mode", mode)]));
        let is_short = self.q.len() <= MAX_TEXT;
        let choice = |how, said, others: Vec<(&'static str, String)>| {
            Ok(Ok(Choice { how, said, others: if is_short { others } else { Vec::new() } }))
        };
        let as_query = || other("search it as a query instead", "text");
        let as_words = || other("search it as plain words instead", "hybrid");
        match self.mode() {
            Err(problem) => return Err(problem),
            Ok(Some(Mode::Hybrid)) => {
                return choice(
                    How::Hybrid,
                    "Searched as plain words: by words, names and meaning.",
                    vec![as_query()],
                );
            }
            Ok(Some(Mode::Semantic)) => {
                return choice(How::Semantic, "Searched by meaning alone.", vec![as_words(), as_query()]);
            }
            Ok(Some(Mode::Text) | None) => {}
        }
        let is_explicit = !self.mode.trim().is_empty();
        match read(self.q.trim()) {
            Ok(Reading::Everything) => choice(How::Query, "", Vec::new()),
            Ok(Reading::Query) => choice(How::Query, "Read as a query.", vec![as_words()]),
            Ok(Reading::Words(_)) if is_explicit => {
                choice(How::Query, "Read as a query: every word has to occur.", vec![as_words()])
            }
            Ok(Reading::Words(1)) => choice(
                How::Query,
                "One word, looked up as it stands.",
                vec![other("find what is like it", "hybrid")],
            ),
            Ok(Reading::Words(_)) if can_semantic => choice(
                How::Hybrid,
                "Read as plain words: found by words, names and meaning.",
                vec![as_query()],
            ),
            Ok(Reading::Words(_)) => choice(
                How::Query,
                "Read as words that all have to occur; without the embedding model nothing is found by meaning.",
                vec![other("find events with any of them", "hybrid")],
            ),
            Err(Error::Query { reason, column, hint, .. }) => {
                if !is_explicit && self.looks_like_prose() {
                    return choice(
                        How::Hybrid,
                        "Read as plain words, as it is no query.",
                        vec![other("say what is wrong with it as a query", "text")],
                    );
                }
                let as_words = is_short.then(|| self.href(&[("mode", "hybrid")]));
                Ok(Err(Box::new(Mistake::new(&self.q, reason, column, hint, as_words))))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn mode(&self) -> Result<Option<Mode>> {
        match self.mode.trim() {
            "" | "auto" => Ok(None),
            "text" => Ok(Some(Mode::Text)),
            "hybrid" => Ok(Some(Mode::Hybrid)),
            "semantic" => Ok(Some(Mode::Semantic)),
            other => {
                let shown: String = other.chars().take(40).collect();
                Err(Problem::bad_request(format!("mode is {shown:?}; it can be text, hybrid or semantic")))
            }
        }
    }

    /// Whether a text that is no query is a sentence or a pasted line of a log: many words, and none of the signs of a
    /// query.
    fn looks_like_prose(&self) -> bool {
        const FEW: usize = 5;
        const LONGEST: usize = 4096;
        let text = self.q.trim();
        let is_sign = |word: &str| {
            let field = word.split_once(':').map(|(name, _)| name.trim_start_matches(['-', '(', '!']));
            matches!(word, "AND" | "OR" | "NOT") || field.is_some_and(is_field)
        };
        text.len() <= LONGEST
            && text.split_whitespace().count() >= FEW
            && !text.split_whitespace().any(is_sign)
    }
}

fn is_field(name: &str) -> bool {
    let kinds = EntityKind::ALL.iter().any(|kind| kind.name() == name);
    kinds
        || casemate_event::field::known(name).is_some()
        || matches!(name, "message" | "format" | "class" | "source")
}

fn whole_number(name: &str, text: &str) -> Result<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let shown: String = text.chars().take(40).collect();
    text.parse()
        .map(Some)
        .map_err(|_| Problem::bad_request(format!("{name} is {shown:?}, which is no number")))
}

impl Mistake {
    /// Characters shown around the place.
    const AROUND: usize = 60;

    pub(super) fn new(
        text: &str,
        reason: String,
        column: usize,
        hint: &'static str,
        as_words: Option<String>,
    ) -> Self {
        let characters: Vec<char> = text.trim().chars().take(5000).collect();
        let at = (column - 1).min(characters.len());
        let from = at.saturating_sub(Self::AROUND);
        let to = (at + Self::AROUND).min(characters.len());
        let cut = |more: bool| if more { "…" } else { "" };
        Self {
            before: format!("{}{}", cut(from > 0), characters[from..at].iter().collect::<String>()),
            at: characters.get(at).map(char::to_string).unwrap_or_default(),
            after: characters.get(at + 1..to).unwrap_or_default().iter().collect::<String>()
                + cut(to < characters.len()),
            reason,
            hint,
            as_words,
        }
    }
}

/// The conditions of a filter: what stands between `AND`s outside of quotes and parentheses.
fn conditions(filter: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_usize, false, false);
    for (place, character) in filter.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match character {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ' ' if !quoted && depth == 0 && filter[place..].starts_with(" AND ") => {
                found.push(filter[start..place].trim());
                start = place + " AND".len();
            }
            _ => {}
        }
    }
    found.push(filter[start.min(filter.len())..].trim());
    found.retain(|condition| !condition.is_empty());
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn of(q: &str) -> PageParams {
        PageParams { q: q.to_owned(), ..PageParams::default() }
    }

    #[track_caller]
    fn check_how(q: &str, mode: &str, can_semantic: bool, expected: Option<How>) {
        let params = PageParams { mode: mode.to_owned(), ..of(q) };
        let choice = params.choose(can_semantic).unwrap_or_else(|problem| panic!("{}", problem.detail));
        assert_eq!(choice.ok().map(|choice| choice.how), expected, "{q:?} {mode:?}");
    }

    #[test]
    fn what_is_typed_decides_how_it_is_read() {
        check_how("", "", true, Some(How::Query));
        check_how("whoami", "", true, Some(How::Query));
        check_how("who dumped lsass", "", true, Some(How::Hybrid));
        check_how("who dumped lsass", "", false, Some(How::Query));
        check_how("who dumped lsass", "text", true, Some(How::Query));
        check_how("user:alice whoami", "", true, Some(How::Query));
        check_how("user:alice whoami", "hybrid", true, Some(How::Hybrid));
        check_how("user:alice", "semantic", true, Some(How::Semantic));
        check_how("usr:alice", "", true, None);
        check_how("Oct 11 22:14:15 ws5 app[7]: oops:x happened (again", "", true, Some(How::Hybrid));
        check_how("host:ws5 AND oops:x and more words here", "", true, None);
        check_how("who (", "text", true, None);
        assert!(PageParams { mode: "magic".into(), ..of("x") }.choose(true).is_err());
    }

    #[test]
    fn mistakes_show_their_place() {
        let Err(mistake) = of("a (b").choose(false).unwrap_or_else(|problem| panic!("{}", problem.detail))
        else {
            panic!("it is no query")
        };
        assert_eq!((&*mistake.before, &*mistake.at, &*mistake.after), ("a (b", "", ""));
        let mistake = Mistake::new(&"ä".repeat(500), String::new(), 200, "", None);
        assert!(mistake.before.starts_with('…') && mistake.after.ends_with('…') && mistake.at == "ä");
        Mistake::new("", String::new(), 99, "", None);
    }

    #[test]
    fn addresses_keep_the_search_and_leave_the_page() {
        let params = PageParams {
            filter: "host:ws5".into(),
            after: "-24h".into(),
            behind: "x".into(),
            count: "all".into(),
            ..of("a&b")
        };
        assert_eq!(params.href(&[]), "/search?q=a%26b&filter=host:ws5&after=-24h");
        assert_eq!(
            params.narrowed("NOT user:\"x y\""),
            "/search?q=a%26b&filter=host:ws5%20AND%20NOT%20user:%22x%20y%22&after=-24h"
        );
        assert_eq!(params.href(&[("q", ""), ("filter", ""), ("after", "")]), "/search");
        assert!(params.href(&[("behind", "t_1")]).ends_with("&behind=t_1"));
    }

    #[test]
    fn chips_can_be_taken_off() {
        assert_eq!(
            conditions(r#"host:"a AND \" b" AND (x AND y) AND NOT z"#),
            [r#"host:"a AND \" b""#, "(x AND y)", "NOT z"]
        );
        assert_eq!(conditions(""), Vec::<&str>::new());
        assert_eq!(conditions(" AND "), Vec::<&str>::new());
        let params = PageParams { filter: "host:a AND user:b".into(), before: "-1h".into(), ..of("x") };
        let chips: Vec<(String, String)> =
            params.chips().into_iter().map(|chip| (chip.text, chip.without)).collect();
        assert_eq!(chips[0], ("host:a".into(), "/search?q=x&filter=user:b&before=-1h".into()));
        assert_eq!(chips[2], ("until -1h".into(), "/search?q=x&filter=host:a%20AND%20user:b".into()));
    }

    #[test]
    fn an_entity_alone_has_a_page_of_its_own() {
        let only = |entity: &str, q: &str| PageParams { entity: entity.into(), ..of(q) }.only_entity();
        assert_eq!(only("host:WS5", "").map(|entity| entity.to_string()).as_deref(), Some("host:ws5"));
        assert_eq!(only("host:ws5", "x"), None);
        assert_eq!(only("nonsense", ""), None);
    }

    #[test]
    fn places_in_a_list_are_read_back() {
        let at = |behind: &str| {
            PageParams { behind: behind.into(), ..of("") }.behind().map_err(|problem| problem.detail)
        };
        let place = Some(("2026-03-02T09:14:01.12Z".parse().unwrap(), EventId(7)));
        assert_eq!(at("2026-03-02T09:14:01.12Z_7"), Ok(place));
        assert_eq!(at(""), Ok(None));
        assert!(at("x_7").is_err() && at("7").is_err());
    }
}
