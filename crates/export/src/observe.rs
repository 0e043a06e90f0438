//! What was seen, in the terms that other tools share? Entities with their kinds, and which of them are worth looking
//! for elsewhere.

use crate::Dossier;
use casemate_event::{Entity, EntityKind, Event, field};
use casemate_investigate::{Investigation, Relation, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Most entities in one file.
const MAX_ENTITIES: usize = 1_000;

/// Entities of all investigations, sorted, with whether they are indicators; ids of processes and devices mean nothing
/// elsewhere and are left out.
pub(crate) fn entities(dossier: &Dossier) -> Vec<(&Entity, bool)> {
    let all: BTreeSet<&Entity> = dossier.investigations.iter().flat_map(|case| &case.entities).collect();
    let indicators = indicators(dossier);
    all.into_iter()
        .filter(|entity| !matches!(entity.kind, EntityKind::ProcessId) && !entity.value.trim().is_empty())
        .map(|entity| (entity, indicators.contains_key(entity)))
        .take(MAX_ENTITIES)
        .collect()
}

/// What is seen where nothing but an attack would be: addresses and domains of the outside and hashes of programs that do
/// not come with the system, in the alert's own events or its process tree, of investigations with the verdict malicious
/// and under a fact that speaks for it. With the events, as their ids.
pub(crate) fn indicators(dossier: &Dossier) -> BTreeMap<Entity, BTreeSet<casemate_event::EventId>> {
    let mut found: BTreeMap<Entity, BTreeSet<casemate_event::EventId>> = BTreeMap::new();
    for case in dossier.investigations.iter().filter(|case| case.verdict == Verdict::Malicious) {
        let raised = raised(case);
        for item in case.evidence.iter().filter(|item| item.relation <= Relation::Process) {
            let Some(event) =
                dossier.events.get(&item.event).filter(|_| raised.contains(item.label.as_str()))
            else {
                continue;
            };
            for entity in worth_looking_for(event) {
                found.entry(entity).or_default().insert(item.event);
            }
        }
    }
    found
}

/// Labels of the evidence of facts that speak for an attack.
fn raised(case: &Investigation) -> BTreeSet<&str> {
    let facts = case.facts.iter().filter(|fact| fact.weight > 0.0);
    facts.flat_map(|fact| &fact.evidence).map(String::as_str).collect()
}

fn worth_looking_for(event: &Event) -> Vec<Entity> {
    let of = |name, kind| event.field(name).map(|value| Entity::new(kind, value));
    let addresses = [field::SRC_IP, field::DST_IP].into_iter().filter_map(|name| of(name, EntityKind::Ip));
    let domains = [field::QUERY_HOSTNAME, field::DST_HOSTNAME].into_iter();
    let domains = domains.filter_map(|name| of(name, EntityKind::Domain));
    let files = [(field::PROCESS_PATH, field::PROCESS_SHA256), (field::FILE_PATH, field::FILE_SHA256)];
    let hashes =
        files.into_iter().filter(|(path, _)| event.field(path).is_some_and(|path| !is_systems(path)));
    let hashes = hashes.filter_map(|(_, hash)| of(hash, EntityKind::Hash));
    let valid = |entity: &Entity| match entity.kind {
        EntityKind::Ip => entity.value.parse().is_ok_and(is_public),
        EntityKind::Domain => is_domain(&entity.value) && !is_local(&entity.value),
        _ => is_sha256(&entity.value),
    };
    addresses.chain(domains).chain(hashes).filter(valid).collect()
}

/// Where the programs of an operating system lie: attackers use those as they are.
fn is_systems(path: &str) -> bool {
    let path = path.to_lowercase().replace('\\', "/");
    let dirs = ["/windows/", "/program files", "/usr/", "/bin/", "/sbin/", "/lib"];
    dirs.iter().any(|dir| path.starts_with(dir) || path.get(2..).is_some_and(|rest| rest.starts_with(dir)))
}

/// Whether an address means the same everywhere.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (18..20).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast())
                && !(v4.is_documentation() || a == 0 || a >= 240)
                && !(shared || benchmark)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let documentation = first == 0x2001 && second == 0x0db8;
            (first & 0xe000) == 0x2000 && !documentation
        }
    }
}

/// Letters, digits, hyphens and underscores between dots, and at least one dot.
pub(crate) fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && name.parse::<IpAddr>().is_err()
        && !name.rsplit('.').next().unwrap_or_default().bytes().all(|byte| byte.is_ascii_digit())
}

/// Names that mean something inside one network alone.
fn is_local(name: &str) -> bool {
    ["local", "lan", "internal", "corp", "home", "localdomain", "arpa", "test", "example", "invalid"]
        .iter()
        .any(|top| name.rsplit('.').next() == Some(top))
}

/// 64 hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `T1059` or `T1059.001`.
pub(crate) fn is_technique(id: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = id.strip_prefix('T') else { return false };
    match number.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}

/// Whether a technique is one of ATT&CK for industrial control systems.
pub(crate) fn is_ics(id: &str) -> bool {
    id.starts_with("T0")
}

/// Where ATT&CK describes it.
pub(crate) fn technique_url(id: &str) -> String {
    format!("https://attack.mitre.org/techniques/{}/", id.replace('.', "/"))
}

/// Last part of a path of Windows or Unix.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_the_same_elsewhere_is_public() {
        let check = |text: &str, expected| assert_eq!(text.parse().is_ok_and(is_public), expected, "{text}");
        check("8.8.8.8", true);
        check("2606:4700::1111", true);
        for own in ["10.0.5.13", "192.168.1.1", "172.16.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1"] {
            check(own, false);
        }
        for special in
            ["203.0.113.9", "224.0.0.1", "0.0.0.0", "255.255.255.255", "fe80::1", "fd00::1", "2001:db8::1"]
        {
            check(special, false);
        }
    }

    #[test]
    fn names_are_domains_or_not() {
        for good in ["evil.example.com", "xn--bcher-kva.ch", "_dmarc.a.b"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["ws5", "", "a..b", "-a.b", "1.2.3.4", "a b.c", "a.b\u{202e}", "10.1", "'x'.y"] {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn technique_ids_are_told_from_text() {
        assert!(is_technique("T1059.001") && is_technique("T0843"));
        for bad in ["T1059.1", "t1059", "T10591", "T1059.001/x", "../T1059"] {
            assert!(!is_technique(bad), "{bad}");
        }
    }

    #[test]
    fn programs_of_the_system_are_no_indicators() {
        for own in [r"C:\Windows\System32\rundll32.exe", "/usr/bin/curl", r"c:\program files\x\y.exe"] {
            assert!(is_systems(own), "{own}");
        }
        assert!(!is_systems(r"C:\Users\a\evil.exe") && !is_systems("/tmp/x"));
    }
}
