//! What was the verdict on each alert, in short? Kept in memory, so that lists and metrics read no reports.

use crate::hub::lock;
use casemate_event::AlertId;
use casemate_store::Store;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The head of an investigation: the keys of its JSON that lists need.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Headline {
    pub(crate) verdict: String,
    pub(crate) confidence: f64,
    pub(crate) convergence: f64,
    #[serde(default)]
    pub(crate) summary: String,
    #[serde(default)]
    pub(crate) playbook: Followed,
    /// The model that was asked.
    #[serde(default, deserialize_with = "file")]
    model: Option<FileId>,
    /// The head that judged.
    #[serde(default, deserialize_with = "file")]
    head: Option<FileId>,
}

/// Which playbook an investigation followed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Followed {
    #[serde(default)]
    pub(crate) name: String,
}

/// A file by the beginning of its SHA-256, which is short and tells files apart that are not made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64);

impl FileId {
    fn of(sha256: &str) -> Option<Self> {
        u64::from_str_radix(sha256.get(..16)?, 16).ok().map(Self)
    }
}

fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FileId>, D::Error> {
    #[derive(Deserialize)]
    struct Named {
        sha256: String,
    }
    let named = Option::<Named>::deserialize(deserializer)?;
    Ok(named.and_then(|named| FileId::of(&named.sha256)))
}

/// Headlines of all stored investigations.
pub(crate) struct Headlines(Mutex<BTreeMap<AlertId, Headline>>);

impl Headlines {
    /// Reads all investigations once.
    pub(crate) fn load(store: &Store) -> casemate_store::Result<Self> {
        let headlines = Self(Mutex::default());
        for id in store.investigations()? {
            if let Some(json) = store.investigation(id)? {
                headlines.remember(id, &json);
            }
        }
        Ok(headlines)
    }

    /// Takes the head of a stored investigation; one that cannot be read is logged and not listed.
    pub(crate) fn remember(&self, alert: AlertId, json: &[u8]) {
        match serde_json::from_slice(json) {
            Ok(headline) => {
                lock(&self.0).insert(alert, headline);
            }
            Err(error) => {
                tracing::warn!(%alert, %error, "a stored investigation cannot be read; investigate again");
            }
        }
    }

    pub(crate) fn get(&self, alert: AlertId) -> Option<Headline> {
        lock(&self.0).get(&alert).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(AlertId, Headline)> {
        lock(&self.0).iter().map(|(id, headline)| (*id, headline.clone())).collect()
    }

    /// How many investigations followed each playbook.
    pub(crate) fn by_playbook(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for headline in lock(&self.0).values() {
            match counts.get_mut(&headline.playbook.name) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(headline.playbook.name.clone(), 1);
                }
            }
        }
        counts
    }

    /// How many investigations rest on the model or head whose file has this hash.
    pub(crate) fn resting_on(&self, sha256: &str) -> usize {
        let file = FileId::of(sha256);
        let rests = |headline: &&Headline| file.is_some() && [headline.model, headline.head].contains(&file);
        lock(&self.0).values().filter(rests).count()
    }

    /// Alerts whose investigations followed this playbook, the latest first, at most `most`.
    pub(crate) fn of_playbook(&self, name: &str, most: usize) -> Vec<AlertId> {
        let all = lock(&self.0);
        let followed = all.iter().rev().filter(|(_, headline)| headline.playbook.name == name);
        followed.map(|(id, _)| *id).take(most).collect()
    }

    /// The latest alerts that were investigated, each with the playbook that was followed, at most `most`.
    pub(crate) fn latest(&self, most: usize) -> Vec<(AlertId, String)> {
        let all = lock(&self.0);
        let latest = all.iter().rev().take(most);
        latest.map(|(id, headline)| (*id, headline.playbook.name.clone())).collect()
    }

    /// How many investigations ended with each verdict.
    pub(crate) fn by_verdict(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for headline in lock(&self.0).values() {
            *counts.entry(headline.verdict.clone()).or_default() += 1;
        }
        counts
    }
}
