//! Which token of the site's identity provider is let in, without asking the provider?
//!
//! The provider's public keys lie in a file that an administrator put there (a JSON Web Key Set); nothing is ever fetched.
//! The header's `alg` chooses nothing: each key says which algorithms it is for, and only those are tried.

mod keys;

pub(crate) use keys::Keys;

use crate::principal::{Kind, Principal};
use crate::scope::together;
use crate::{Error, Result, Role};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// Most leeway, in seconds.
const MAX_LEEWAY: u32 = 300;
/// Most values of the roles claim that are looked at.
const MAX_ROLES: usize = 1024;

/// What tokens of an identity provider of the site are let in, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Exact value of `iss`.
    pub issuer: String,
    /// Value that `aud` must be or hold.
    pub audience: String,
    /// File with the provider's public keys (a JSON Web Key Set); relative to the access file's directory.
    pub keys: PathBuf,
    /// Claim that names the person; `sub` alone is certain to be unique and to stay.
    #[serde(default = "sub")]
    pub name_claim: String,
    /// Claim with the roles or groups, a text or a list of texts; dots go into objects (`realm_access.roles`).
    pub roles_claim: String,
    /// Value of that claim -> role. Who has several gets the rights of all.
    pub roles: BTreeMap<String, Role>,
    /// Values of that claim whose holders see personal data masked, beside those of a role that always does. Who also has
    /// a value without masking sees all.
    #[serde(default)]
    pub redacted: BTreeSet<String>,
    /// Seconds that the clocks may differ, at most 300.
    #[serde(default)]
    pub leeway_s: u32,
}

fn sub() -> String {
    "sub".to_owned()
}

impl Oidc {
    /// Whether the section makes sense; the keys are looked at when they are loaded.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |why: &str| {
            Err(Error::Entry { what: "identity provider", name: self.issuer.clone(), why: why.to_owned() })
        };
        if self.issuer.is_empty() || self.audience.is_empty() {
            return wrong("needs an issuer and an audience");
        }
        if self.name_claim.is_empty() || self.roles_claim.is_empty() || self.roles.is_empty() {
            return wrong("needs the claims that hold name and roles, and a role for at least one value");
        }
        if self.redacted.iter().any(|value| !self.roles.contains_key(value)) {
            return wrong("masks for a value of the claim that has no role");
        }
        if self.leeway_s > MAX_LEEWAY {
            return wrong("has a leeway of more than 300 seconds; set the clocks instead");
        }
        Ok(())
    }

    /// Who `token` says it is, or why it is not let in.
    pub(crate) fn principal(&self, keys: &Keys, token: &str, now: Timestamp) -> Result<Principal, String> {
        if token.len() > MAX_TOKEN {
            return Err(format!("longer than {MAX_TOKEN} bytes"));
        }
        let claims = keys.claims(token)?;
        let until = self.check_claims(&claims, now)?;
        let name = text(&claims, &self.name_claim)?;
        // The provider's own word, only bounded: an address, a UUID, `DOMAIN\name`.
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err(format!("{} is empty, too long or has control characters", self.name_claim));
        }
        let roles = self.roles_of(&claims);
        if roles.is_empty() {
            return Err(format!("no value of {} has a role here", self.roles_claim));
        }
        let (scopes, redacted) = together(roles.into_iter());
        Ok(Principal { name: name.to_owned(), kind: Kind::Oidc, scopes, redacted, until: Some(until) })
    }

    /// Checks whose, for whom and when; returns when it ends.
    fn check_claims(&self, claims: &Value, now: Timestamp) -> Result<Timestamp, String> {
        if text(claims, "iss")? != self.issuer {
            return Err("iss is another issuer".to_owned());
        }
        let for_us = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(audiences)) => audiences.iter().any(|a| a.as_str() == Some(&self.audience)),
            _ => false,
        };
        if !for_us {
            return Err("aud is not us".to_owned());
        }
        let leeway = SignedDuration::from_secs(self.leeway_s.into());
        let until = time(claims, "exp")?
            .ok_or("exp is missing")?
            .saturating_add(leeway)
            .map_err(|e| e.to_string())?;
        if now >= until {
            return Err("it has expired (exp)".to_owned());
        }
        if let Some(from) = time(claims, "nbf")?
            && now.saturating_add(leeway).map_err(|e| e.to_string())? < from
        {
            return Err("it is not valid yet (nbf); do the clocks agree?".to_owned());
        }
        Ok(until)
    }

    /// Each role, and whether it comes with masking.
    fn roles_of(&self, claims: &Value) -> Vec<(Role, bool)> {
        // A claim may have dots in its own name (`https://example.org/roles`): that is tried first.
        let found = claims
            .get(&self.roles_claim)
            .or_else(|| self.roles_claim.split('.').try_fold(claims, |inside, name| inside.get(name)));
        let values: Vec<&str> = match found {
            Some(Value::String(value)) => vec![value],
            Some(Value::Array(values)) => values.iter().take(MAX_ROLES).filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let role = |value: &&str| {
            let role = *self.roles.get(*value)?;
            Some((role, role.redacted() || self.redacted.contains(*value)))
        };
        values.iter().filter_map(role).collect()
    }
}

fn text<'a>(claims: &'a Value, name: &str) -> Result<&'a str, String> {
    claims.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing, or no text"))
}

/// A moment in whole seconds of Unix time; none if the claim is absent.
fn time(claims: &Value, name: &str) -> Result<Option<Timestamp>, String> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| value.as_f64().filter(|s| s.abs() < 1e12).map(|s| s as i64));
    let moment = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map(Some).ok_or_else(|| format!("{name} is no moment in time"))
}

#[cfg(test)]
mod tests;
