//! Facts about a honeypot's sessions: nobody has business there, so whoever acts there attacks.

use super::{Kind, Predicate, quoted};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::HoneypotLogin, |view| {
        let entered = view.native("eventid") == Some("cowrie.login.success");
        entered
            .then(|| format!("somebody entered the honeypot from {}", view.source_ip().unwrap_or_default()))
    }),
    (Kind::HoneypotCommand, |view| {
        view.honeypot_input().map(|input| format!("a command was typed into the honeypot: {}", quoted(input)))
    }),
    (Kind::HoneypotDownload, |view| {
        let kind = view.native("eventid")?;
        let brought = matches!(kind, "cowrie.session.file_download" | "cowrie.session.file_upload");
        let what = view
            .native("url")
            .or_else(|| view.native("filename"))
            .or_else(|| view.native("shasum"))
            .unwrap_or_default();
        brought.then(|| format!("a file was brought to the honeypot: {}", quoted(what)))
    }),
];
