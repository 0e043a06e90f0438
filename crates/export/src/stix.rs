//! What is told to other tools in STIX 2.1? A bundle: the identity of Casemate, of each investigation a report with a
//! note of its verdict, and an incident unless it came to nothing; its techniques as attack patterns with the ATT&CK
//! ids; the events of its evidence as observed data with their objects; sightings that tie them together; and indicators
//! where [`crate::observe::indicators`] finds some.
//!
//! Ids are made of what the objects are (of observables as STIX 2.1 §2.9 says, UUIDv5 over the properties that make
//! them what they are; of all others, for which it wants UUIDv4, of a SHA-256 in that form), so that the same
//! investigation has the same ids in every export, and the time of the export is its version.

mod objects;
mod seen;

use crate::dossier::{Dossier, labels_of};
use crate::observe::{indicators, is_technique};
use crate::text::{line, value};
use casemate_event::{Entity, EntityKind, EventId};
use casemate_investigate::report::Technique;
use casemate_investigate::{Investigation, Verdict};
use jiff::Timestamp;
use objects::{Bundle, stamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Most lines of evidence whose events are told; the report's description says when there are more.
const MAX_OBSERVED: usize = 2_000;

pub(crate) fn bundle(dossier: &Dossier) -> Value {
    let mut out = Bundle::new(dossier.made);
    let observed = observed(&mut out, dossier);
    let hosts: BTreeMap<&str, String> = dossier
        .evidence()
        .iter()
        .filter(|(_, item)| !item.host.is_empty())
        .map(|(_, item)| (item.host.as_str(), out.system(&item.host)))
        .collect();
    let found = indicators(dossier);
    let indicators: Vec<(&Entity, String)> =
        found.keys().filter_map(|entity| Some((entity, indicator(&mut out, dossier, entity)?))).collect();
    for (entity, id) in &indicators {
        let rests: BTreeSet<EventId> = found.get(*entity).into_iter().flatten().copied().collect();
        let refs: Vec<String> = rests.iter().filter_map(|event| observed.get(event).cloned()).collect();
        for data in &refs {
            out.relationship("based-on", id, data);
        }
        let (first, last) = dossier.span();
        sighting(&mut out, id, &refs, &[], (first, last));
    }
    let mut whole = Vec::new();
    for case in &dossier.investigations {
        whole.push(investigation(&mut out, dossier, case, &observed, &hosts));
    }
    if dossier.is_case() {
        let mut refs = whole;
        refs.extend(indicators.into_iter().map(|(_, id)| id));
        let (first, _) = dossier.span();
        let key = scope(dossier);
        let mut fields = json!({
            "name": line(&format!("{}: {}", dossier.name(), dossier.title())),
            "context": "suspicious-activity",
            "description": format!("{} investigations of one case, the gravest verdict: {}",
                dossier.investigations.len(), dossier.verdict()),
            "object_refs": refs,
        });
        if let Some(closing) = &dossier.closing {
            fields["labels"] = json!([format!("closed-{}", closing.verdict)]);
        }
        let id = out.domain("grouping", &key, first, fields);
        decision(&mut out, dossier, &id);
    }
    out.finish()
}

/// What tells this investigation or case from those of other sites, whose numbers are the same.
fn scope(dossier: &Dossier) -> String {
    let first = dossier.investigations.first().map(Investigation::sha256).unwrap_or_default();
    format!("{} {first}", dossier.reference())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of every line of evidence its event, and what was seen in it.
fn observed(out: &mut Bundle, dossier: &Dossier) -> BTreeMap<EventId, String> {
    let mut ids: BTreeMap<EventId, String> = BTreeMap::new();
    for (_, item) in dossier.evidence() {
        let Some(event) = dossier.events.get(&item.event) else { continue };
        if ids.contains_key(&item.event) || ids.len() >= MAX_OBSERVED {
            continue;
        }
        let refs = seen::objects(out, event);
        let folded = item.folded.iter().filter_map(|id| dossier.events.get(id)).map(|event| event.time);
        let last = folded.fold(event.time, Timestamp::max);
        let first = item.folded.iter().filter_map(|id| dossier.events.get(id)).map(|event| event.time);
        let first = first.fold(event.time, Timestamp::min);
        let fields = json!({
            "first_observed": stamp(first),
            "last_observed": stamp(last),
            "number_observed": item.count.clamp(1, 999_999_999),
            "object_refs": refs,
        });
        // Numbers of events are those of one site; what was logged is not.
        let key = format!("{} {} {}", event.time, item.host, hex(&Sha256::digest(&event.raw)));
        ids.insert(item.event, out.domain("observed-data", &key, first, fields));
    }
    ids
}

/// The report of one investigation and all that belongs to it alone; returns the id of the report.
fn investigation(
    out: &mut Bundle,
    dossier: &Dossier,
    case: &Investigation,
    observed: &BTreeMap<EventId, String>,
    hosts: &BTreeMap<&str, String>,
) -> String {
    let key = format!("investigation {} {}", case.id, case.sha256());
    let first = case.alert.first_time;
    let labels = vec![format!("verdict-{}", case.verdict), format!("severity-{}", case.alert.severity)];
    let name = line(&format!("{} (investigation {})", case.alert.title, case.id));
    let mut refs: Vec<String> =
        case.evidence.iter().filter_map(|item| observed.get(&item.event).cloned()).collect();
    let incident = (case.verdict != Verdict::Benign).then(|| {
        let fields = json!({ "name": name, "description": value(&case.summary), "labels": labels });
        out.domain("incident", &key, first, fields)
    });
    for technique in case.techniques.iter().filter(|technique| is_technique(&technique.id)) {
        let id = attack_pattern(out, &technique.id);
        if let Some(incident) = &incident {
            refs.push(out.relationship("related-to", incident, &id));
        }
        let sighted = sighted(case, technique, observed, hosts);
        if !sighted.data.is_empty() {
            refs.push(sighting(out, &id, &sighted.data, &sighted.hosts, sighted.span));
        }
        refs.push(id);
    }
    let about = incident.clone().or_else(|| refs.first().cloned()).unwrap_or_else(|| out.identity());
    let confidence = (case.confidence * 100.0).round().clamp(0.0, 100.0) as u8;
    let said = json!({
        "abstract": format!("Verdict: {}", case.verdict),
        "content": value(&verdict(case)),
        "authors": ["Casemate"],
        "confidence": confidence,
        "object_refs": [about],
    });
    refs.push(out.domain("note", &format!("verdict of {key}"), first, said));
    refs.extend(incident);
    refs.extend(hosts.values().cloned());
    let mut seen = BTreeSet::new();
    refs.retain(|id| seen.insert(id.clone()));
    let mut description = value(&case.summary);
    if dossier.unread > 0 || case.evidence.len() > MAX_OBSERVED {
        description.push_str(" Not every event of the evidence is part of this bundle.");
    }
    let fields = json!({
        "name": name,
        "description": description,
        "report_types": ["observed-data", "attack-pattern"],
        "published": stamp(dossier.made),
        "labels": labels,
        "confidence": confidence,
        "object_refs": refs,
    });
    let report = out.domain("report", &key, first, fields);
    if !dossier.is_case() {
        decision(out, dossier, &report);
    }
    report
}

/// The verdict, and what it rests on.
fn verdict(case: &Investigation) -> String {
    let mut said = format!(
        "{}\nConfidence {:.2}, convergence {:.2}, probability of an attack {:.2}.\n",
        case.summary, case.confidence, case.convergence, case.probability
    );
    for fact in &case.facts {
        said.push_str(&format!("{:+.2} {} [{}]\n", fact.weight, fact.statement, fact.evidence.join(", ")));
    }
    said
}

/// What a person decided, about an object of the bundle.
fn decision(out: &mut Bundle, dossier: &Dossier, about: &str) {
    let Some(closing) = &dossier.closing else { return };
    let fields = json!({
        "abstract": format!("Closed as {}", closing.verdict),
        "content": value(&closing.reason),
        "authors": [line(&closing.by)],
        "object_refs": [about],
    });
    out.domain("note", &format!("decision on {}", scope(dossier)), closing.at, fields);
}

/// Where a technique was seen.
struct Sighted {
    data: Vec<String>,
    hosts: Vec<String>,
    span: (Timestamp, Timestamp),
}

fn sighted(
    case: &Investigation,
    technique: &Technique,
    observed: &BTreeMap<EventId, String>,
    hosts: &BTreeMap<&str, String>,
) -> Sighted {
    let labels = labels_of(case, technique);
    let items: Vec<_> = case.evidence.iter().filter(|item| labels.contains(&item.label.as_str())).collect();
    let data: BTreeSet<String> = items.iter().filter_map(|item| observed.get(&item.event).cloned()).collect();
    let at: BTreeSet<String> =
        items.iter().filter_map(|item| hosts.get(item.host.as_str()).cloned()).collect();
    let first = items.iter().map(|item| item.time).min().unwrap_or(case.alert.first_time);
    let last = items.iter().map(|item| item.time).max().unwrap_or(first);
    Sighted { data: data.into_iter().collect(), hosts: at.into_iter().collect(), span: (first, last) }
}

fn sighting(
    out: &mut Bundle,
    of: &str,
    data: &[String],
    hosts: &[String],
    (first, last): (Timestamp, Timestamp),
) -> String {
    let mut fields = json!({
        "sighting_of_ref": of,
        "first_seen": stamp(first),
        "last_seen": stamp(last),
        "count": data.len().max(1),
    });
    if !data.is_empty() {
        fields["observed_data_refs"] = json!(data);
    }
    if !hosts.is_empty() {
        fields["where_sighted_refs"] = json!(hosts);
    }
    let key = format!("{of} {}", data.join(" "));
    out.domain("sighting", &key, first, fields)
}

fn attack_pattern(out: &mut Bundle, id: &str) -> String {
    // Without an address: STIX wants the hash of what is there.
    let fields = json!({
        "name": id,
        "external_references": [{ "source_name": "mitre-attack", "external_id": id }],
    });
    out.lasting("attack-pattern", id, fields)
}

fn indicator(out: &mut Bundle, dossier: &Dossier, entity: &Entity) -> Option<String> {
    // Values are checked by `observe`: none holds a quote.
    let value = &entity.value;
    let pattern = match entity.kind {
        EntityKind::Ip if value.contains(':') => format!("[ipv6-addr:value = '{value}']"),
        EntityKind::Ip => format!("[ipv4-addr:value = '{value}']"),
        EntityKind::Domain => format!("[domain-name:value = '{value}']"),
        EntityKind::Hash => format!("[file:hashes.'SHA-256' = '{value}']"),
        _ => return None,
    };
    let (first, _) = dossier.span();
    let confidence = dossier.gravest().map_or(0.0, |case| case.confidence * 100.0).round() as u8;
    let fields = json!({
        "name": format!("{entity}"),
        "description": format!("Seen in events that made {} malicious", dossier.name()),
        "indicator_types": ["malicious-activity"],
        "pattern": pattern,
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": stamp(first),
        "confidence": confidence,
    });
    Some(out.domain("indicator", &format!("{} {entity}", scope(dossier)), first, fields))
}
