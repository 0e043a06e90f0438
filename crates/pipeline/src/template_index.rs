//! Which templates resemble this text? One embedding per masked template, computed once ever.
//!
//! The id of a template is the hash of its masked text, so the index is the cache from that hash to its vector.
//! Derived from the store: what is missing or damaged is embedded again, not an error.

use crate::{Error, OnProgress, Result, Stage};
use casemate_event::TemplateId;
use casemate_inference::Embedder;
use casemate_store::Store;
use casemate_vector::{Options, Params, Vectors};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Texts embedded between two reports of progress, and made durable together.
const EMBED_CHUNK: usize = 64;
/// Candidates kept while searching; at the few thousand templates of a site this is near exact.
const EF_SEARCH: usize = 128;
/// Templates this similar say the same; they share a point of the index.
const COLLAPSE: f32 = 0.995;

pub(crate) struct TemplateIndex {
    path: PathBuf,
    /// Opened when the dimension is known, which the embedder says.
    vectors: RwLock<Option<Arc<Vectors>>>,
}

impl TemplateIndex {
    /// `embedder` is absent where there is no embedding model: nothing is searched or embedded then.
    pub(crate) fn open(path: PathBuf, embedder: Option<&Embedder>) -> Self {
        let index = Self { path, vectors: RwLock::default() };
        if let Some(embedder) = embedder
            && let Err(error) = index.vectors(embedder)
        {
            tracing::warn!(%error, "template index unusable");
        }
        index
    }

    pub(crate) fn len(&self) -> usize {
        let vectors = self.vectors.read().unwrap_or_else(PoisonError::into_inner);
        vectors.as_ref().map_or(0, |vectors| vectors.len())
    }

    /// Embeds templates of `store` that are not in the index yet, at most `most` of them.
    ///
    /// Returns how many were embedded: as many as `most` means that there may be more. What was embedded stays
    /// when a later one fails, or the process ends. A merge into the file happens here when one is due.
    pub(crate) fn extend(
        &self,
        store: &Store,
        embedder: &Embedder,
        most: usize,
        on_progress: OnProgress<'_>,
    ) -> Result<u64> {
        let vectors = self.vectors(embedder)?;
        match embed_new(&vectors, store, embedder, most, on_progress) {
            Err(Error::Vector(error)) if error.is_damage() => {
                tracing::warn!(%error, "template index damaged, it is begun anew");
                vectors.restart()?;
                embed_new(&vectors, store, embedder, most, on_progress)
            }
            result => result,
        }
    }
    pub(crate) fn search(&self, embedder: &Embedder, text: &str, k: usize) -> Result<Vec<(TemplateId, f32)>> {
        let query = embedder.embed(&[text])?.concat();
        let neighbours = self.vectors(embedder)?.search(&query, k, EF_SEARCH.max(k), None)?;
        Ok(neighbours.into_iter().map(|found| (TemplateId(found.id), found.similarity)).collect())
    }

    fn vectors(&self, embedder: &Embedder) -> Result<Arc<Vectors>> {
        if let Some(vectors) = &*self.vectors.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(vectors));
        }
        let mut slot = self.vectors.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(vectors) = &*slot {
            return Ok(Arc::clone(vectors));
        }
        let options =
            Options { dimension: embedder.dimension(), params: Params::default(), collapse: COLLAPSE };
        let vectors = Arc::new(Vectors::open(&self.path, options)?);
        *slot = Some(Arc::clone(&vectors));
        Ok(vectors)
    }
}

fn embed_new(
    vectors: &Vectors,
    store: &Store,
    embedder: &Embedder,
    most: usize,
    on_progress: OnProgress<'_>,
) -> Result<u64> {
    let mut new = Vec::new();
    for template in store.templates()? {
        if new.len() < most && !vectors.contains(template.id.0)? {
            new.push(template);
        }
    }
    let mut done = 0;
    for chunk in new.chunks(EMBED_CHUNK) {
        let texts: Vec<&str> = chunk.iter().map(|template| template.text.as_str()).collect();
        let ids: Vec<u64> = chunk.iter().map(|template| template.id.0).collect();
        vectors.add(&ids, &embed_each(&texts, embedder.dimension(), |texts| embedder.embed(texts))?)?;
        done += chunk.len() as u64;
        on_progress(Stage::Embed, done, new.len() as u64);
    }
    if vectors.merge_is_due() {
        vectors.merge()?;
    }
    Ok(done)
}

/// A vector for each text. One that the embedder fails on is not to hold up all that follow: it is named in the log and has
/// the first axis, which no text is near.
fn embed_each(
    texts: &[&str],
    dimension: usize,
    embed: impl Fn(&[&str]) -> casemate_inference::Result<Vec<Vec<f32>>>,
) -> Result<Vec<Vec<f32>>> {
    // None: it is a text that fails. What a model's weights lead to fails for all of them.
    let attempt = |texts: &[&str]| match catch_unwind(AssertUnwindSafe(|| embed(texts))) {
        Ok(Err(casemate_inference::Error::Tokenizer(_))) | Err(_) => None,
        Ok(result) => Some(result),
    };
    if let Some(result) = attempt(texts) {
        return Ok(result?);
    }
    let mut vectors = Vec::with_capacity(texts.len());
    for text in texts {
        match attempt(&[text]) {
            Some(result) => vectors.extend(result?),
            None => {
                tracing::error!(
                    template = text,
                    "a fault inside casemate while this was embedded; please report it"
                );
                vectors.push((0..dimension).map(|axis| f32::from(u8::from(axis == 0))).collect());
            }
        }
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_inference::Error as Failure;

    #[test]
    fn a_text_that_the_embedder_fails_on_holds_up_no_other() {
        let embed = |texts: &[&str]| {
            assert!(!texts.contains(&"panics"));
            if texts.contains(&"fails") {
                return Err(Failure::Tokenizer("no such word".to_owned()));
            }
            Ok(texts.iter().map(|text| vec![text.len() as f32, 1.0]).collect())
        };
        let vectors = embed_each(&["a", "panics", "ccc", "fails"], 2, embed).unwrap();
        assert_eq!(vectors, [[1.0, 1.0], [1.0, 0.0], [3.0, 1.0], [1.0, 0.0]]);
        assert!(embed_each(&["a"], 2, |_| Err(Failure::NotFinite)).is_err());
    }
}
