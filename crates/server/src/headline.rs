//! What was the verdict on each alert, in short? Kept in memory, so that lists and metrics read no reports.

use crate::hub::lock;
use casemate_event::AlertId;
use casemate_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The head of an investigation: the keys of its JSON that lists need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Headline {
    pub(crate) verdict: String,
    pub(crate) confidence: f64,
    pub(crate) convergence: f64,
    #[serde(default)]
    pub(crate) summary: String,
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

    /// How many investigations ended with each verdict.
    pub(crate) fn by_verdict(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for headline in lock(&self.0).values() {
            *counts.entry(headline.verdict.clone()).or_default() += 1;
        }
        counts
    }
}
