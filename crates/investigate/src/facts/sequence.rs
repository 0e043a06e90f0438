//! Facts that several events make together.

use super::{Finding, Kind, MAX_EVENTS, Scene, bursts, discovery, finding, quoted};
use crate::relate::{Relation, is_loopback};
use crate::view::View;
use casemate_event::{Class, Stored, field};
use std::collections::{BTreeMap, BTreeSet};

/// Failed logons from which a person mistyping is no longer likely.
const MANY_FAILURES: usize = 8;
/// Accounts one source fails on from which it is trying accounts.
const SPRAYED_ACCOUNTS: usize = 5;
/// Distinct discovery commands that make a burst, and the time they fall in.
const BURST_COMMANDS: usize = 4;
const BURST_SECONDS: i64 = 600;
/// How soon after a network logon a service or job of the same account counts as its doing.
const REMOTE_SECONDS: i64 = 120;
/// Cloud operations refused from which somebody is trying doors.
const MANY_DENIALS: usize = 5;
/// Hosts an actor's events fall on from which it is moving.
const SEVERAL_HOSTS: usize = 3;

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let tied: Vec<(&Stored, Relation)> = scene
        .events
        .iter()
        .zip(scene.relations.iter().copied())
        .filter(|(_, relation)| *relation != Relation::Similar)
        .collect();
    let mut findings = logons(&tied);
    findings.extend(discovery_burst(&tied));
    findings.extend(remote_then_service(&tied));
    findings.extend(denials(&tied));
    findings.extend(hosts(&tied));
    findings.extend(short_lived_account(&tied));
    findings.extend(bursts::find(&tied));
    findings
}

/// Builds a finding on these events, tied as closely as the closest of them.
pub(super) fn over(kind: Kind, statement: String, mut events: Vec<(&Stored, Relation)>) -> Option<Finding> {
    events.sort_by_key(|(stored, relation)| (*relation, stored.event.time, stored.id));
    let relation = events.first()?.1;
    Some(finding(
        kind,
        statement,
        events.iter().take(MAX_EVENTS).map(|(stored, _)| stored.id).collect(),
        relation,
    ))
}

fn logons(tied: &[(&Stored, Relation)]) -> Vec<Finding> {
    let mut by_source: BTreeMap<String, Vec<(&Stored, Relation)>> = BTreeMap::new();
    for (stored, relation) in tied {
        let view = View(&stored.event);
        if view.logon().is_some() {
            let source = view.source_ip().filter(|ip| !is_loopback(ip)).unwrap_or_else(|| view.host());
            by_source.entry(source).or_default().push((stored, *relation));
        }
    }
    by_source.into_iter().filter_map(|(source, events)| logons_of(&source, &events)).collect()
}

fn logons_of(source: &str, events: &[(&Stored, Relation)]) -> Option<Finding> {
    let failed: Vec<_> =
        events.iter().filter(|(stored, _)| View(&stored.event).logon() == Some(false)).copied().collect();
    if failed.len() < MANY_FAILURES {
        return None;
    }
    let accounts: BTreeSet<String> =
        failed.iter().filter_map(|(stored, _)| View(&stored.event).user()).collect();
    let (first, last) = (failed.first()?.0.event.time, failed.last()?.0.event.time);
    let success = events.iter().find(|(stored, _)| {
        let view = View(&stored.event);
        view.logon() == Some(true)
            && stored.event.time > first
            && view.user().is_some_and(|user| accounts.contains(&user))
    });
    let seconds = last.as_second() - first.as_second();
    let tries = format!("{} failed logons from {source} within {seconds} s", failed.len());
    if let Some(success) = success {
        let user = View(&success.0.event).user().unwrap_or_default();
        let mut events = vec![*success];
        events.extend(failed);
        let mut found =
            over(Kind::FailedLogonsThenSuccess, format!("{tries}, then {user} logged on"), events)?;
        // The success is what an analyst looks for first.
        found.events.retain(|id| *id != success.0.id);
        found.events.insert(0, success.0.id);
        found.events.truncate(MAX_EVENTS);
        return Some(found);
    }
    if accounts.len() >= SPRAYED_ACCOUNTS {
        return over(Kind::PasswordSpray, format!("{tries}, on {} accounts", accounts.len()), failed);
    }
    over(Kind::FailedLogons, tries, failed)
}

fn discovery_burst(tied: &[(&Stored, Relation)]) -> Option<Finding> {
    let mut by_host: BTreeMap<String, Vec<(&Stored, Relation, String)>> = BTreeMap::new();
    for (stored, relation) in tied.iter().filter(|(_, relation)| *relation < Relation::Near) {
        let view = View(&stored.event);
        if let Some(command) = discovery::command(view) {
            by_host.entry(view.host()).or_default().push((stored, *relation, command));
        }
    }
    for (host, commands) in by_host {
        for start in 0..commands.len() {
            let from = commands[start].0.event.time.as_second();
            let within = commands[start..]
                .iter()
                .take_while(|(stored, ..)| stored.event.time.as_second() - from <= BURST_SECONDS);
            let mut distinct = BTreeMap::new();
            for (stored, relation, command) in within {
                distinct.entry(command.as_str()).or_insert((*stored, *relation));
            }
            if distinct.len() >= BURST_COMMANDS {
                // Those of the events that are cited.
                let mut cited: Vec<_> = distinct.iter().collect();
                cited.sort_by_key(|(_, (stored, relation))| (*relation, stored.event.time, stored.id));
                let names: Vec<&str> = cited.iter().take(MAX_EVENTS).map(|(name, _)| **name).collect();
                let statement = format!(
                    "{} discovery commands were run on {host} within {} minutes: {}",
                    distinct.len(),
                    BURST_SECONDS / 60,
                    quoted(&names.join(", "))
                );
                return over(Kind::DiscoveryBurst, statement, distinct.into_values().collect());
            }
        }
    }
    None
}

fn remote_then_service(tied: &[(&Stored, Relation)]) -> Option<Finding> {
    let is_new_job = |stored: &Stored| View(&stored.event).is_job_change();
    for (job, relation) in
        tied.iter().filter(|(stored, relation)| is_new_job(stored) && *relation < Relation::Near)
    {
        let (host, at) = (View(&job.event).host(), job.event.time.as_second());
        let logon = tied.iter().rev().find(|(stored, _)| {
            let view = View(&stored.event);
            view.logon() == Some(true)
                && stored.event.field(field::LOGON_TYPE) == Some("3")
                && view.host() == host
                && view.person().is_some()
                && view.source_ip().is_some_and(|ip| !is_loopback(&ip) && !ip.starts_with("fe80:"))
                && (0..=REMOTE_SECONDS).contains(&(at - stored.event.time.as_second()))
        });
        if let Some(logon) = logon {
            let view = View(&logon.0.event);
            let statement = format!(
                "{} logged on to {host} over the network from {}, and within {} s a service or scheduled job was \
                 created there",
                view.user().unwrap_or_default(),
                view.source_ip().unwrap_or_default(),
                at - logon.0.event.time.as_second()
            );
            return over(Kind::RemoteLogonThenService, statement, vec![(*job, *relation), *logon]);
        }
    }
    None
}

fn denials(tied: &[(&Stored, Relation)]) -> Option<Finding> {
    let denied: Vec<_> = tied
        .iter()
        .filter(|(stored, relation)| {
            stored.event.class == Class::ApiActivity
                && *relation < Relation::Near
                && stored
                    .event
                    .field(field::STATUS)
                    .is_some_and(|status| status.eq_ignore_ascii_case("failure"))
        })
        .copied()
        .collect();
    let operations: BTreeSet<&str> =
        denied.iter().filter_map(|(stored, _)| stored.event.field(field::API_OPERATION)).collect();
    if denied.len() < MANY_DENIALS || operations.len() < 3 {
        return None;
    }
    let statement = format!("{} cloud operations of {} kinds were refused", denied.len(), operations.len());
    over(Kind::CloudDenials, statement, denied)
}

fn hosts(tied: &[(&Stored, Relation)]) -> Option<Finding> {
    let mut by_host: BTreeMap<String, (&Stored, Relation)> = BTreeMap::new();
    for (stored, relation) in tied.iter().filter(|(_, relation)| *relation < Relation::Near) {
        let view = View(&stored.event);
        if !view.host().is_empty() && view.person().is_some() {
            by_host.entry(view.host()).or_insert((stored, *relation));
        }
    }
    if by_host.len() < SEVERAL_HOSTS {
        return None;
    }
    let names: Vec<&str> = by_host.keys().map(String::as_str).take(5).collect();
    let statement = format!("the same actor's events fall on {} hosts: {}", by_host.len(), names.join(", "));
    over(Kind::SeveralHosts, statement, by_host.into_values().collect())
}

/// How soon an account goes again that was made for one purpose.
const SHORT_LIVED_SECONDS: i64 = 24 * 3600;

fn short_lived_account(tied: &[(&Stored, Relation)]) -> Option<Finding> {
    let account = |stored: &Stored| View(&stored.event).0.field(field::USER).map(str::to_lowercase);
    let made = |code: &str| matches!(code, "4720" | "4741");
    let gone = |code: &str| matches!(code, "4726" | "4743");
    for created in tied.iter().filter(|(stored, _)| made(View(&stored.event).code())) {
        let deleted = tied.iter().find(|(stored, _)| {
            let seconds = stored.event.time.as_second() - created.0.event.time.as_second();
            gone(View(&stored.event).code())
                && (0..=SHORT_LIVED_SECONDS).contains(&seconds)
                && account(stored).is_some()
                && account(stored) == account(created.0)
        });
        if let Some(deleted) = deleted {
            let seconds = deleted.0.event.time.as_second() - created.0.event.time.as_second();
            let name = account(created.0).unwrap_or_default();
            let statement =
                format!("the account {} was created and, {seconds} s later, deleted", quoted(&name));
            return over(Kind::ShortLivedAccount, statement, vec![*created, *deleted]);
        }
    }
    None
}
