//! What do lists say of every alert and case? Kept in memory, so that no page reads them all from disk.
//!
//! Read once at the start; from then on the store tells what changed, and only that is read again: by whoever asks
//! next, or by a thread of its own that also tells followers of [`crate::live`]. Names are kept once and known by
//! number, so 100,000 alerts take some 40 MB and a page filters and counts them in some ten milliseconds.

use crate::headline::{Headline, Headlines};
use crate::hub::lock;
use crate::live::Live;
use crate::queue::Waiting;
use crate::record::Record;
use casemate_event::{Alert, AlertId, AlertOrigin, Case, CaseId, Disposition, Entity, Severity};
use casemate_investigate::Site;
use casemate_store::{AlertState, Change, Result, Store, What};
use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// Alerts read at once at the start.
const READ_AT_ONCE: usize = 2000;
/// Alerts of which one look tells followers one by one.
const MOST_TOLD: usize = 200;

/// The lists.
pub(crate) struct Board {
    lists: RwLock<Lists>,
    /// The number of the next change to look at.
    next: Mutex<u64>,
    site: Site,
}

/// Everything there is, in short.
#[derive(Default)]
pub(crate) struct Lists {
    pub(crate) alerts: BTreeMap<AlertId, Row>,
    pub(crate) cases: BTreeMap<CaseId, CaseRow>,
    pub(crate) names: Names,
    pub(crate) record: Record,
}

/// Names that rows share, each with a number.
#[derive(Default)]
pub(crate) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

/// An alert in short; names as numbers of [`Names`].
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: AlertId,
    pub(crate) title: u32,
    pub(crate) severity: Severity,
    /// The product that raised it, `Sigma rule` for a rule here.
    pub(crate) source: u32,
    /// Its number in the record of what was right before.
    pub(crate) origin: u32,
    pub(crate) techniques: Box<[u32]>,
    /// Written kind:value.
    pub(crate) entities: Box<[u32]>,
    pub(crate) event_count: u64,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
    /// When it was taken in; its first event where that is unknown.
    pub(crate) raised: Timestamp,
    pub(crate) case: Option<CaseId>,
    pub(crate) critical_asset: bool,
    pub(crate) judged: Option<Judged>,
    pub(crate) closed: Option<ClosedAs>,
    pub(crate) assigned: Option<u32>,
    pub(crate) said: Option<Opinion>,
    /// What a person said last that it was.
    pub(crate) truth: Option<Disposition>,
    /// What it counts as in the record.
    lesson: Option<bool>,
}

/// What an investigation found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) confidence: f32,
    pub(crate) convergence: f32,
    pub(crate) probability: f32,
    /// Seconds of machine time.
    pub(crate) seconds: f32,
}

/// A verdict, by gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Benign,
    Inconclusive,
    Suspicious,
    Malicious,
}

/// How it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClosedAs {
    pub(crate) verdict: Disposition,
    pub(crate) by_machine: bool,
}

/// What a person said of its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opinion {
    pub(crate) agrees: bool,
    pub(crate) truth: Option<Disposition>,
}

/// A case in short.
#[derive(Debug, Clone)]
pub(crate) struct CaseRow {
    pub(crate) id: CaseId,
    pub(crate) alerts: Vec<AlertId>,
    pub(crate) closed: Option<Disposition>,
    pub(crate) assigned: Option<u32>,
}

impl Verdict {
    pub(crate) const ALL: [Self; 4] = [Self::Malicious, Self::Suspicious, Self::Inconclusive, Self::Benign];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::Suspicious => "suspicious",
            Self::Inconclusive => "inconclusive",
            Self::Benign => "benign",
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name).unwrap_or(Self::Inconclusive)
    }

    /// How much more urgent an alert is for a person once it has this verdict.
    fn weight(self) -> f64 {
        match self {
            Self::Malicious => 4.0,
            Self::Suspicious => 2.0,
            Self::Inconclusive => 1.0,
            Self::Benign => 0.125,
        }
    }
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (name, number): (Arc<str>, u32) = (name.into(), self.names.len() as u32);
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    /// The number of a name that some row has.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

impl From<&Headline> for Judged {
    fn from(headline: &Headline) -> Self {
        Self {
            verdict: Verdict::of(&headline.verdict),
            confidence: headline.confidence as f32,
            convergence: headline.convergence as f32,
            probability: headline.probability as f32,
            seconds: headline.total_seconds() as f32,
        }
    }
}

impl Row {
    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

impl Lists {
    /// How urgent an alert is for a person: as the queue of the machine has it, with what was found in the place of
    /// the first guess, and graver verdicts before others.
    pub(crate) fn urgency(&self, row: &Row, now: Timestamp) -> f64 {
        let probability = row
            .judged
            .map_or_else(|| self.record.probability(row.origin), |found| f64::from(found.probability));
        let waiting = Waiting {
            alert: row.id,
            severity: row.severity,
            critical_asset: row.critical_asset,
            probability,
            raised: row.raised,
        };
        waiting.urgency(now) * row.judged.map_or(1.0, |found| found.verdict.weight())
    }

    /// The alerts of a case.
    pub(crate) fn members<'a>(&'a self, case: &'a CaseRow) -> impl Iterator<Item = &'a Row> {
        case.alerts.iter().filter_map(|id| self.alerts.get(id))
    }

    fn put(&mut self, state: &AlertState, judged: Option<Judged>, site: &Site) {
        let alert = &state.alert;
        let origin = self.record.origin(alert);
        // What a person decided counts; what a machine concluded, where it raises.
        let truth = state.decided().map(|closing| closing.verdict);
        let lesson = match truth {
            Some(truth) => Some(truth == Disposition::Malicious),
            None => judged.filter(|found| found.verdict >= Verdict::Suspicious).map(|_| true),
        };
        // Counted where it was counted before: an update may have given it another title.
        if let Some(before) = self.alerts.get(&alert.id) {
            self.record.count(before.origin, before.lesson, None);
        }
        self.record.count(origin, None, lesson);
        let names = &mut self.names;
        let source = match &alert.origin {
            AlertOrigin::Rule(_) => names.number("Sigma rule"),
            AlertOrigin::Product(product) => names.number(product),
        };
        let row = Row {
            id: alert.id,
            title: names.number(&alert.title),
            severity: alert.severity,
            source,
            origin,
            techniques: alert.techniques.iter().map(|technique| names.number(technique)).collect(),
            entities: shown_first(&alert.entities).map(|entity| names.number(&entity.to_string())).collect(),
            event_count: alert.event_count,
            first_time: alert.first_time,
            last_time: alert.last_time,
            raised: state.raised.unwrap_or(alert.first_time),
            case: state.case,
            critical_asset: site.is_critical(alert),
            judged,
            closed: state
                .closing
                .as_ref()
                .map(|closing| ClosedAs { verdict: closing.verdict, by_machine: closing.by_machine }),
            assigned: state.assigned.as_ref().map(|assigned| names.number(&assigned.to)),
            said: state.feedback.as_ref().map(|said| Opinion { agrees: said.agrees, truth: said.truth }),
            truth,
            lesson,
        };
        self.alerts.insert(alert.id, row);
    }

    fn put_case(&mut self, case: &Case) {
        let assigned = case.assigned.as_ref().map(|assigned| self.names.number(&assigned.to));
        let row = CaseRow {
            id: case.id,
            alerts: case.alerts.iter().map(|member| member.alert).collect(),
            closed: case.closed.as_ref().map(|closing| closing.verdict),
            assigned,
        };
        self.cases.insert(case.id, row);
    }
}

/// Hosts and accounts before what says less, runs of programs last.
fn shown_first(entities: &[Entity]) -> impl Iterator<Item = &Entity> {
    use casemate_event::EntityKind::{Host, Ip, ProcessId, User};
    let rank = |entity: &Entity| match entity.kind {
        Host => 0,
        User => 1,
        Ip => 2,
        ProcessId => 4,
        _ => 3,
    };
    (0..5).flat_map(move |wanted| entities.iter().filter(move |entity| rank(entity) == wanted))
}

impl Board {
    /// Reads all alerts and cases once.
    pub(crate) fn load(store: &Store, headlines: &Headlines, site: Site) -> Result<Self> {
        let next = store.next_change();
        let lists = read_all(store, headlines, &site)?;
        Ok(Self { lists: RwLock::new(lists), next: Mutex::new(next), site })
    }

    /// The lists as they are, without what changed in this moment.
    pub(crate) fn as_is(&self) -> RwLockReadGuard<'_, Lists> {
        self.lists.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lists with everything that is stored by now.
    pub(crate) fn now(
        &self,
        store: &Store,
        headlines: &Headlines,
        live: &Live,
    ) -> Result<RwLockReadGuard<'_, Lists>> {
        self.refresh(store, headlines, live, Duration::ZERO)?;
        Ok(self.as_is())
    }

    /// The first guess at an alert.
    pub(crate) fn guess(&self, alert: &Alert) -> f64 {
        self.as_is().record.guess(alert)
    }

    /// Reads what changed, waiting for at most `patience` if nothing has, and tells followers.
    pub(crate) fn refresh(
        &self,
        store: &Store,
        headlines: &Headlines,
        live: &Live,
        patience: Duration,
    ) -> Result<()> {
        if !patience.is_zero() {
            let from = *lock(&self.next);
            // Waited for without the lock, so that nobody who asks meanwhile waits as well.
            drop(store.changed_since(from, patience));
        }
        let mut next = lock(&self.next);
        let changed = store.changed_since(*next, Duration::ZERO);
        if changed.missed {
            let lists = read_all(store, headlines, &self.site)?;
            *self.lists.write().unwrap_or_else(PoisonError::into_inner) = lists;
            *next = changed.next;
            live.say(
                "gap",
                &json!({ "detail": "more changed at once than is told one by one; read the lists again" }),
            );
            return Ok(());
        }
        if changed.changes.is_empty() {
            return Ok(());
        }
        let ids: BTreeSet<AlertId> = changed.changes.iter().map(|change| change.alert).collect();
        for change in changed.changes.iter().filter(|change| change.what == What::Investigated) {
            if let Some(head) = store.investigation_head(change.alert)? {
                headlines.remember(change.alert, &head);
            }
        }
        let states = store.alert_states(&ids.into_iter().collect::<Vec<_>>())?;
        let cases: BTreeSet<CaseId> = states.iter().filter_map(|state| state.case).collect();
        let found = store.cases_of(&cases.into_iter().collect::<Vec<_>>())?;
        {
            let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
            for state in &states {
                let judged = headlines.get(state.alert.id).as_ref().map(Judged::from);
                lists.put(state, judged, &self.site);
            }
            for case in &found {
                lists.put_case(case);
            }
        }
        *next = changed.next;
        tell(&self.as_is(), live, &changed.changes, &found);
        Ok(())
    }
}

fn read_all(store: &Store, headlines: &Headlines, site: &Site) -> Result<Lists> {
    let mut lists = Lists::default();
    let mut after = AlertId(0);
    loop {
        let states = store.alert_states_after(after, READ_AT_ONCE)?;
        for state in &states {
            after = state.alert.id;
            lists.put(state, headlines.get(after).as_ref().map(Judged::from), site);
        }
        if states.len() < READ_AT_ONCE {
            break;
        }
    }
    for case in store.cases()? {
        lists.put_case(&case);
    }
    Ok(lists)
}

/// Tells followers what changed.
fn tell(lists: &Lists, live: &Live, changes: &[Change], cases: &[Case]) {
    let joined = |id: AlertId, case: CaseId| {
        let case = cases.get(cases.binary_search_by_key(&case, |case| case.id).ok()?)?;
        let member = case.alerts.iter().find(|member| member.alert == id)?;
        (!member.joined.is_empty()).then_some(member.joined.as_str())
    };
    let mut last: BTreeMap<AlertId, What> = BTreeMap::new();
    for change in changes {
        let told = last.entry(change.alert).or_insert(change.what);
        // Of one that is new, that it grew says nothing.
        if *told != What::Raised {
            *told = change.what;
        }
    }
    for (id, what) in last.iter().take(MOST_TOLD) {
        let Some(row) = lists.alerts.get(id) else { continue };
        // Why a new one is part of its case, such as that one that was closed is raised again.
        let why = row.case.filter(|_| *what == What::Raised).and_then(|case| joined(*id, case));
        let what = match what {
            What::Raised => "raised",
            What::Grown => "grown",
            What::Investigated => "investigated",
            What::Decided => "decided",
        };
        let told = json!({
            "id": id,
            "what": what,
            "title": lists.names.name(row.title),
            "severity": row.severity,
            "case": row.case,
            "joined": why,
            "verdict": row.judged.map(|found| found.verdict.name()),
            "closed": row.closed.map(|closed| closed.verdict),
            "assigned": row.assigned.map(|to| lists.names.name(to)),
        });
        live.say("alert", &told);
    }
    if last.len() > MOST_TOLD {
        let gap = json!({ "missed": last.len() - MOST_TOLD, "detail": "many alerts at once; read the lists again" });
        live.say("gap", &gap);
    }
    for case in cases.iter().take(MOST_TOLD) {
        let Some(row) = lists.cases.get(&case.id) else { continue };
        live.say("case", &json!({ "id": case.id, "alerts": row.alerts.len(), "closed": row.closed }));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use casemate_event::{Closing, EventId};

    #[test]
    fn an_alert_counts_under_the_title_it_has_now() {
        let state = |title: &str, verdict| AlertState {
            alert: Alert {
                id: AlertId(1),
                origin: AlertOrigin::Product("edr".into()),
                title: title.into(),
                severity: Severity::High,
                techniques: Vec::new(),
                first_time: Timestamp::UNIX_EPOCH,
                last_time: Timestamp::UNIX_EPOCH,
                events: vec![EventId(1)],
                event_count: 1,
                entities: Vec::new(),
            },
            raised: None,
            case: None,
            closing: Some(Closing {
                verdict,
                reason: "r".into(),
                by: "mira".into(),
                at: Timestamp::UNIX_EPOCH,
                by_machine: false,
            }),
            assigned: None,
            feedback: None,
        };
        let mut lists = Lists::default();
        let mut guesses = |title: &str, verdict| {
            lists.put(&state(title, verdict), None, &Site::default());
            ["old", "new"].map(|title| lists.record.guess(&state(title, verdict).alert))
        };
        let (malicious, benign) = (Disposition::Malicious, Disposition::Benign);
        assert_eq!(guesses("old", malicious), [2.0 / 3.0, 0.5]);
        // Its product gave it another title: what was counted goes with it.
        assert_eq!(guesses("new", malicious), [0.5, 2.0 / 3.0]);
        assert_eq!(guesses("new", benign), [0.5, 1.0 / 3.0]);
    }
}
