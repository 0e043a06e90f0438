//! What does a caller say, and what is it told? Plain data, ready for JSON.

use crate::key::{KeyId, Sha256};
use crate::metadata::{Role, Root, Signers};
use crate::paths;
use crate::plan::Plan;
use crate::release::Release;
use crate::trust::{Override, Policy, Verified};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a bundle is checked against.
#[derive(Debug, Clone)]
pub struct Check {
    /// The time.
    pub now: Timestamp,
    /// What to do where a date stands against it.
    pub policy: Policy,
    /// Version of the program, for bundles that require one.
    pub program: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is being read.
    pub step: Step,
    /// Bytes of that read so far.
    pub done: u64,
    /// Bytes of that there are.
    pub total: u64,
}

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The volumes, all of them together.
    Volumes,
    /// A file that is on this disk already, to see that it is what it should be.
    File,
    /// The files of the active release.
    Release,
}

/// The root that was pinned. A person compares `sha256` with what the publisher says by another way.
#[derive(Debug, Clone, Serialize)]
pub struct Pinned {
    /// Version of the root.
    pub version: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// When it expires.
    pub expires: Timestamp,
    /// By role: who may sign, and how many must.
    pub roles: BTreeMap<Role, Signers>,
}

/// What a verified bundle is, and what of it is there.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name given by the publisher.
    pub name: String,
    /// Notes given by the publisher.
    pub notes: String,
    /// Version of `targets.json`.
    pub version: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// The root it was made under; roots before it that are new here come with it.
    pub root: u64,
    /// When the first of its documents expires.
    pub expires: Timestamp,
    /// Who signed.
    pub signers: BTreeMap<Role, BTreeSet<KeyId>>,
    /// Components that it replaces.
    pub components: Vec<Change>,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Parts it is made of.
    pub parts: usize,
    /// Parts that are in none of the volumes (`verify`), or neither there nor staged earlier (`stage`).
    pub missing: Vec<Missing>,
    /// Dates that were overridden. The caller audits them.
    pub overrides: Vec<Override>,
}

/// A component that a bundle replaces; removed if `files` is 0.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Its name, such as `config/rules`.
    pub component: String,
    /// Files it will have.
    pub files: usize,
    /// Bytes it will have.
    pub bytes: u64,
    /// Version of the bundle that the active one came from, if there is one.
    pub replaces: Option<u64>,
}

/// A part that another volume must bring.
#[derive(Debug, Clone, Serialize)]
pub struct Missing {
    /// Its hash.
    pub part: Sha256,
    /// Its size.
    pub bytes: u64,
    /// A file it belongs to.
    pub path: String,
}

/// What staging came to.
#[derive(Debug, Clone, Serialize)]
pub struct Staged {
    /// The release, once no part is missing; its files are under `release.dir`.
    pub release: Option<Release>,
    /// What was verified.
    pub report: Report,
}

impl Pinned {
    pub(crate) fn new(root: &Root, sha256: Sha256) -> Self {
        let roles =
            [Role::Root, Role::Snapshot, Role::Targets].map(|role| (role, root.signers(role).clone()));
        Self { version: root.version, sha256, expires: root.expires, roles: roles.into() }
    }
}

impl Report {
    pub(crate) fn new(verified: &Verified, plan: &Plan, missing: &[usize], active: Option<&Release>) -> Self {
        let targets = &verified.targets;
        let change = |component: &String| {
            let files = targets.files.iter().filter(|file| paths::component(&file.path) == Some(component));
            let sizes: Vec<u64> = files.map(|file| file.bytes).collect();
            let replaced = active.and_then(|active| active.components.get(component));
            Change {
                component: component.clone(),
                files: sizes.len(),
                bytes: sizes.iter().sum(),
                replaces: replaced.map(|replaced| replaced.version),
            }
        };
        let lacking = |&at: &usize| {
            let needed = &plan.parts[at];
            let path = needed.places.first().map(|place| plan.files[place.file].path.clone());
            Missing { part: needed.sha256.clone(), bytes: needed.bytes, path: path.unwrap_or_default() }
        };
        Self {
            name: targets.name.clone(),
            notes: targets.notes.clone(),
            version: targets.version,
            sha256: verified.sha256.clone(),
            root: verified.root,
            expires: verified.expires,
            signers: verified.signers.clone(),
            components: targets.components.iter().map(change).collect(),
            bytes: targets.files.iter().map(|file| file.bytes).sum(),
            parts: plan.parts.len(),
            missing: missing.iter().map(lacking).collect(),
            overrides: verified.overrides.clone(),
        }
    }
}
