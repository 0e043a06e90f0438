//! What was the verdict on each alert, in short? Kept in memory, so that lists and metrics read no reports.

use crate::hub::lock;
use casemate_event::AlertId;
use casemate_store::Store;
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// The head of an investigation: the keys of its JSON that lists need.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Headline {
    pub(crate) verdict: String,
    pub(crate) confidence: f64,
    pub(crate) convergence: f64,
    /// Of an attack.
    #[serde(default)]
    pub(crate) probability: f64,
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
    /// Seconds of machine time, `total` and by stage.
    #[serde(default)]
    seconds: BTreeMap<String, f64>,
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

impl Headline {
    pub(crate) fn total_seconds(&self) -> f64 {
        self.seconds.get(TOTAL).copied().unwrap_or_default()
    }
}

/// The name of the seconds of all stages together.
pub(crate) const TOTAL: &str = "total";
/// Investigations whose seconds by stage are kept.
const KEPT_STAGES: usize = 256;

/// Headlines read from the store at once.
const READ_AT_ONCE: usize = 2000;

/// Headlines of all stored investigations.
pub(crate) struct Headlines {
    all: Mutex<BTreeMap<AlertId, Headline>>,
    /// Seconds by stage of the latest.
    stages: Mutex<VecDeque<BTreeMap<String, f64>>>,
}

impl Headlines {
    /// Reads the heads of all investigations once: of each some 500 bytes, and not its report.
    pub(crate) fn load(store: &Store) -> casemate_store::Result<Self> {
        let headlines = Self { all: Mutex::default(), stages: Mutex::default() };
        let mut after = AlertId(0);
        loop {
            let heads = store.investigation_heads_after(after, READ_AT_ONCE)?;
            for (id, head) in &heads {
                after = *id;
                headlines.remember(*id, head);
            }
            if heads.len() < READ_AT_ONCE {
                return Ok(headlines);
            }
        }
    }

    /// Takes what lists need of a stored investigation, from its report or its head; one that cannot be read is logged and not listed.
    pub(crate) fn remember(&self, alert: AlertId, json: &[u8]) {
        match serde_json::from_slice::<Headline>(json) {
            Ok(mut headline) => {
                let seconds = std::mem::take(&mut headline.seconds);
                headline.seconds.extend(seconds.get_key_value(TOTAL).map(|(name, all)| (name.clone(), *all)));
                let mut all = lock(&self.all);
                // Told of twice, it took its time once.
                if all.insert(alert, headline.clone()).is_none_or(|before| before != headline) {
                    let mut stages = lock(&self.stages);
                    stages.push_back(seconds);
                    if stages.len() > KEPT_STAGES {
                        stages.pop_front();
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%alert, %error, "a stored investigation cannot be read; investigate again");
            }
        }
    }

    pub(crate) fn get(&self, alert: AlertId) -> Option<Headline> {
        lock(&self.all).get(&alert).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(AlertId, Headline)> {
        lock(&self.all).iter().map(|(id, headline)| (*id, headline.clone())).collect()
    }

    /// Seconds by stage of the latest investigations.
    pub(crate) fn stages(&self) -> Vec<BTreeMap<String, f64>> {
        lock(&self.stages).iter().cloned().collect()
    }

    /// How many investigations followed each playbook.
    pub(crate) fn by_playbook(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for headline in lock(&self.all).values() {
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
        lock(&self.all).values().filter(rests).count()
    }

    /// Alerts whose investigations followed this playbook, the latest first, at most `most`.
    pub(crate) fn of_playbook(&self, name: &str, most: usize) -> Vec<AlertId> {
        let all = lock(&self.all);
        let followed = all.iter().rev().filter(|(_, headline)| headline.playbook.name == name);
        followed.map(|(id, _)| *id).take(most).collect()
    }

    /// The latest alerts that were investigated, each with the playbook that was followed, at most `most`.
    pub(crate) fn latest(&self, most: usize) -> Vec<(AlertId, String)> {
        let all = lock(&self.all);
        let latest = all.iter().rev().take(most);
        latest.map(|(id, headline)| (*id, headline.playbook.name.clone())).collect()
    }

    /// How many investigations ended with each verdict.
    pub(crate) fn by_verdict(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for headline in lock(&self.all).values() {
            *counts.entry(headline.verdict.clone()).or_default() += 1;
        }
        counts
    }
}
