//! Who asks, what did people do, is the server well, and how is it backed up?

use super::operation::{JSON, Operation, empty_body};
use super::parameters::{LINES, LINES_BEFORE};
use super::schema::{
    Schemas, anything, boolean, integer, list, maybe, named, open, sha256, text, time, whole, with, words,
};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    let ready = || {
        whole(&json!({
            "status": words(&["ready", "not ready"]), "store": boolean(), "worker": boolean(), "held": boolean(),
        }))
    };
    vec![
        Operation::json("/v1/session", "Who asks, and what they may do", named("Principal")),
        Operation::json(
            "/v1/audit",
            "Who did what, when, and what it was before, newest first",
            whole(&json!({ "audit": list(&named("AuditLine")) })),
        )
        .takes(&[&LINES_BEFORE, &LINES]),
        Operation::post(
            "/v1/audit/checkpoint",
            "Sign the audit record as far as it goes; what is answered is worth keeping elsewhere",
            empty_body(),
            "200",
            whole(&json!({ "checkpoint": text() })),
        ),
        Operation::post(
            "/v1/backups",
            "Copy the data directory as it is now into a new directory under --backup-dir",
            empty_body(),
            "201",
            whole(&json!({ "dir": text(), "events": integer(), "files": integer(), "bytes": integer() })),
        ),
        Operation::get("/healthz", "Whether the process answers", "text/plain", text()),
        Operation::json("/readyz", "Whether events can be taken in and investigated", ready())
            .or("503", Some((JSON, ready()))),
        Operation::get("/metrics", "Counters (Prometheus text format 0.0.4)", "text/plain", text()),
        Operation::json("/openapi.json", "This document (OpenAPI 3.1)", open()),
    ]
}

pub(super) fn schemas() -> Schemas {
    vec![
        ("Problem", whole(&json!({ "title": text(), "status": integer(), "detail": text() }))),
        (
            "Principal",
            whole(&json!({
                "name": text(), "kind": words(&["user", "token", "certificate", "peer", "oidc", "local"]),
                "scopes": list(&words(&["ingest", "read", "investigate", "manage", "audit", "admin"])),
                "redacted": boolean(), "until": maybe(&time()),
            })),
        ),
        // A line names the hash of the line before it. What something was, and is, are of any shape.
        (
            "AuditLine",
            with(
                &json!({
                    "n": integer(), "at": time(), "by": text(), "action": text(), "subject": text(), "prev": sha256(),
                }),
                &json!({ "row": integer(), "previous": anything(), "now": anything() }),
            ),
        ),
    ]
}
