//! What does TheHive take? An investigation as the body of `POST /api/v1/alert`; a case as the body of
//! `POST /api/v1/case`, with its observables and procedures beside it, which TheHive takes one by one.

use crate::dossier::{Dossier, labels_of};
use crate::observe::{entities, is_technique};
use crate::text::{line, value};
use casemate_event::{Closing, Disposition, EntityKind, Severity};
use casemate_investigate::Verdict;
use serde_json::{Value, json};

/// Traffic light and permissible actions protocol: amber, until somebody says otherwise.
const AMBER: u8 = 2;
/// Longest title and longest observable TheHive keeps.
const MAX_TITLE: usize = 512;
const MAX_DATA: usize = 512;

pub(crate) fn file(dossier: &Dossier) -> Value {
    let (first, last) = dossier.span();
    let title: String = line(dossier.title()).chars().take(MAX_TITLE).collect();
    let title = if title.is_empty() { dossier.name() } else { title };
    let severity = match dossier.severity() {
        Severity::Informational | Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    };
    let mut tags = vec!["casemate".to_owned(), format!("verdict:{}", dossier.verdict())];
    tags.extend(dossier.techniques().into_iter().map(|one| one.id).filter(|id| is_technique(id)));
    let description = crate::markdown::of(dossier);
    if !dossier.is_case() {
        return json!({
            "type": "casemate-investigation",
            "source": "casemate",
            "sourceRef": dossier.reference(),
            "title": title,
            "description": description,
            "severity": severity,
            "date": first.as_millisecond(),
            "tags": tags,
            "tlp": AMBER,
            "pap": AMBER,
            "observables": observables(dossier),
            "procedures": procedures(dossier),
        });
    }
    let steps = dossier.investigations.iter().flat_map(|case| &case.next_steps);
    let mut tasks: Vec<String> = Vec::new();
    for step in steps.map(|step| line(step)) {
        if !tasks.contains(&step) {
            tasks.push(step);
        }
    }
    let tasks: Vec<Value> = tasks.iter().map(|step| json!({ "title": step, "group": "casemate" })).collect();
    let mut case = json!({
        "title": title,
        "description": description,
        "severity": severity,
        "startDate": first.as_millisecond(),
        "tags": tags,
        "flag": false,
        "tlp": AMBER,
        "pap": AMBER,
        "status": status(dossier.closing.as_ref()),
        "tasks": tasks,
    });
    if let Some(closing) = &dossier.closing {
        case["endDate"] = json!(last.max(closing.at).as_millisecond());
        case["summary"] = json!(value(&format!("{} ({})", closing.reason, closing.by)));
    }
    json!({ "case": case, "observables": observables(dossier), "procedures": procedures(dossier) })
}

fn status(closing: Option<&Closing>) -> &'static str {
    match closing.map(|closing| closing.verdict) {
        None => "New",
        Some(Disposition::Malicious) => "TruePositive",
        Some(Disposition::Benign) => "FalsePositive",
    }
}

fn observables(dossier: &Dossier) -> Vec<Value> {
    let row = |(entity, ioc): (&casemate_event::Entity, bool)| {
        let kind = match entity.kind {
            EntityKind::Ip if entity.value.parse::<std::net::IpAddr>().is_ok() => "ip",
            EntityKind::Domain => "domain",
            EntityKind::Host => "hostname",
            EntityKind::Hash => "hash",
            EntityKind::File => "filename",
            EntityKind::Registry => "registry",
            _ => "other",
        };
        let data: String = line(&entity.value).chars().take(MAX_DATA).collect();
        json!({
            "dataType": kind, "data": data, "message": format!("{} of {}", entity.kind.name(), dossier.name()),
            "tags": ["casemate", entity.kind.name()], "ioc": ioc, "sighted": true, "tlp": AMBER,
        })
    };
    entities(dossier).into_iter().map(row).collect()
}

fn procedures(dossier: &Dossier) -> Vec<Value> {
    let mut found = Vec::new();
    for case in dossier.investigations.iter().filter(|case| case.verdict != Verdict::Benign) {
        for technique in case.techniques.iter().filter(|technique| is_technique(&technique.id)) {
            let labels = labels_of(case, technique);
            let first = case.evidence.iter().filter(|item| labels.contains(&item.label.as_str()));
            let time = first.map(|item| item.time).min().unwrap_or(case.alert.first_time);
            let source = technique.source.replace('_', " ");
            let said = format!("Investigation {}, by {source} {}", case.id, labels.join(", "));
            found.push(json!({
                "occurDate": time.as_millisecond(), "patternId": technique.id, "description": line(&said),
            }));
        }
    }
    found
}
