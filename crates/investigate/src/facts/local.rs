//! Facts about this site: what it wrote down, what it has seen before, and text that talks to its reader.

use super::{Finding, Kind, MAX_EVENTS, Scene, finding, quoted};
use crate::injection;
use crate::relate::Relation;
use crate::view::View;
use casemate_event::{Class, EventId, Stored};
use std::collections::BTreeSet;

/// Distinct earlier days from which something recurs.
const RECURRING_DAYS: usize = 3;

/// Text addressed to whoever reads the log: orders, chat delimiters, ready verdicts, forged labels.
pub(super) fn instruction_text(view: View<'_>) -> Option<String> {
    let found = injection::find(view.0)?;
    Some(format!(
        "a field of an event on {} holds text that {}: {}",
        view.host(),
        found.sign.describe(),
        quoted(&found.text)
    ))
}

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let subjects: Vec<&Stored> = scene
        .events
        .iter()
        .zip(scene.relations)
        .filter(|(_, relation)| **relation == Relation::Alert)
        .map(|(stored, _)| stored)
        .collect();
    if subjects.is_empty() {
        return Vec::new();
    }
    let mut findings = super::usual::find(&scene.past.baseline, &subjects);
    findings.extend(
        [
            approved_tool(scene, &subjects),
            expected_administrator(scene, &subjects),
            expected_service_account(scene, &subjects),
            change_ticket(scene, &subjects),
            maintenance(scene, &subjects),
            known_scanner(scene, &subjects),
            recurs(scene, &subjects),
            first_seen(scene, &subjects),
        ]
        .into_iter()
        .flatten(),
    );
    findings
}

pub(super) fn about_alert(kind: Kind, statement: String, subjects: &[&Stored]) -> Finding {
    let events: Vec<EventId> = subjects.iter().take(MAX_EVENTS).map(|subject| subject.id).collect();
    finding(kind, statement, events, Relation::Alert)
}

/// Every event of the alert must be the doing of a tool the site approved, and every event kept.
fn approved_tool(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let mut names = BTreeSet::new();
    let mut proofs: Vec<EventId> = Vec::new();
    for subject in subjects {
        let (tool, proof) = approval_of(scene, subject)?;
        names.insert(tool);
        proofs.push(proof);
    }
    let names: Vec<String> = names.into_iter().collect();
    let statement = format!(
        "the site file approves {} for this path, parent and account; all three are as written",
        quoted(&names.join(", "))
    );
    proofs.extend(subjects.iter().map(|subject| subject.id));
    let mut seen = BTreeSet::new();
    proofs.retain(|id| seen.insert(*id));
    proofs.truncate(MAX_EVENTS);
    Some(finding(Kind::ApprovedTool, statement, proofs, Relation::Alert))
}

/// Name of the approved tool behind an event, and the launch that proves it: the event itself, the launch
/// of the process that acted, or the launch of its parent.
fn approval_of(scene: &Scene<'_>, subject: &Stored) -> Option<(String, EventId)> {
    let view = View(&subject.event);
    if view.is_launch()
        && let Some(tool) = scene.site.approved_tool(view)
    {
        return Some((tool.name.clone(), subject.id));
    }
    let (pid, parent) = view.lineage();
    let wanted = if view.is_launch() { parent } else { pid }.filter(|pid| *pid > 4)?;
    // The latest launch of that process id before the event; ids are reused.
    let launch = scene.events.iter().rev().find(|other| {
        let other_view = View(&other.event);
        other.event.time <= subject.event.time
            && other.id != subject.id
            && other_view.is_launch()
            && other_view.host() == view.host()
            && other_view.lineage().0 == Some(wanted)
    })?;
    let tool = scene.site.approved_tool(View(&launch.event))?;
    // An approved tool's child runs under the tool's account, or it is not the tool's doing.
    (view.user().is_none() || view.user() == View(&launch.event).user())
        .then(|| (tool.name.clone(), launch.id))
}

fn expected_administrator(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let accounts: Option<BTreeSet<&str>> = subjects
        .iter()
        .map(|subject| scene.site.administrator(View(&subject.event)).map(|found| found.account.as_str()))
        .collect();
    let accounts: Vec<&str> = accounts?.into_iter().collect();
    let statement =
        format!("the site file names {} as administrator working from here", quoted(&accounts.join(", ")));
    Some(about_alert(Kind::ExpectedAdministrator, statement, subjects))
}

fn expected_service_account(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let accounts: Option<BTreeSet<&str>> = subjects
        .iter()
        .map(|subject| scene.site.service_account(View(&subject.event)).map(|found| found.account.as_str()))
        .collect();
    let accounts: Vec<&str> = accounts?.into_iter().collect();
    let statement = format!(
        "the site names {} as a service account used here and from here",
        quoted(&accounts.join(", "))
    );
    Some(about_alert(Kind::ExpectedServiceAccount, statement, subjects))
}

/// Every event of the alert must lie within a ticket; it covers them if it names the programs, too.
fn change_ticket(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let mut tickets = BTreeSet::new();
    let mut entirely = true;
    for subject in subjects {
        let (ticket, programs) = scene.site.ticket(View(&subject.event))?;
        tickets.insert(format!("{} ({})", ticket.ticket, ticket.place));
        entirely &= programs;
    }
    let tickets = quoted(&tickets.into_iter().collect::<Vec<_>>().join(", "));
    Some(if entirely {
        let statement =
            format!("change ticket {tickets} covers host, account, program and time of the alert");
        about_alert(Kind::ChangeTicketCovers, statement, subjects)
    } else {
        let statement = format!(
            "change ticket {tickets} is open for host, account and time of the alert and does not name the program"
        );
        about_alert(Kind::ChangeTicketOpen, statement, subjects)
    })
}

fn maintenance(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let mut planned = BTreeSet::new();
    for subject in subjects {
        let found = scene.site.maintenance(&View(&subject.event).host(), subject.event.time)?;
        planned.insert(format!("{} ({})", found.name, found.place));
    }
    let names = quoted(&planned.into_iter().collect::<Vec<_>>().join(", "));
    let statement = format!("maintenance is planned here at this time: {names}");
    Some(about_alert(Kind::MaintenanceWindow, statement, subjects))
}

/// A scanner explains knocking on doors, not walking through them.
fn known_scanner(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let mut names = BTreeSet::new();
    for subject in subjects {
        let view = View(&subject.event);
        let knocking = matches!(
            subject.event.class,
            Class::NetworkActivity | Class::HttpActivity | Class::DnsActivity | Class::DetectionFinding
        ) || view.logon() == Some(false);
        let scanner = scene.site.scanner(&view.source_ip()?).filter(|_| knocking)?;
        names.insert(format!("{} {}", scanner.ip, scanner.name));
    }
    let names: Vec<String> = names.into_iter().collect();
    let statement =
        format!("the site file names the source as a scanner: {}", quoted(names.join(", ").trim()));
    Some(about_alert(Kind::KnownScanner, statement, subjects))
}

fn recurs(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let first = subjects.first()?;
    let today = day(first.event.time);
    let days: BTreeSet<i64> =
        scene.past.same.iter().map(|time| day(*time)).filter(|day| *day < today).collect();
    if days.len() < RECURRING_DAYS {
        return None;
    }
    let statement = format!(
        "the same program, parent, account and command were seen on {} on {} earlier days ({} times)",
        View(&first.event).host(),
        days.len(),
        scene.past.same.len()
    );
    Some(about_alert(Kind::RecursRegularly, statement, subjects))
}

fn first_seen(scene: &Scene<'_>, subjects: &[&Stored]) -> Option<Finding> {
    let history = scene.past.baseline.host;
    (scene.past.same.is_empty() && history.is_enough()).then(|| {
        let host = subjects.first().map(|subject| View(&subject.event).host()).unwrap_or_default();
        let place = if host.is_empty() { "here".to_owned() } else { format!("on {host}") };
        let statement =
            format!("nothing the same was seen {place} before, in {} days of such logs", history.days);
        about_alert(Kind::FirstSeen, statement, subjects)
    })
}

fn day(time: jiff::Timestamp) -> i64 {
    time.as_second().div_euclid(86_400)
}
