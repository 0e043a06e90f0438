//! What was looked for and is not there? Gaps in telemetry and in what the site has written down.

use crate::facts::Past;
use crate::relate::Relation;
use crate::site::Site;
use crate::view::View;
use casemate_event::{Class, Stored, TimeQuality, field};

/// What the gaps are looked for in.
pub(crate) struct Looked<'a> {
    pub(crate) subjects: &'a [Stored],
    pub(crate) events: &'a [Stored],
    pub(crate) relations: &'a [Relation],
    pub(crate) past: &'a Past,
    pub(crate) site: &'a Site,
    pub(crate) semantic: bool,
}

/// The gaps, each with what would fill it.
pub(crate) fn find(looked: &Looked<'_>) -> Vec<String> {
    let mut missing = Vec::new();
    let host = looked.subjects.first().map(|stored| View(&stored.event).host()).unwrap_or_default();
    let on_host = || {
        looked
            .events
            .iter()
            .zip(looked.relations)
            .filter(|(stored, relation)| {
                **relation != Relation::Similar && View(&stored.event).host() == host
            })
            .map(|(stored, _)| View(&stored.event))
    };
    let endpoint = looked.subjects.iter().any(is_endpoint);
    let mut add = |absent: bool, text: String| {
        if absent {
            missing.push(text);
        }
    };
    let launches = on_host().filter(|view| view.is_launch()).count();
    add(
        endpoint && launches == 0,
        format!(
            "no process starts of {host} in the window; collect Sysmon event 1 or Security event 4688 there"
        ),
    );
    add(
        launches > 0 && on_host().filter(|view| view.is_launch()).all(|view| view.command().is_empty()),
        format!("process starts of {host} carry no command lines; enable command-line auditing there"),
    );
    let parent_unknown = looked.subjects.iter().any(|stored| {
        let view = View(&stored.event);
        view.is_launch() && view.parent_path().is_none()
    });
    add(parent_unknown, format!("the parent of the process on {host} is not recorded"));
    add(
        !parent_unknown && launches > 0 && parent_start_missing(looked),
        format!(
            "the start of the parent process on {host} is not in the store, so its own parent and account are unknown"
        ),
    );
    let no_network = !looked.events.iter().any(|stored| {
        matches!(stored.event.class, Class::NetworkActivity | Class::DnsActivity | Class::HttpActivity)
    });
    add(
        no_network,
        "no network events in the window; collect Zeek, firewall or Sysmon event 3 logs".to_owned(),
    );
    add(
        endpoint && !on_host().any(|view| view.0.class == Class::Authentication),
        format!("no logons of {host} in the window, so where the account came from is unknown"),
    );
    add(
        looked.subjects.iter().any(|stored| stored.event.time_quality != TimeQuality::Stated),
        "the alert's events do not state their full time; a year, a zone or the time of arrival was assumed"
            .to_owned(),
    );
    add(
        !looked.past.baseline.host.is_enough(),
        format!(
            "too few earlier logs of this kind of {host} ({} hours on {} days), so whether this is usual there is unknown",
            looked.past.baseline.host.hours, looked.past.baseline.host.days
        ),
    );
    add(
        looked.site.entries() == 0,
        "the site has written nothing of itself (config/site), so nothing can be recognised as approved"
            .to_owned(),
    );
    add(
        !looked.semantic,
        "the embedding model is not loaded, so similar events were not searched".to_owned(),
    );
    missing
}

fn is_endpoint(stored: &Stored) -> bool {
    matches!(
        stored.event.class,
        Class::ProcessActivity
            | Class::ScriptActivity
            | Class::ModuleActivity
            | Class::FileSystemActivity
            | Class::RegistryKeyActivity
            | Class::WindowsServiceActivity
            | Class::ScheduledJobActivity
    )
}

fn parent_start_missing(looked: &Looked<'_>) -> bool {
    looked.subjects.iter().any(|subject| {
        let view = View(&subject.event);
        let parent = view
            .lineage()
            .1
            .filter(|_| view.is_launch() && subject.event.field(field::PARENT_PROCESS_PID).is_some());
        parent.filter(|pid| *pid > 4).is_some_and(|parent| {
            !looked.events.iter().any(|other| {
                let other = View(&other.event);
                other.is_launch() && other.lineage().0 == Some(parent) && other.host() == view.host()
            })
        })
    })
}
