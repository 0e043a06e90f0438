//! Which closed cases are like this one, and what did people say they were?
//!
//! Closeness is the cosine of the pooled embeddings of the evidence; the same rule or technique counts beside it.
//! The nearest of both kinds are shown, each with its reason, and their closeness is a feature for the learned
//! head, which lets it nudge and no more: a case closed as benign outweighs no evidence of an attack.

use crate::report::Evidence;
use crate::{Error, Feature};
use casemate_event::{Alert, AlertId, AlertOrigin, CaseId, Disposition};
use casemate_pipeline::Pipeline;
use casemate_store::{ClosedAlert, Store};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Closed alerts looked at, the newest of them.
const MOST_CLOSED: usize = 2000;
/// Cases shown of each verdict.
const MOST_SHOWN: usize = 3;
/// Cosine from which evidence is called alike. Two unrelated logs of one product have some 0.3 to 0.5.
const ALIKE: f64 = 0.7;

/// A closed alert whose evidence is like that of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimilarCase {
    /// The alert that was closed.
    pub alert: AlertId,
    /// Its case.
    pub case: CaseId,
    /// What it was.
    pub verdict: Disposition,
    /// Why, in the words of whoever closed it.
    pub reason: String,
    /// Who closed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Cosine of the pooled embeddings of the evidence; 0 where one of them has none.
    #[serde(serialize_with = "crate::report::figure")]
    pub similarity: f64,
    /// Whether the same rule or product raised it.
    pub same_rule: bool,
    /// Whether both name a technique in common.
    pub same_technique: bool,
}

/// The mean of the unit-length embeddings of the evidence, made unit-length; empty without an embedding model.
///
/// Of each line what no attacker wrote, without its time: nobody steers what his evidence is like.
pub(crate) fn pooled(pipeline: &Pipeline, evidence: &[Evidence]) -> Result<Vec<f32>, Error> {
    let mut lines: Vec<&str> = evidence.iter().map(|item| without_time(&item.structural)).collect();
    lines.sort_unstable();
    lines.dedup();
    let Some(vectors) = pipeline.embed(&lines)? else { return Ok(Vec::new()) };
    let mut sum = vec![0.0_f32; vectors.first().map_or(0, Vec::len)];
    for (total, x) in vectors.iter().flat_map(|vector| vector.iter().enumerate()).map(|(i, x)| (i, *x)) {
        sum[total] += x;
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        sum.iter_mut().for_each(|x| *x /= length);
    }
    Ok(sum)
}

fn without_time(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(_, rest)| rest)
}

/// The closed cases nearest to `alert`, whose evidence has this pooled embedding: at most three of each verdict,
/// the nearest first.
pub(crate) fn nearest(store: &Store, alert: &Alert, vector: &[f32]) -> Result<Vec<SimilarCase>, Error> {
    let mut found = Vec::new();
    for closed in store.closed_alerts(MOST_CLOSED)? {
        if closed.alert.id == alert.id {
            continue;
        }
        let other = store.evidence_vector(closed.alert.id)?.unwrap_or_default();
        let similar = SimilarCase::new(closed, alert, cosine(vector, &other));
        if similar.same_rule || similar.similarity >= ALIKE {
            found.push(similar);
        }
    }
    found.sort_by(|a, b| {
        b.closeness().total_cmp(&a.closeness()).then(b.at.cmp(&a.at)).then(b.alert.cmp(&a.alert))
    });
    let mut shown = [0_usize; 2];
    found.retain(|similar| {
        let shown = &mut shown[usize::from(similar.verdict == Disposition::Benign)];
        *shown += 1;
        *shown <= MOST_SHOWN
    });
    Ok(found)
}

impl SimilarCase {
    fn new(closed: ClosedAlert, alert: &Alert, similarity: f64) -> Self {
        let other = &closed.alert;
        let same_rule = match (&other.origin, &alert.origin) {
            (AlertOrigin::Product(_), AlertOrigin::Product(_)) => {
                other.origin == alert.origin && other.title == alert.title
            }
            (one, another) => one == another,
        };
        let same_technique = other.techniques.iter().any(|technique| alert.techniques.contains(technique));
        Self {
            alert: other.id,
            case: closed.case,
            verdict: closed.closing.verdict,
            reason: closed.closing.reason,
            by: closed.closing.by,
            at: closed.closing.at,
            similarity,
            same_rule,
            same_technique,
        }
    }

    /// What they are ordered by: alike evidence, and a little for the same rule or technique.
    fn closeness(&self) -> f64 {
        self.similarity
            + 0.1 * f64::from(u8::from(self.same_rule))
            + 0.05 * f64::from(u8::from(self.same_technique))
    }
}

/// How near the nearest attack and the nearest false alarm are, for the learned head.
pub(crate) fn features(similar: &[SimilarCase]) -> Vec<Feature> {
    near(similar.iter().map(|case| (case.verdict, case.similarity)))
}

/// What an alert whose evidence has the pooled embedding `vector` would have of closed ones with theirs: for an
/// evaluation that closes cases one after another.
pub fn closed_features(vector: &[f32], closed: &[(Disposition, &[f32])]) -> Vec<Feature> {
    let similar = closed.iter().map(|(verdict, other)| (*verdict, cosine(vector, other)));
    near(similar.filter(|(_, similarity)| *similarity >= ALIKE))
}

fn near(closed: impl Iterator<Item = (Disposition, f64)>) -> Vec<Feature> {
    let (mut benign, mut malicious) = (0.0_f64, 0.0_f64);
    for (verdict, similarity) in closed {
        let nearest = if verdict == Disposition::Benign { &mut benign } else { &mut malicious };
        *nearest = nearest.max(similarity);
    }
    [("closed_similar_benign", benign), ("closed_similar_malicious", malicious)]
        .into_iter()
        .filter(|(_, value)| *value > 0.0)
        .map(|(name, value)| Feature { name: name.to_owned(), value })
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return 0.0;
    }
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use casemate_event::{Closing, EventId, Severity, Subject};
    use casemate_store::Finished;
    use jiff::SignedDuration;

    fn alert(rule: &str) -> Alert {
        Alert {
            id: AlertId(0),
            origin: AlertOrigin::Rule(rule.to_owned()),
            title: String::new(),
            severity: Severity::High,
            techniques: Vec::new(),
            first_time: Timestamp::UNIX_EPOCH,
            last_time: Timestamp::UNIX_EPOCH,
            events: vec![EventId(1)],
            event_count: 1,
            entities: Vec::new(),
        }
    }

    /// A store of closed alerts: rule, direction of the evidence, verdict.
    fn closed(all: &[(&str, [f32; 2], Disposition)]) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (number, (rule, vector, verdict)) in all.iter().enumerate() {
            let id = store.raise(alert(rule), &number.to_string(), SignedDuration::ZERO).unwrap().id;
            store.put_finished(id, Finished { json: b"{}", vector, ..Finished::default() }).unwrap();
            let (at, by) = (Timestamp::UNIX_EPOCH, "mira".to_owned());
            let reason = format!("reason {number}");
            let closing = Closing { verdict: *verdict, reason, by, at, by_machine: false };
            store.conclude(Subject::Alert(id), &closing).unwrap();
        }
        (dir, store)
    }

    #[test]
    fn the_nearest_of_both_kinds_are_found() {
        use Disposition::{Benign, Malicious};
        let (_dir, store) = closed(&[
            ("a", [1.0, 0.0], Benign),
            ("b", [0.8, 0.6], Malicious),
            ("c", [0.0, 1.0], Malicious),
            ("a", [0.0, 1.0], Benign),
            ("b", [0.9, 0.435_89], Benign),
            ("b", [0.95, 0.312_25], Benign),
        ]);
        let similar = nearest(&store, &alert("a"), &[1.0, 0.0]).unwrap();
        let ids: Vec<u64> = similar.iter().map(|case| case.alert.0).collect();
        assert_eq!(ids, [1, 6, 5, 2], "three benign, and the malicious one that is alike");
        assert!(similar[0].same_rule && !similar[1].same_rule);
        assert_eq!(similar[0].reason, "reason 0");
        let features = features(&similar);
        assert_eq!(features[0], Feature { name: "closed_similar_benign".to_owned(), value: 1.0 });
        assert!((features[1].value - 0.8).abs() < 1e-6 && features[1].name == "closed_similar_malicious");
    }

    #[test]
    fn without_embeddings_the_rule_decides() {
        let (_dir, store) =
            closed(&[("a", [1.0, 0.0], Disposition::Benign), ("b", [1.0, 0.0], Disposition::Benign)]);
        let similar = nearest(&store, &alert("a"), &[]).unwrap();
        assert_eq!(similar.iter().map(|case| case.alert.0).collect::<Vec<_>>(), [1]);
        assert!(features(&similar).is_empty());
    }
}
