//! Is it well, and what has it done? Health, readiness, metrics.

use crate::api::ask::ASKED_AT_ONCE;
use crate::metrics::Text;
use crate::problem::{Problem, Result};
use crate::queue::{ASKED_CAPACITY, BACKLOG_CAPACITY};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use casemate_receive::SourceCounts;
use casemate_store::Counts;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `GET /healthz`
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store answers and the worker lives. `held` says that alerts wait without being investigated;
/// everything else goes on meanwhile.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let store = blocking(&app, |app| Ok(app.pipeline.store().counts()?)).await.is_ok();
    let worker = app.queue.is_alive();
    let (status, name) = match store && worker {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    // Why is for those who show who they are.
    let held = app.queue.held().is_some();
    (status, Json(json!({ "status": name, "store": store, "worker": worker, "held": held }))).into_response()
}

/// `POST /v1/backups`: copies the data directory as it is now, while everything goes on.
pub(crate) async fn back_up(State(app): State<Arc<App>>) -> Result<Response> {
    let made = blocking(&app, |app| {
        let Some(parent) = &app.backup_dir else {
            let detail = "no place for backups was named; start `casemate serve` with --backup-dir DIR";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        };
        let dir = parent.join(Timestamp::now().strftime("casemate-%Y%m%dT%H%M%S%.3fZ").to_string());
        let backup = app.pipeline.store().backup(&dir)?;
        Ok(json!({
            "dir": dir.display().to_string(), "events": backup.events, "files": backup.files, "bytes": backup.bytes,
        }))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// `GET /v1/sources`
pub(crate) async fn sources(State(app): State<Arc<App>>) -> Json<Value> {
    let sources = app.intake.sources().snapshot();
    let rows: Vec<Value> = sources
        .iter()
        .map(|(source, counts)| {
            let mut row = json!(counts);
            row["source"] = json!(source);
            row
        })
        .collect();
    Json(json!({ "sources": rows }))
}

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response> {
    let counts = blocking(&app, |app| Ok(app.pipeline.store().counts()?)).await?;
    let body = write_metrics(&app, &counts);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response())
}

fn write_metrics(app: &App, counts: &Counts) -> String {
    let mut text = Text::default();
    let formats = counts.by_format.iter().map(|(format, count)| (format.name().to_owned(), *count));
    text.by("casemate_events", "Events stored, by format.", "format", formats);
    let reasons = counts.quarantined.iter().map(|(reason, count)| (reason.name().to_owned(), *count));
    text.by("casemate_quarantined", "Records quarantined, by reason.", "reason", reasons);
    let faults = app.pipeline.detection_faults();
    let help = "Events since the start that detection faulted on, which no rule says anything about.";
    text.single("casemate_detection_faults_total", "counter", help, faults);
    text.single("casemate_alerts", "gauge", "Alerts stored.", counts.alerts);
    text.single("casemate_templates", "gauge", "Message templates known.", counts.templates);
    text.single("casemate_store_bytes", "gauge", "Bytes on disk.", counts.bytes_on_disk);
    text.by(
        "casemate_investigations",
        "Investigations stored, by verdict.",
        "verdict",
        app.headlines.by_verdict(),
    );
    text.single(
        "casemate_investigations_failed",
        "gauge",
        "Investigations that failed since the start.",
        app.hub.failed() as u64,
    );
    text.single("casemate_queue_depth", "gauge", "Investigations waiting.", app.queue.waiting() as u64);
    let capacity = (ASKED_CAPACITY + BACKLOG_CAPACITY) as u64;
    text.single("casemate_queue_capacity", "gauge", "Investigations that can wait in memory.", capacity);
    write_times(app, &mut text);
    text.single(
        "casemate_worker_up",
        "gauge",
        "Whether the investigation thread lives.",
        u64::from(app.queue.is_alive()),
    );
    let held = u64::from(app.queue.held().is_some());
    text.single("casemate_queue_held", "gauge", "Whether nothing is investigated for now.", held);
    write_access(app, &mut text);
    write_model(app, &mut text);
    write_sources(app, &mut text);
    app.requests.write(&mut text);
    text.finish()
}

fn write_model(app: &App, text: &mut Text) {
    let (running, waiting) = app.model.as_ref().map_or((0, 0), |model| model.asked());
    text.single(
        "casemate_model_requests_running",
        "gauge",
        "Requests that the model answers.",
        running as u64,
    );
    text.single("casemate_model_requests_waiting", "gauge", "Requests that wait for it.", waiting as u64);
    let questions = ASKED_AT_ONCE.saturating_sub(app.asking.available_permits());
    text.single("casemate_questions_running", "gauge", "Questions that are answered.", questions as u64);
}

fn write_access(app: &App, text: &mut Text) {
    text.single("casemate_sessions", "gauge", "Sessions of browsers.", app.sessions.len() as u64);
    let help = "Answers that are being sent as things happen.";
    text.single("casemate_streams", "gauge", help, app.streams.open() as u64);
    let help = "Requests and logins that showed a proof and were not let in.";
    text.single("casemate_denied_total", "counter", help, app.denials.all());
    let unrecorded = app.unrecorded.load(Ordering::Relaxed);
    let help = "Entries that the audit record could not take.";
    text.single("casemate_audit_unrecorded_total", "counter", help, unrecorded);
    if let Some(access) = &app.access {
        let help = "Proofs whose hash was computed, which is costly on purpose.";
        text.single("casemate_verifications_total", "counter", help, access.verifications());
    }
    if let Some(expires) = app.tls.as_ref().and_then(|tls| tls.expires().ok()) {
        text.head(
            "casemate_certificate_expires_seconds",
            "gauge",
            "When the certificate ends, in seconds since 1970.",
        );
        text.row("casemate_certificate_expires_seconds", &[], &expires.as_second());
    }
}

fn write_times(app: &App, text: &mut Text) {
    let now = Timestamp::now();
    let (overdue, oldest) = app.queue.look(|lines| (lines.overdue(now), lines.oldest()));
    text.single(
        "casemate_queue_overdue",
        "gauge",
        "Alerts that waited longer than they should.",
        overdue as u64,
    );
    let waited = oldest.map_or(0, |raised| now.duration_since(raised).as_secs().max(0));
    let help = "How long the alert that waits longest has waited.";
    text.single("casemate_queue_oldest_seconds", "gauge", help, waited.unsigned_abs());
    let times = app.queue.times();
    for (name, help, spread) in [
        ("casemate_investigation_seconds", "Seconds of the latest investigations.", times.seconds_per_alert),
        ("casemate_queue_waited_seconds", "Seconds that the latest alerts waited.", times.seconds_waited),
    ] {
        text.head(name, "gauge", help);
        text.row(name, &[("of", "mean")], &spread.mean);
        text.row(name, &[("of", "p95")], &spread.p95);
    }
}

/// `GET /v1/queue`
pub(crate) async fn queue(State(app): State<Arc<App>>) -> Json<Value> {
    const SHOWN: usize = 50;
    let now = Timestamp::now();
    let mut json = json!(app.queue.times());
    json["running"] = json!(app.queue.running());
    json["held"] = json!(app.queue.held());
    app.queue.look(|lines| {
        json["asked"] = json!(lines.asked());
        json["backlog"] = json!(lines.backlog());
        json["overdue"] = json!(lines.overdue(now));
        json["oldest"] = json!(lines.oldest());
        let next = lines.by_urgency(now).into_iter().take(SHOWN).map(|waiting| {
            let mut row = json!(waiting);
            row["deadline"] = json!(waiting.deadline());
            row["urgency"] = json!((waiting.urgency(now) * 1000.0).round() / 1000.0);
            row
        });
        json["next"] = Value::Array(next.collect());
    });
    Json(json)
}

fn write_sources(app: &App, text: &mut Text) {
    let sources = app.intake.sources().snapshot();
    let mut write = |name: &str, kind: &str, help: &str, value: &dyn Fn(&SourceCounts) -> i64| {
        text.head(name, kind, help);
        for (source, counts) in &sources {
            text.row(name, &[("source", source)], &value(counts));
        }
    };
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    write("casemate_source_records_total", "counter", "Records received, by source.", &|c| count(c.records));
    write("casemate_source_bytes_total", "counter", "Bytes received, by source.", &|c| count(c.bytes));
    write(
        "casemate_source_quarantined_total",
        "counter",
        "Records received and quarantined, by source.",
        &|c| count(c.quarantined),
    );
    write(
        "casemate_source_dropped_total",
        "counter",
        "Records lost before they could be read (UDP), by receiver.",
        &|c| count(c.dropped),
    );
    write(
        "casemate_source_last_seen_seconds",
        "gauge",
        "When something came last, in seconds since 1970.",
        &|c| c.last_seen.map_or(0, |time| time.as_second()),
    );
    write("casemate_source_silent", "gauge", "Whether the source has fallen silent.", &|c| {
        i64::from(c.silent)
    });
}
