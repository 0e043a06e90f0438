//! Which templates resemble this text? One embedding per masked template, in one HNSW file.
//!
//! Derived from the store: a missing or damaged file is rebuilt from the templates, not an error.

use crate::{OnProgress, Result, Stage};
use casemate_event::TemplateId;
use casemate_inference::Embedder;
use casemate_store::Store;
use casemate_vector::{Index, Params};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

/// Texts embedded between two reports of progress.
const EMBED_CHUNK: usize = 64;
/// Candidates kept while searching; at the few thousand templates of a site this is near exact.
const EF_SEARCH: usize = 128;

pub(crate) struct TemplateIndex {
    path: PathBuf,
    index: RwLock<Option<Index>>,
}

impl TemplateIndex {
    pub(crate) fn open(path: PathBuf) -> Self {
        let index = if path.exists() {
            Index::open(&path)
                .inspect_err(|error| tracing::warn!(%error, "template index unusable, it will be rebuilt"))
                .ok()
        } else {
            None
        };
        Self { path, index: RwLock::new(index) }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Index::len)
    }

    /// Embeds the templates of `store` that are not in the index yet and writes it anew with them.
    ///
    /// Returns how many were embedded. Vectors already there are carried over, not computed again.
    pub(crate) fn extend(
        &self,
        store: &Store,
        embedder: &Embedder,
        on_progress: OnProgress<'_>,
    ) -> Result<u64> {
        let (mut ids, mut vectors) = self.carried_over(embedder.dimension());
        let known: HashSet<u64> = ids.iter().copied().collect();
        let new: Vec<_> = store.templates()?.into_iter().filter(|t| !known.contains(&t.id.0)).collect();
        if new.is_empty() {
            return Ok(0);
        }
        let total = new.len() as u64;
        for chunk in new.chunks(EMBED_CHUNK) {
            let texts: Vec<&str> = chunk.iter().map(|template| template.text.as_str()).collect();
            for vector in embedder.embed(&texts)? {
                vectors.extend(vector);
            }
            ids.extend(chunk.iter().map(|template| template.id.0));
            on_progress(Stage::Embed, (ids.len() - known.len()) as u64, total);
        }
        casemate_vector::build(&self.path, embedder.dimension(), &ids, &vectors, Params::default())?;
        let opened = Index::open(&self.path)?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(total)
    }

    fn carried_over(&self, dimension: usize) -> (Vec<u64>, Vec<f32>) {
        let guard = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = guard.as_ref().filter(|index| index.dimension() == dimension) else {
            return (Vec::new(), Vec::new());
        };
        index.ids().iter().filter_map(|&id| index.vector(id).map(|vector| (id, vector))).fold(
            (Vec::new(), Vec::new()),
            |(mut ids, mut vectors), (id, vector)| {
                ids.push(id);
                vectors.extend_from_slice(vector);
                (ids, vectors)
            },
        )
    }

    pub(crate) fn search(&self, embedder: &Embedder, text: &str, k: usize) -> Result<Vec<(TemplateId, f32)>> {
        let guard = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = guard.as_ref() else { return Ok(Vec::new()) };
        let query = embedder.embed(&[text])?.concat();
        let neighbours = index.search(&query, k, EF_SEARCH.max(k))?;
        Ok(neighbours.into_iter().map(|found| (TemplateId(found.id), found.similarity)).collect())
    }
}
