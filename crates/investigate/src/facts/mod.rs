//! What can code say for certain about these events?
//!
//! Deterministic predicates with the events they rest on. Most look at one event ([`of_event`]): commands and
//! registry writes go by tables of patterns ([`commands`], [`registry`]), the rest by topic. A few look at
//! several events ([`sequence`]) or at the site ([`local`]). Each fact has one signed weight ([`table`]); a raising
//! one counts less the looser its events are tied to the alert ([`Relation::factor`]).

mod activity;
mod bursts;
mod cloud;
mod commands;
mod directory;
mod discovery;
mod honeypot;
mod identity;
mod inject;
mod linux;
mod local;
mod ot;
mod process;
mod registry;
mod sensor;
mod sequence;
mod table;
mod usual;
mod web;

pub(crate) use table::Kind;

use crate::baseline::Baseline;
use crate::relate::Relation;
use crate::render;
use crate::site::Site;
use crate::view::View;
use casemate_event::{EventId, Severity, Stored};
use regex::Regex;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

/// Most events a fact names.
const MAX_EVENTS: usize = 3;
/// Most that facts from merely nearby events can raise together: they may lift an alert, never convict it.
const MAX_NEAR: f64 = 0.6;
/// Share of a weight that counts where its event has raised more by another fact.
const REPEATED: f64 = 0.5;

/// Everything facts may look at.
pub(crate) struct Scene<'a> {
    /// Candidate events, oldest first, the alert's own among them.
    pub(crate) events: &'a [Stored],
    /// Tie of each of `events` to the alert.
    pub(crate) relations: &'a [Relation],
    /// Rules that match each of `events`, the alert's own rule left out.
    pub(crate) detections: &'a [Vec<Hit>],
    pub(crate) site: &'a Site,
    pub(crate) past: &'a Past,
}

/// A rule that matches an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) severity: Severity,
    pub(crate) rule: String,
    pub(crate) title: String,
    /// ATT&CK techniques the rule names.
    pub(crate) techniques: Vec<String>,
}

/// What this site's logs said before the alert.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Past {
    /// Times of earlier events that say the same as the alert's first one, oldest first.
    pub(crate) same: Vec<jiff::Timestamp>,
    /// How usual each thing about the alert is.
    pub(crate) baseline: Baseline,
}

/// Something that is certainly so, and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) statement: String,
    /// Events it rests on, closest to the alert first.
    pub(crate) events: Vec<EventId>,
    pub(crate) relation: Relation,
    /// Signed logits that count.
    pub(crate) weight: f64,
}

/// Names of all facts that code can establish, in the order of the table.
pub fn fact_names() -> impl Iterator<Item = &'static str> {
    Kind::ALL.iter().map(|kind| kind.entry().name)
}

/// Techniques that facts are signs of.
#[cfg(test)]
pub(crate) fn techniques() -> impl Iterator<Item = &'static str> {
    Kind::ALL.iter().filter_map(|kind| kind.entry().technique)
}

/// What one event says of one fact, as a statement, or nothing.
type Predicate = fn(View<'_>) -> Option<String>;

/// Predicates over one event, by topic.
const TOPICS: [&[(Kind, Predicate)]; 12] = [
    process::FACTS,
    discovery::FACTS,
    inject::FACTS,
    directory::FACTS,
    activity::FACTS,
    linux::FACTS,
    web::FACTS,
    sensor::FACTS,
    cloud::FACTS,
    identity::FACTS,
    ot::FACTS,
    honeypot::FACTS,
];

/// What one event establishes by itself: each kind once.
fn of_event(view: View<'_>) -> BTreeMap<Kind, String> {
    let mut found = BTreeMap::new();
    let rows = commands::find(view).into_iter().chain(registry::find(view));
    let single = TOPICS
        .iter()
        .flat_map(|topic| topic.iter())
        .filter_map(|(kind, predicate)| predicate(view).map(|statement| (*kind, statement)));
    let text = local::instruction_text(view).map(|statement| (Kind::InstructionText, statement));
    for (kind, statement) in rows.chain(single).chain(text) {
        found.entry(kind).or_insert(statement);
    }
    found
}

/// Facts that rest on more than events: on the site's word, its past, or its rules.
const ELSEWHERE: [Kind; 24] = [
    Kind::OtherDetections,
    Kind::FirstSeen,
    Kind::RecursRegularly,
    Kind::ApprovedTool,
    Kind::ExpectedAdministrator,
    Kind::ExpectedServiceAccount,
    Kind::KnownScanner,
    Kind::ChangeTicketCovers,
    Kind::ChangeTicketOpen,
    Kind::MaintenanceWindow,
    Kind::FirstSeenProcess,
    Kind::RareParentChild,
    Kind::FirstSeenJob,
    Kind::NewLogonPath,
    Kind::NewDestination,
    Kind::NewUserAgent,
    Kind::NewCloudOperation,
    Kind::NewSignature,
    Kind::NewDeviceOperation,
    Kind::OutsideWorkingHours,
    Kind::SignatureBurst,
    Kind::NewSignatureKinds,
    Kind::CommonHere,
    Kind::RoutineRepeat,
];

/// All facts of a scene, weightiest first.
pub(crate) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = per_event(scene);
    findings.extend(sequence::find(scene));
    findings.extend(local::find(scene));
    findings.extend(detections(scene));
    findings.retain(|finding| finding.weight != 0.0);
    sort(&mut findings);
    halve_repeats(&mut findings);
    cap_near(&mut findings);
    sort(&mut findings);
    findings
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()).then(a.kind.cmp(&b.kind)));
}

/// Halves what an event raises that has raised more already: several patterns in one command are one thing seen
/// several ways. Expects the weightiest first.
fn halve_repeats(findings: &mut [Finding]) {
    let mut told = BTreeSet::new();
    for finding in findings.iter_mut().filter(|finding| finding.weight > 0.0) {
        if finding.events.first().is_some_and(|first| !told.insert(*first)) {
            finding.weight *= REPEATED;
        }
    }
}

/// One finding per predicate: its closest event speaks, the others are counted.
fn per_event(scene: &Scene<'_>) -> Vec<Finding> {
    let mut found: BTreeMap<Kind, Vec<(Relation, usize, String)>> = BTreeMap::new();
    for (index, (stored, relation)) in scene.events.iter().zip(scene.relations).enumerate() {
        if *relation == Relation::Similar {
            continue;
        }
        for (kind, statement) in of_event(View(&stored.event)) {
            // What lowers must be about the alert itself, not about its neighbours.
            if kind.entry().weight < 0.0 && *relation != Relation::Alert {
                continue;
            }
            found.entry(kind).or_default().push((*relation, index, statement));
        }
    }
    found
        .into_iter()
        .filter_map(|(kind, mut hits)| {
            hits.sort_by_key(|(relation, index, _)| (*relation, *index));
            let (relation, _, statement) = hits.first().cloned()?;
            let others = hits.len() - 1;
            let statement = match others {
                0 => statement,
                1 => format!("{statement} (and once more)"),
                n => format!("{statement} (and {n} times more)"),
            };
            let closest = hits.iter().filter(|hit| hit.0 == relation);
            let events = closest.take(MAX_EVENTS).map(|(_, index, _)| scene.events[*index].id).collect();
            Some(finding(kind, statement, events, relation))
        })
        .collect()
}

/// Whether the cited events bear a fact out when code looks at them again: each of them, if it is a fact of one
/// event; together with all other `events`, if of several. `None` if it rests on more than events.
pub(crate) fn holds(name: &str, statement: &str, cited: &[EventId], events: &[Stored]) -> Option<bool> {
    let kind = *Kind::ALL.iter().find(|kind| kind.entry().name == name)?;
    if ELSEWHERE.contains(&kind) {
        return None;
    }
    let own = events.iter().filter(|stored| cited.contains(&stored.id));
    let said: Vec<Option<String>> = own.map(|stored| of_event(View(&stored.event)).remove(&kind)).collect();
    if !said.is_empty() && said.iter().all(Option::is_some) {
        return Some(said.iter().flatten().any(|said| statement.starts_with(said.as_str())));
    }
    let relations = vec![Relation::Alert; events.len()];
    let detections = vec![Vec::new(); events.len()];
    let (site, past) = (Site::default(), Past::default());
    let scene = Scene { events, relations: &relations, detections: &detections, site: &site, past: &past };
    let several = sequence::find(&scene);
    Some(
        several.iter().filter(|finding| finding.kind == kind).any(|finding| {
            finding.statement == statement || cited.iter().any(|id| finding.events.contains(id))
        }),
    )
}

/// A finding with the weight of its row, scaled by its tie if it raises.
fn finding(kind: Kind, statement: String, events: Vec<EventId>, relation: Relation) -> Finding {
    let weight = kind.entry().weight;
    let weight = if weight > 0.0 { weight * relation.factor() } else { weight };
    Finding { kind, statement, events, relation, weight }
}

/// Rules other than the alert's own that match events tied to it.
fn detections(scene: &Scene<'_>) -> Option<Finding> {
    let mut seen = BTreeSet::new();
    let mut hits = Vec::new();
    for ((stored, relation), detections) in scene.events.iter().zip(scene.relations).zip(scene.detections) {
        for hit in detections.iter().filter(|_| *relation < Relation::Near) {
            if seen.insert(hit.rule.as_str()) {
                hits.push((hit, stored.id, *relation));
            }
        }
    }
    hits.sort_by(|a, b| b.0.severity.cmp(&a.0.severity).then_with(|| a.0.rule.cmp(&b.0.rule)));
    let relation = hits.iter().map(|hit| hit.2).min()?;
    let worth = |severity| match severity {
        Severity::Critical => 1.0,
        Severity::High => 0.6,
        Severity::Medium => 0.3,
        Severity::Low => 0.1,
        Severity::Informational => 0.0,
    };
    let sum: f64 = hits.iter().map(|(hit, _, relation)| worth(hit.severity) * relation.factor()).sum();
    let titles: Vec<String> =
        hits.iter().take(3).map(|(hit, _, _)| format!("{} ({})", quoted(&hit.title), hit.severity)).collect();
    let more = hits.len().saturating_sub(titles.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(Finding {
        kind: Kind::OtherDetections,
        statement: format!(
            "other detection rules match events tied to the alert: {}{rest}",
            titles.join(", ")
        ),
        events: hits.iter().take(MAX_EVENTS).map(|hit| hit.1).collect(),
        relation,
        weight: sum.min(1.5),
    })
}

/// Scales down what merely nearby events raise to [`MAX_NEAR`] in all.
fn cap_near(findings: &mut [Finding]) {
    let near = |finding: &&mut Finding| finding.relation == Relation::Near && finding.weight > 0.0;
    let sum: f64 =
        findings.iter().filter(|f| f.relation == Relation::Near && f.weight > 0.0).map(|f| f.weight).sum();
    if sum > MAX_NEAR {
        findings.iter_mut().filter(near).for_each(|finding| finding.weight *= MAX_NEAR / sum);
    }
}

/// A value from a log, safe to stand in a sentence.
fn quoted(value: &str) -> String {
    format!("\"{}\"", render::clean(value, 160))
}

fn contains_any(text: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| text.contains(needle))
}

/// A regular expression over text in lower case, compiled when first needed. The `regex` crate matches in
/// linear time, so no log line can stall it.
struct Pattern {
    regex: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    const fn new(regex: &'static str) -> Self {
        Self { regex, compiled: OnceLock::new() }
    }

    /// Whether it occurs in `text`. One that does not compile matches nothing; a test compiles them all.
    fn is_in(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(self.regex).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// As [`Pattern::is_in`], for a pattern used in one place. Compiled once per thread.
fn pattern(text: &str, regex: &'static str) -> bool {
    thread_local! {
        static COMPILED: RefCell<HashMap<&'static str, Option<Regex>>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let compiled = compiled.entry(regex).or_insert_with(|| {
            let compiled = Regex::new(regex);
            debug_assert!(compiled.is_ok(), "{regex}: {compiled:?}");
            compiled.ok()
        });
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    })
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod examples;
