//! How is an event related to the alert? By process, by actor, or only by being near.
//!
//! What merely happens nearby must not convict: a backup job does not become an attack because an attack
//! runs beside it. So every fact counts in full only for the alert's own events and less the looser the tie.

use crate::view::View;
use casemate_event::{Class, Stored};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Tie between an event and the alert, closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// One of the alert's own events.
    Alert,
    /// Same process, an ancestor or a descendant of it.
    Process,
    /// Same person or same source address within minutes.
    Actor,
    /// Same host within the window.
    Near,
    /// Found by likeness alone.
    Similar,
}

impl Relation {
    /// Name as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Process => "process",
            Self::Actor => "actor",
            Self::Near => "near",
            Self::Similar => "similar",
        }
    }

    /// Share of a raising fact's weight that counts.
    pub(crate) fn factor(self) -> f64 {
        match self {
            Self::Alert => 1.0,
            Self::Process => 0.9,
            Self::Actor => 0.5,
            Self::Near => 0.15,
            Self::Similar => 0.0,
        }
    }

    /// Why the event is in the evidence, for people.
    pub fn why(self) -> &'static str {
        match self {
            Self::Alert => "event of the alert",
            Self::Process => "same process tree",
            Self::Actor => "same user or source address",
            Self::Near => "same host, near in time",
            Self::Similar => "resembles what the playbook looks for",
        }
    }
}

/// Same actor counts as a tie this long before and after the alert's events.
const ACTOR_SECONDS: i64 = 600;

/// Programs whose children belong together: a parent such as `services.exe` ties nothing.
pub(crate) const INTERPRETERS: [&str; 22] = [
    "cmd.exe",
    "powershell.exe",
    "powershell_ise.exe",
    "pwsh.exe",
    "wscript.exe",
    "cscript.exe",
    "mshta.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "wmic.exe",
    "python.exe",
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "python",
    "python3",
    "perl",
    "ruby",
    "php",
    "nc",
];

/// Relation of each of `events` to the alert's own `subjects`, in the order given.
pub(crate) fn relations(subjects: &[Stored], events: &[Stored]) -> Vec<Relation> {
    let own: BTreeSet<_> = subjects.iter().map(|subject| subject.id).collect();
    let tree = ProcessTree::of(subjects, events);
    let actors = Actors::of(subjects);
    let hosts: BTreeSet<String> = subjects.iter().map(|subject| View(&subject.event).host()).collect();
    let addresses = addresses(&hosts, events);
    events
        .iter()
        .map(|stored| {
            let view = View(&stored.event);
            if own.contains(&stored.id) {
                Relation::Alert
            } else if tree.holds(view) {
                Relation::Process
            } else if actors.hold(stored) {
                Relation::Actor
            } else if hosts.contains(&view.host())
                || view.source_ip().is_some_and(|ip| addresses.contains(&ip))
            {
                Relation::Near
            } else {
                Relation::Similar
            }
        })
        .collect()
}

/// Addresses that processes of these hosts connected from: what a sensor on the wire knows the hosts by.
pub(crate) fn addresses(hosts: &BTreeSet<String>, events: &[Stored]) -> BTreeSet<String> {
    events
        .iter()
        .map(|stored| View(&stored.event))
        .filter(|view| view.0.class == Class::NetworkActivity && view.actor_path().is_some())
        .filter(|view| hosts.contains(&view.host()))
        .filter_map(View::source_ip)
        .filter(|ip| !is_loopback(ip) && !ip.starts_with("fe80:") && !ip.starts_with("ff"))
        // An inbound connection carries the peer's address as its source; the host's own comes most often.
        .fold(BTreeMap::new(), |mut counts: BTreeMap<String, usize>, ip| {
            *counts.entry(ip).or_default() += 1;
            counts
        })
        .into_iter()
        .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)))
        .map(|(ip, _)| ip)
        .into_iter()
        .collect()
}

/// Processes of the alert by host: the ones it is about, their ancestors and their descendants.
struct ProcessTree {
    members: BTreeSet<(String, u64)>,
}

impl ProcessTree {
    fn of(subjects: &[Stored], events: &[Stored]) -> Self {
        let mut launches: Vec<View<'_>> = subjects
            .iter()
            .chain(events)
            .map(|stored| View(&stored.event))
            .filter(|view| view.is_launch() || view.is_injection())
            .collect();
        launches.sort_by_key(|view| view.0.time);
        let mut parents: BTreeMap<(String, u64), u64> = BTreeMap::new();
        for view in launches.iter().filter(|view| view.is_launch()) {
            if let (Some(pid), Some(parent)) = view.lineage() {
                parents.insert((view.host(), pid), parent);
            }
        }
        let mut own = BTreeSet::new();
        let mut ancestors = BTreeSet::new();
        for view in subjects.iter().map(|stored| View(&stored.event)) {
            let (pid, parent) = view.lineage();
            own.extend(pid.filter(|pid| *pid > 4).map(|pid| (view.host(), pid)));
            let Some(parent) = parent.filter(|pid| *pid > 4) else { continue };
            // Children of the same shell are steps of the same hand.
            if INTERPRETERS.contains(&view.parent_name().as_str()) {
                own.insert((view.host(), parent));
            }
            let mut next = Some(parent);
            while let Some(pid) = next {
                let key = (view.host(), pid);
                next = parents.get(&key).copied().filter(|pid| *pid > 4);
                if !ancestors.insert(key) {
                    break;
                }
            }
        }
        // In order of time, so one pass finds children before grandchildren.
        for view in &launches {
            let (pid, parent) = view.lineage();
            // A process that was injected into does the injector's work from then on.
            let (child, parent) = if view.is_injection() { (view.target_pid(), pid) } else { (pid, parent) };
            if let (Some(child), Some(parent)) = (child, parent)
                && own.contains(&(view.host(), parent))
            {
                own.insert((view.host(), child));
            }
        }
        own.extend(ancestors);
        Self { members: own }
    }

    fn holds(&self, view: View<'_>) -> bool {
        let (pid, parent) = view.lineage();
        let host = view.host();
        let holds = |pid: Option<u64>| pid.is_some_and(|pid| self.members.contains(&(host.clone(), pid)));
        // A launch belongs by the process it starts; its parent alone ties it only through an interpreter.
        holds(pid) || (!view.is_launch() && holds(parent))
    }
}

struct Actors {
    people: BTreeSet<String>,
    sources: BTreeSet<String>,
    first: i64,
    last: i64,
}

impl Actors {
    fn of(subjects: &[Stored]) -> Self {
        let views = || subjects.iter().map(|subject| View(&subject.event));
        let seconds = || subjects.iter().map(|subject| subject.event.time.as_second());
        Self {
            people: views().filter_map(View::person).collect(),
            sources: views().filter_map(View::source_ip).filter(|ip| !is_loopback(ip)).collect(),
            first: seconds().min().unwrap_or_default() - ACTOR_SECONDS,
            last: seconds().max().unwrap_or_default() + ACTOR_SECONDS,
        }
    }

    fn hold(&self, stored: &Stored) -> bool {
        let view = View(&stored.event);
        (self.first..=self.last).contains(&stored.event.time.as_second())
            && (view.person().is_some_and(|person| self.people.contains(&person))
                || view.source_ip().is_some_and(|ip| self.sources.contains(&ip)))
    }
}

pub(crate) fn is_loopback(ip: &str) -> bool {
    ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stored;
    use casemate_event::field;

    fn launch(
        id: u64,
        seconds: i64,
        name: &str,
        pid: &str,
        parent: &str,
        parent_pid: &str,
        user: &str,
    ) -> Stored {
        let fields = [
            (field::DEVICE_HOSTNAME, "ws1"),
            (field::ACTIVITY, "Launch"),
            (field::PROCESS_NAME, name),
            (field::PROCESS_PID, pid),
            (field::PARENT_PROCESS_NAME, parent),
            (field::PARENT_PROCESS_PID, parent_pid),
            (field::ACTOR_USER, user),
        ];
        stored(id, seconds, Class::ProcessActivity, &fields)
    }

    #[test]
    fn ties_go_by_process_then_actor_then_host() {
        let subject = launch(3, 0, "whoami.exe", "300", "cmd.exe", "200", "alice");
        let events = [
            launch(1, -60, "explorer.exe", "100", "userinit.exe", "50", "system"),
            launch(2, -30, "cmd.exe", "200", "explorer.exe", "100", "system"),
            subject.clone(),
            launch(4, 5, "net.exe", "400", "cmd.exe", "0xc8", "system"),
            launch(5, 6, "notepad.exe", "500", "explorer.exe", "100", "alice"),
            launch(6, 7, "svchost.exe", "600", "services.exe", "60", "system"),
        ];
        use Relation::{Actor, Alert, Near, Process};
        assert_eq!(relations(&[subject], &events), [Process, Process, Alert, Process, Actor, Near]);
    }
}
