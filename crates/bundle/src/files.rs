//! How do parts become whole files on disk, over as many volumes and interruptions as it takes?
//!
//! A file grows as `SHA256.partial`, each part written at its place; `SHA256.journal` lists the parts that were
//! verified and are on the device, so that what is missing is known without reading. The journal is never trusted
//! with content: a file gets its name only once all of it, read back, has its hash.

use crate::key::Sha256;
use crate::metadata::File;
use crate::plan::{Plan, Sink, check_whole};
use crate::state::{Layout, names, read_json, remove_file, write_json};
use crate::{Error, Progress, Result, Step, Tell};
use std::collections::BTreeSet;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

/// How far each file of a plan is.
pub(crate) struct Growing<'a> {
    layout: &'a Layout,
    plan: &'a Plan,
    /// By file: the parts that are there; `None` once the file is whole.
    parts: Vec<Option<BTreeSet<usize>>>,
    /// Partial file written last, kept open: parts of one file follow each other.
    open: Option<(usize, fs_err::File)>,
    /// Bytes of volumes read, and how many there are.
    read: (u64, u64),
    progress: Tell<'a>,
}

impl<'a> Growing<'a> {
    /// Finds what earlier runs left; files that are there are read, and removed if they are not what they should be.
    /// `total`: bytes of the volumes that will be read.
    pub(crate) fn resume(layout: &'a Layout, plan: &'a Plan, total: u64, progress: Tell<'a>) -> Result<Self> {
        fs_err::create_dir_all(layout.files()).map_err(Error::io("make directory"))?;
        let mut growing = Self { layout, plan, parts: Vec::new(), open: None, read: (0, total), progress };
        for (index, file) in plan.files.iter().enumerate() {
            let state = growing.found(file)?;
            growing.parts.push(state);
            growing.finish_if_complete(index)?;
        }
        Ok(growing)
    }

    fn found(&mut self, file: &File) -> Result<Option<BTreeSet<usize>>> {
        let path = self.layout.file(&file.sha256);
        if path.exists() {
            if self.check(&path, file)? == file.sha256 {
                return Ok(None);
            }
            remove_file(&path)?;
        }
        if !self.layout.partial(&file.sha256).exists() {
            return Ok(Some(BTreeSet::new()));
        }
        // A journal that cannot be read costs the parts it listed, nothing else.
        let journal: Option<BTreeSet<usize>> =
            read_json(&self.layout.journal(&file.sha256)).unwrap_or_default();
        let mut parts = journal.unwrap_or_default();
        parts.retain(|part| *part < file.parts.len());
        Ok(Some(parts))
    }

    /// Indices of the plan's parts that some file still lacks.
    pub(crate) fn missing(&self) -> Vec<usize> {
        (0..self.plan.parts.len()).filter(|&at| self.is_needed(at)).collect()
    }

    fn is_needed(&self, at: usize) -> bool {
        let lacks = |file: usize, part: usize| {
            self.parts.get(file).and_then(Option::as_ref).is_some_and(|parts| !parts.contains(&part))
        };
        self.plan.parts[at].places.iter().any(|place| lacks(place.file, place.part))
    }

    fn partial(&mut self, index: usize) -> Result<&fs_err::File> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            let path = self.layout.partial(&self.plan.files[index].sha256);
            let file = fs_err::File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(Error::io("write part"))?;
            self.open = Some((index, file));
        }
        match &self.open {
            Some((_, file)) => Ok(file),
            None => Err(Error::Io { action: "write part", source: std::io::ErrorKind::NotFound.into() }),
        }
    }

    /// Reads a file that is on disk.
    fn check(&mut self, path: &Path, file: &File) -> Result<Sha256> {
        let total = file.bytes;
        let mut tell = |done| (self.progress)(Progress { step: Step::File, done, total });
        Sha256::of_file(path, &mut tell).map_err(Error::io("read file"))
    }

    /// Names the file if all its parts are there and it has its hash; else takes back parts that changed.
    fn finish_if_complete(&mut self, index: usize) -> Result<()> {
        let file = &self.plan.files[index];
        if self.parts[index].as_ref().is_none_or(|parts| parts.len() < file.parts.len()) {
            return Ok(());
        }
        let partial = self.layout.partial(&file.sha256);
        let handle = self.partial(index)?;
        handle.set_len(file.bytes).map_err(Error::io("write part"))?;
        self.open = None;
        let found = self.check(&partial, file)?;
        if found == file.sha256 {
            return self.name(index);
        }
        let mut good = BTreeSet::new();
        let mut offset = 0;
        for (number, part) in file.parts.iter().enumerate() {
            let found = Sha256::of_range(&partial, offset, part.bytes, &mut |_| ())
                .map_err(Error::io("read part"))?;
            if found == part.sha256 {
                good.insert(number);
            }
            offset += part.bytes;
        }
        if good.len() == file.parts.len() {
            remove_file(&partial)?;
            remove_file(&self.layout.journal(&file.sha256))?;
            return check_whole(file, found);
        }
        write_json(&self.layout.journal(&file.sha256), &good)?;
        self.parts[index] = Some(good);
        Ok(())
    }

    fn name(&mut self, index: usize) -> Result<()> {
        self.open = None;
        let sha256 = &self.plan.files[index].sha256;
        let (partial, path) = (self.layout.partial(sha256), self.layout.file(sha256));
        let read_only = std::fs::Permissions::from_mode(0o444);
        fs_err::set_permissions(&partial, read_only).map_err(Error::io("write file"))?;
        fs_err::rename(&partial, &path).map_err(Error::io("write file"))?;
        remove_file(&self.layout.journal(sha256))?;
        self.parts[index] = None;
        Ok(())
    }
}

impl Sink for Growing<'_> {
    fn piece(&mut self, at: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let (done, total) = (self.read.0 + bytes.len() as u64, self.read.1);
        self.read.0 = done;
        (self.progress)(Progress { step: Step::Volumes, done, total });
        let plan = self.plan;
        for place in &plan.parts[at].places {
            let is_there = self.parts[place.file].as_ref().is_none_or(|parts| parts.contains(&place.part));
            if !is_there {
                let file = self.partial(place.file)?;
                file.file().write_all_at(bytes, place.offset + offset).map_err(Error::io("write part"))?;
            }
        }
        Ok(())
    }

    fn part(&mut self, at: usize) -> Result<()> {
        let plan = self.plan;
        for place in &plan.parts[at].places {
            let file = &plan.files[place.file];
            let Some(parts) = self.parts[place.file].as_mut() else { continue };
            if !parts.insert(place.part) {
                continue;
            }
            // A file of one part needs no journal: it is whole, or begun anew.
            if file.parts.len() > 1 {
                self.partial(place.file)?.sync_data().map_err(Error::io("write part"))?;
                write_json(&self.layout.journal(&file.sha256), &self.parts[place.file])?;
            }
            self.finish_if_complete(place.file)?;
        }
        Ok(())
    }
}

/// Removes what neither a release nor the bundle being staged needs.
pub(crate) fn collect(layout: &Layout, needed: &BTreeSet<Sha256>) -> Result<()> {
    for name in names(&layout.files())? {
        let stem = name.split('.').next().unwrap_or_default().to_owned();
        if !Sha256::try_from(stem).is_ok_and(|sum| needed.contains(&sum)) {
            remove_file(&layout.files().join(&name))?;
        }
    }
    Ok(())
}
