//! Which process started that one? Follows a process to its parent, to the parent of that, and so on.

use crate::query::{Order, Query};
use crate::{Result, Store};
use casemate_event::{Class, Entity, EntityKind, Event, ProcessRole, Stored, field, process_of};
use jiff::SignedDuration;

/// How long before its child a process that is told by its process id alone may have started: such ids are used
/// again.
const PID_DAYS: i64 = 7;
/// Starts looked at for one with the right name.
const MAX_STARTS: usize = 32;

/// How a process is told in the fields of an event.
struct Known {
    uid: Option<String>,
    pid: Option<u64>,
    /// Base name in lower case.
    name: Option<String>,
}

impl Store {
    /// Starts of the processes before an event, at most `generations` of them, the nearest first.
    ///
    /// For the start of a process these are its parent, the parent of that and so on; for what a process did,
    /// its own start comes first. A process is told by host and unique id (Sysmon's GUID) where both sides have
    /// one, else by host and process id: then its last start before the child in a week is taken, if its name
    /// is not another than the child says.
    ///
    /// # Errors
    /// Damage, naming the file.
    pub fn ancestors(&self, stored: &Stored, generations: usize) -> Result<Vec<Stored>> {
        let mut chain: Vec<Stored> = Vec::new();
        for _ in 0..generations {
            let child = chain.last().unwrap_or(stored);
            let Some(start) = self.started_by(child)? else { break };
            if start.id == stored.id || chain.iter().any(|known| known.id == start.id) {
                break;
            }
            chain.push(start);
        }
        Ok(chain)
    }

    fn started_by(&self, child: &Stored) -> Result<Option<Stored>> {
        let role = if is_start(&child.event) {
            ProcessRole::Parent
        } else if told(&child.event, ProcessRole::Actor).is_known() {
            ProcessRole::Actor
        } else {
            ProcessRole::Object
        };
        let wanted = told(&child.event, role);
        let host =
            [field::DEVICE_HOSTNAME, field::DEVICE_IP].into_iter().find_map(|name| child.event.field(name));
        let Some(host) = host.map(|host| Entity::new(EntityKind::Host, host)) else { return Ok(None) };
        let starts = Query {
            entities: vec![host],
            classes: vec![Class::ProcessActivity],
            limit: MAX_STARTS,
            order: Order::NewestFirst,
            ..Query::default()
        };
        if let Some(uid) = &wanted.uid {
            let text = format!("activity_name:Launch process.uid:\"{uid}\"");
            let found = self.search(&Query { text, ..starts.clone() })?.hits;
            let id = process_of(&child.event.fields, role);
            let same = |hit: &Stored| process_of(&hit.event.fields, ProcessRole::Object) == id;
            if let Some(start) = found.into_iter().find(|hit| hit.id != child.id && same(hit)) {
                return Ok(Some(start));
            }
        }
        let Some(pid) = wanted.pid else { return Ok(None) };
        let query = Query {
            text: format!("activity_name:Launch process.pid:{pid}"),
            after: child.event.time.checked_sub(SignedDuration::from_hours(24 * PID_DAYS)).ok(),
            before: Some(child.event.time),
            ..starts
        };
        let named = |hit: &Stored| match (&wanted.name, told(&hit.event, ProcessRole::Object).name) {
            (Some(wanted), Some(name)) => *wanted == name,
            _ => true,
        };
        Ok(self.search(&query)?.hits.into_iter().find(|hit| hit.id != child.id && named(hit)))
    }
}

impl Known {
    fn is_known(&self) -> bool {
        self.uid.is_some() || self.pid.is_some()
    }
}

fn is_start(event: &Event) -> bool {
    event.class == Class::ProcessActivity
        && event.field(field::ACTIVITY).is_some_and(|activity| activity.eq_ignore_ascii_case("launch"))
}

fn told(event: &Event, role: ProcessRole) -> Known {
    let (uid, pid, name) = match role {
        ProcessRole::Object => (field::PROCESS_UID, field::PROCESS_PID, field::PROCESS_NAME),
        ProcessRole::Actor => (field::ACTOR_PROCESS_UID, field::ACTOR_PROCESS_PID, field::ACTOR_PROCESS_NAME),
        ProcessRole::Parent => {
            (field::PARENT_PROCESS_UID, field::PARENT_PROCESS_PID, field::PARENT_PROCESS_NAME)
        }
    };
    Known {
        // What would end the quotes of a query is no id of a process.
        uid: event.field(uid).filter(|uid| !uid.contains(['"', '\\'])).map(str::to_owned),
        // The lowest ones are the system's own and are never started.
        pid: event.field(pid).and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 4),
        name: event.field(name).map(str::to_lowercase),
    }
}
