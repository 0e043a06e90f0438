//! How does a match become an alert, and which alerts are the same one?

use crate::{Correlated, Rule};
use casemate_event::{
    Alert, AlertId, AlertOrigin, Class, Entity, EntityKind, Event, Severity, Stored, field,
};

/// Matches of this severity or worse are worth an alert; the others are context for investigations.
pub const ALERT_LEVEL: Severity = Severity::Medium;

/// The alert that this one event raises. Its id is 0 until it is stored.
pub fn alert(rule: &Rule, stored: &Stored) -> Alert {
    Alert {
        id: AlertId(0),
        origin: AlertOrigin::Rule(rule.id.clone()),
        title: rule.title.clone(),
        severity: rule.severity,
        techniques: rule.techniques.clone(),
        first_time: stored.event.time,
        last_time: stored.event.time,
        events: vec![stored.id],
        event_count: 1,
        entities: stored.event.entities(),
    }
}

/// The alert that a completed correlation raises, `stored` being the event that completed it. Its id is 0 until
/// it is stored.
pub fn correlation_alert(correlated: &Correlated<'_>, stored: &Stored) -> Alert {
    let mut alert = alert(correlated.rule, stored);
    alert.first_time = correlated.first_time;
    alert.last_time = correlated.last_time;
    alert.event_count = correlated.events.len() as u64;
    alert.events = correlated.events.clone();
    alert.events.truncate(Alert::MAX_EVENTS);
    alert
}

/// What makes two completions parts of one alert: the rule and the group.
pub fn correlation_fold_key(correlated: &Correlated<'_>) -> String {
    format!("{}|{}", correlated.rule.id, correlated.group)
}

/// What makes two matches parts of one alert: the rule, the host it happened on, the user who acted, and the
/// programs involved, by path, so that an attack never folds into the routine of another program.
///
/// Where a network sensor saw it, the address it came from stands for the host. Where a machine acted, the
/// user acted upon tells more (who was locked out), and a new service is itself, whoever's name its log
/// gives. The machine account and `SYSTEM` are one user: Sysmon names the one, the Security log the other.
pub fn fold_key(rule: &Rule, event: &Event) -> String {
    let host = event
        .field(field::DEVICE_HOSTNAME)
        .filter(|_| event.field(field::SRC_IP).is_none() || has_acting_host(event))
        .or_else(|| event.field(field::SRC_IP))
        .or_else(|| event.field(field::DEVICE_IP))
        .map(|name| Entity::new(EntityKind::Host, name).value)
        .unwrap_or_default();
    let user = |name| event.field(name).map(|name| Entity::new(EntityKind::User, name).value);
    let is_machine = |user: &String| {
        matches!(user.as_str(), "system" | "localsystem") || user.strip_suffix('$') == Some(host.as_str())
    };
    let service = event.field(field::SERVICE_NAME).filter(|_| event.class == Class::WindowsServiceActivity);
    let actor = match (service, user(field::ACTOR_USER), user(field::USER)) {
        (Some(service), _, _) => service.to_lowercase(),
        (None, Some(actor), _) if !is_machine(&actor) => actor,
        (None, _, Some(target)) if !is_machine(&target) => target,
        (None, None, None) => String::new(),
        (None, _, _) => "system".to_owned(),
    };
    let programs = [field::PARENT_PROCESS_PATH, field::ACTOR_PROCESS_PATH, field::PROCESS_PATH]
        .map(|name| event.field(name).unwrap_or_default().to_lowercase())
        .join(">");
    format!("{}|{host}|{actor}|{programs}", rule.id)
}

/// What an event says, as a number: alike for events that differ in numbers alone (FNV-1a over its program,
/// parent, accounts, addresses and what was done, digits masked except in addresses).
///
/// An alert that has been investigated takes in only what is alike to what was seen by then: an attack does not
/// hide behind the verdict on the routine of the same program.
pub fn fold_kind(event: &Event) -> u64 {
    const SAID: [&str; 19] = [
        field::PROCESS_PATH,
        field::PARENT_PROCESS_PATH,
        field::ACTOR_PROCESS_PATH,
        field::PROCESS_CMD_LINE,
        field::SCRIPT,
        field::USER,
        field::ACTOR_USER,
        field::SRC_IP,
        field::SRC_HOSTNAME,
        field::DST_IP,
        field::FILE_PATH,
        field::MODULE_PATH,
        field::REGISTRY_KEY,
        field::REGISTRY_VALUE,
        field::SERVICE_NAME,
        field::QUERY_HOSTNAME,
        field::URL,
        field::API_OPERATION,
        field::STATUS,
    ];
    let (mut hash, mut said) = (FNV_1A, 0);
    let mut add = |text: &str, masked: bool| {
        for byte in text.bytes().chain([0]) {
            let byte = if masked && byte.is_ascii_digit() { b'0' } else { byte.to_ascii_lowercase() };
            hash = fnv_1a(hash, byte);
        }
    };
    for name in SAID {
        let value = event.field(name).unwrap_or_default();
        // An address is one by its digits.
        add(value, !matches!(name, field::SRC_IP | field::DST_IP));
        said += usize::from(!value.is_empty());
    }
    if said == 0 {
        add(&event.message, true);
    }
    hash
}

/// The record that an event was read from, as a number: the same for the very same bytes.
pub fn record_kind(event: &Event) -> u64 {
    event.raw.iter().fold(FNV_1A, |hash, byte| fnv_1a(hash, *byte))
}

const FNV_1A: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv_1a(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Whether the host that wrote the record is the host it happened on, as opposed to a sensor on the wire.
fn has_acting_host(event: &Event) -> bool {
    use casemate_event::Format::{SuricataEve, ZeekJson, ZeekTsv};
    !matches!(event.format, ZeekTsv | ZeekJson | SuricataEve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::event;
    use casemate_event::{EventId, Format};
    use std::path::PathBuf;

    fn rule() -> Rule {
        Rule {
            id: "r1".to_owned(),
            title: "Something".to_owned(),
            description: String::new(),
            severity: Severity::High,
            techniques: vec!["T1003.001".to_owned()],
            tactics: Vec::new(),
            false_positives: Vec::new(),
            path: PathBuf::new(),
            text: std::sync::Arc::default(),
            raises: true,
        }
    }

    fn check(format: Format, fields: &[(&str, &str)], expected: &str) {
        let mut event = event(format, &[]);
        event.fields = fields.iter().copied().collect();
        assert_eq!(fold_key(&rule(), &event), expected, "{fields:?}");
    }

    #[test]
    fn host_and_acting_user_fold() {
        let host = (field::DEVICE_HOSTNAME, "WS1.example.local");
        check(Format::WindowsJson, &[host, (field::ACTOR_USER, "EXAMPLE\\Alice")], "r1|ws1|alice|>>");
        check(Format::WindowsJson, &[host, (field::ACTOR_USER, "WS1$")], "r1|ws1|system|>>");
        check(Format::WindowsJson, &[host, (field::ACTOR_USER, "NT AUTHORITY\\SYSTEM")], "r1|ws1|system|>>");
        check(
            Format::WindowsJson,
            &[host, (field::ACTOR_USER, "WS1$"), (field::USER, "bob")],
            "r1|ws1|bob|>>",
        );
        check(
            Format::WindowsJson,
            &[host, (field::SRC_IP, "10.0.0.9"), (field::USER, "bob")],
            "r1|ws1|bob|>>",
        );
        check(
            Format::ZeekTsv,
            &[(field::DEVICE_HOSTNAME, "dmz"), (field::SRC_IP, "10.0.0.9")],
            "r1|10.0.0.9||>>",
        );
        check(Format::Text, &[], "r1|||>>");
    }

    #[test]
    fn events_are_alike_but_for_their_numbers() {
        let kind = |fields: &[(&str, &str)]| {
            let mut event = event(Format::WindowsJson, &[]);
            event.fields = fields.iter().copied().collect();
            fold_kind(&event)
        };
        let command = |text: &'static str| kind(&[(field::PROCESS_CMD_LINE, text)]);
        assert_eq!(command("backup.exe /job 17"), command("BACKUP.exe /job 42"));
        assert_ne!(command("backup.exe /job 17"), command("backup.exe /delete 17"));
        assert_ne!(kind(&[(field::SRC_IP, "10.0.0.1")]), kind(&[(field::SRC_IP, "10.0.0.2")]));
        assert_ne!(kind(&[(field::USER, "a")]), kind(&[(field::ACTOR_USER, "a")]));
    }

    #[test]
    fn a_service_is_itself_in_either_log() {
        let mut event = event(Format::WindowsJson, &[]);
        event.class = Class::WindowsServiceActivity;
        for actor in ["LocalSystem", "alice"] {
            event.fields =
                [(field::ACTOR_USER, actor), (field::SERVICE_NAME, "Updater")].into_iter().collect();
            assert_eq!(fold_key(&rule(), &event), "r1||updater|>>");
        }
    }

    #[test]
    fn an_alert_carries_the_rule_and_the_event() {
        let mut event = event(Format::WindowsJson, &[]);
        event.fields = [(field::ACTOR_USER, "alice")].into_iter().collect();
        let stored = Stored { id: EventId(7), event };
        let alert = alert(&rule(), &stored);
        assert_eq!(
            (alert.id, alert.events.as_slice(), alert.event_count),
            (AlertId(0), &[EventId(7)][..], 1)
        );
        assert_eq!(alert.origin, AlertOrigin::Rule("r1".to_owned()));
        assert_eq!(alert.techniques, ["T1003.001"]);
        assert_eq!(alert.entities.len(), 1);
    }
}
