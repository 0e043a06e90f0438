//! People with a name and a password.

use crate::access::{Access, Loaded};
use crate::file::{Contents, UserEntry, check_name};
use crate::secret::{MAX_SECRET, Phc, check_password};
use crate::{Denied, Error, Kind, PasswordDenied, Principal, Result, Role};
use jiff::Timestamp;
use serde::Serialize;

/// A user, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Name to log in by.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they see personal data masked.
    pub redacted: bool,
    /// Whether they are kept out for now.
    pub disabled: bool,
    /// When they were added.
    pub created: Timestamp,
    /// When anything of theirs last changed.
    pub changed: Timestamp,
}

impl From<&UserEntry> for User {
    fn from(entry: &UserEntry) -> Self {
        Self {
            name: entry.name.clone(),
            role: entry.role,
            redacted: entry.redacted,
            disabled: entry.disabled,
            created: entry.created,
            changed: entry.changed,
        }
    }
}

impl Access {
    /// Adds a user. Personal data is masked for them as the role says ([`Access::set_redacted`] changes that).
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Password`], [`Error::Exists`], [`Error::TooMany`], or the file's.
    pub fn add_user(&self, name: &str, role: Role, password: &str) -> Result<User> {
        check_name(name)?;
        check_password(name, password)?;
        let hash = Phc::of(password)?;
        let now = Timestamp::now();
        self.change(|contents| {
            let entry = UserEntry {
                name: name.to_owned(),
                role,
                redacted: role.redacted(),
                disabled: false,
                created: now,
                changed: now,
                hash,
            };
            let user = User::from(&entry);
            contents.users.push(entry);
            Ok(user)
        })
    }

    /// Gives a user another password; ends their sessions.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Password`], or the file's.
    pub fn set_password(&self, name: &str, password: &str) -> Result<User> {
        check_password(name, password)?;
        let hash = Phc::of(password)?;
        self.change_user(name, |user| user.hash = hash)
    }

    /// Gives a user another role, and what it says of masking; ends their sessions.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn set_role(&self, name: &str, role: Role) -> Result<User> {
        self.change_user(name, |user| {
            user.role = role;
            user.redacted = role.redacted();
        })
    }

    /// Whether a user sees personal data masked; ends their sessions.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn set_redacted(&self, name: &str, redacted: bool) -> Result<User> {
        self.change_user(name, |user| user.redacted = redacted)
    }

    /// Keeps a user out, or lets them in again; ends their sessions.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn set_disabled(&self, name: &str, disabled: bool) -> Result<User> {
        self.change_user(name, |user| user.disabled = disabled)
    }

    /// Removes a user; ends their sessions.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn remove_user(&self, name: &str) -> Result<User> {
        self.change(|contents| {
            let index = contents.user_index(name)?;
            Ok(User::from(&contents.users.remove(index)))
        })
    }

    /// All users, by name.
    pub fn users(&self) -> Vec<User> {
        self.loaded().contents.users.iter().map(User::from).collect()
    }

    fn change_user(&self, name: &str, change: impl FnOnce(&mut UserEntry)) -> Result<User> {
        self.change(|contents| {
            let index = contents.user_index(name)?;
            let user = &mut contents.users[index];
            change(user);
            user.changed = Timestamp::now();
            Ok(User::from(&*user))
        })
    }

    pub(crate) fn by_password(
        &self,
        loaded: &Loaded,
        name: &str,
        password: &str,
        source: &str,
        now: Timestamp,
    ) -> Result<Principal, Denied> {
        let denied = |why| Err(Denied::Password(why));
        if password.len() > MAX_SECRET || check_name(name).is_err() {
            return denied(PasswordDenied::NoSuchUser);
        }
        let failed = |e: Error| Denied::Unavailable(e.to_string());
        self.throttled(source, Some(name), now, || {
            let Some(user) = loaded.contents.user(name) else {
                self.verifications.pretend(password).map_err(failed)?;
                return denied(PasswordDenied::NoSuchUser);
            };
            if !user.hash.matches(password, &self.verifications).map_err(failed)? {
                return denied(PasswordDenied::Wrong);
            }
            if user.disabled {
                return denied(PasswordDenied::Disabled);
            }
            Ok(user.principal())
        })
    }
}

impl UserEntry {
    fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            kind: Kind::User,
            scopes: self.role.scopes(),
            redacted: self.redacted,
            until: None,
        }
    }

    /// As [`Access::standing`].
    pub(crate) fn standing(&self) -> Option<[u8; 32]> {
        let rest = format!("{} {} {}", self.role, self.redacted, self.changed);
        (!self.disabled).then(|| self.hash.fingerprint(&rest))
    }
}

impl Contents {
    pub(crate) fn user(&self, name: &str) -> Option<&UserEntry> {
        self.user_index(name).ok().map(|index| &self.users[index])
    }

    fn user_index(&self, name: &str) -> Result<usize> {
        self.users
            .binary_search_by(|user| user.name.as_str().cmp(name))
            .map_err(|_| Error::Unknown { what: "user", name: name.chars().take(80).collect() })
    }
}
