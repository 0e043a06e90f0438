//! Who says so, is it the newest, and is it still valid? From the pinned root to a verified `targets.json`.
//!
//! Order: signatures over exact bytes first, then what the bytes say. Nothing is written here.

use crate::error::not_counted;
use crate::key::{KeyId, Sha256};
use crate::metadata::{Role, Root, Snapshot, Targets};
use crate::volume::{Documents, Signed};
use crate::{Error, Result};
use jiff::{SignedDuration, Timestamp};
use minisign_verify::Signature;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How far the clock may go back unnoticed: time zones set wrong, a battery that died overnight.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);

/// What to do where a date stands against a bundle. Signatures and versions are never up for discussion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Refuse what has expired, and a clock that was set back.
    Enforce,
    /// An administrator lets an expired bundle in, or accepts the clock. The caller audits [`Override`]s.
    Override {
        /// Who decided it.
        by: String,
        /// Why.
        reason: String,
    },
}

/// A date that stood against the bundle and was overridden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What was overridden, as its error says it.
    pub what: String,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The highest that was seen here, so that nothing older passes for new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// Root under which the versions were seen.
    pub(crate) root: u64,
    pub(crate) snapshot: Option<SeenVersion>,
    pub(crate) targets: Option<SeenVersion>,
    /// Latest time.
    pub(crate) clock: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeenVersion {
    pub(crate) version: u64,
    pub(crate) sha256: Sha256,
}

/// What this directory trusts.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Every root from the pinned one on; never empty.
    pub(crate) roots: BTreeMap<u64, (Root, Sha256)>,
    pub(crate) seen: Seen,
}

/// Documents that passed, and what is to be remembered of them.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Roots newer than those trusted, each signed by the one before and by itself.
    pub(crate) new_roots: Vec<(u64, Signed)>,
    pub(crate) root: u64,
    pub(crate) targets: Targets,
    /// SHA-256 of `targets.json`.
    pub(crate) sha256: Sha256,
    pub(crate) seen: Seen,
    pub(crate) signers: BTreeMap<Role, BTreeSet<KeyId>>,
    /// The earliest of the three.
    pub(crate) expires: Timestamp,
    pub(crate) overrides: Vec<Override>,
}

/// Keys of `role` in `root` that signed `signed`.
///
/// # Errors
/// [`Error::Signatures`] if they are fewer than the threshold.
pub(crate) fn signed_by(signed: &Signed, root: &Root, role: Role) -> Result<BTreeSet<KeyId>> {
    let signers = root.signers(role);
    let mut valid = BTreeSet::new();
    let mut ignored = Vec::new();
    for (id, signature) in &signed.signatures {
        let key = root.keys.get(id).filter(|_| signers.keys.contains(id));
        let Some(key) = key else {
            ignored.push(not_counted(id, format!("no key of role {role}")));
            continue;
        };
        let decoded = std::str::from_utf8(signature).ok().and_then(|text| Signature::decode(text).ok());
        let Some(signature) = decoded else {
            ignored.push(not_counted(id, "not a minisign signature"));
            continue;
        };
        match key.public.verify(&signed.bytes, &signature, false) {
            Ok(()) => drop(valid.insert(key.id.clone())),
            Err(reason) => ignored.push(not_counted(id, reason)),
        }
    }
    if valid.len() >= signers.threshold {
        return Ok(valid);
    }
    Err(Error::Signatures {
        what: signed.name.clone(),
        by: format!("role {role} of root {}", root.version),
        valid: valid.len(),
        threshold: signers.threshold,
        ignored,
    })
}

/// Parses a root and checks that it signs itself.
pub(crate) fn self_signed(version: Option<u64>, signed: &Signed) -> Result<Root> {
    let root = Root::parse(&signed.bytes, &signed.name)?;
    if version.is_some_and(|version| version != root.version) {
        return Err(Error::metadata(&signed.name, format!("it says that it is version {}", root.version)));
    }
    signed_by(signed, &root, Role::Root)?;
    Ok(root)
}

impl Trusted {
    /// Verifies everything about `documents`.
    pub(crate) fn verify(&self, documents: &Documents, now: Timestamp, policy: &Policy) -> Result<Verified> {
        let Some((_, (newest, _))) = self.roots.last_key_value() else { return Err(Error::NotTrusted) };
        let mut root = newest.clone();
        let mut new_roots = Vec::new();
        for (version, signed) in &documents.roots {
            if *version <= newest.version {
                let differs = |(_, trusted): &(Root, Sha256)| *trusted != Sha256::of(&signed.bytes);
                if self.roots.get(version).is_some_and(differs) {
                    return Err(Error::RootChanged { version: *version });
                }
                continue;
            }
            if root.version.checked_add(1) != Some(*version) {
                return Err(Error::RootGap { have: root.version, found: *version });
            }
            signed_by(signed, &root, Role::Root)?;
            root = self_signed(Some(*version), signed)?;
            new_roots.push((*version, signed.clone()));
        }

        let snapshot_signers = signed_by(&documents.snapshot, &root, Role::Snapshot)?;
        let snapshot = Snapshot::parse(&documents.snapshot.bytes)?;
        if snapshot.root != root.version {
            return Err(Error::RootVersion { found: snapshot.root, trusted: root.version });
        }
        let sha256 = Sha256::of(&documents.targets.bytes);
        let targets_signers = signed_by(&documents.targets, &root, Role::Targets)?;
        check_pinned(&snapshot, &documents.targets.bytes, &sha256)?;
        let targets = Targets::parse(&documents.targets.bytes)?;
        if targets.version != snapshot.targets.version {
            let what = format!("it has version {}, not {}", targets.version, snapshot.targets.version);
            return Err(Error::MixAndMatch { what });
        }

        let seen_snapshot =
            SeenVersion { version: snapshot.version, sha256: Sha256::of(&documents.snapshot.bytes) };
        let seen_targets = SeenVersion { version: targets.version, sha256: sha256.clone() };
        self.check_newer(&root, Role::Snapshot, self.seen.snapshot.as_ref(), &seen_snapshot)?;
        self.check_newer(&root, Role::Targets, self.seen.targets.as_ref(), &seen_targets)?;

        let mut dates = Dates { now, policy, overrides: Vec::new() };
        let clock = dates.clock(self.seen.clock)?;
        let all = [
            (Role::Root, root.expires),
            (Role::Snapshot, snapshot.expires),
            (Role::Targets, targets.expires),
        ];
        for (role, expires) in all {
            dates.expiry(role, expires)?;
        }
        Ok(Verified {
            new_roots,
            root: root.version,
            sha256,
            seen: Seen {
                root: root.version,
                snapshot: Some(seen_snapshot),
                targets: Some(seen_targets),
                clock: Some(clock),
            },
            signers: [(Role::Snapshot, snapshot_signers), (Role::Targets, targets_signers)].into(),
            expires: all.into_iter().map(|(_, expires)| expires).min().unwrap_or(targets.expires),
            targets,
            overrides: dates.overrides,
        })
    }

    /// Verifies documents that were accepted before, under the root of then; neither dates nor versions count.
    pub(crate) fn verify_kept(&self, snapshot: &Signed, targets: &Signed) -> Result<Targets> {
        let mut refused = Error::NotTrusted;
        for (root, _) in self.roots.values().rev() {
            let signed =
                signed_by(snapshot, root, Role::Snapshot).and(signed_by(targets, root, Role::Targets));
            if let Err(error) = signed {
                refused = error;
                continue;
            }
            let parsed = Snapshot::parse(&snapshot.bytes)?;
            if parsed.root == root.version {
                check_pinned(&parsed, &targets.bytes, &Sha256::of(&targets.bytes))?;
                return Targets::parse(&targets.bytes);
            }
            refused = Error::RootVersion { found: parsed.root, trusted: root.version };
        }
        Err(refused)
    }

    /// Fails if `found` is older than `seen`, or differs at the same version.
    ///
    /// Where a new root gave the role to other keys, what the old keys signed no longer counts: that is how a
    /// publisher recovers from a stolen key that signed version 2⁶⁴−1. Nothing old passes by it, as the snapshot
    /// names the root it was made under.
    fn check_newer(
        &self,
        root: &Root,
        role: Role,
        seen: Option<&SeenVersion>,
        found: &SeenVersion,
    ) -> Result<()> {
        let Some(seen) = seen else { return Ok(()) };
        let then = self.roots.get(&self.seen.root).map(|(root, _)| root);
        if self.seen.root < root.version
            && then.is_some_and(|then| then.signers(role).keys != root.signers(role).keys)
        {
            return Ok(());
        }
        let version = found.version;
        if version < seen.version {
            return Err(Error::Rollback { role, found: version, seen: seen.version });
        }
        if version == seen.version && found.sha256 != seen.sha256 {
            return Err(Error::Equivocation { role, version });
        }
        Ok(())
    }
}

fn check_pinned(snapshot: &Snapshot, targets: &[u8], sha256: &Sha256) -> Result<()> {
    let pinned = &snapshot.targets;
    let bytes = targets.len() as u64;
    if bytes != pinned.bytes {
        return Err(Error::MixAndMatch { what: format!("it has {bytes} bytes, not {}", pinned.bytes) });
    }
    if *sha256 != pinned.sha256 {
        return Err(Error::MixAndMatch { what: format!("its SHA-256 is {sha256}, not {}", pinned.sha256) });
    }
    Ok(())
}

/// Checks dates, and keeps what was overridden.
struct Dates<'a> {
    now: Timestamp,
    policy: &'a Policy,
    overrides: Vec<Override>,
}

impl Dates<'_> {
    fn expiry(&mut self, role: Role, expires: Timestamp) -> Result<()> {
        if self.now < expires {
            return Ok(());
        }
        self.overridden(Error::Expired { role, expires, now: self.now })
    }

    /// The latest time seen, now included. An override sets it to now: it was ahead by mistake.
    fn clock(&mut self, latest: Option<Timestamp>) -> Result<Timestamp> {
        let Some(latest) = latest else { return Ok(self.now) };
        if latest.duration_since(self.now) <= CLOCK_SLACK {
            return Ok(latest.max(self.now));
        }
        self.overridden(Error::ClockBack { now: self.now, latest })?;
        Ok(self.now)
    }

    fn overridden(&mut self, error: Error) -> Result<()> {
        let Policy::Override { by, reason } = self.policy else { return Err(error) };
        let what = match &error {
            Error::Expired { role, expires, now } => format!("{role} expired at {expires}, and it is {now}"),
            Error::ClockBack { now, latest } => format!("the clock says {now}, but {latest} was seen before"),
            other => other.to_string(),
        };
        self.overrides.push(Override { what, by: by.clone(), reason: reason.clone() });
        Ok(())
    }
}
