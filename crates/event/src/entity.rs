use crate::{Fields, field};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What sort of thing an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// Computer, by name.
    Host,
    /// Account, by name without its domain.
    User,
    /// Network address.
    Ip,
    /// Program, by base name.
    Process,
    /// File, by full path.
    File,
    /// File content, by SHA-256.
    Hash,
    /// Domain name asked for or connected to.
    Domain,
    /// Windows registry key.
    Registry,
    /// Industrial device: its address, or its address and behind a slash its station or unit.
    Asset,
    /// One run of a program: its host and behind a slash the id that its logs tell it by (Sysmon's GUID where
    /// there is one, else the process id, which is used again after a while).
    ProcessId,
}

impl EntityKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Host,
        Self::User,
        Self::Ip,
        Self::Process,
        Self::File,
        Self::Hash,
        Self::Domain,
        Self::Registry,
        Self::Asset,
        Self::ProcessId,
    ];

    /// Name used in searches (`user:alice`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
            Self::Ip => "ip",
            Self::Process => "process",
            Self::File => "file",
            Self::Hash => "hash",
            Self::Domain => "domain",
            Self::Registry => "registry",
            Self::Asset => "asset",
            Self::ProcessId => "process_id",
        }
    }

    /// Whether words find an entity of this kind. Made-up names (a unit, a process id) are found by asking for
    /// the entity alone: their numbers would be found in any search for a number.
    pub fn has_words(self) -> bool {
        !matches!(self, Self::Asset | Self::ProcessId)
    }
}

/// A thing events are about, in canonical lower case so that pivots join.
///
/// Written `kind:value`, which [`FromStr`] reads back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// What sort of thing.
    pub kind: EntityKind,
    /// Its canonical name.
    pub value: String,
}

impl Entity {
    /// Canonicalises `value` for `kind`: lower case; hosts lose their domain suffix, users their domain, ids of
    /// processes their braces.
    pub fn new(kind: EntityKind, value: &str) -> Self {
        let lower = value.trim().to_lowercase();
        let value = match kind {
            EntityKind::Host => host(&lower).to_owned(),
            EntityKind::ProcessId => {
                let (machine, id) = lower.split_once('/').unwrap_or(("", &lower));
                process_id(host(machine), id)
            }
            EntityKind::User => {
                let name = lower.rsplit('\\').next().unwrap_or_default();
                name.split('@').next().unwrap_or_default().to_owned()
            }
            _ => lower,
        };
        Self { kind, value }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.value)
    }
}

impl FromStr for Entity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once(':').ok_or_else(|| format!("entity {text:?} is not written kind:value"))?;
        EntityKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .map(|kind| Self::new(kind, value))
            .ok_or_else(|| {
                let kinds: Vec<&str> = EntityKind::ALL.iter().map(|kind| kind.name()).collect();
                format!("unknown entity kind {name:?}; use one of {}", kinds.join(", "))
            })
    }
}

const ENTITY_FIELDS: [(&str, EntityKind); 20] = [
    (field::DEVICE_HOSTNAME, EntityKind::Host),
    (field::SRC_HOSTNAME, EntityKind::Host),
    (field::DST_HOSTNAME, EntityKind::Host),
    (field::ACTOR_USER, EntityKind::User),
    (field::USER, EntityKind::User),
    (field::DEVICE_IP, EntityKind::Ip),
    (field::SRC_IP, EntityKind::Ip),
    (field::DST_IP, EntityKind::Ip),
    (field::ACTOR_PROCESS_NAME, EntityKind::Process),
    (field::PROCESS_NAME, EntityKind::Process),
    (field::PARENT_PROCESS_NAME, EntityKind::Process),
    (field::FILE_PATH, EntityKind::File),
    (field::PROCESS_PATH, EntityKind::File),
    (field::MODULE_PATH, EntityKind::File),
    (field::FILE_SHA256, EntityKind::Hash),
    (field::PROCESS_SHA256, EntityKind::Hash),
    (field::QUERY_HOSTNAME, EntityKind::Domain),
    (field::REGISTRY_KEY, EntityKind::Registry),
    (field::SERVICE_NAME, EntityKind::Process),
    (field::ACTOR_PROCESS_PATH, EntityKind::File),
];

/// Which process of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessRole {
    /// The one that was started, stopped or accessed.
    Object,
    /// The one that acted.
    Actor,
    /// The one that started the object.
    Parent,
}

/// The id of a process that `fields` name, if they name the host too.
pub fn process_of(fields: &Fields, role: ProcessRole) -> Option<Entity> {
    let (uid, pid) = match role {
        ProcessRole::Object => (field::PROCESS_UID, field::PROCESS_PID),
        ProcessRole::Actor => (field::ACTOR_PROCESS_UID, field::ACTOR_PROCESS_PID),
        ProcessRole::Parent => (field::PARENT_PROCESS_UID, field::PARENT_PROCESS_PID),
    };
    let id = fields.get(uid).or_else(|| fields.get(pid).filter(|pid| *pid != "0"))?;
    let machine = fields.get(field::DEVICE_HOSTNAME).or_else(|| fields.get(field::DEVICE_IP))?;
    let machine = machine.trim().to_lowercase();
    let machine = Some(host(&machine)).filter(|name| !name.is_empty())?;
    Some(Entity { kind: EntityKind::ProcessId, value: process_id(machine, &id.to_lowercase()) })
}

/// Name of a host without its domain; an address is not a dotted name. In lower case already.
fn host(name: &str) -> &str {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return name;
    }
    name.split('.').next().unwrap_or_default()
}

/// Both in lower case already.
fn process_id(host: &str, id: &str) -> String {
    let id = id.trim().trim_start_matches('{').trim_end_matches('}');
    let mut value = String::with_capacity(host.len() + 1 + id.len());
    value.push_str(host);
    value.push('/');
    value.push_str(id);
    value
}

/// Entities named by normalised `fields`, sorted, without duplicates.
///
/// Values that stand for "nobody" or "this machine" (loopback, `ANONYMOUS LOGON` …) are left out: a pivot on
/// them joins everything.
pub fn entities(fields: &Fields) -> Vec<Entity> {
    let mut found: Vec<Entity> = ENTITY_FIELDS
        .iter()
        .filter_map(|&(name, kind)| fields.get(name).map(|value| Entity::new(kind, value)))
        .filter(|entity| !is_placeholder(entity))
        .collect();
    let roles = [ProcessRole::Object, ProcessRole::Actor, ProcessRole::Parent];
    found.extend(roles.into_iter().filter_map(|role| process_of(fields, role)));
    if let Some(asset) = fields.get(field::ASSET) {
        let unit = Entity::new(EntityKind::Asset, asset);
        // The device with all of its units, too.
        if let Some((address, _)) = unit.value.split_once('/') {
            found.push(Entity { kind: EntityKind::Asset, value: address.to_owned() });
        }
        found.push(unit);
    }
    found.sort();
    found.dedup();
    found
}

fn is_placeholder(entity: &Entity) -> bool {
    let value = entity.value.as_str();
    match entity.kind {
        EntityKind::Ip => matches!(value, "127.0.0.1" | "::1" | "0.0.0.0" | "::"),
        EntityKind::User => matches!(value, "" | "anonymous logon" | "n/a"),
        _ => value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: EntityKind, value: &str, expected: &str) {
        let entity = Entity::new(kind, value);
        assert_eq!(entity.to_string(), expected);
        assert_eq!(expected.parse::<Entity>(), Ok(entity));
    }

    #[test]
    fn names_are_canonical() {
        check(EntityKind::Host, "WS5.Example.local", "host:ws5");
        check(EntityKind::Host, "10.0.0.5", "host:10.0.0.5");
        check(EntityKind::User, "EXAMPLE\\Alice", "user:alice");
        check(EntityKind::User, "alice@example.com", "user:alice");
        check(EntityKind::Process, "PowerShell.EXE", "process:powershell.exe");
        check(EntityKind::Ip, "FE80::1", "ip:fe80::1");
        check(EntityKind::Asset, "10.0.0.5/Unit 1", "asset:10.0.0.5/unit 1");
        check(EntityKind::ProcessId, "WS5.example.local/{3AAB-1}", "process_id:ws5/3aab-1");
        check(EntityKind::ProcessId, "10.0.0.5/77", "process_id:10.0.0.5/77");
    }

    fn check_all(fields: &[(&str, &str)], expected: &[&str]) {
        let fields = fields.iter().copied().collect();
        let names: Vec<String> = entities(&fields).iter().map(Entity::to_string).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn processes_are_told_by_host_and_id() {
        check_all(
            &[
                (field::DEVICE_HOSTNAME, "WS5.lab.test"),
                (field::PROCESS_PID, "77"),
                (field::PARENT_PROCESS_UID, "{AB-1}"),
                (field::PARENT_PROCESS_PID, "12"),
                (field::ACTOR_PROCESS_PID, "0"),
            ],
            &["host:ws5", "process_id:ws5/77", "process_id:ws5/ab-1"],
        );
        check_all(&[(field::PROCESS_PID, "77")], &[]);
    }

    #[test]
    fn a_unit_is_found_with_its_device() {
        check_all(&[(field::ASSET, "10.0.0.5/1")], &["asset:10.0.0.5", "asset:10.0.0.5/1"]);
        check_all(&[(field::ASSET, "10.0.0.5")], &["asset:10.0.0.5"]);
    }

    #[test]
    fn placeholders_are_no_entities() {
        let fields =
            [(field::SRC_IP, "127.0.0.1"), (field::USER, "ANONYMOUS LOGON"), (field::DST_IP, "10.0.0.1")]
                .into_iter()
                .collect();
        let names: Vec<String> = entities(&fields).iter().map(Entity::to_string).collect();
        assert_eq!(names, ["ip:10.0.0.1"]);
    }

    #[test]
    fn unknown_kinds_are_refused() {
        assert!("colour:red".parse::<Entity>().is_err());
        assert!("alice".parse::<Entity>().is_err());
    }
}
