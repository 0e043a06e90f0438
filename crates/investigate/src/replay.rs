//! Can an investigation be made again, when the store has long moved on?
//!
//! What was retrieved for it is kept: the alert as it was, the numbers of the events looked at, and every figure that
//! was counted in the store. With the same files (model, head and its reader, playbook, rules, what the site says of
//! itself) the same report follows, byte for byte but for `seconds`.

use crate::exemplar::SimilarCase;
use crate::facts::Past;
use crate::report::Investigation;
use crate::retrieve::Candidates;
use crate::{Error, hash};
use casemate_event::{Alert, AlertId, EventId, Stored, TemplateId};
use casemate_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was retrieved for one investigation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Inputs {
    pub(crate) alert: Alert,
    subjects: Vec<EventId>,
    events: Vec<EventId>,
    likeness: BTreeMap<TemplateId, usize>,
    template_counts: BTreeMap<TemplateId, u64>,
    past: Past,
    semantic: bool,
    /// Closed cases with the bits of their similarity, which reports round.
    similar: Vec<(SimilarCase, u64)>,
    /// The investigation whose verdict was used again, and the SHA-256 of its report.
    reused: Option<(AlertId, String)>,
}

impl Inputs {
    pub(crate) fn new(
        alert: &Alert,
        found: &Candidates,
        similar: &[SimilarCase],
        reused: Option<&Investigation>,
    ) -> Self {
        let ids = |events: &[Stored]| events.iter().map(|stored| stored.id).collect();
        Self {
            alert: alert.clone(),
            subjects: ids(&found.subjects),
            events: ids(&found.events),
            likeness: found.likeness.clone(),
            template_counts: found.template_counts.clone(),
            past: found.past.clone(),
            semantic: found.semantic,
            similar: similar.iter().map(|case| (case.clone(), case.similarity.to_bits())).collect(),
            reused: reused.map(|earlier| (earlier.id, earlier.sha256())),
        }
    }

    /// Those kept for the investigation of `alert`.
    pub(crate) fn of(store: &Store, alert: AlertId) -> Result<Self, Error> {
        let json = store.inputs(alert)?.ok_or_else(|| {
            unable(alert, "what was retrieved for it was not kept; it was made by an earlier version")
        })?;
        serde_json::from_slice(&json)
            .map_err(|error| unable(alert, &format!("its inputs do not decode: {error}")))
    }

    /// The same, to be judged by itself and not as an earlier investigation was.
    pub(crate) fn judged_anew(self) -> Self {
        Self { reused: None, ..self }
    }

    /// The alert's own events.
    pub(crate) fn subjects(&self, store: &Store) -> Result<Vec<Stored>, Error> {
        self.read(store, &self.subjects)
    }

    /// Everything that was looked at, without what rules and context say of it.
    pub(crate) fn candidates(&self, store: &Store, subjects: Vec<Stored>) -> Result<Candidates, Error> {
        Ok(Candidates {
            subjects,
            events: self.read(store, &self.events)?,
            detections: Vec::new(),
            likeness: self.likeness.clone(),
            template_counts: self.template_counts.clone(),
            past: self.past.clone(),
            context: crate::context::Context::default(),
            semantic: self.semantic,
        })
    }

    fn read(&self, store: &Store, ids: &[EventId]) -> Result<Vec<Stored>, Error> {
        let mut events = Vec::with_capacity(ids.len());
        for id in ids {
            let gone = || unable(self.alert.id, &format!("event {id} is not there any more"));
            events.push(store.get(*id)?.ok_or_else(gone)?);
        }
        Ok(events)
    }

    pub(crate) fn past(&self) -> &Past {
        &self.past
    }

    pub(crate) fn similar(&self) -> Vec<SimilarCase> {
        let exact = |(case, bits): &(SimilarCase, u64)| SimilarCase {
            similarity: f64::from_bits(*bits),
            ..case.clone()
        };
        self.similar.iter().map(exact).collect()
    }

    /// The investigation whose verdict was used again.
    pub(crate) fn reused(&self, store: &Store) -> Result<Option<Investigation>, Error> {
        let Some((id, sha256)) = &self.reused else { return Ok(None) };
        let found = stored(store, *id)?;
        if found.sha256() != *sha256 {
            let why = format!("its verdict is that of investigation {id}, which was made anew since");
            return Err(unable(self.alert.id, &why));
        }
        Ok(Some(found))
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| unable(self.alert.id, &error.to_string()))
    }
}

/// The stored investigation of `alert`.
pub(crate) fn stored(store: &Store, alert: AlertId) -> Result<Investigation, Error> {
    let json = store.investigation(alert)?.ok_or_else(|| unable(alert, "there is none"))?;
    serde_json::from_slice(&json).map_err(|error| unable(alert, &format!("it does not decode: {error}")))
}

fn unable(alert: AlertId, why: &str) -> Error {
    Error::NotReplayed { alert, why: why.to_owned() }
}

/// An investigation and the same made again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// As it is stored.
    pub stored: Investigation,
    /// As it comes out now.
    pub now: Investigation,
}

/// An investigation made again with other playbooks.
#[derive(Debug, Clone)]
pub struct Rejudged {
    /// Both.
    pub made: Replayed,
    /// Whether evidence was looked for anew, among the events of now, rather than taken as it was found then.
    pub retrieved_anew: bool,
}

impl Replayed {
    /// Whether both are the same, byte for byte but for `seconds`.
    pub fn is_same(&self) -> bool {
        self.stored.sha256() == self.now.sha256()
    }

    /// Files and instructions that are not the ones it was made with.
    pub fn changed(&self) -> Vec<String> {
        let (then, now) = (&self.stored, &self.now);
        let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_owned();
        let model = |case: &Investigation| {
            case.model.as_ref().map_or_else(|| "none".to_owned(), |model| short(&model.sha256))
        };
        let head = |case: &Investigation| {
            case.head.as_ref().map_or_else(|| "none".to_owned(), |head| short(&head.sha256))
        };
        let reader = |case: &Investigation| {
            let reader = case.head.as_ref().and_then(|head| head.reader.clone());
            reader.map_or_else(|| "none".to_owned(), |reader| short(&reader))
        };
        let cpu =
            |case: &Investigation| case.provenance.computed_by.clone().unwrap_or_else(|| "none".to_owned());
        [
            ("version", then.provenance.version.clone(), now.provenance.version.clone()),
            ("model", model(then), model(now)),
            ("head", head(then), head(now)),
            ("reader", reader(then), reader(now)),
            ("playbook", short(&then.playbook.sha256), short(&now.playbook.sha256)),
            ("rules", short(&then.provenance.rules_sha256), short(&now.provenance.rules_sha256)),
            ("site", short(&then.provenance.site_sha256), short(&now.provenance.site_sha256)),
            ("instructions", cpu(then), cpu(now)),
        ]
        .into_iter()
        .filter(|(_, then, now)| then != now)
        .map(|(what, then, now)| format!("{what} was {then} and is {now}"))
        .collect()
    }

    /// Members of the report that differ, as JSON pointers, at most `most`.
    pub fn differences(&self, most: usize) -> Vec<String> {
        let json = |case: &Investigation| serde_json::to_value(case).unwrap_or_default();
        let mut found = Vec::new();
        differ(&json(&self.stored), &json(&self.now), String::new(), &mut found);
        found.retain(|at| !at.starts_with("/seconds"));
        found.truncate(most);
        found
    }
}

fn differ(then: &serde_json::Value, now: &serde_json::Value, at: String, found: &mut Vec<String>) {
    use serde_json::Value::{Array, Object};
    match (then, now) {
        (Object(then), Object(now)) if then.len() == now.len() => {
            for (name, value) in then {
                let other = now.get(name).unwrap_or(&serde_json::Value::Null);
                differ(value, other, format!("{at}/{name}"), found);
            }
        }
        (Array(then), Array(now)) if then.len() == now.len() => {
            for (index, (value, other)) in then.iter().zip(now).enumerate() {
                differ(value, other, format!("{at}/{index}"), found);
            }
        }
        _ if then == now => {}
        _ => found.push(at),
    }
}

/// SHA-256 over what the site says of itself.
pub(crate) fn site_sha256(site: &crate::Site) -> String {
    hash::sha256_hex(format!("{site:?}").as_bytes())
}
