//! What does DFIR-IRIS take? The body of `POST /alerts/add`, for an investigation and for a case alike: IRIS makes cases
//! of alerts itself.
//!
//! Numbers of severities, states and kinds are those of an IRIS as it is installed.

use crate::dossier::Dossier;
use crate::observe::{entities, is_technique};
use crate::text::{line, value};
use casemate_event::{EntityKind, Severity};
use serde_json::{Value, json};

/// `tlp:amber` in IRIS.
const AMBER: u8 = 2;
/// The customer that comes with IRIS: whoever imports sets their own.
const CUSTOMER: u8 = 1;
/// `New`.
const STATUS: u8 = 2;

pub(crate) fn alert(dossier: &Dossier) -> Value {
    let (first, last) = dossier.span();
    let severity = match dossier.severity() {
        Severity::Informational => 2,
        Severity::Low => 3,
        Severity::Medium => 4,
        Severity::High => 5,
        Severity::Critical => 6,
    };
    let mut tags = vec!["casemate".to_owned(), dossier.verdict().name().to_owned()];
    tags.extend(dossier.techniques().into_iter().map(|one| one.id).filter(|id| is_technique(id)));
    let summaries = dossier.investigations.iter().map(|case| (case.id.to_string(), json!(case.summary)));
    let closing = dossier.closing.as_ref();
    let note = closing.map(|it| format!("closed as {} by {}: {}", it.verdict, it.by, it.reason));
    let title = line(dossier.title());
    json!({
        "alert_title": if title.is_empty() { dossier.name() } else { title },
        "alert_description": crate::markdown::of(dossier),
        "alert_source": "Casemate",
        "alert_source_ref": dossier.reference(),
        "alert_source_link": null,
        "alert_source_event_time": first.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        "alert_source_content": {
            "verdict": dossier.verdict(),
            "last_event": last,
            "made": dossier.made,
            "summaries": summaries.collect::<serde_json::Map<_, _>>(),
        },
        "alert_note": value(&note.unwrap_or_default()),
        "alert_tags": tags.join(","),
        "alert_severity_id": severity,
        "alert_status_id": STATUS,
        "alert_customer_id": CUSTOMER,
        "alert_context": { "verdict": dossier.verdict(), "report": dossier.reference() },
        "alert_iocs": iocs(dossier),
        "alert_assets": assets(dossier),
    })
}

fn iocs(dossier: &Dossier) -> Vec<Value> {
    let row = |(entity, ioc): (&casemate_event::Entity, bool)| {
        // Kinds as MISP's list, which IRIS comes with, numbers them.
        let kind = match entity.kind {
            EntityKind::Ip => 76,
            EntityKind::Domain => 20,
            EntityKind::Hash => 113,
            EntityKind::File => 97,
            EntityKind::Registry => 109,
            _ => return None,
        };
        Some(json!({
            "ioc_value": line(&entity.value),
            "ioc_description": if ioc { "seen in an attack" } else { "seen beside the alert" },
            "ioc_tlp_id": AMBER,
            "ioc_type_id": kind,
            "ioc_tags": format!("casemate,{}", entity.kind.name()),
            "ioc_enrichment": {},
        }))
    };
    entities(dossier).into_iter().filter_map(row).collect()
}

fn assets(dossier: &Dossier) -> Vec<Value> {
    let row = |(entity, _): (&casemate_event::Entity, bool)| {
        let kind = match entity.kind {
            EntityKind::User => 1,
            EntityKind::Host => 9,
            _ => return None,
        };
        Some(json!({
            "asset_name": line(&entity.value),
            "asset_description": format!("{} of {}", entity.kind.name(), dossier.name()),
            "asset_type_id": kind,
            "asset_ip": "",
            "asset_domain": "",
            "asset_tags": "casemate",
            "asset_enrichment": {},
        }))
    };
    entities(dossier).into_iter().filter_map(row).collect()
}
