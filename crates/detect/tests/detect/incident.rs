//! The starter rules over the sample incident: what an analyst's queue would hold.

use crate::support::{
    flatten, gunzip, repository, starter_rules, unzip, windows_json, with_native, zeek_tsv,
};
use casemate_detect::{ALERT_LEVEL, Rules, fold_key};
use casemate_event::{Event, Fields, Format};
use std::collections::BTreeMap;
use std::path::Path;

fn events(folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    for (_, text) in unzip(&folder.join("windows-prd01.zip")) {
        events.extend(windows_json(&text));
    }
    events.extend(windows_json(&gunzip(&folder.join("windows-estate.json.gz"))));
    for (_, text) in unzip(&folder.join("zeek-prd01.zip")) {
        events.extend(zeek_tsv(&text));
    }
    for line in gunzip(&folder.join("zeek-dmz.json.gz")).lines() {
        let mut native = Fields::default();
        flatten(
            "",
            serde_json::from_str::<serde_json::Value>(line).unwrap().as_object().unwrap(),
            &mut native,
        );
        events.push(with_native(Format::ZeekJson, native));
    }
    for line in fs_err::read_to_string(folder.join("linux-syslog.log")).unwrap().lines() {
        let mut words = line.splitn(8, ' ');
        let (host, program) = (words.nth(2).unwrap(), words.next().unwrap());
        let message = words.nth(3).unwrap();
        let native = [("hostname", host), ("program", program), ("message", message)].into_iter().collect();
        events.push(with_native(Format::SyslogRfc5424, native));
    }
    events
}

#[test]
fn the_queue_holds_the_attack_and_its_look_alikes() {
    let (rules, problems) = Rules::load(&[starter_rules()]).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let mut queue: BTreeMap<String, (String, u32)> = BTreeMap::new();
    let mut context: BTreeMap<&str, u32> = BTreeMap::new();
    let events = events(&repository().join("tests/data/incident/logs"));
    for event in &events {
        for rule in rules.matches(event) {
            if rule.severity >= ALERT_LEVEL {
                let key = fold_key(rule, event);
                let (_, place) = key.split_once('|').unwrap();
                let name = rule.path.file_stem().unwrap().to_str().unwrap();
                queue.entry(format!("{place} {name}")).or_insert((rule.title.clone(), 0)).1 += 1;
            } else {
                *context.entry(rule.path.file_stem().unwrap().to_str().unwrap()).or_default() += 1;
            }
        }
    }
    println!("{} events", events.len());
    for (key, (title, count)) in &queue {
        println!("{key}: {title} ({count})");
    }
    println!("context: {context:?}");

    let has = |start: &str, rule: &str| queue.keys().any(|key| key.starts_with(start) && key.ends_with(rule));
    for (start, rule) in [
        // The intrusion.
        ("192.168.1.42|", " program_from_bare_address"),
        ("prd01|pedro.gustavo", " shell_from_download"),
        ("prd01|", " service_suspicious_command"),
        ("prd01|", " remote_thread_in_system_process"),
        ("prd01|system", " lsass_dump_comsvcs"),
        ("prd01|system", " lsass_memory_read"),
        // What only looks like one.
        ("fin02|system", " powershell_encoded_command"),
        ("hr01|system", " powershell_encoded_command"),
        ("fs01|svc_backup", " shadow_copies_deleted"),
        ("it02|anna.keller", " privileged_group_member_added"),
        ("dc01|", " account_locked_out"),
        ("192.168.1.30|", " attack_tool_user_agent"),
    ] {
        assert!(has(start, rule), "no alert {start}{rule}: {queue:#?}");
    }
    assert!(queue.len() <= 16, "{} alerts bury the analyst: {queue:#?}", queue.len());
    for quiet in ["eng04|", "web01|", "jump01|"] {
        assert!(!queue.keys().any(|key| key.starts_with(quiet)), "alert on {quiet}: {queue:#?}");
    }
}
