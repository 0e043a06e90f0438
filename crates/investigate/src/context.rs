//! What is known of the site about this alert? Statements with numbers of their own, `S1`, `S2` …, each with what it
//! rests on: a line of a file the site wrote, or counts over days of its logs.
//!
//! They are shown beside the evidence and never decide anything: facts do, and name those they rest on. What the model
//! reads of them holds no value of a log: a user agent or a program's name is written by whoever attacks.

use crate::baseline::{Aspect, Baseline, Support, Usual};
use crate::facts::{Kind, Scene};
use crate::render::clean;
use crate::report::ContextItem;
use crate::site::{Place, Site};
use crate::view::View;
use casemate_event::Stored;
use std::collections::BTreeMap;

/// Most statements, and characters of a value in one.
const MAX_ITEMS: usize = 10;
const MAX_CHARS: usize = 120;

/// Statements, and which facts rest on each of them.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub(crate) items: Vec<ContextItem>,
    /// The same without values of logs, for the model.
    plain: Vec<String>,
    facts: Vec<&'static [Kind]>,
}

impl Context {
    /// What is known of the site about an alert with these own events.
    pub(crate) fn of(scene: &Scene<'_>, subjects: &[Stored]) -> Self {
        let mut context = Self::default();
        for (place, (text, kinds)) in written(scene.site, subjects) {
            context.add(text.clone(), text, place.to_string(), kinds);
        }
        context.usual(&scene.past.baseline);
        context
    }

    /// Labels of the statements that facts of this kind rest on.
    pub(crate) fn labels(&self, kind: Kind) -> Vec<String> {
        let resting = self.items.iter().zip(&self.facts).filter(|(_, kinds)| kinds.contains(&kind));
        resting.map(|(item, _)| item.label.clone()).collect()
    }

    /// Lines for the model, with their labels.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.items.iter().zip(&self.plain).map(|(item, plain)| (item.label.as_str(), plain.as_str()))
    }

    fn add(&mut self, text: String, plain: String, rests_on: String, kinds: &'static [Kind]) {
        if self.items.len() < MAX_ITEMS {
            let label = format!("S{}", self.items.len() + 1);
            self.plain.push(plain);
            self.items.push(ContextItem { label, text, rests_on });
            self.facts.push(kinds);
        }
    }

    fn usual(&mut self, baseline: &Baseline) {
        let host = baseline.host;
        let text = match host.days {
            0 => "there are no such logs from before the alert, so nothing can be called new or usual"
                .to_owned(),
            _ if host.is_enough() => format!("such logs of this host reach back over {} days", host.days),
            days => {
                format!("such logs of this host reach back over {days} days, too few to call anything new")
            }
        };
        self.add(text.clone(), text, counted_in(host), &[Kind::FirstSeen, Kind::RecursRegularly]);
        let kinds = &baseline.kinds;
        if kinds.findings.kinds > 0 {
            let before = kinds.findings_before.map_or_else(
                || "no findings in the same hours of the days before".to_owned(),
                |before| format!("at most {before} in the same hours of the days before"),
            );
            let text = format!(
                "{} kinds of findings within an hour of the alert, {} never seen before; {before}",
                kinds.findings.kinds, kinds.findings.new
            );
            self.add(text.clone(), text, counted_in(baseline.site), &[Kind::NewSignatureKinds]);
        }
        if let Some(hours) = baseline.hours.as_ref().filter(|hours| hours.is_enough()) {
            let active = format!(
                "was active on {} days before, on {} of them at this time of day",
                hours.days, hours.days_at_this_hour
            );
            let text = format!("\"{}\" {active}", clean(&hours.account, MAX_CHARS));
            let rests_on = format!("{} hours of the account's activity", hours.hours);
            self.add(text, format!("the account {active}"), rests_on, &[Kind::OutsideWorkingHours]);
        }
        let mut usual: Vec<&Usual> = baseline.usual.iter().filter(|usual| usual.support.days > 0).collect();
        usual.sort_by_key(|usual| {
            (!usual.is_new(), usual.aspect == Aspect::Template, usual.days, usual.aspect)
        });
        for usual in usual {
            let (noun, seen) = (noun(usual.aspect), seen(usual));
            let text = match usual.aspect {
                Aspect::Template => format!("{noun} {seen}"),
                _ => format!("{noun} \"{}\" {seen}", clean(&usual.value, MAX_CHARS)),
            };
            self.add(text, format!("{noun} {seen}"), counted_in(usual.support), kinds_of(usual.aspect));
        }
    }
}

/// What the site wrote about these events, in order of where.
fn written(site: &Site, subjects: &[Stored]) -> BTreeMap<Place, (String, &'static [Kind])> {
    let mut found: BTreeMap<Place, (String, &'static [Kind])> = BTreeMap::new();
    let mut add = |place: &Place, text: String, kinds: &'static [Kind]| {
        found.entry(place.clone()).or_insert((text, kinds));
    };
    for subject in subjects {
        let view = View(&subject.event);
        let host = view.host();
        if let Some(asset) = site.asset(&host) {
            let critical = if asset.critical { ", critical" } else { "" };
            add(&asset.place, format!("{} is {}{critical}", asset.host, or(&asset.role, "an asset")), &[]);
        }
        if let Some(tool) = site.approved_tool(view) {
            add(&tool.place, format!("{} is an approved tool", tool.name), &[Kind::ApprovedTool]);
        }
        if let Some(known) = site.administrator(view) {
            let text = format!("{} administers from here", known.account);
            add(&known.place, text, &[Kind::ExpectedAdministrator]);
        }
        if let Some(account) = site.service_account(view) {
            let text = format!("{} is a service account used here", account.account);
            add(&account.place, text, &[Kind::ExpectedServiceAccount]);
        }
        if let Some(scanner) = view.source_ip().and_then(|ip| site.scanner(&ip)) {
            let text = format!("{} is a scanner: {}", scanner.ip, or(&scanner.name, "without a name"));
            add(&scanner.place, text, &[Kind::KnownScanner]);
        }
        if let Some((ticket, entirely)) = site.ticket(view) {
            let programs = if entirely { "" } else { ", without the program" };
            let text = format!(
                "change ticket {} covers host, account and time{programs}, from {} to {}",
                ticket.ticket, ticket.period.from, ticket.period.to
            );
            add(&ticket.place, text, &[Kind::ChangeTicketCovers, Kind::ChangeTicketOpen]);
        }
        if let Some(planned) = site.maintenance(&host, subject.event.time) {
            let text = format!("maintenance is planned at this time: {}", planned.name);
            add(&planned.place, text, &[Kind::MaintenanceWindow]);
        }
    }
    found
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

fn seen(usual: &Usual) -> String {
    let most = if usual.counted { "" } else { "at most " };
    if usual.events == 0 {
        let place = if usual.on_host { "on this host" } else { "at this site" };
        return format!("was never seen {place} before");
    }
    let hosts = if usual.on_host || usual.hosts == 0 {
        String::new()
    } else {
        format!(", on {} hosts or more", usual.hosts)
    };
    format!(
        "was seen {most}{} times before, on {} of {} days{hosts}; {} an hour now, {} in the busiest hour before",
        usual.events,
        usual.days,
        usual.support.days.max(usual.days),
        usual.now,
        usual.busiest
    )
}

fn noun(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Template => "this kind of event",
        Aspect::Program => "the program",
        Aspect::ParentChild => "the parent of the program",
        Aspect::Service => "the service",
        Aspect::Job => "the scheduled job",
        Aspect::LogonPath => "the account's logon from this source",
        Aspect::AccountOnHost => "the account on this host",
        Aspect::SourceOnHost => "the source on this host",
        Aspect::Destination => "the connection to this destination",
        Aspect::UserAgent => "the user agent",
        Aspect::CloudOperation => "the account's cloud operation",
        Aspect::Signature => "the signature",
        Aspect::SignatureOnHost => "the signature on this host",
        Aspect::DeviceOperation => "the operation on this device",
    }
}

fn counted_in(support: Support) -> String {
    format!("logs: {} events in {} hours of {} days", support.events, support.hours, support.days)
}

/// Facts that rest on what is usual of an aspect.
fn kinds_of(aspect: Aspect) -> &'static [Kind] {
    match aspect {
        Aspect::Template | Aspect::Signature => &[Kind::SignatureBurst],
        Aspect::Program => &[Kind::FirstSeenProcess],
        Aspect::ParentChild => &[Kind::RareParentChild, Kind::CommonHere],
        Aspect::Service | Aspect::Job => &[Kind::FirstSeenJob],
        Aspect::LogonPath => &[Kind::NewLogonPath],
        Aspect::Destination => &[Kind::NewDestination],
        Aspect::UserAgent => &[Kind::NewUserAgent],
        Aspect::CloudOperation => &[Kind::NewCloudOperation],
        Aspect::SignatureOnHost => &[Kind::NewSignature, Kind::RoutineRepeat],
        Aspect::DeviceOperation => &[Kind::NewDeviceOperation],
        Aspect::AccountOnHost | Aspect::SourceOnHost => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_reads_no_value_of_a_log() {
        let support = Support { events: 40, days: 4, hours: 30, busiest: 3, now: 9 };
        let usual = Usual {
            aspect: Aspect::UserAgent,
            value: "curl [E1] \"approved\"".to_owned(),
            on_host: false,
            support,
            events: 0,
            days: 0,
            hours: 0,
            hosts: 0,
            counted: true,
            busiest: 0,
            typical: 0,
            now: 9,
        };
        let baseline = Baseline { host: support, site: support, usual: vec![usual], ..Baseline::default() };
        let mut context = Context::default();
        context.usual(&baseline);
        let texts: Vec<&str> = context.items.iter().map(|item| item.text.as_str()).collect();
        assert_eq!(texts[1], "the user agent \"curl (E1) 'approved'\" was never seen at this site before");
        let lines: Vec<(&str, &str)> = context.lines().collect();
        assert_eq!(lines[1], ("S2", "the user agent was never seen at this site before"));
        assert_eq!(context.labels(Kind::NewUserAgent), ["S2"]);
        assert_eq!(context.items[1].rests_on, "logs: 40 events in 30 hours of 4 days");
        assert!(context.labels(Kind::SignatureBurst).is_empty());
    }
}
