//! Which alerts are parts of one case? Those that share a key within the key's window.
//!
//! | key | within | why |
//! |---|---|---|
//! | a run of a program | 4 h (1 h where only its process id is known) | one did what the other was about |
//! | the rule, and the host, account or address | 25 h | the same thing again |
//! | the account, with the host or an address | 4 h | one person in one place |
//! | the technique, and the host, account or address | 4 h | the same way, by another rule |
//!
//! The window lies between the spans of the two alerts. A host alone joins nothing: on a busy one everything
//! would be one case. Accounts that every host has (`SYSTEM`, `root`, machine accounts) are no accounts here. The
//! first key of the table that joins counts, and is written down.

use crate::stats::fnv1a;
use casemate_event::{Alert, AlertOrigin, Entity, EntityKind};
use jiff::SignedDuration;

/// Most alerts of one case; what comes after begins another, which names it as related.
pub(crate) const MAX_ALERTS: usize = 200;
/// Longest time from the first alert of a case to the last.
pub(crate) const MAX_SPAN: SignedDuration = SignedDuration::from_hours(24 * 7);

const MOST_RUNS: usize = 8;
const MOST_NAMES: usize = 3;
const MOST_TECHNIQUES: usize = 3;
const SAME_RULE: SignedDuration = SignedDuration::from_hours(25);
const NEAR: SignedDuration = SignedDuration::from_hours(4);
const PROCESS_ID: SignedDuration = SignedDuration::from_hours(1);
/// Accounts that every host has.
const EVERYWHERE: [&str; 7] =
    ["system", "localsystem", "local service", "network service", "root", "nobody", "-"];

/// What alerts of one case share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Distinct for distinct keys, and for people to read.
    pub(crate) text: String,
    /// How far apart the alerts may be.
    pub(crate) window: SignedDuration,
}

impl Key {
    fn new(window: SignedDuration, text: String) -> Self {
        Self { text, window }
    }

    /// What the table of keys knows it by . Two texts of one number are told apart by whoever looks it up.
    pub(crate) fn number(&self) -> u64 {
        fnv1a(&self.text)
    }
}

/// Everything by which `alert` can join a case, the strongest first; at most some sixty.
pub(crate) fn keys(alert: &Alert) -> Vec<Key> {
    let of = |kind: EntityKind, most: usize| -> Vec<&Entity> {
        alert.entities.iter().filter(|entity| entity.kind == kind).take(most).collect()
    };
    let hosts = of(EntityKind::Host, MOST_NAMES);
    let addresses = of(EntityKind::Ip, MOST_NAMES);
    let accounts: Vec<&Entity> = alert
        .entities
        .iter()
        .filter(|entity| entity.kind == EntityKind::User && is_account(&entity.value))
        .take(MOST_NAMES)
        .collect();
    let anything: Vec<&Entity> = hosts.iter().chain(&accounts).chain(&addresses).copied().collect();

    let mut keys = Vec::new();
    for run in of(EntityKind::ProcessId, MOST_RUNS) {
        let id = run.value.rsplit('/').next().unwrap_or_default();
        let window = if id.bytes().all(|byte| byte.is_ascii_digit()) { PROCESS_ID } else { NEAR };
        keys.push(Key::new(window, format!("the same run of a program, {run}")));
    }
    let origin = match &alert.origin {
        AlertOrigin::Rule(id) => format!("rule {id}"),
        AlertOrigin::Product(name) => format!("alert of {name} called {:?}", alert.title),
    };
    keys.extend(anything.iter().map(|name| Key::new(SAME_RULE, format!("the same {origin}, on {name}"))));
    for account in &accounts {
        for place in hosts.iter().chain(&addresses) {
            keys.push(Key::new(NEAR, format!("{account} with {place}")));
        }
    }
    for technique in bases(&alert.techniques) {
        keys.extend(
            anything.iter().map(|name| Key::new(NEAR, format!("the same technique {technique}, on {name}"))),
        );
    }
    keys
}

fn is_account(name: &str) -> bool {
    !EVERYWHERE.contains(&name)
        && !name.ends_with('$')
        && !name.starts_with("dwm-")
        && !name.starts_with("umfd-")
}

/// Techniques without their sub-techniques.
fn bases(techniques: &[String]) -> Vec<&str> {
    let mut bases: Vec<&str> =
        techniques.iter().map(|id| id.split_once('.').map_or(id.as_str(), |(base, _)| base)).collect();
    bases.sort_unstable();
    bases.dedup();
    bases.truncate(MOST_TECHNIQUES);
    bases
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_event::{AlertId, Severity};
    use jiff::Timestamp;

    fn check(origin: &str, techniques: &[&str], entities: &[&str], expected: &[&str]) {
        let alert = Alert {
            id: AlertId(1),
            origin: AlertOrigin::Rule(origin.to_owned()),
            title: String::new(),
            severity: Severity::High,
            techniques: techniques.iter().map(|id| (*id).to_owned()).collect(),
            first_time: Timestamp::UNIX_EPOCH,
            last_time: Timestamp::UNIX_EPOCH,
            events: Vec::new(),
            event_count: 1,
            entities: entities.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let texts: Vec<String> = keys(&alert).into_iter().map(|key| key.text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn what_joins() {
        check(
            "r",
            &["T1059.001", "T1059.003"],
            &["host:ws5", "user:alice", "process_id:ws5/ab-1"],
            &[
                "the same run of a program, process_id:ws5/ab-1",
                "the same rule r, on host:ws5",
                "the same rule r, on user:alice",
                "user:alice with host:ws5",
                "the same technique T1059, on host:ws5",
                "the same technique T1059, on user:alice",
            ],
        );
        check("r", &[], &["host:ws5", "user:system", "user:ws5$"], &["the same rule r, on host:ws5"]);
        check("r", &["T1110"], &[], &[]);
    }

    #[test]
    fn keys_are_bounded() {
        let many = |kind: &str| (0..50).map(|n| format!("{kind}:n{n}")).collect::<Vec<_>>();
        let entities: Vec<String> =
            ["host", "user", "ip", "process_id"].iter().flat_map(|k| many(k)).collect();
        let alert = Alert {
            id: AlertId(1),
            origin: AlertOrigin::Product("p".to_owned()),
            title: "t".to_owned(),
            severity: Severity::Low,
            techniques: (0..50).map(|n| format!("T{n:04}")).collect(),
            first_time: Timestamp::UNIX_EPOCH,
            last_time: Timestamp::UNIX_EPOCH,
            events: Vec::new(),
            event_count: 1,
            entities: entities.iter().map(|text| text.parse().unwrap()).collect(),
        };
        assert!(keys(&alert).len() <= 64);
    }
}
