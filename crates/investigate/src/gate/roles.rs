//! Who is what in an event?

use crate::view::View;
use casemate_event::{Class, Entity, EntityKind, Event, field};

/// Part that something named plays in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// The account that acted.
    Actor,
    /// The account acted upon: who logged on, whose account changed.
    Account,
    /// The program started, stopped or opened.
    Program,
    /// What started it.
    Parent,
    /// The program that acted on something.
    By,
    /// File or folder acted upon.
    File,
    /// Registry key acted upon.
    Key,
    /// Service or scheduled job.
    Job,
    /// Library or driver loaded.
    Module,
    /// Host the event was recorded on.
    Host,
    /// Where a connection or logon came from.
    Source,
    /// Where it went.
    Destination,
    /// Name asked for.
    Query,
    /// Operation or service of an API.
    Operation,
}

/// Everything an event names, by role, in lower case.
pub(crate) struct Roles {
    named: Vec<(Role, String)>,
}

impl Roles {
    pub(crate) fn of(event: &Event) -> Self {
        let mut roles = Self { named: Vec::new() };
        // Of a file, key or socket the "process" is who acted; only of a process it is what was acted on.
        let process = if event.class == Class::ProcessActivity { Role::Program } else { Role::By };
        for (role, kind, names) in [
            (Role::Host, EntityKind::Host, &[field::DEVICE_HOSTNAME, field::DEVICE_IP][..]),
            (Role::Actor, EntityKind::User, &[field::ACTOR_USER]),
            (Role::Account, EntityKind::User, &[field::USER]),
            (process, EntityKind::Process, &[field::PROCESS_PATH, field::PROCESS_NAME]),
            (Role::Parent, EntityKind::Process, &[field::PARENT_PROCESS_PATH, field::PARENT_PROCESS_NAME]),
            (Role::By, EntityKind::Process, &[field::ACTOR_PROCESS_PATH, field::ACTOR_PROCESS_NAME]),
            (Role::File, EntityKind::File, &[field::FILE_PATH]),
            (Role::Key, EntityKind::Registry, &[field::REGISTRY_KEY]),
            (Role::Module, EntityKind::File, &[field::MODULE_PATH]),
            (Role::Source, EntityKind::Ip, &[field::SRC_IP]),
            (Role::Source, EntityKind::Host, &[field::SRC_HOSTNAME]),
            (Role::Destination, EntityKind::Ip, &[field::DST_IP]),
            (Role::Destination, EntityKind::Host, &[field::DST_HOSTNAME]),
            (Role::Query, EntityKind::Domain, &[field::QUERY_HOSTNAME]),
            (Role::Job, EntityKind::File, &[field::SERVICE_NAME, field::JOB_NAME]),
            (Role::Operation, EntityKind::File, &[field::API_OPERATION, field::API_SERVICE]),
        ] {
            for value in names.iter().filter_map(|name| event.field(name)) {
                roles.add(role, &value.to_lowercase());
                roles.add(role, &Entity::new(kind, value).value.to_lowercase());
            }
        }
        // What a service or job runs is started by it.
        let job = View(event).job_command();
        if View(event).is_job_change() {
            let program = job.split_whitespace().next().unwrap_or_default();
            roles.add(Role::Program, &program.trim_matches('"').to_lowercase());
        }
        roles
    }

    /// Adds a value under the names it goes by: whole, its last component, and that without its ending.
    fn add(&mut self, role: Role, value: &str) {
        let base = value.trim_matches('"').rsplit(['\\', '/']).next().unwrap_or_default();
        let stem = base.strip_suffix(".exe").unwrap_or(base);
        for name in [value, base, stem] {
            let named = (role, name.to_owned());
            if !name.is_empty() && !self.named.contains(&named) {
                self.named.push(named);
            }
        }
    }

    /// Roles of what goes by this name, given in lower case.
    pub(crate) fn of_name(&self, name: &str) -> Vec<Role> {
        self.named.iter().filter(|(_, known)| known == name).map(|(role, _)| *role).collect()
    }
}
