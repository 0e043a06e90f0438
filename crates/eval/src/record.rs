//! What is kept of a case that was run, so that scoring it again needs no second run?

use crate::Error;
use crate::baselines::Conclusion;
use crate::canary::Planted;
use crate::citation::Checked;
use crate::outcome::{Alerted, Outcome};
use crate::scenario::Scenario;
use casemate_event::{AlertOrigin, Severity};
use casemate_investigate::{Investigation, Verdict};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A case as it was run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// Its investigations, most urgent alert first.
    pub investigations: Vec<Investigation>,
    /// How the citations of each fared.
    pub(crate) checked: Vec<Checked>,
    /// Verdicts of each with canaries planted.
    pub(crate) planted: Vec<Planted>,
    /// Key events of the case that are in its store, by kind.
    pub(crate) key_events: usize,
    /// Those of them in the evidence.
    pub(crate) key_events_in_evidence: usize,
    /// What the model says when simply asked.
    pub(crate) free_form: Option<Conclusion>,
}

impl Record {
    /// The case as it was judged. Of a case that raised no alert nobody hears: it counts as benign.
    pub fn outcome(&self, scenario: &Scenario) -> Outcome {
        let worst = self
            .investigations
            .iter()
            .enumerate()
            .max_by(|(at, a), (bt, b)| a.probability.total_cmp(&b.probability).then(bt.cmp(at)));
        let worst = worst.map(|(_, report)| report);
        let mut techniques: Vec<String> = Vec::new();
        for technique in self.investigations.iter().flat_map(|report| &report.techniques) {
            if !techniques.contains(&technique.id) {
                techniques.push(technique.id.clone());
            }
        }
        Outcome {
            id: scenario.id.clone(),
            source: scenario.source.clone(),
            family: scenario.family.clone(),
            truth: scenario.verdict,
            verdict: worst.map_or(Verdict::Benign, |report| report.verdict),
            probability: worst.map_or(0.0, |report| report.probability),
            confidence: worst.map_or(1.0, |report| report.confidence),
            convergence: worst.map_or(1.0, |report| report.convergence),
            alerts: self
                .investigations
                .iter()
                .enumerate()
                .map(|(index, report)| self.alerted(index, report))
                .collect(),
            true_techniques: scenario.true_techniques().to_vec(),
            techniques,
            key_events: self.key_events,
            key_events_in_evidence: self.key_events_in_evidence,
            rules_only: self.investigations.iter().map(rules_only).fold(0.0, f64::max),
        }
    }

    fn alerted(&self, index: usize, report: &Investigation) -> Alerted {
        let checked = self.checked.get(index).copied().unwrap_or_default();
        let planted = self.planted.get(index).cloned().unwrap_or_default();
        Alerted {
            verdict: report.verdict,
            probability: report.probability,
            confidence: report.confidence,
            convergence: report.convergence,
            seconds: report.seconds.get("total").copied().unwrap_or_default(),
            variants: report.variants.clone(),
            citations: checked.citations,
            citations_existing: checked.existing,
            citations_supported: checked.supported,
            unplanted: planted.clean.unwrap_or(report.verdict),
            planted: planted.verdicts.into_values().collect(),
        }
    }
}

/// Worst severity that a rule gives the alert, 1 to 5; 0 where no rule raised it.
fn rules_only(report: &Investigation) -> f64 {
    match report.alert.origin {
        AlertOrigin::Product(_) => 0.0,
        AlertOrigin::Rule(_) => match report.alert.severity {
            Severity::Informational => 1.0,
            Severity::Low => 2.0,
            Severity::Medium => 3.0,
            Severity::High => 4.0,
            Severity::Critical => 5.0,
        },
    }
}

/// Records on disk, by everything they depend on.
pub struct Cache {
    dir: PathBuf,
    /// Hash of the program, model, rules, playbooks, site and options.
    tools: String,
    /// Hashes of files read before.
    files: Mutex<BTreeMap<PathBuf, String>>,
}

impl Cache {
    /// Opens a directory of records, made if need be. `tools` names everything but the case: a record under
    /// other tools is another record.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(dir: &Path, tools: &str) -> Result<Self, Error> {
        fs_err::create_dir_all(dir).map_err(Error::Io)?;
        Ok(Self { dir: dir.to_owned(), tools: tools.to_owned(), files: Mutex::default() })
    }

    /// The record of a case, if it is there; one that cannot be read back is made anew.
    pub(crate) fn get(&self, scenario: &Scenario, root: &Path) -> Result<Option<Record>, Error> {
        let path = self.path(scenario, root)?;
        if !path.is_file() {
            return Ok(None);
        }
        match serde_json::from_slice(&fs_err::read(&path).map_err(Error::Io)?) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a kept record is damaged; running its case again");
                Ok(None)
            }
        }
    }

    pub(crate) fn put(&self, scenario: &Scenario, root: &Path, record: &Record) -> Result<(), Error> {
        let path = self.path(scenario, root)?;
        casemate_disk::write_atomic(&path, |file| Ok(serde_json::to_writer(file, record)?))?;
        Ok(())
    }

    /// Named by what the record depends on: tools, contents of the files, window and what is looked for in it.
    fn path(&self, scenario: &Scenario, root: &Path) -> Result<PathBuf, Error> {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(&self.tools);
        add(&scenario.id);
        add(&format!(
            "{:?} {:?} {} {:?} {:?}",
            scenario.start, scenario.end, scenario.granularity, scenario.suggested_alert, scenario.key_events
        ));
        for file in &scenario.files {
            let path = root.join(file);
            add(&self.hash_of(&path)?);
        }
        Ok(self.dir.join(format!("{}.json", hex(&hash.finalize()))))
    }

    fn hash_of(&self, path: &Path) -> Result<String, Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.get(path) {
            return Ok(known.clone());
        }
        let hash = casemate_disk::sha256_file(path, |_| {})?;
        files.insert(path.to_owned(), hash.clone());
        Ok(hash)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
