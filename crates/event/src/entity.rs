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
}

impl EntityKind {
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
        }
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
    /// Canonicalises `value` for `kind`: lower case; hosts lose their domain suffix, users their domain.
    pub fn new(kind: EntityKind, value: &str) -> Self {
        let lower = value.trim().to_lowercase();
        let value = match kind {
            // An address is not a dotted host name.
            EntityKind::Host if lower.parse::<std::net::IpAddr>().is_err() => {
                lower.split('.').next().unwrap_or_default().to_owned()
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
        use EntityKind::{Domain, File, Hash, Host, Ip, Process, Registry, User};
        let (name, value) =
            text.split_once(':').ok_or_else(|| format!("entity {text:?} is not written kind:value"))?;
        [Host, User, Ip, Process, File, Hash, Domain, Registry]
            .into_iter()
            .find(|kind| kind.name() == name)
            .map(|kind| Self::new(kind, value))
            .ok_or_else(|| {
                format!("unknown entity kind {name:?}; use host, user, ip, process, file, hash, domain or registry")
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
