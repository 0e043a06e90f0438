//! What is a release, and how does one come to be? A directory tree of hard links, made aside and renamed.

use crate::files::collect;
use crate::key::Sha256;
use crate::metadata::{MAX_SNAPSHOT, MAX_TARGETS, Targets};
use crate::state::{Layout, names, read_json, read_signed, remove_dir, save_signed, write_json};
use crate::trust::{Override, Trusted, Verified};
use crate::volume::Documents;
use crate::{Error, Progress, Result, Step, Tell, paths};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Releases kept: the active one and those before it.
const KEPT: usize = 3;
const RELEASE: &str = "release.json";
/// In a release: the signed documents that its components came with, for auditors.
const SIGNED: &str = "signed";

/// A whole release: its files are under `dir` as `models/…`, `config/…` and `evaluation/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Counts up over all releases of this appliance.
    pub number: u64,
    /// Where its files are.
    #[serde(skip_deserializing, skip_serializing_if = "is_empty")]
    pub dir: PathBuf,
    /// Release whose other components it took over, and after which alone it can be activated.
    pub base: Option<u64>,
    /// When it was staged, by the clock given.
    pub staged: Timestamp,
    /// What it is made of, by name (`models/NAME`, `config/rules`, `evaluation`).
    pub components: BTreeMap<String, Component>,
    /// Dates that an administrator overrode to stage it.
    pub overrides: Vec<Override>,
}

/// One component of a release, and which bundle it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Version of that bundle's `targets.json`.
    pub version: u64,
    /// Name that the publisher gave the bundle.
    pub bundle: String,
    /// SHA-256 of its `targets.json`, which is in `signed/SHA256/` of the release.
    pub targets: Sha256,
    /// Its files, by path in the release.
    pub files: BTreeMap<String, ReleaseFile>,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Sha256,
}

/// What a release is to this appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In use.
    Active,
    /// Was in use before; `rollback` goes back to the newest of these.
    Earlier,
    /// Waits to be activated or discarded. A release that was rolled back becomes this again.
    Staged,
}

/// A file of the active release that is not what was staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// Path in the release.
    pub path: String,
    /// What is wrong with it.
    pub what: Damage,
}

/// What can be wrong with a file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has this SHA-256 instead.
    Changed(Sha256),
    /// It is there, and no bundle brought it.
    Added,
    /// It is a component, and not what was signed, for this reason: `release.json` or a signed document was changed.
    Unsigned(String),
}

impl Release {
    /// Reads release `number`.
    pub(crate) fn load(layout: &Layout, number: u64) -> Result<Self> {
        let dir = layout.release(number);
        let path = dir.join(RELEASE);
        let Some(mut release) = read_json::<Self>(&path)? else {
            return Err(Error::State { path, reason: "it is missing".into() });
        };
        if release.number != number {
            let reason = format!("it says that it is release {}", release.number);
            return Err(Error::State { path, reason });
        }
        release.dir = dir;
        Ok(release)
    }

    /// Path and content of every file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&String, &ReleaseFile)> {
        self.components.values().flat_map(|component| &component.files)
    }

    /// Reads every file and names those that are not what was staged.
    pub(crate) fn rehash(&self, progress: &mut dyn FnMut(u64)) -> Result<Vec<Damaged>> {
        let mut damaged = Vec::new();
        for (path, file) in self.files() {
            let at = self.dir.join(path);
            if !at.symlink_metadata().is_ok_and(|found| found.is_file()) {
                damaged.push(Damaged { path: path.clone(), what: Damage::Missing });
                continue;
            }
            let found = Sha256::of_file(&at, &mut |_| ()).map_err(Error::io("read file"))?;
            progress(file.bytes);
            if found != file.sha256 {
                damaged.push(Damaged { path: path.clone(), what: Damage::Changed(found) });
            }
        }
        let known: BTreeSet<&str> = self.files().map(|(path, _)| path.as_str()).collect();
        for path in walk(&self.dir)? {
            let is_ours = path == RELEASE || path.split('/').next() == Some(SIGNED);
            if !is_ours && !known.contains(path.as_str()) {
                damaged.push(Damaged { path, what: Damage::Added });
            }
        }
        Ok(damaged)
    }

    /// Components whose files are not those of a `targets.json` signed under a root that is trusted.
    pub(crate) fn unsigned(&self, trusted: &Trusted) -> Vec<Damaged> {
        let mut unsigned = Vec::new();
        for (name, component) in &self.components {
            if let Err(reason) = component.check_signed(name, &self.dir.join(SIGNED), trusted) {
                unsigned.push(Damaged { path: name.clone(), what: Damage::Unsigned(reason.to_string()) });
            }
        }
        unsigned
    }
}

impl Component {
    fn check_signed(&self, name: &str, signed: &Path, trusted: &Trusted) -> Result<()> {
        let dir = signed.join(self.targets.as_ref());
        let snapshot = read_signed(&dir.join("snapshot.json"), MAX_SNAPSHOT)?;
        let targets = read_signed(&dir.join("targets.json"), MAX_TARGETS)?;
        let targets = trusted.verify_kept(&snapshot, &targets)?;
        let files: BTreeMap<String, ReleaseFile> = targets
            .files
            .into_iter()
            .filter(|file| paths::component(&file.path) == Some(name))
            .map(|file| (file.path, ReleaseFile { bytes: file.bytes, sha256: file.sha256 }))
            .collect();
        if files == self.files && targets.version == self.version {
            return Ok(());
        }
        Err(Error::metadata(RELEASE, "it lists other files than were signed"))
    }
}

fn is_empty(dir: &Path) -> bool {
    dir.as_os_str().is_empty()
}

/// Paths of everything below `dir` but directories, relative to it.
fn walk(dir: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(below) = pending.pop() {
        for name in names(&dir.join(&below))? {
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = fs_err::symlink_metadata(dir.join(&path)).map_err(Error::io("read directory"))?;
            if kind.is_dir() {
                pending.push(path);
            } else {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// The components of a bundle, and those of `base` that it does not replace.
pub(crate) fn merged(base: Option<&Release>, verified: &Verified) -> Result<BTreeMap<String, Component>> {
    let Targets { components: replaced, files, name, version, .. } = &verified.targets;
    let mut components: BTreeMap<String, Component> = base
        .into_iter()
        .flat_map(|base| base.components.clone())
        .filter(|(name, _)| !replaced.contains(name))
        .collect();
    for file in files {
        let Some(owner) = paths::component(&file.path) else { continue };
        let component = components.entry(owner.to_owned()).or_insert_with(|| Component {
            version: *version,
            bundle: name.clone(),
            targets: verified.sha256.clone(),
            files: BTreeMap::new(),
        });
        let content = ReleaseFile { bytes: file.bytes, sha256: file.sha256.clone() };
        component.files.insert(file.path.clone(), content);
    }
    let owners = components.keys().cloned().collect();
    paths::check(&owners, components.values().flat_map(|one| one.files.keys().map(String::as_str)))?;
    Ok(components)
}

/// Reads what the next release takes over from `base`, so that no change to it spreads.
pub(crate) fn check_taken_over(
    layout: &Layout,
    base: Option<&Release>,
    components: &BTreeMap<String, Component>,
    progress: Tell<'_>,
) -> Result<()> {
    let Some(base) = base else { return Ok(()) };
    for (name, component) in components.iter().filter(|(name, one)| base.components.get(*name) == Some(one)) {
        for (path, file) in &component.files {
            let total = file.bytes;
            let mut tell = |done| progress(Progress { step: Step::File, done, total });
            let found = Sha256::of_file(&layout.file(&file.sha256), &mut tell);
            if !found.is_ok_and(|found| found == file.sha256) {
                return Err(Error::Damaged { path: path.clone(), component: name.clone() });
            }
        }
    }
    Ok(())
}

/// Makes the tree of a release; any other that waits for activation makes way.
pub(crate) fn build(layout: &Layout, documents: &Documents, mut release: Release) -> Result<Release> {
    let active = layout.load_active()?;
    let numbers = layout.release_numbers()?;
    release.number =
        numbers.iter().chain(&active.release).chain(&active.earlier).max().map_or(1, |last| last + 1);
    for number in numbers {
        if active.release != Some(number) && !active.earlier.contains(&number) {
            remove_dir(&layout.release(number))?;
        }
    }
    let making = layout.releases().join(".making");
    remove_dir(&making)?;
    fs_err::create_dir_all(&making).map_err(Error::io("make directory"))?;
    for (path, file) in release.files() {
        let to = making.join(path);
        if let Some(dir) = to.parent() {
            fs_err::create_dir_all(dir).map_err(Error::io("make directory"))?;
        }
        fs_err::hard_link(layout.file(&file.sha256), &to).map_err(Error::io("link file into the release"))?;
    }
    keep_signed(layout, documents, &release, &making)?;
    write_json(&making.join(RELEASE), &release)?;
    // Everything of the release is on the device before its name is.
    let handle = fs_err::File::open(&making).map_err(Error::io("sync release"))?;
    rustix::fs::syncfs(handle.file()).map_err(|e| Error::io("sync release")(e.into()))?;
    release.dir = layout.release(release.number);
    fs_err::rename(&making, &release.dir).map_err(Error::io("name release"))?;
    let releases = fs_err::File::open(layout.releases()).map_err(Error::io("sync release"))?;
    releases.sync_all().map_err(Error::io("sync release"))?;
    Ok(release)
}

/// Puts the signed documents of each component's bundle into the release.
fn keep_signed(layout: &Layout, documents: &Documents, release: &Release, making: &Path) -> Result<()> {
    let current = Sha256::of(&documents.targets.bytes);
    let wanted: BTreeSet<&Sha256> = release.components.values().map(|component| &component.targets).collect();
    for sum in wanted {
        let to = making.join(SIGNED).join(sum.as_ref());
        if *sum == current {
            for document in [&documents.snapshot, &documents.targets] {
                save_signed(&to, &document.name, document)?;
            }
        } else if let Some(base) = release.base {
            let from = layout.release(base).join(SIGNED).join(sum.as_ref());
            fs_err::create_dir_all(&to).map_err(Error::io("make directory"))?;
            for name in names(&from)? {
                fs_err::hard_link(from.join(&name), to.join(&name)).map_err(Error::io("link document"))?;
            }
        }
    }
    Ok(())
}

/// Removes releases beyond those kept, and files that nothing needs any more.
pub(crate) fn prune(layout: &Layout) -> Result<()> {
    let mut active = layout.load_active()?;
    let surplus = active.earlier.len().saturating_sub(KEPT - 1);
    let dropped: Vec<u64> = active.earlier.drain(..surplus).collect();
    if !dropped.is_empty() {
        layout.save_active(&active)?;
    }
    for number in dropped {
        remove_dir(&layout.release(number))?;
    }
    let mut needed: BTreeSet<Sha256> = read_json(&layout.staging())?.unwrap_or_default();
    for number in layout.release_numbers()? {
        // One that cannot be read may need anything: nothing is removed, and `list` says what is wrong with it.
        let Ok(release) = Release::load(layout, number) else { return Ok(()) };
        needed.extend(release.files().map(|(_, file)| file.sha256.clone()));
    }
    collect(layout, &needed)
}
