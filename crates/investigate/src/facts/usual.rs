//! Facts from what is usual here: new, rare, common, faster than ever, at an unusual time.
//!
//! Each says what it was counted in. Nothing is called new without logs of the same kind from days before.

use super::local::about_alert;
use super::{Finding, Kind, quoted};
use crate::baseline::{Aspect, Baseline, Support, Usual};
use casemate_event::Stored;

/// Most that everything new can raise together: a new computer is new in every way.
const MAX_NEW: f64 = 1.0;
/// Events an hour from which a burst is one.
const BURST_EVENTS: u64 = 10;
/// How many times its busiest earlier hour, or its usual hour, a burst is.
const BURST_OVER_BUSIEST: u64 = 3;
const BURST_OVER_TYPICAL: u64 = 20;
/// Kinds of findings never seen before that make several, and by how many times their kinds have to be more than on
/// the days before.
const SEVERAL_NEW: u64 = 2;
const KINDS_OVER_BEFORE: u64 = 2;
/// Earlier days on which something has to be seen to be routine or common, and hosts to be common.
const ROUTINE_DAYS: u64 = 3;
const COMMON_HOSTS: u64 = 3;
/// A pair of programs seen no more often than this, on one day, is rare if there is a week of logs.
const RARE_EVENTS: u64 = 3;
const RARE_IN_DAYS: u64 = 7;

pub(super) fn find(baseline: &Baseline, subjects: &[&Stored]) -> Vec<Finding> {
    let mut new = new(baseline, subjects);
    let sum: f64 = new.iter().map(|finding| finding.weight).sum();
    if sum > MAX_NEW {
        new.iter_mut().for_each(|finding| finding.weight *= MAX_NEW / sum);
    }
    let others = [
        outside_working_hours(baseline, subjects),
        burst(baseline, subjects),
        new_kinds(baseline, subjects),
        common(baseline, subjects),
        routine(baseline, subjects),
    ];
    new.extend(others.into_iter().flatten());
    new
}

fn new(baseline: &Baseline, subjects: &[&Stored]) -> Vec<Finding> {
    let kinds = [
        (Aspect::Program, Kind::FirstSeenProcess),
        (Aspect::ParentChild, Kind::RareParentChild),
        (Aspect::Service, Kind::FirstSeenJob),
        (Aspect::Job, Kind::FirstSeenJob),
        (Aspect::LogonPath, Kind::NewLogonPath),
        (Aspect::Destination, Kind::NewDestination),
        (Aspect::UserAgent, Kind::NewUserAgent),
        (Aspect::CloudOperation, Kind::NewCloudOperation),
        (Aspect::SignatureOnHost, Kind::NewSignature),
        (Aspect::DeviceOperation, Kind::NewDeviceOperation),
    ];
    kinds
        .into_iter()
        .filter_map(|(aspect, kind)| {
            let usual = baseline.of(aspect).find(|usual| usual.is_new() || is_rare(usual))?;
            let place = if usual.on_host { "on this host" } else { "at this site" };
            let support = support(usual.support);
            let statement = if usual.events == 0 {
                format!("{} was not seen {place} before, in {support}", quoted(&usual.value))
            } else {
                format!(
                    "{} was seen only {} times {place} before, in {support}",
                    quoted(&usual.value),
                    usual.events
                )
            };
            Some(about_alert(kind, statement, subjects))
        })
        .collect()
}

fn is_rare(usual: &Usual) -> bool {
    usual.aspect == Aspect::ParentChild
        && usual.events <= RARE_EVENTS
        && usual.days <= 1
        && usual.support.days >= RARE_IN_DAYS
}

fn outside_working_hours(baseline: &Baseline, subjects: &[&Stored]) -> Option<Finding> {
    let hours = baseline.hours.as_ref().filter(|hours| hours.is_enough() && hours.days_at_this_hour == 0)?;
    let statement = format!(
        "{} was active on {} earlier days and never at this time of day",
        quoted(&hours.account),
        hours.days
    );
    Some(about_alert(Kind::OutsideWorkingHours, statement, subjects))
}

fn burst(baseline: &Baseline, subjects: &[&Stored]) -> Option<Finding> {
    let usual = baseline.rated().filter(|usual| is_burst(usual))?;
    let statement = format!(
        "{} comes {} times an hour; in {} its busiest hour had {} and its usual one {}",
        quoted(&usual.value),
        usual.now,
        support(usual.support),
        usual.busiest,
        usual.typical
    );
    Some(about_alert(Kind::SignatureBurst, statement, subjects))
}

fn is_burst(usual: &Usual) -> bool {
    usual.now >= BURST_EVENTS
        && usual.now > usual.busiest
        && (usual.now >= usual.busiest.saturating_mul(BURST_OVER_BUSIEST)
            || usual.now >= usual.typical.saturating_mul(BURST_OVER_TYPICAL))
}

fn new_kinds(baseline: &Baseline, subjects: &[&Stored]) -> Option<Finding> {
    let (now, before) = (baseline.kinds.findings, baseline.kinds.findings_before.unwrap_or_default());
    let many = now.kinds >= before.saturating_mul(KINDS_OVER_BEFORE);
    if now.new < SEVERAL_NEW || !many || !baseline.site.is_enough() {
        return None;
    }
    let statement = format!(
        "within an hour of the alert there are {} kinds of findings, {} of them never seen before; in the same hours of \
         the days before there were {before} at most",
        now.kinds, now.new
    );
    Some(about_alert(Kind::NewSignatureKinds, statement, subjects))
}

/// Programs started so on many hosts and days. Programs alone are not asked about: every site starts PowerShell.
fn common(baseline: &Baseline, subjects: &[&Stored]) -> Option<Finding> {
    let fewest = all_of(baseline, Aspect::ParentChild, subjects, |usual| {
        usual.counted && usual.days >= ROUTINE_DAYS && usual.hosts >= COMMON_HOSTS
    })?;
    let statement = format!(
        "{} is common at this site: {} times on {} hosts or more, in {}",
        quoted(&fewest.value),
        fewest.events,
        fewest.hosts,
        support(fewest.support)
    );
    Some(about_alert(Kind::CommonHere, statement, subjects))
}

/// Findings that come on this host on most days, as often now as then, and nothing new beside them.
fn routine(baseline: &Baseline, subjects: &[&Stored]) -> Option<Finding> {
    if baseline.kinds.findings.new > 0 {
        return None;
    }
    let fewest = all_of(baseline, Aspect::SignatureOnHost, subjects, |usual| {
        usual.counted
            && usual.days >= ROUTINE_DAYS
            && usual.days * 2 >= usual.support.days
            && usual.now <= usual.busiest
    })?;
    let statement = format!(
        "{} came {} times on {} of {}, up to {} an hour, and comes {} times an hour now",
        quoted(&fewest.value),
        fewest.events,
        fewest.days,
        support(fewest.support),
        fewest.busiest,
        fewest.now
    );
    Some(about_alert(Kind::RoutineRepeat, statement, subjects))
}

/// The rarest value of an aspect, if everything the alert is about has it, all were looked up and all pass.
fn all_of<'a>(
    baseline: &'a Baseline,
    aspect: Aspect,
    subjects: &[&Stored],
    passes: impl Fn(&Usual) -> bool,
) -> Option<&'a Usual> {
    let has_it = |subject: &&Stored| aspect.is_of(subject);
    if !baseline.complete || !subjects.iter().all(has_it) || !baseline.of(aspect).all(passes) {
        return None;
    }
    baseline.of(aspect).min_by_key(|usual| (usual.days, usual.events))
}

fn support(support: Support) -> String {
    format!("{} days of such logs", support.days)
}
