//! How does an index grow? New vectors are searched exactly beside the file until they are merged into it.

use crate::build::{Builder, stored};
use crate::head::Head;
use crate::index::{Query, Removed, Scope, best};
use crate::journal::{Entry, Journal, discard};
use crate::kernel::Kernel;
use crate::{Error, Index, Neighbour, Params, Result};
use half::f16;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How an index that grows is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Numbers per vector. A file or log of another dimension is discarded.
    pub dimension: usize,
    /// Of the graph.
    pub params: Params,
    /// A vector at least this similar to one already there shares its point; above 1, only an equal one.
    pub collapse: f32,
}

/// A file of vectors, those added since, and those removed since. Many threads may use it.
///
/// All of it is derived data: a file or log that is damaged is discarded with a warning, and
/// [`contains`](Self::contains) says which vectors have to be added again.
#[derive(Debug)]
pub struct Vectors {
    path: PathBuf,
    options: Options,
    state: RwLock<State>,
    journal: Mutex<Journal>,
    merging: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<Index>>,
    head: Head,
    /// Where the ids that are not in the file, or not as the file has them, are.
    added: HashMap<u64, Place>,
    /// Ids that have joined points of the file.
    joined: HashMap<u32, Vec<u64>>,
    /// Ids of the file.
    removed: Removed,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Head(u32),
    File(u32),
}

/// Candidates of a search for the point to share.
const EF_COLLAPSE: usize = 48;
/// A merge is due when so many vectors are compared one by one, or an eighth as many as the file has.
const MERGE_AT: std::ops::RangeInclusive<usize> = 4096..=32_768;

impl Vectors {
    /// Opens the index at `path` and the logs beside it, or begins an empty one.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`] if the system refuses; damage is no error.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        Builder::new(options.dimension, options.params)?;
        let mut state = State { file: open_file(path, options.dimension)?, ..State::default() };
        let mut usable = true;
        let replay = &mut |entry| {
            usable = usable && state.replay(entry, options.dimension).unwrap_or(false);
        };
        let mut journal = Journal::open(path, replay)?;
        if !usable {
            tracing::warn!(path = %path.display(), "logged vectors do not fit the index, they will be computed again");
            drop(journal);
            discard(path)?;
            state = State { file: state.file, ..State::default() };
            journal = Journal::open(path, &mut |_| {})?;
        }
        let (state, journal) = (RwLock::new(state), Mutex::new(journal));
        Ok(Self { path: path.to_owned(), options, state, journal, merging: Mutex::new(()) })
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        let state = self.read();
        state.file.as_ref().map_or(0, |file| file.len()) - state.removed.ids.len() + state.added.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `id` has a vector.
    ///
    /// # Errors
    /// [`Error::Disk`] if the file is damaged where it would say so: [`restart`](Self::restart).
    pub fn contains(&self, id: u64) -> Result<bool> {
        self.read().contains(id)
    }

    /// Adds vectors, all or, after an error, none but those before a bad one. They survive a crash once this
    /// has returned. An id already there keeps its vector.
    ///
    /// # Errors
    /// [`Error::Dimension`], [`Error::BadVector`], or [`Error::Disk`].
    pub fn add(&self, ids: &[u64], vectors: &[Vec<f32>]) -> Result<()> {
        // Held throughout, so that what the log says is in the order in which it happened.
        let mut journal = lock(&self.journal);
        let mut entries = Vec::new();
        let result = ids.iter().zip(vectors).try_for_each(|(&id, vector)| {
            entries.extend(self.added(id, vector)?);
            Ok(())
        });
        if !entries.is_empty() {
            journal.append(&entries)?;
            journal.sync()?;
        }
        result
    }

    fn added(&self, id: u64, vector: &[f32]) -> Result<Option<Entry>> {
        let query = Query::new(vector, self.options.dimension)?;
        let vector = stored(vector, || format!("id {id}"))?;
        let like = {
            let state = self.read();
            if state.contains(id)? {
                return Ok(None);
            }
            state.nearest(&query)?.filter(|near| near.similarity >= self.options.collapse)
        };
        // Only holders of the journal add, so nothing has come in between.
        let mut state = self.write();
        if let Some(like) = like {
            state.join(id, like.id)?;
            return Ok(Some(Entry::Join(id, like.id)));
        }
        state.push(id, &vector);
        Ok(Some(Entry::Add(id, vector)))
    }

    /// Removes ids. Those that are not there are passed over.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn remove(&self, ids: &[u64]) -> Result<()> {
        let mut journal = lock(&self.journal);
        for &id in ids {
            self.write().remove(id)?;
        }
        journal.append(&ids.iter().map(|&id| Entry::Remove(id)).collect::<Vec<_>>())?;
        journal.sync()
    }

    /// The `k` most similar vectors, best first, ties in order of id; among `allowed` (ascending) if given.
    ///
    /// # Errors
    /// As [`Index::search_among`].
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        ef_search: usize,
        allowed: Option<&[u64]>,
    ) -> Result<Vec<Neighbour>> {
        if allowed.is_some_and(|allowed| !allowed.is_sorted()) {
            return Err(Error::Unordered);
        }
        self.read().search(&Query::new(query, self.options.dimension)?, k, ef_search, allowed)
    }

    /// Whether so much has been added or removed that a [`merge`](Self::merge) is worth its time.
    pub fn merge_is_due(&self) -> bool {
        let state = self.read();
        let file = state.file.as_ref().map_or(0, |file| file.len());
        let due = (file / 8).clamp(*MERGE_AT.start(), *MERGE_AT.end());
        state.head.len() >= due || state.removed.ids.len() >= due
    }

    /// Writes file, added and removed vectors into a new file. Adding and searching go on meanwhile; a crash
    /// leaves the old file and the logs, or the new file.
    ///
    /// # Errors
    /// [`Error::Disk`] if the file cannot be read or written. Nothing is lost then.
    pub fn merge(&self) -> Result<()> {
        let _turn = lock(&self.merging);
        let (builder, merged, number) = {
            let mut journal = lock(&self.journal);
            let state = self.read();
            let builder = state.builder(self.options)?;
            (builder, Merged::of(&state), journal.rotate()?)
        };
        builder.write(&self.path)?;
        let file = Arc::new(Index::open(&self.path)?);
        let journal = lock(&self.journal);
        self.write().adopt(file, &merged, self.options.dimension)?;
        journal.drop_before(number)
    }

    /// Drops everything, in memory and on disk: what to do after an [`Error::Disk`] that says damage.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Io`] if the system refuses.
    pub fn restart(&self) -> Result<()> {
        let _turn = lock(&self.merging);
        let mut journal = lock(&self.journal);
        let mut state = self.write();
        if self.path.exists() {
            fs_err::remove_file(&self.path).map_err(Error::Io)?;
        }
        let number = journal.rotate()?;
        journal.drop_before(number)?;
        *state = State::default();
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, if it is there, sound as far as opening tells, and of the right dimension.
fn open_file(path: &Path, dimension: usize) -> Result<Option<Arc<Index>>> {
    if !path.exists() {
        return Ok(None);
    }
    match Index::open(path) {
        Ok(index) if index.dimension() == dimension => Ok(Some(Arc::new(index))),
        Ok(index) => {
            tracing::warn!(
                found = index.dimension(),
                dimension,
                "the index is of another embedder, it is begun anew"
            );
            discard(path)?;
            Ok(None)
        }
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "the index is unusable, it is begun anew");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What a merge took in.
struct Merged {
    head: usize,
    added: HashSet<u64>,
    removed: HashSet<u64>,
}

impl Merged {
    fn of(state: &State) -> Self {
        let added = state.added.keys().copied().collect();
        Self { head: state.head.len(), added, removed: state.removed.ids.clone() }
    }
}

impl State {
    fn contains(&self, id: u64) -> Result<bool> {
        Ok(self.added.contains_key(&id) || self.in_file(id)?.is_some())
    }

    /// Point of an id that the file has and that is not removed.
    fn in_file(&self, id: u64) -> Result<Option<u32>> {
        match &self.file {
            Some(file) if !self.removed.ids.contains(&id) => file.point_of(id),
            _ => Ok(None),
        }
    }

    fn push(&mut self, id: u64, vector: &[f16]) {
        let place = self.head.push(id, vector);
        self.added.insert(id, Place::Head(place));
    }

    /// Lets `id` share the point of `other`; false if that is not there.
    fn join(&mut self, id: u64, other: u64) -> Result<bool> {
        let place = match self.added.get(&other) {
            Some(place) => *place,
            None => match self.in_file(other)? {
                Some(point) => Place::File(point),
                None => return Ok(false),
            },
        };
        match place {
            Place::Head(place) => self.head.join(place, id),
            Place::File(point) => {
                self.joined.entry(point).or_default().push(id);
                self.removed.points.remove(&point);
            }
        }
        self.added.insert(id, place);
        Ok(true)
    }

    fn remove(&mut self, id: u64) -> Result<()> {
        let point = match self.added.remove(&id) {
            Some(Place::Head(place)) => {
                self.head.leave(place, id);
                return Ok(());
            }
            Some(Place::File(point)) => {
                self.joined.entry(point).or_default().retain(|&joined| joined != id);
                point
            }
            None => {
                let Some(point) = self.in_file(id)? else { return Ok(()) };
                self.removed.ids.insert(id);
                point
            }
        };
        if self.members(point)?.is_empty() {
            self.removed.points.insert(point);
        }
        Ok(())
    }

    /// Ids of a point of the file, as of now.
    fn members(&self, point: u32) -> Result<Vec<u64>> {
        let own = self.file.as_ref().map_or_else(|| Ok(Vec::new()), |file| file.members(point))?;
        let own = own.into_iter().filter(|id| !self.removed.ids.contains(id));
        Ok(own.chain(self.joined.get(&point).into_iter().flatten().copied()).collect())
    }

    fn nearest(&self, query: &Query) -> Result<Option<Neighbour>> {
        Ok(self.search(query, 1, EF_COLLAPSE, None)?.into_iter().next())
    }

    fn search(
        &self,
        query: &Query,
        k: usize,
        ef_search: usize,
        allowed: Option<&[u64]>,
    ) -> Result<Vec<Neighbour>> {
        let scope = Scope { allowed, removed: Some(&self.removed), joined: Some(&self.joined) };
        let mut found = match &self.file {
            Some(file) => file.search_in(query, k, ef_search, scope)?,
            None => Vec::new(),
        };
        let scope = Scope { allowed, ..Scope::default() };
        for candidate in self.head.search(Kernel::best(), query, k, scope) {
            let ids = self.head.members(candidate.point()).iter().filter(|&&id| scope.admits(id));
            found.extend(ids.map(|&id| Neighbour { id, similarity: candidate.similarity() }));
        }
        Ok(best(found, k))
    }

    /// One entry of a log; false if it fits nothing.
    fn replay(&mut self, entry: Entry, dimension: usize) -> Result<bool> {
        match entry {
            Entry::Add(_, vector) if vector.len() != dimension => return Ok(false),
            Entry::Add(id, vector) if !self.contains(id)? => self.push(id, &vector),
            Entry::Join(id, other) if !self.contains(id)? => return self.join(id, other),
            Entry::Remove(id) => self.remove(id)?,
            Entry::Add(..) | Entry::Join(..) => {}
        }
        Ok(true)
    }

    /// All vectors as of now.
    fn builder(&self, options: Options) -> Result<Builder> {
        let mut builder = Builder::new(options.dimension, options.params)?;
        if let Some(file) = &self.file {
            for point in 0..file.layout.points as u32 {
                let members = self.members(point)?;
                if !members.is_empty() {
                    builder.add(&members, &file.halves(point)?.collect::<Vec<f16>>())?;
                }
            }
        }
        for place in 0..self.head.len() as u32 {
            let members = self.head.members(place);
            if !members.is_empty() {
                builder.add(members, self.head.vector(place, options.dimension))?;
            }
        }
        Ok(builder)
    }

    /// Goes over to the new file, keeping what happened while it was built.
    fn adopt(&mut self, file: Arc<Index>, merged: &Merged, dimension: usize) -> Result<()> {
        // Ids that the new file has and that have been removed since.
        let gone: Vec<u64> =
            self.removed.ids.iter().filter(|id| !merged.removed.contains(id)).copied().collect();
        let gone =
            gone.into_iter().chain(merged.added.iter().filter(|id| !self.added.contains_key(id)).copied());
        let gone: Vec<u64> = gone.collect();
        // Ids that have joined a point since.
        let mut joins = Vec::new();
        for (&id, &place) in self.added.iter().filter(|(id, _)| !merged.added.contains(id)) {
            let mates = match place {
                Place::Head(place) if (place as usize) < merged.head => self.head.members(place).to_vec(),
                Place::File(point) => self.members(point)?,
                Place::Head(_) => continue,
            };
            joins.push((id, mates));
        }
        self.head.forget_first(merged.head, dimension);
        self.added.retain(|_, place| match place {
            Place::Head(place) if *place as usize >= merged.head => {
                *place -= merged.head as u32;
                true
            }
            _ => false,
        });
        (self.file, self.joined, self.removed) = (Some(file), HashMap::new(), Removed::default());
        for (id, mates) in joins {
            for mate in mates.into_iter().filter(|mate| merged.added.contains(mate) || *mate != id) {
                if self.in_file(mate)?.is_some() && self.join(id, mate)? {
                    break;
                }
            }
        }
        gone.into_iter()
            .try_for_each(|id| if self.added.contains_key(&id) { Ok(()) } else { self.remove(id) })
    }
}

/// A panic while holding one of these locks leaves nothing half-changed that a search relies on: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
