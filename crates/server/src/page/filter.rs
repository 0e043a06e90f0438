//! Which alerts does an address of the queue ask for? Filters that combine, each with how many alerts it would leave.
//!
//! `?verdict=malicious,suspicious&severity=high&entity=host:ws5&q=encoded+command`: within one name any of several,
//! between names all of them. Without `state` only open ones.

use super::parts::url_encode;
use crate::board::{Lists, Row, Verdict};
use crate::params::time;
use crate::problem::Result;
use casemate_event::{AlertId, Severity};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;

/// Words looked for at once.
const MOST_WORDS: usize = 8;
/// What a filter says for alerts that have no verdict, or belong to nobody.
pub(crate) const NONE: &str = "none";
pub(crate) const SEVERITIES: [Severity; 5] =
    [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Informational];

/// A filter as it stands in the address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// Words of title, entities, techniques, source; or `#12`.
    pub(crate) q: String,
    /// `open` (the usual), `closed` or `all`.
    pub(crate) state: String,
    pub(crate) verdict: String,
    pub(crate) severity: String,
    pub(crate) source: String,
    pub(crate) technique: String,
    /// kind:value
    pub(crate) entity: String,
    pub(crate) assignee: String,
    /// Last seen at or after this time.
    pub(crate) after: String,
    pub(crate) before: String,
    /// `priority` (the usual) or `newest`.
    pub(crate) order: String,
    /// How many are left out before the first.
    pub(crate) start: String,
}

/// One of the things that filters are about; also the index of its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Text,
    State,
    Verdict,
    Severity,
    Source,
    Technique,
    Entity,
    Assignee,
    Time,
}

impl Filter {
    pub(crate) fn is_newest(&self) -> bool {
        self.order == "newest"
    }

    pub(crate) fn start(&self) -> usize {
        self.start.parse().unwrap_or(0)
    }

    /// The state asked for, as written in a list of them.
    pub(crate) fn state(&self) -> &'static str {
        match self.state.as_str() {
            "closed" => "closed",
            "all" => "all",
            _ => "open",
        }
    }

    /// Whether it leaves anything out that is shown by itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.parts().iter().all(|(name, value)| value.is_empty() || matches!(*name, "order" | "start"))
    }

    fn parts(&self) -> [(&'static str, &String); 12] {
        [
            ("q", &self.q),
            ("state", &self.state),
            ("verdict", &self.verdict),
            ("severity", &self.severity),
            ("source", &self.source),
            ("technique", &self.technique),
            ("entity", &self.entity),
            ("assignee", &self.assignee),
            ("after", &self.after),
            ("before", &self.before),
            ("order", &self.order),
            ("start", &self.start),
        ]
    }

    /// The address that asks for this.
    pub(crate) fn href(&self) -> String {
        let parts = self.parts().into_iter().filter(|(_, value)| !value.is_empty());
        let parts: Vec<String> = parts.map(|(name, value)| format!("{name}={}", url_encode(value))).collect();
        if parts.is_empty() { "/".to_owned() } else { format!("/?{}", parts.join("&")) }
    }

    /// The same from its first alert on, changed.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = Self { start: String::new(), ..self.clone() };
        change(&mut other);
        other
    }
}

const MOST_VALUES: usize = 32;

/// Values separated by commas.
pub(crate) fn listed(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The values of one filter that are looked at: each row is compared with each.
fn first_of(text: &str) -> Vec<&str> {
    let mut values = listed(text);
    values.truncate(MOST_VALUES);
    values
}

/// A list with a value put in, or taken out if it was there.
pub(crate) fn toggled(text: &str, value: &str) -> String {
    let mut all = listed(text);
    match all.iter().position(|other| *other == value) {
        Some(at) => {
            all.remove(at);
        }
        None => all.push(value),
    }
    all.join(",")
}

/// How many alerts each value would leave, under the other filters.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) open: usize,
    pub(crate) closed: usize,
    /// By [`Verdict::ALL`], then those without one.
    pub(crate) verdicts: [usize; 5],
    /// By [`SEVERITIES`].
    pub(crate) severities: [usize; 5],
    pub(crate) sources: HashMap<u32, usize>,
    pub(crate) techniques: HashMap<u32, usize>,
    pub(crate) assignees: HashMap<Option<u32>, usize>,
}

/// A filter made ready for these lists.
struct Wanted {
    /// For each word, which names have it.
    words: Vec<(String, Vec<bool>)>,
    open: Option<bool>,
    verdicts: Vec<Option<Verdict>>,
    severities: Vec<Severity>,
    sources: Vec<u32>,
    techniques: Vec<u32>,
    entities: Vec<u32>,
    assignees: Vec<Option<u32>>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

/// A name that no row has.
const UNKNOWN: u32 = u32::MAX;

impl Wanted {
    fn new(filter: &Filter, lists: &Lists) -> Result<Self> {
        // A name may hold commas itself.
        let names = |text: &str| -> Vec<u32> {
            match lists.names.find(text.trim()) {
                Some(whole) if !text.is_empty() => vec![whole],
                _ => {
                    first_of(text).into_iter().map(|name| lists.names.find(name).unwrap_or(UNKNOWN)).collect()
                }
            }
        };
        let words: Vec<String> =
            filter.q.split_whitespace().take(MOST_WORDS).map(str::to_lowercase).collect();
        let hits = |word: String| {
            let hits = lists.names.all().map(|name| name.to_lowercase().contains(&word)).collect();
            (word, hits)
        };
        let none_or = |name: &str| (name != NONE).then(|| lists.names.find(name).unwrap_or(UNKNOWN));
        Ok(Self {
            words: words.into_iter().map(hits).collect(),
            open: match filter.state() {
                "open" => Some(true),
                "closed" => Some(false),
                _ => None,
            },
            verdicts: first_of(&filter.verdict).into_iter().filter_map(verdict_named).collect(),
            severities: first_of(&filter.severity)
                .into_iter()
                .filter_map(|name| SEVERITIES.into_iter().find(|severity| severity.name() == name))
                .collect(),
            sources: names(&filter.source),
            techniques: names(&filter.technique),
            entities: names(&filter.entity),
            assignees: first_of(&filter.assignee).into_iter().map(none_or).collect(),
            after: time("after", &filter.after)?,
            before: time("before", &filter.before)?,
        })
    }

    fn has(&self, about: About, row: &Row) -> bool {
        fn any<T: PartialEq>(wanted: &[T], has: impl Fn(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(has)
        }
        match about {
            About::Text => self.words.iter().all(|(word, hits)| has_word(word, hits, row)),
            About::State => self.open.is_none_or(|open| open == row.is_open()),
            About::Verdict => {
                any(&self.verdicts, |verdict| *verdict == row.judged.map(|found| found.verdict))
            }
            About::Severity => any(&self.severities, |severity| *severity == row.severity),
            About::Source => any(&self.sources, |source| *source == row.source),
            About::Technique => any(&self.techniques, |technique| row.techniques.contains(technique)),
            About::Entity => any(&self.entities, |entity| row.entities.contains(entity)),
            About::Assignee => any(&self.assignees, |to| *to == row.assigned),
            About::Time => {
                self.after.is_none_or(|after| row.last_time >= after)
                    && self.before.is_none_or(|before| row.last_time <= before)
            }
        }
    }
}

/// `none` and `open`, as it was once called, are no verdict; what is no word of these is left out.
fn verdict_named(name: &str) -> Option<Option<Verdict>> {
    if name == NONE || name == "open" {
        return Some(None);
    }
    Verdict::ALL.into_iter().find(|verdict| verdict.name() == name).map(Some)
}

fn has_word(word: &str, hits: &[bool], row: &Row) -> bool {
    let hit = |name: &u32| hits.get(*name as usize).copied().unwrap_or(false);
    hit(&row.title)
        || row.entities.iter().any(hit)
        || row.techniques.iter().any(hit)
        || hit(&row.source)
        || row.assigned.as_ref().is_some_and(hit)
        || word.strip_prefix('#').and_then(|id| id.parse().ok()) == Some(row.id.0)
}

/// The alerts that a filter leaves, and how many each other value of it would.
pub(crate) struct Found {
    /// Those before and on the page asked for, in order.
    pub(crate) ids: Vec<AlertId>,
    /// How many there are.
    pub(crate) count: usize,
    pub(crate) counts: Counts,
}

/// Looks through all alerts once, for a page of `most`.
pub(crate) fn find(lists: &Lists, filter: &Filter, most: usize, now: Timestamp) -> Result<Found> {
    use About::{Assignee, Entity, Severity, Source, State, Technique, Text, Time, Verdict};
    let wanted = Wanted::new(filter, lists)?;
    let mut counts = Counts::default();
    let mut found: Vec<(f64, AlertId)> = Vec::new();
    for row in lists.alerts.values() {
        let mut failed = None;
        let mut failures = 0;
        for about in [State, Verdict, Severity, Source, Technique, Assignee, Entity, Time, Text] {
            if !wanted.has(about, row) {
                failed = Some(about);
                failures += 1;
                if failures > 1 {
                    break;
                }
            }
        }
        if failures > 1 {
            continue;
        }
        let counted = |about: About| failed.is_none() || failed == Some(about);
        if counted(State) {
            let count = if row.is_open() { &mut counts.open } else { &mut counts.closed };
            *count += 1;
        }
        if counted(Verdict) {
            let at = row.judged.and_then(|found| {
                crate::board::Verdict::ALL.iter().position(|verdict| *verdict == found.verdict)
            });
            counts.verdicts[at.unwrap_or(4)] += 1;
        }
        if counted(Severity)
            && let Some(at) = SEVERITIES.iter().position(|severity| *severity == row.severity)
        {
            counts.severities[at] += 1;
        }
        if counted(Source) {
            *counts.sources.entry(row.source).or_default() += 1;
        }
        if counted(Technique) {
            for technique in &row.techniques {
                *counts.techniques.entry(*technique).or_default() += 1;
            }
        }
        if counted(Assignee) {
            *counts.assignees.entry(row.assigned).or_default() += 1;
        }
        if failed.is_none() {
            // Of those that are closed the latest are looked for, whatever they were.
            let order = if filter.is_newest() {
                0.0
            } else if row.is_open() {
                lists.urgency(row, now)
            } else {
                -1.0
            };
            found.push((order, row.id));
        }
    }
    let before = |a: &(f64, AlertId), b: &(f64, AlertId)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1));
    let count = found.len();
    // Only what a page shows is put in order.
    let end = filter.start().min(count).saturating_add(most).min(count);
    if (1..count).contains(&end) {
        found.select_nth_unstable_by(end - 1, before);
        found.truncate(end);
    }
    found.sort_unstable_by(before);
    Ok(Found { ids: found.into_iter().map(|(_, id)| id).collect(), count, counts })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_what_it_was_made_of() {
        let filter = Filter {
            verdict: "malicious".into(),
            q: "a b&c".into(),
            start: "50".into(),
            ..Filter::default()
        };
        assert_eq!(filter.href(), "/?q=a%20b%26c&verdict=malicious&start=50");
        let uri: axum::http::Uri = filter.href().parse().unwrap();
        let axum::extract::Query(parsed) = axum::extract::Query::<Filter>::try_from_uri(&uri).unwrap();
        assert_eq!(parsed, filter);
        assert_eq!(Filter::default().href(), "/");
        let more = filter.with(|filter| filter.verdict = toggled(&filter.verdict, "benign"));
        assert_eq!((more.verdict.as_str(), more.start.as_str()), ("malicious,benign", ""));
        assert_eq!(toggled("malicious,benign", "malicious"), "benign");
    }
}
