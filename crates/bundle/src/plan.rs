//! Which bytes of which file is each part of a bundle, and do the volumes bring them in order?

use crate::key::Sha256;
use crate::metadata::{File, Targets};
use crate::volume::Volume;
use crate::{Error, Result};
use sha2::Digest as _;
use std::collections::HashMap;
use std::io::Read;

/// One place where a part belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Index into [`Plan::files`].
    pub(crate) file: usize,
    /// Index of the part in the file.
    pub(crate) part: usize,
    /// Where it starts in the file.
    pub(crate) offset: u64,
}

/// A part and all places where it belongs.
#[derive(Debug)]
pub(crate) struct Needed {
    pub(crate) sha256: Sha256,
    pub(crate) bytes: u64,
    pub(crate) places: Vec<Place>,
}

/// The parts of a bundle in the order in which volumes hold them: that of `targets.json`, each once.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Files of different content.
    pub(crate) files: Vec<File>,
    pub(crate) parts: Vec<Needed>,
    index: HashMap<Sha256, usize>,
}

impl Plan {
    pub(crate) fn new(targets: &Targets) -> Self {
        let mut plan = Self { files: Vec::new(), parts: Vec::new(), index: HashMap::new() };
        let mut contents = std::collections::HashSet::new();
        for file in &targets.files {
            if !contents.insert(&file.sha256) {
                continue;
            }
            let mut offset = 0;
            for (number, part) in file.parts.iter().enumerate() {
                let next = plan.parts.len();
                let at = *plan.index.entry(part.sha256.clone()).or_insert(next);
                if at == next {
                    let (sha256, bytes) = (part.sha256.clone(), part.bytes);
                    plan.parts.push(Needed { sha256, bytes, places: Vec::new() });
                }
                plan.parts[at].places.push(Place { file: plan.files.len(), part: number, offset });
                offset += part.bytes;
            }
            plan.files.push(file.clone());
        }
        plan
    }

    /// Reads the parts of `volume`, verifying each; `piece` gets the part's index, an offset in it, and bytes that
    /// are not verified yet; `done` is told once they all were.
    pub(crate) fn read<R: Read>(&self, volume: &mut Volume<R>, sink: &mut dyn Sink) -> Result<()> {
        let mut last = None;
        while let Some((sha256, bytes)) = volume.part()? {
            let wrong = |volume: &Volume<R>, what: String| Error::Part {
                volume: volume.name.clone(),
                part: sha256.clone(),
                what,
            };
            let Some(&at) = self.index.get(&sha256) else {
                return Err(wrong(volume, "is not in targets.json".into()));
            };
            if last.is_some_and(|last| last >= at) {
                return Err(volume.container("an entry is out of order or there twice"));
            }
            let signed = self.parts[at].bytes;
            if bytes != signed {
                return Err(wrong(volume, format!("has {bytes} bytes where {signed} were signed")));
            }
            let mut hasher = sha2::Sha256::new();
            let mut offset = 0;
            volume.content(bytes, |piece| {
                hasher.update(piece);
                sink.piece(at, offset, piece)?;
                offset += piece.len() as u64;
                Ok(())
            })?;
            let found = Sha256::finish(hasher);
            if found != sha256 {
                return Err(wrong(volume, format!("has SHA-256 {found}")));
            }
            sink.part(at)?;
            last = Some(at);
        }
        Ok(())
    }
}

/// What is done with the bytes of parts.
pub(crate) trait Sink {
    /// Bytes at `offset` of part `at`, not verified yet.
    fn piece(&mut self, at: usize, offset: u64, bytes: &[u8]) -> Result<()>;
    /// Part `at` had the bytes that were signed.
    fn part(&mut self, at: usize) -> Result<()>;
}

/// Writes nothing: notes which parts came, and hashes files whose parts come in order.
pub(crate) struct Look<'a> {
    plan: &'a Plan,
    pub(crate) present: Vec<bool>,
    /// By file: the part expected next, and the hash so far.
    open: HashMap<usize, (usize, sha2::Sha256)>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Look<'a> {
    pub(crate) fn new(plan: &'a Plan, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self { plan, present: vec![false; plan.parts.len()], open: HashMap::new(), progress }
    }
}

impl Sink for Look<'_> {
    fn piece(&mut self, at: usize, _: u64, bytes: &[u8]) -> Result<()> {
        (self.progress)(bytes.len() as u64);
        for place in &self.plan.parts[at].places {
            // A file of one part is its part, which is checked already.
            if self.plan.files[place.file].parts.len() < 2 {
                continue;
            }
            if place.part == 0 {
                self.open.entry(place.file).or_insert_with(|| (0, sha2::Sha256::new()));
            }
            if let Some((next, hasher)) = self.open.get_mut(&place.file)
                && *next == place.part
            {
                hasher.update(bytes);
            }
        }
        Ok(())
    }

    fn part(&mut self, at: usize) -> Result<()> {
        self.present[at] = true;
        for place in &self.plan.parts[at].places {
            let file = &self.plan.files[place.file];
            let Some((next, _)) = self.open.get_mut(&place.file) else { continue };
            if *next != place.part {
                continue;
            }
            *next += 1;
            if *next == file.parts.len()
                && let Some((_, hasher)) = self.open.remove(&place.file)
            {
                check_whole(file, Sha256::finish(hasher))?;
            }
        }
        Ok(())
    }
}

/// Fails if the parts of `file`, each as signed, make another file than was signed.
pub(crate) fn check_whole(file: &File, found: Sha256) -> Result<()> {
    if found == file.sha256 {
        return Ok(());
    }
    Err(Error::File { path: file.path.clone(), expected: file.sha256.clone(), found })
}
