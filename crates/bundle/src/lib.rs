//! May this model, rule set or playbook be activated?
//!
//! A bundle brings models, rules, playbooks, heads, mappings and the results they were released with to a site that
//! has no connection. It is verified before a byte of it is interpreted, staged beside what is active, activated by
//! one atomic rename once the caller's evaluation gate let it pass, and can be rolled back. It does not decide
//! whether a release is *good*, does not load anything, and does not know who the administrator is.
//!
//! # Format
//! A bundle is one or more volumes; each is a POSIX tar (`ustar`) of plain files in this order:
//!
//! | entry | what |
//! |---|---|
//! | `root/N.root.json` | the chain of roots, consecutive: all public keys, and which of them may sign what |
//! | `snapshot.json` | version, size and SHA-256 of `targets.json`; version of the root it was made under |
//! | `targets.json` | every file with its SHA-256 and its parts, which components are replaced, what is required |
//! | `parts/SHA256` | parts, in the order of `targets.json`, each once |
//!
//! Behind each document come its detached signatures, `DOCUMENT.KEYID.minisig`, ordered by key id. Every volume has
//! all documents and some of the parts, so volumes are applied in any order and one at a time. An auditor checks
//! any document without this program: `tar xf VOLUME`, then `minisign -Vm targets.json -x targets.json.KEYID.minisig
//! -P KEY`. Headers are fixed by name and size (mode 0644, owner and time 0), padding is zero and nothing follows
//! the two zero blocks at the end: a volume of given content has one form.
//!
//! The roles are those of The Update Framework (TUF): *root* keys are kept offline and sign who else may sign;
//! *snapshot* and *targets* each have keys, a threshold, a version and an expiry of their own. A new root is signed
//! by the threshold of the one before and by its own. Signatures are minisign's (Ed25519 over BLAKE2b), hashes
//! SHA-256.
//!
//! # What a directory holds
//!
//! | path | what |
//! |---|---|
//! | `trusted/N.root.json` | trusted roots with their signatures, from the pinned one on |
//! | `seen.json` | highest versions seen, and the latest time |
//! | `files/SHA256` | whole files, read-only; `.partial` and `.journal` while they grow |
//! | `releases/NNNNNN/` | a release: hard links to files, `release.json`, and under `signed/` what it came with |
//! | `active.json` | which release is active, and which were before |
//! | `staging.json` | files of the bundle that is being staged |
//!
//! # Use
//! ```no_run
//! # use casemate_bundle::{Bundles, Check, Policy};
//! # fn main() -> casemate_bundle::Result<()> {
//! let bundles = Bundles::open("/var/lib/casemate/bundles".as_ref());
//! bundles.trust("/media/usb/1.root.json".as_ref())?; // once
//! let check = Check { now: jiff::Timestamp::now(), policy: Policy::Enforce, program: "0.1.0".into() };
//! let staged = bundles.stage(&["/media/usb/rules-7.1.bundle".into()], &check, &mut |_| ())?;
//! if let Some(release) = staged.release {
//!     // … the evaluation gate looks at release.dir …
//!     bundles.activate(release.number)?;
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod files;
mod key;
mod metadata;
mod paths;
mod plan;
mod release;
mod report;
mod state;
mod trust;
mod volume;

pub use error::{Error, Result};
pub use key::{KeyId, Sha256};
pub use metadata::{Role, Signers};
pub use release::{Component, Damage, Damaged, Release, ReleaseFile, State};
pub use report::{Change, Check, Missing, Pinned, Progress, Report, Staged, Step};
pub use trust::{Override, Policy};

use casemate_disk::DirLock;
use files::Growing;
use plan::{Look, Plan};
use state::{Activated, Layout};
use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use trust::Verified;
use volume::{Documents, Signed, Volume};

/// Who is told how far it is.
type Tell<'a> = &'a mut dyn FnMut(Progress);

/// Bytes to leave free on the disk, for what else goes on there.
const RESERVE: u64 = 256 << 20;

/// The directory with the bundles of an appliance.
///
/// Methods that write take a lock on it for their duration, and fail with [`casemate_disk::Error::Locked`] if another
/// process has it.
#[derive(Debug, Clone)]
pub struct Bundles {
    layout: Layout,
}

impl Bundles {
    /// Names the directory; touches nothing. It is made when something is first written.
    pub fn open(dir: &Path) -> Self {
        Self { layout: Layout { dir: dir.to_owned() } }
    }

    /// Pins the root file of the publisher, whose signatures lie beside it as `FILE.KEYID.minisig`.
    ///
    /// # Errors
    /// [`Error::Signatures`] if it does not sign itself, [`Error::AlreadyTrusted`] if another root is pinned. Pinning
    /// the same again is no error.
    pub fn trust(&self, root: &Path) -> Result<Pinned> {
        let _lock = self.lock()?;
        let signed = state::read_signed(root, metadata::MAX_ROOT)?;
        let parsed = trust::self_signed(None, &signed)?;
        let offered = Sha256::of(&signed.bytes);
        match self.layout.load_trusted() {
            Err(Error::NotTrusted) => self.layout.save_root(parsed.version, &signed)?,
            Ok(trusted) => {
                let first = trusted.roots.into_iter().next();
                if let Some((version, (_, pinned))) = first.filter(|(_, (_, pinned))| *pinned != offered) {
                    let dir = self.layout.trusted();
                    return Err(Error::AlreadyTrusted { version, pinned, offered, dir });
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Pinned::new(&parsed, offered))
    }

    /// The newest root that is trusted here.
    ///
    /// # Errors
    /// [`Error::NotTrusted`] before the first was pinned.
    pub fn trusted(&self) -> Result<Pinned> {
        let mut trusted = self.layout.load_trusted()?;
        let (_, (root, sha256)) = trusted.roots.pop_last().ok_or(Error::NotTrusted)?;
        Ok(Pinned::new(&root, sha256))
    }

    /// Checks everything about the volumes of one bundle, all their bytes included; writes nothing.
    ///
    /// A file of several parts is hashed as a whole if its parts come in order; staging always does.
    ///
    /// # Errors
    /// Why the bundle is refused.
    pub fn verify(&self, volumes: &[PathBuf], check: &Check, progress: Tell<'_>) -> Result<Report> {
        let (mut volumes, total) = open(volumes)?;
        let (_, verified) = self.documents(&mut volumes, check)?;
        let plan = Plan::new(&verified.targets);
        let mut step = steps(Step::Volumes, total, progress);
        let mut look = Look::new(&plan, &mut step);
        for volume in &mut volumes {
            plan.read(volume, &mut look)?;
        }
        let missing = (0..plan.parts.len()).filter(|&at| !look.present[at]).collect::<Vec<_>>();
        Ok(Report::new(&verified, &plan, &missing, self.active()?.as_ref()))
    }

    /// Verifies the volumes and writes what they bring beside what is active.
    ///
    /// Volumes of one bundle may come in one call or in several, in any order; an interrupted call is simply repeated.
    /// Once nothing is missing the release is made, which takes over from the active one the components that the
    /// bundle does not replace. Versions count as seen from here on, whether the release is activated or not.
    ///
    /// # Errors
    /// Why the bundle is refused; parts that were verified before stay for the next call.
    pub fn stage(&self, volumes: &[PathBuf], check: &Check, progress: Tell<'_>) -> Result<Staged> {
        let _lock = self.lock()?;
        let (mut volumes, total) = open(volumes)?;
        let (documents, verified) = self.documents(&mut volumes, check)?;
        for (version, signed) in &verified.new_roots {
            self.layout.save_root(*version, signed)?;
        }
        self.layout.save_seen(&verified.seen)?;

        let plan = Plan::new(&verified.targets);
        let files: BTreeSet<&Sha256> = plan.files.iter().map(|file| &file.sha256).collect();
        state::write_json(&self.layout.staging(), &files)?;
        let mut growing = Growing::resume(&self.layout, &plan, total, progress)?;
        self.check_space(&plan, &growing.missing())?;
        for volume in &mut volumes {
            plan.read(volume, &mut growing)?;
        }
        let missing = growing.missing();
        let base = self.active()?;
        let report = Report::new(&verified, &plan, &missing, base.as_ref());
        if !missing.is_empty() {
            return Ok(Staged { release: None, report });
        }

        let components = release::merged(base.as_ref(), &verified)?;
        release::check_taken_over(&self.layout, base.as_ref(), &components, progress)?;
        let release = Release {
            number: 0,
            dir: PathBuf::new(),
            base: base.as_ref().map(|base| base.number),
            staged: check.now,
            components,
            overrides: verified.overrides,
        };
        let release = release::build(&self.layout, &documents, release)?;
        state::remove_file(&self.layout.staging())?;
        release::prune(&self.layout)?;
        Ok(Staged { release: Some(release), report })
    }

    /// Makes a staged release the active one, atomically; the one before is kept for [`Bundles::rollback`].
    ///
    /// # Errors
    /// [`Error::Release`] if there is none of this number that waits, or if another was activated since.
    pub fn activate(&self, number: u64) -> Result<Release> {
        let _lock = self.lock()?;
        let refused = |reason| Error::Release { number, reason };
        let mut active = self.layout.load_active()?;
        if active.release == Some(number) {
            return Err(refused("is active already"));
        }
        if active.earlier.contains(&number) {
            return Err(refused("was active before; `casemate bundle rollback` goes back"));
        }
        if !self.layout.release_numbers()?.contains(&number) {
            return Err(refused("is not there; `casemate bundle list` shows which are"));
        }
        let release = Release::load(&self.layout, number)?;
        if release.base != active.release {
            return Err(refused("was staged when another was active; apply its bundle again"));
        }
        active.earlier.extend(active.release.replace(number));
        self.layout.save_active(&active)?;
        release::prune(&self.layout)?;
        Ok(release)
    }

    /// Removes what is staged and not active, finished or not.
    ///
    /// # Errors
    /// If files cannot be removed.
    pub fn discard(&self) -> Result<()> {
        let _lock = self.lock()?;
        for (release, state) in self.list()? {
            if state == State::Staged {
                state::remove_dir(&release.dir)?;
            }
        }
        state::remove_file(&self.layout.staging())?;
        release::prune(&self.layout)
    }

    /// Goes back to the release that was active before. Versions seen stay as they are: the way forward is a newer
    /// bundle, or activating the release again.
    ///
    /// # Errors
    /// [`Error::NoEarlier`] if there is none.
    pub fn rollback(&self) -> Result<Release> {
        let _lock = self.lock()?;
        let Activated { mut earlier, .. } = self.layout.load_active()?;
        let number = earlier.pop().ok_or(Error::NoEarlier)?;
        let release = Release::load(&self.layout, number)?;
        self.layout.save_active(&Activated { release: Some(number), earlier })?;
        Ok(release)
    }

    /// The active release; `None` before the first.
    ///
    /// # Errors
    /// [`Error::State`] if what describes it is damaged.
    pub fn active(&self) -> Result<Option<Release>> {
        self.layout.load_active()?.release.map(|number| Release::load(&self.layout, number)).transpose()
    }

    /// Every release that is here, oldest first.
    ///
    /// # Errors
    /// [`Error::State`] if what describes one is damaged.
    pub fn list(&self) -> Result<Vec<(Release, State)>> {
        let active = self.layout.load_active()?;
        let state = |number| match number {
            _ if active.release == Some(number) => State::Active,
            _ if active.earlier.contains(&number) => State::Earlier,
            _ => State::Staged,
        };
        let numbers = self.layout.release_numbers()?;
        numbers.into_iter().map(|number| Ok((Release::load(&self.layout, number)?, state(number)))).collect()
    }

    /// Reads every file of the active release and returns those that are missing, changed, or were added, and
    /// components that are not what a publisher trusted here signed.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn rehash(&self, progress: Tell<'_>) -> Result<Vec<Damaged>> {
        let Some(release) = self.active()? else { return Ok(Vec::new()) };
        let total = release.files().map(|(_, file)| file.bytes).sum();
        let mut damaged = release.rehash(&mut steps(Step::Release, total, progress))?;
        damaged.extend(release.unsigned(&self.layout.load_trusted()?));
        Ok(damaged)
    }

    fn lock(&self) -> Result<DirLock> {
        Ok(DirLock::acquire(&self.layout.dir)?)
    }

    /// Reads and verifies the documents of all volumes, which must be the same.
    fn documents(
        &self,
        volumes: &mut [Volume<BufReader<fs_err::File>>],
        check: &Check,
    ) -> Result<(Documents, Verified)> {
        let trusted = self.layout.load_trusted()?;
        let mut first: Option<(Documents, String)> = None;
        for volume in volumes {
            let documents = volume.documents()?;
            let Some((known, other)) = &first else {
                first = Some((documents, volume.name.clone()));
                continue;
            };
            if contents(known).ne(contents(&documents)) {
                return Err(Error::OtherBundle { volume: volume.name.clone(), other: other.clone() });
            }
        }
        let Some((documents, _)) = first else {
            return Err(Error::metadata("no volume", "none was named"));
        };
        let verified = trusted.verify(&documents, check.now, &check.policy)?;
        verified.targets.check_program(&check.program)?;
        Ok((documents, verified))
    }

    /// Fails unless the parts that are missing have room.
    fn check_space(&self, plan: &Plan, missing: &[usize]) -> Result<()> {
        let bytes: u64 =
            missing.iter().map(|&at| plan.parts[at].bytes * plan.parts[at].places.len() as u64).sum();
        if bytes == 0 {
            return Ok(());
        }
        let needed = bytes + RESERVE;
        let dir = self.layout.files();
        let volume = rustix::fs::statvfs(&dir).map_err(|e| Error::io("ask for free space")(e.into()))?;
        let available = volume.f_bavail.saturating_mul(volume.f_frsize);
        if available < needed { Err(Error::NoSpace { dir, needed, available }) } else { Ok(()) }
    }
}

/// Opens volumes; also their size together.
fn open(paths: &[PathBuf]) -> Result<(Vec<Volume<BufReader<fs_err::File>>>, u64)> {
    let mut total = 0;
    let mut volumes = Vec::new();
    for path in paths {
        let file = fs_err::File::open(path).map_err(Error::io("open volume"))?;
        total += file.metadata().map_err(Error::io("open volume"))?.len();
        volumes.push(Volume::new(path.display().to_string(), BufReader::with_capacity(1 << 16, file)));
    }
    Ok((volumes, total))
}

/// The bytes of all documents, signatures left out.
fn contents(documents: &Documents) -> impl Iterator<Item = &[u8]> {
    let Documents { roots, snapshot, targets } = documents;
    roots
        .iter()
        .map(|(_, signed)| signed)
        .chain([snapshot, targets])
        .map(|signed: &Signed| signed.bytes.as_slice())
}

/// Turns "so many bytes more" into [`Progress`].
fn steps(step: Step, total: u64, progress: Tell<'_>) -> impl FnMut(u64) {
    let mut done = 0;
    move |bytes| {
        done += bytes;
        progress(Progress { step, done, total });
    }
}

/// Reads bytes as a volume and as each document, trusting nothing: what a fuzzer drives.
#[doc(hidden)]
pub fn parse_unverified(bytes: &[u8]) {
    let mut volume = Volume::new("fuzz".into(), bytes);
    if let Ok(documents) = volume.documents() {
        let plan = metadata::Targets::parse(&documents.targets.bytes).map(|targets| Plan::new(&targets));
        if let Ok(plan) = plan {
            let result = plan.read(&mut volume, &mut Look::new(&plan, &mut |_| ()));
            debug_assert!(result.is_ok() || result.is_err_and(|error| !error.to_string().is_empty()));
        }
        for (version, signed) in &documents.roots {
            drop(trust::self_signed(Some(*version), signed));
        }
    }
    drop(metadata::Targets::parse(bytes).map(|targets| Plan::new(&targets)));
    drop(metadata::Root::parse(bytes, "fuzz"));
    drop(metadata::Snapshot::parse(bytes));
}
