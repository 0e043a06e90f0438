//! What may be done, and which sets of rights have a name?

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Scope {
    /// Send events and alerts in.
    Ingest,
    /// Search events; read alerts, investigations and reports.
    Read,
    /// Start investigations; close, reopen and comment alerts.
    Investigate,
    /// Change rules, playbooks, models and what is followed.
    Manage,
    /// Read and export the record of who did what.
    Audit,
    /// Everything, other people's rights included.
    Admin,
}

impl Scope {
    /// All of them, weakest first.
    pub const ALL: [Self; 6] =
        [Self::Ingest, Self::Read, Self::Investigate, Self::Manage, Self::Audit, Self::Admin];

    /// Its name in the file, on the command line and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Investigate => "investigate",
            Self::Manage => "manage",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was written is no name of a right or role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}; these are: {known}")]
pub struct UnknownName {
    what: &'static str,
    found: String,
    known: String,
}

impl UnknownName {
    fn new(what: &'static str, found: &str, known: &[&str]) -> Self {
        Self { what, found: found.chars().take(64).collect(), known: known.join(", ") }
    }
}

impl FromStr for Scope {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| UnknownName::new("scope", text, &Self::ALL.map(Self::name)))
    }
}

/// A set of rights; a list of names in JSON, `read, investigate` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Scope>", into = "Vec<Scope>")]
pub struct Scopes(u8);

impl Scopes {
    /// No right at all.
    pub const NONE: Self = Self(0);

    /// Whether `scope` is granted; [`Scope::Admin`] grants all.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Whether nothing is granted.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What either of both grants.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The rights that were named, weakest first.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<Scopes> for Vec<Scope> {
    fn from(scopes: Scopes) -> Self {
        scopes.iter().collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = UnknownName;

    /// Names with commas between them.
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        text.split(',').map(|name| name.trim().parse::<Scope>()).collect()
    }
}

/// A set of rights with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends in, sees nothing.
    Sensor,
    /// Reads, with personal data masked unless the entry says otherwise.
    Viewer,
    /// Reads and investigates.
    Analyst,
    /// As an analyst, and changes rules, playbooks and models.
    Engineer,
    /// Reads, and reads and exports the record of who did what.
    Auditor,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sensor, Self::Viewer, Self::Analyst, Self::Engineer, Self::Auditor, Self::Admin];

    /// Its name in the file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Engineer => "engineer",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// What it may do.
    pub fn scopes(self) -> Scopes {
        let scopes: &[Scope] = match self {
            Self::Sensor => &[Scope::Ingest],
            Self::Viewer => &[Scope::Read],
            Self::Analyst => &[Scope::Read, Scope::Investigate],
            Self::Engineer => &[Scope::Read, Scope::Investigate, Scope::Manage],
            Self::Auditor => &[Scope::Read, Scope::Audit],
            Self::Admin => &[Scope::Admin],
        };
        scopes.iter().copied().collect()
    }

    /// Whether personal data is masked unless an entry says otherwise.
    pub fn redacted(self) -> bool {
        self == Self::Viewer
    }
}

/// What several roles grant together, each with whether it masks personal data: masked is who can read by masking roles
/// alone. A role that reads nothing unmasks nothing.
pub(crate) fn together(roles: impl Iterator<Item = (Role, bool)>) -> (Scopes, bool) {
    let (mut scopes, mut masked, mut plain) = (Scopes::NONE, false, false);
    for (role, redacted) in roles {
        scopes = scopes.union(role.scopes());
        if role.scopes().contains(Scope::Read) {
            masked |= redacted;
            plain |= !redacted;
        }
    }
    (scopes, masked && !plain)
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| UnknownName::new("role", text, &Self::ALL.map(Self::name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every role against every right, so that a change of one is seen here.
    #[test]
    fn roles_grant_exactly_this() {
        fn check(role: Role, expected: &str) {
            let granted: Vec<_> =
                Scope::ALL.into_iter().filter(|s| role.scopes().contains(*s)).map(Scope::name).collect();
            assert_eq!(granted.join(" "), expected, "{role}");
        }
        check(Role::Sensor, "ingest");
        check(Role::Viewer, "read");
        check(Role::Analyst, "read investigate");
        check(Role::Engineer, "read investigate manage");
        check(Role::Auditor, "read audit");
        check(Role::Admin, "ingest read investigate manage audit admin");
        assert!(!Scopes::NONE.contains(Scope::Read));
    }

    #[test]
    fn only_a_role_that_reads_can_unmask() {
        fn check(roles: &[(Role, bool)], expected: bool) {
            assert_eq!(together(roles.iter().copied()).1, expected, "{roles:?}");
        }
        check(&[(Role::Viewer, true)], true);
        check(&[(Role::Viewer, true), (Role::Sensor, false)], true);
        check(&[(Role::Sensor, false), (Role::Analyst, true)], true);
        check(&[(Role::Viewer, true), (Role::Admin, false)], false);
        check(&[(Role::Viewer, false)], false);
        check(&[], false);
    }

    #[test]
    fn written_and_read_back() {
        let scopes: Scopes = "investigate, read".parse().unwrap();
        assert_eq!(scopes.to_string(), "read, investigate");
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#"["read","investigate"]"#);
        assert_eq!(serde_json::from_str::<Scopes>(r#"["investigate","read"]"#).unwrap(), scopes);
        assert!(serde_json::from_str::<Scopes>(r#"["root"]"#).is_err());
        for role in Role::ALL {
            assert_eq!(role.name().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{scope}\""));
        }
        let error = "root".parse::<Role>().unwrap_err().to_string();
        assert!(error.contains("root") && error.contains("engineer"), "{error}");
        assert!("".parse::<Scopes>().is_err());
    }
}
