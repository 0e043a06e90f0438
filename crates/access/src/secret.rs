//! How are secrets made, hashed and compared?

use crate::{Error, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shortest password, in characters.
pub const MIN_PASSWORD: usize = 12;
/// Longest password or token that is looked at, in bytes.
pub(crate) const MAX_SECRET: usize = 1024;

/// OWASP's parameters for argon2id: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A hash of those parameters that belongs to nobody, and of which no password is known.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg$bm8gcGFzc3dvcmQgaGFzaGVzIHRvIHRoaXMgdGV4dCE";

/// An argon2id hash as a PHC string. Not shown by `Debug`: it is worth an attack at leisure.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Phc(String);

impl fmt::Debug for Phc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phc(…)")
    }
}

impl Phc {
    /// Hashes `secret` with a new salt. Takes some 20 ms and 19 MiB.
    pub(crate) fn of(secret: &str) -> Result<Self> {
        let salt: [u8; 16] = random()?;
        let hash = argon2()?.hash_password_with_salt(secret.as_bytes(), &salt);
        hash.map(|hash| Self(hash.to_string())).map_err(|e| Error::Hash(e.to_string()))
    }

    /// Whether `secret` is what was hashed. Takes as long as [`Phc::of`], right or wrong.
    pub(crate) fn matches(&self, secret: &str, counter: &Verifications) -> Result<bool> {
        counter.0.fetch_add(1, Ordering::Relaxed);
        let hash = PasswordHash::new(&self.0).map_err(|e| Error::Hash(e.to_string()))?;
        match argon2()?.verify_password(secret.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(e) => Err(Error::Hash(e.to_string())),
        }
    }

    /// Whether this is an argon2id hash that takes a bounded effort to verify; says why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let hash = PasswordHash::new(&self.0).map_err(|e| format!("has a hash that cannot be read ({e})"))?;
        let params = Params::try_from(&hash).map_err(|e| format!("has a hash of odd parameters ({e})"))?;
        if hash.algorithm != argon2::ARGON2ID_IDENT || hash.salt.is_none() || hash.hash.is_none() {
            return Err("has a hash that is not of argon2id; set it again".to_owned());
        }
        if params.m_cost() > 256 * 1024 || params.t_cost() > 16 || params.p_cost() > 8 {
            return Err("has a hash that takes too much to verify; set it again".to_owned());
        }
        Ok(())
    }

    /// SHA-256 over it and what else of an entry must not have changed.
    pub(crate) fn fingerprint(&self, rest: &str) -> [u8; 32] {
        sha256(format!("{}\n{rest}", self.0).as_bytes())
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| Error::Hash(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// How often a hash was verified.
#[derive(Debug, Default)]
pub(crate) struct Verifications(AtomicU64);

impl Verifications {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Works as hard as for a user that exists, so that answers do not tell who does.
    pub(crate) fn pretend(&self, secret: &str) -> Result<()> {
        Phc(NOBODY.to_owned()).matches(secret, self).map(drop)
    }
}

/// Bytes from the system's source of randomness.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a password that is short, about its owner, or among the first that anybody tries.
pub(crate) fn check_password(user: &str, password: &str) -> Result<()> {
    let refuse = |why| Err(Error::Password { why });
    if password.chars().count() < MIN_PASSWORD {
        return refuse("is too short");
    }
    if password.len() > MAX_SECRET {
        return refuse("is longer than 1024 bytes");
    }
    let plain: String = password.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let name: String = user.chars().filter(|c| c.is_alphanumeric()).collect();
    if name.len() > 2 && plain.contains(&name) {
        return refuse("has the user's name in it");
    }
    let letters: String = plain.chars().filter(|c| c.is_alphabetic()).collect();
    let unique: std::collections::BTreeSet<char> = plain.chars().collect();
    if unique.len() < 5 {
        return refuse("is made of too few different characters");
    }
    if OBVIOUS.iter().any(|word| letters == *word || plain == *word || letters == word.repeat(2)) {
        return refuse("is among the first that anybody tries");
    }
    if RUNS.iter().any(|run| run.contains(&plain)) {
        return refuse("is a row of keys, or counts");
    }
    Ok(())
}

/// What is left of the usual passwords once digits and signs are gone.
const OBVIOUS: [&str; 36] = [
    "password",
    "passwort",
    "motdepasse",
    "contraseña",
    "passphrase",
    "mypassword",
    "yourpassword",
    "changeme",
    "changemenow",
    "pleasechangeme",
    "letmein",
    "letmeinnow",
    "welcome",
    "willkommen",
    "administrator",
    "admin",
    "adminadmin",
    "adminpassword",
    "rootpassword",
    "root",
    "toor",
    "casemate",
    "casematecasemate",
    "casemateadmin",
    "casematepassword",
    "qwertyuiop",
    "qwerty",
    "qwertz",
    "iloveyou",
    "secret",
    "topsecret",
    "default",
    "operator",
    "correcthorsebatterystaple",
    "summer",
    "winter",
];

/// Rows that a password may not be cut from.
const RUNS: [&str; 6] = [
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
    "12345678901234567890",
    "98765432109876543210",
    "1q2w3e4r5t6y7u8i9o0p",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2id_at_owasps_parameters() {
        let hash = Phc::of("tide table 1987").unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_ne!(hash, Phc::of("tide table 1987").unwrap());
        let counter = Verifications::default();
        assert!(hash.matches("tide table 1987", &counter).unwrap());
        assert!(!hash.matches("tide table 1988", &counter).unwrap());
        counter.pretend("x").unwrap();
        Phc(NOBODY.to_owned()).check().unwrap();
        assert_eq!(NOBODY.len(), hash.0.len());
        assert_eq!(counter.count(), 3);
        assert_eq!(format!("{hash:?}"), "Phc(…)");
    }

    #[test]
    fn other_hashes_are_refused_before_they_cost_anything() {
        fn check(hash: &str, expected: &str) {
            let error = Phc(hash.to_owned()).check().unwrap_err();
            assert!(error.contains(expected), "{hash}: {error}");
        }
        check("", "cannot be read");
        check("plain text", "cannot be read");
        let (salt, out) = ("c29tZSBzYWx0IGhlcmU", "VGhpcyBpcyB0aGlydHktdHdvIGJ5dGVzIGxvbmcuLi4");
        check(&format!("$argon2i$v=19$m=19456,t=2,p=1${salt}${out}"), "not of argon2id");
        check(&format!("$argon2id$v=19$m=4194304,t=2,p=1${salt}${out}"), "too much");
        check(&format!("$argon2id$v=19$m=19456,t=9999,p=1${salt}${out}"), "too much");
        check(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"), "not of argon2id");
        Phc(format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${out}")).check().unwrap();
    }

    #[test]
    fn easy_passwords_are_refused() {
        fn check(user: &str, password: &str, expected: &str) {
            let error = check_password(user, password).unwrap_err().to_string();
            assert!(error.contains(expected), "{password}: {error}");
        }
        check("ann", "short", "too short");
        check("ann", "", "too short");
        check("ann.lee", "x-Ann.Lee-2026!", "user's name");
        check("ann", "password123456", "first that anybody tries");
        check("ann", "Welcome-20262026", "first that anybody tries");
        check("ann", "passwordpassword", "first that anybody tries");
        check("ann", "aaaaaaaaaaaaaaaa", "too few different");
        check("ann", "123456789012", "counts");
        check("ann", "qwertyuiopas", "row of keys");
        check("ann", &"long and varied ".repeat(80), "longer than");
        check_password("ann", "tide table 1987").unwrap();
        check_password("ann", "übergroße Möwe").unwrap();
    }
}
