//! What is told to other tools in OCSF 1.6? A Detection Finding (class 2004) of each investigation, and of a case an
//! Incident Finding (2005) before them, in one array.

use crate::dossier::Dossier;
use crate::observe::{base_name, entities, is_sha256, is_technique, technique_url};
use crate::text::{line, value};
use casemate_event::{AlertOrigin, Closing, Disposition, Entity, EntityKind, Event, Severity, field};
use casemate_investigate::report::{Evidence, Technique};
use casemate_investigate::{Investigation, Verdict};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

const VERSION: &str = "1.6.0";
/// Most lines of evidence of one finding.
const MAX_EVIDENCE: usize = 1_000;

pub(crate) fn findings(dossier: &Dossier) -> Value {
    let mut all = Vec::with_capacity(dossier.investigations.len() + 1);
    if dossier.is_case() {
        all.push(incident(dossier));
    }
    all.extend(dossier.investigations.iter().map(|case| detection(dossier, case)));
    Value::Array(all)
}

/// What findings of both classes have.
fn base(class: u64, closed: bool, dossier: &Dossier, severity: Severity) -> Map<String, Value> {
    let (activity, activity_name) = if closed { (3, "Close") } else { (1, "Create") };
    let class_name = if class == 2004 { "Detection Finding" } else { "Incident Finding" };
    let (severity_id, severity) = match severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let base = json!({
        "metadata": {
            "version": VERSION,
            "product": { "name": "Casemate", "vendor_name": "Casemate", "version": env!("CARGO_PKG_VERSION") },
            "log_provider": "Casemate",
        },
        "class_uid": class,
        "class_name": class_name,
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class * 100 + activity,
        "type_name": format!("{class_name}: {activity_name}"),
        "severity_id": severity_id,
        "severity": severity,
        "time": dossier.made.as_millisecond(),
    });
    match base {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn detection(dossier: &Dossier, case: &Investigation) -> Value {
    let closing = dossier.closing.as_ref().filter(|_| !dossier.is_case());
    let mut finding = base(2004, closing.is_some(), dossier, case.alert.severity);
    // Verdicts come with this profile.
    if let Some(metadata) = finding.get_mut("metadata") {
        metadata["profiles"] = json!(["incident"]);
    }
    let (status_id, status) = if closing.is_some() { (4, "Resolved") } else { (1, "New") };
    let (verdict_id, verdict) = verdict(case.verdict, closing);
    finding.extend([
        ("message".to_owned(), json!(line(&case.alert.title))),
        ("finding_info".to_owned(), info(case)),
        ("start_time".to_owned(), json!(case.alert.first_time.as_millisecond())),
        ("end_time".to_owned(), json!(case.alert.last_time.as_millisecond())),
        ("count".to_owned(), json!(case.alert.event_count.clamp(1, i64::from(i32::MAX) as u64))),
        ("status_id".to_owned(), json!(status_id)),
        ("status".to_owned(), json!(status)),
        ("is_alert".to_owned(), json!(case.verdict != Verdict::Benign)),
        ("verdict_id".to_owned(), json!(verdict_id)),
        ("verdict".to_owned(), json!(verdict)),
        ("confidence_score".to_owned(), json!((case.confidence * 100.0).round() as u8)),
        ("risk_score".to_owned(), json!((case.probability * 100.0).round() as u8)),
        ("observables".to_owned(), observables(&case.entities)),
        ("evidences".to_owned(), evidences(dossier, case)),
        ("comment".to_owned(), json!(value(&case.summary))),
        (
            "unmapped".to_owned(),
            json!({
                "verdict": case.verdict, "convergence": case.convergence, "missing": case.missing, "playbook": case.playbook,
                "model": case.model, "report_sha256": case.sha256(),
            }),
        ),
    ]);
    if let Some(closing) = closing {
        finding.insert("status_detail".to_owned(), json!(value(&closing.reason)));
    }
    Value::Object(finding)
}

fn incident(dossier: &Dossier) -> Value {
    let closing = dossier.closing.as_ref();
    let (first, last) = dossier.span();
    let mut finding = base(2005, closing.is_some(), dossier, dossier.severity());
    let (status_id, status) = if closing.is_some() { (5, "Closed") } else { (1, "New") };
    let (verdict_id, verdict) = verdict(dossier.verdict(), closing);
    let entities: Vec<Entity> = entities(dossier).into_iter().map(|(entity, _)| entity.clone()).collect();
    let gravest = dossier.gravest();
    let confidence = gravest.map_or(0.0, |case| case.confidence);
    finding.extend([
        ("message".to_owned(), json!(line(dossier.title()))),
        ("desc".to_owned(), json!(value(gravest.map_or("", |case| &case.summary)))),
        ("finding_info_list".to_owned(), dossier.investigations.iter().map(info).collect()),
        ("start_time".to_owned(), json!(first.as_millisecond())),
        ("end_time".to_owned(), json!(last.as_millisecond())),
        ("status_id".to_owned(), json!(status_id)),
        ("status".to_owned(), json!(status)),
        ("verdict_id".to_owned(), json!(verdict_id)),
        ("verdict".to_owned(), json!(verdict)),
        ("confidence_score".to_owned(), json!((confidence * 100.0).round() as u8)),
        ("attacks".to_owned(), attacks(&dossier.techniques())),
        ("observables".to_owned(), observables(&entities)),
        (
            "unmapped".to_owned(),
            json!({ "case": dossier.reference(), "not_investigated": dossier.waiting.len() }),
        ),
    ]);
    match closing {
        Some(closing) => {
            finding.insert("assignee".to_owned(), json!({ "name": line(&closing.by) }));
            finding.insert("status_detail".to_owned(), json!(value(&closing.reason)));
        }
        // One of the two has to be there.
        None => {
            finding.insert("assignee_group".to_owned(), json!({ "name": "unassigned" }));
        }
    }
    Value::Object(finding)
}

/// What a person decided counts before what was concluded.
fn verdict(verdict: Verdict, closing: Option<&Closing>) -> (u8, &'static str) {
    match (closing.map(|closing| closing.verdict), verdict) {
        (Some(Disposition::Malicious), _) => (2, "True Positive"),
        (Some(Disposition::Benign), _) => (1, "False Positive"),
        (None, Verdict::Malicious) => (2, "True Positive"),
        (None, Verdict::Suspicious) => (4, "Suspicious"),
        (None, Verdict::Benign) => (5, "Benign"),
        (None, Verdict::Inconclusive) => (7, "Insufficient Data"),
    }
}

fn info(case: &Investigation) -> Value {
    let analytic = match &case.alert.origin {
        AlertOrigin::Rule(id) => {
            json!({ "type_id": 1, "type": "Rule", "uid": line(id), "name": line(&case.alert.title) })
        }
        AlertOrigin::Product(name) => json!({ "type_id": 99, "type": "Product", "name": line(name) }),
    };
    json!({
        "uid": format!("investigation-{}", case.id),
        "title": line(&case.alert.title),
        "desc": value(&case.summary),
        "analytic": analytic,
        "attacks": attacks(&case.techniques),
        "first_seen_time": case.alert.first_time.as_millisecond(),
        "last_seen_time": case.alert.last_time.as_millisecond(),
        "types": [case.verdict],
    })
}

fn attacks(techniques: &[Technique]) -> Value {
    let row = |technique: &Technique| {
        let id = technique.id.as_str();
        let of = |id: &str| json!({ "uid": id, "src_url": technique_url(id) });
        match id.split_once('.') {
            Some((parent, _)) => json!({ "technique": of(parent), "sub_technique": of(id) }),
            None => json!({ "technique": of(id) }),
        }
    };
    techniques.iter().filter(|technique| is_technique(&technique.id)).map(row).collect()
}

fn observables(entities: &[Entity]) -> Value {
    let row = |entity: &Entity| {
        let (name, type_id, kind) = match entity.kind {
            EntityKind::Ip => ("ip", 2, "IP Address"),
            EntityKind::Host => ("device.hostname", 1, "Hostname"),
            EntityKind::Domain => ("query.hostname", 1, "Hostname"),
            EntityKind::User => ("user.name", 4, "User Name"),
            EntityKind::Process => ("process.name", 9, "Process Name"),
            EntityKind::File => ("file.path", 45, "File Path"),
            EntityKind::Hash => ("file.hashes", 8, "Hash"),
            EntityKind::Registry => ("reg_key.path", 46, "Registry Key Path"),
            EntityKind::Asset => ("device", 99, "Industrial device"),
            EntityKind::ProcessId => return None,
        };
        Some(json!({ "name": name, "type_id": type_id, "type": kind, "value": value(&entity.value) }))
    };
    entities.iter().filter_map(row).collect()
}

fn evidences(dossier: &Dossier, case: &Investigation) -> Value {
    let rows = case.evidence.iter().take(MAX_EVIDENCE);
    rows.map(|item| evidence(item, dossier.events.get(&item.event))).collect()
}

fn evidence(item: &Evidence, event: Option<&Event>) -> Value {
    let mut out = json!({
        "name": item.label,
        "uid": item.event.to_string(),
        "data": {
            "time": item.time, "line": value(&item.line), "why": item.why, "relation": item.relation,
            "count": item.count,
        },
    });
    if !item.host.is_empty() {
        out["device"] = json!({ "type_id": 0, "hostname": value(&item.host) });
    }
    let Some(event) = event else { return out };
    for (name, found) in [
        ("process", process(event)),
        ("src_endpoint", endpoint(event, field::SRC_IP, field::SRC_PORT, field::SRC_HOSTNAME)),
        ("dst_endpoint", endpoint(event, field::DST_IP, field::DST_PORT, field::DST_HOSTNAME)),
        ("user", event.field(field::USER).map(|user| json!({ "name": value(user) }))),
        ("actor", event.field(field::ACTOR_USER).map(|user| json!({ "user": { "name": value(user) } }))),
        ("query", event.field(field::QUERY_HOSTNAME).map(|name| json!({ "hostname": value(name) }))),
        ("file", file(event.field(field::FILE_PATH), event.field(field::FILE_SHA256))),
        (
            "script",
            event
                .field(field::SCRIPT)
                .map(|text| json!({ "type_id": 0, "script_content": { "value": value(text) } })),
        ),
    ] {
        if let Some(found) = found {
            out[name] = found;
        }
    }
    out
}

/// OCSF wants its id, or a unique one.
fn process(event: &Event) -> Option<Value> {
    let pid = event.field(field::PROCESS_PID).and_then(|pid| pid.parse::<u32>().ok());
    let uid = event.field(field::PROCESS_UID);
    if pid.is_none() && uid.is_none() {
        return None;
    }
    let mut out = json!({});
    if let Some(pid) = pid {
        out["pid"] = json!(pid);
    }
    for (name, found) in [
        ("uid", uid),
        ("name", event.field(field::PROCESS_NAME)),
        ("cmd_line", event.field(field::PROCESS_CMD_LINE)),
    ] {
        if let Some(found) = found {
            out[name] = json!(value(found));
        }
    }
    if let Some(file) = file(event.field(field::PROCESS_PATH), event.field(field::PROCESS_SHA256)) {
        out["file"] = file;
    }
    Some(out)
}

fn file(path: Option<&str>, hash: Option<&str>) -> Option<Value> {
    let path = path.filter(|path| !base_name(path).is_empty())?;
    let mut out = json!({ "name": value(base_name(path)), "path": value(path), "type_id": 0 });
    if let Some(hash) = hash.filter(|hash| is_sha256(hash)) {
        out["hashes"] = json!([{ "algorithm_id": 3, "algorithm": "SHA-256", "value": hash.to_lowercase() }]);
    }
    Some(out)
}

fn endpoint(event: &Event, ip: &str, port: &str, host: &str) -> Option<Value> {
    let mut out = json!({});
    if let Some(ip) = event.field(ip).and_then(|ip| ip.parse::<IpAddr>().ok()) {
        out["ip"] = json!(ip.to_string());
    }
    if let Some(host) = event.field(host) {
        out["hostname"] = json!(value(host));
    }
    if out == json!({}) {
        return None;
    }
    if let Some(port) = event.field(port).and_then(|port| port.parse::<u16>().ok()) {
        out["port"] = json!(port);
    }
    Some(out)
}
