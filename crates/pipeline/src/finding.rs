//! When is a record of another product an alert here, and which records are one?
//!
//! A record of the class `detection_finding`. Where the product keeps alerts of its own, the record says by which id
//! (`finding_info.uid`): it is one alert here, and what comes under the same id updates it; once it is closed, what is
//! worse than that raises it again, beside the closed one. Sensors give each hit anew: those of medium severity and above
//! are alerts, and fold as the hits of our own rules do; lower ones are context.

use crate::FOLD_WINDOW;
use casemate_event::{Alert, AlertId, AlertOrigin, Class, Event, Severity, Stored, field};
use casemate_store::{Raise, Said};
use jiff::SignedDuration;

/// Characters of a title.
const MAX_TITLE: usize = 500;
/// Techniques of one alert.
const MAX_TECHNIQUES: usize = 64;

/// The alert that this record is, if it is one.
pub(crate) fn raise(stored: &Stored) -> Option<Raise> {
    let event = &stored.event;
    if event.class != Class::DetectionFinding {
        return None;
    }
    let said = |name: &str| event.field(name).map(str::trim).filter(|value| !value.is_empty());
    let severity = said(field::SEVERITY).and_then(severity).unwrap_or(Severity::Medium);
    let uid = said(field::FINDING_UID);
    let least = if uid.is_some() { Severity::Informational } else { casemate_detect::ALERT_LEVEL };
    if severity < least {
        return None;
    }
    let product = said(field::PRODUCT).unwrap_or_else(|| event.format.name());
    let title = said(field::FINDING_TITLE).unwrap_or(&event.message);
    // The sign of a cut is there for whoever masks what was cut.
    let title = match title.char_indices().nth(MAX_TITLE) {
        Some((end, _)) => format!("{}…", &title[..end]),
        None => title.to_owned(),
    };
    let alert = Alert {
        id: AlertId(0),
        origin: AlertOrigin::Product(product.to_owned()),
        severity,
        techniques: said(field::FINDING_ATTACKS).map(techniques).unwrap_or_default(),
        first_time: event.time,
        last_time: event.time,
        events: vec![stored.id],
        event_count: 1,
        entities: event.entities(),
        title,
    };
    Some(match uid {
        Some(uid) => {
            // Its length says where a product's name ends: no other product can mean this alert.
            let fold_key = format!("finding:{}:{product}:{uid}", product.len());
            let (kind, said) = (
                casemate_detect::record_kind(event),
                said(field::STATUS_DETAIL).map_or(Said::Nothing, state),
            );
            Raise { alert, fold_key, window: SignedDuration::MAX, kind, same: Some(said) }
        }
        None => {
            let fold_key = format!("finding:{product}:{}:{}", alert.title, place(event));
            let kind = casemate_detect::fold_kind(event);
            Raise { alert, fold_key, window: FOLD_WINDOW, kind, same: None }
        }
    })
}

/// Where it happened: hits of one signature there are one alert. A network sensor sees everything, so the address that a
/// connection came from goes before the sensor's own name.
fn place(event: &Event) -> String {
    let [source, host, own, user] =
        [field::SRC_IP, field::DEVICE_HOSTNAME, field::DEVICE_IP, field::ACTOR_USER]
            .map(|name| event.field(name).map(str::to_lowercase));
    let is_host = event.field(field::PROCESS_NAME).is_some() || event.field(field::FILE_PATH).is_some();
    let place = if is_host { host.or(source) } else { source.or(host) };
    format!("{}:{}", place.or(own).unwrap_or_default(), user.unwrap_or_default())
}

fn severity(text: &str) -> Option<Severity> {
    let all = [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    all.into_iter().find(|severity| severity.name().eq_ignore_ascii_case(text))
}

/// What a product says of its alert, in the words of Defender, Sentinel, CrowdStrike, TheHive, DFIR-IRIS and alike ones.
fn state(text: &str) -> Said {
    const OPEN: [&str; 12] = [
        "new",
        "open",
        "active",
        "inprogress",
        "acknowledged",
        "assigned",
        "unassigned",
        "pending",
        "escalated",
        "updated",
        "imported",
        "opened",
    ];
    const OVER: [&str; 14] = [
        "resolved",
        "closed",
        "dismissed",
        "ignored",
        "suppressed",
        "deleted",
        "merged",
        "duplicate",
        "duplicated",
        "completed",
        "done",
        "falsepositive",
        "truepositive",
        "benignpositive",
    ];
    let word: String = text.chars().filter(char::is_ascii_alphabetic).take(32).collect();
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "reopened" => Said::Reopened,
        open if OPEN.contains(&open) => Said::Open,
        over if OVER.contains(&over) => Said::Over,
        _ => Said::Nothing,
    }
}

/// ATT&CK techniques that a text names, as `T1059.001` or in a tag such as `attack.t1059.001`, in order.
fn techniques(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let digits = |from: usize, count: usize| {
        bytes.get(from..from + count).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let in_word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let mut found = Vec::new();
    for at in 0..bytes.len() {
        let starts = matches!(bytes[at], b'T' | b't') && (at == 0 || !in_word(at - 1));
        if !starts || !digits(at + 1, 4) || in_word(at + 5) {
            continue;
        }
        let has_sub = bytes.get(at + 5) == Some(&b'.') && digits(at + 6, 3) && !in_word(at + 9);
        let end = if has_sub { at + 9 } else { at + 5 };
        let id = text[at..end].to_uppercase();
        if found.len() < MAX_TECHNIQUES && !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(techniques(text), expected, "{text}");
    }

    #[test]
    fn techniques_are_found_in_tags_and_lists() {
        check("T1059, T1059.001", &["T1059", "T1059.001"]);
        check("attack.execution, attack.t1003.001, T1003.001", &["T1003.001"]);
        check("[\"T1110\",\"T1110.003\"]", &["T1110", "T1110.003"]);
        check("Credential Dumping (T1003)", &["T1003"]);
        check("T10591 xT1059 T1059.01 T1059.0011 T105", &["T1059"]);
        check("", &[]);
    }

    #[test]
    fn states_are_read_as_products_write_them() {
        for (text, expected) in [
            ("inProgress", Said::Open),
            ("in_progress", Said::Open),
            ("New", Said::Open),
            ("reopened", Said::Reopened),
            ("Resolved", Said::Over),
            ("True Positive", Said::Over),
            ("no such index", Said::Nothing),
            ("", Said::Nothing),
        ] {
            assert_eq!(state(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(text in ".*") {
            techniques(&text);
        }
    }
}
