//! Facts about industrial protocols: what a device was told to do.
//!
//! Whether an operation changes a device is decided at ingest, by the protocol's own function codes.

use super::{Kind, Predicate, contains_any, quoted};
use crate::view::View;
use casemate_event::field;

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::OtWrite, |view| {
        let written = view.activity() == "Write" && is_ot(view);
        written.then(|| told(view, "was told to change a value"))
    }),
    (Kind::OtControl, |view| {
        let commanded = view.activity() == "Control" && is_ot(view);
        commanded.then(|| told(view, "was told to act"))
    }),
    (Kind::OtStop, |view| {
        matches(
            view,
            &[
                "stop",
                "cold restart",
                "warm restart",
                "reinitialize",
                "restart communications",
                "force listen",
                "device communication control",
                "disable unsolicited",
                "reset",
                "stop appl",
            ],
        )
        .filter(|_| changes(view))
        .then_says(view, "was told to stop, restart or fall silent")
    }),
    (Kind::OtProgram, |view| {
        matches(
            view,
            &[
                "download",
                "program",
                "insert block",
                "delete block",
                "copy ram",
                "create object",
                "delete object",
                "atomic write file",
                "write file",
                "load",
                "open file",
                "delete file",
                "initialize appl",
            ],
        )
        .filter(|_| changes(view))
        .then_says(view, "was given a program or block")
    }),
    (Kind::OtFirmware, |view| {
        matches(view, &["firmware", "flash", "authenticate file", "activate config", "nvs update"])
            .then_says(view, "was given firmware or a configuration")
    }),
    (Kind::OtModeChanged, |view| {
        matches(
            view,
            &[
                "mode",
                "time synchronization",
                "write clock",
                "set clock",
                "record current time",
                "set clock time",
                "security",
                "password",
                "plc control",
            ],
        )
        .filter(|_| changes(view))
        .then_says(view, "had its mode, clock or protection changed")
    }),
    (Kind::OtRefused, |view| {
        let refused = is_ot(view) && view.0.field(field::STATUS) == Some("Failure");
        let why = view.0.field(field::STATUS_DETAIL).unwrap_or_default();
        refused.then(|| format!("{}: {}", told(view, "refused a request"), quoted(why)))
    }),
];

fn is_ot(view: View<'_>) -> bool {
    view.0.field(field::ASSET_CHANGED).is_some()
}

fn changes(view: View<'_>) -> bool {
    view.0.field(field::ASSET_CHANGED) == Some("true")
}

fn told(view: View<'_>, what: &str) -> String {
    format!(
        "the device {} {what} ({} {}) by {}",
        view.0.field(field::ASSET).or_else(|| view.0.field(field::DST_IP)).unwrap_or_default(),
        view.0.field(field::PROTOCOL).unwrap_or_default(),
        quoted(view.0.field(field::API_OPERATION).unwrap_or_default()),
        view.source_ip().unwrap_or_default()
    )
}

/// The operation, in lower case with spaces, if it is of an industrial protocol and names one of these.
fn matches(view: View<'_>, words: &[&str]) -> Option<String> {
    let operation = view.0.field(field::API_OPERATION).filter(|_| is_ot(view))?;
    let lower = operation.to_lowercase().replace(['_', '-'], " ");
    contains_any(&lower, words).then_some(lower)
}

trait Says {
    fn then_says(self, view: View<'_>, what: &str) -> Option<String>;
}

impl Says for Option<String> {
    fn then_says(self, view: View<'_>, what: &str) -> Option<String> {
        self.map(|_| told(view, what))
    }
}
