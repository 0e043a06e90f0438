//! How is the machine itself doing: queue, seconds per alert, drift, intake, models, egress, disk, and what happens now?

use super::operation::Operation;
use super::parameters::LAST_EVENT;
use super::schema::{
    Schemas, boolean, disposition, id, integer, list, maybe, named, number, severity, share, text, texts,
    time, verdict, whole, with, words,
};
use serde_json::{Value, json};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::json(
            "/v1/queue",
            "What waits to be investigated, the most urgent first, and how long alerts wait and take",
            queue(),
        ),
        Operation::json(
            "/v1/system",
            "How the machine itself is doing: queue, seconds per alert, drift, intake, models, egress, disk, bundles",
            named("System"),
        ),
        Operation::events(
            "/v1/stream",
            "What happens, as it happens: alert, case, investigation, queue, gap (server-sent events, resumed by Last-Event-ID)",
            &json!({
                "hello": named("LiveQueue"), "queue": named("LiveQueue"), "alert": named("LiveAlert"),
                "case": named("LiveCase"), "investigation": named("LiveInvestigation"), "gap": named("LiveGap"),
            }),
        )
        .takes(&[&LAST_EVENT]),
    ]
}

fn queue() -> Value {
    let spread = whole(&json!({ "count": integer(), "mean": number(), "p95": number() }));
    let waiting = whole(&json!({
        "alert": id(), "severity": severity(), "critical_asset": boolean(), "probability": share(), "raised": time(),
        "deadline": time(), "urgency": number(),
    }));
    whole(&json!({
        "seconds_per_alert": spread, "seconds_waited": spread, "running": maybe(&id()), "held": maybe(&text()),
        "asked": integer(), "backlog": integer(), "overdue": integer(), "oldest": maybe(&time()),
        "next": list(&waiting),
    }))
}

fn system() -> Value {
    whole(&json!({
        "version": text(),
        "queue": whole(&json!({
            "waiting": integer(), "capacity": integer(), "asked": integer(), "overdue": integer(),
            "oldest": maybe(&time()), "running": maybe(&id()), "held": maybe(&text()), "alive": boolean(),
            "waited_p95_seconds": maybe(&number()),
        })),
        "stages": list(&whole(&json!({
            "name": text(), "count": integer(), "median": number(), "p95": number(),
        }))),
        "verdicts": named("Drift"), "intake": intake(), "judges": list(&named("Judge")),
        "egress": whole(&json!({ "sealed_by": texts(), "not_sealed": texts() })), "disk": disk(),
        "releases": list(&whole(&json!({
            "number": integer(), "state": text(), "staged": time(), "parts": texts(), "overrides": integer(),
        }))),
        "releases_unread": maybe(&text()),
        "record": whole(&json!({ "lines": integer(), "last": maybe(&time()), "unrecorded": integer() })),
        "certificate_expires": maybe(&time()), "sessions": integer(), "denied": integer(), "followers": integer(),
    }))
}

fn intake() -> Value {
    whole(&json!({
        "sources": list(&whole(&json!({
            "source": text(), "records": integer(), "per_minute": maybe(&number()), "quarantined": integer(),
            "dropped": integer(), "last_seen": maybe(&time()), "silent": boolean(),
        }))),
        "all": integer(), "silent": integer(), "quarantined": named("Counts"), "events": integer(),
        "last_event": maybe(&time()), "detection_faults": integer(),
    }))
}

fn disk() -> Value {
    whole(&json!({
        "bytes": integer(), "raw_bytes": integer(), "free_bytes": maybe(&integer()), "all_bytes": maybe(&integer()),
        "keep_days": maybe(&integer()), "keep_bytes": maybe(&integer()), "first_event": maybe(&time()),
    }))
}

pub(super) fn schemas() -> Schemas {
    vec![
        ("System", system()),
        // How verdicts fare beside what people say.
        (
            "Drift",
            whole(&json!({
                "closed": integer(), "attacks": integer(), "mean_probability": share(), "missed": integer(),
                "false_alarms": integer(), "warnings": texts(),
                "weeks": list(&whole(&json!({
                    "from": { "type": "string", "format": "date" }, "investigations": integer(), "abstained": share(),
                    "convergence": share(),
                }))),
            })),
        ),
        // A model, or what judges or searches beside it.
        (
            "Judge",
            with(
                &json!({ "role": text(), "name": maybe(&text()), "sha256": text() }),
                &json!({
                    "architecture": text(), "context_length": integer(), "file_bytes": integer(), "note": text(),
                }),
            ),
        ),
        (
            "LiveQueue",
            whole(&json!({
                "waiting": integer(), "asked": integer(), "backlog": integer(), "overdue": integer(),
                "running": maybe(&id()), "held": boolean(),
            })),
        ),
        (
            "LiveAlert",
            whole(&json!({
                "id": id(), "what": words(&["raised", "grown", "investigated", "decided"]), "title": text(),
                "severity": severity(), "case": maybe(&id()), "joined": maybe(&text()),
                "verdict": maybe(&verdict()), "closed": maybe(&disposition()), "assigned": maybe(&text()),
            })),
        ),
        ("LiveCase", whole(&json!({ "id": id(), "alerts": integer(), "closed": maybe(&disposition()) }))),
        ("LiveInvestigation", whole(&json!({ "id": id(), "status": named("Status") }))),
        ("LiveGap", with(&json!({ "detail": text() }), &json!({ "missed": integer() }))),
    ]
}
