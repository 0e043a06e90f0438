//! What was observed, kept on disk by everything that it depends on.
//!
//! A record under another program, model, rule, playbook or log file is another record: nothing is ever out of
//! date. One that is damaged is made anew.

use crate::Error;
use crate::record::Record;
use crate::scenario::Scenario;
use casemate_investigate::States;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const MAGIC: [u8; 8] = *b"CMRECORD";
const VERSION: u32 = 2;

/// A directory of records.
pub struct Cache {
    dir: PathBuf,
    /// Names everything but the case.
    tools: String,
    /// Hashes of files read before.
    files: Mutex<BTreeMap<PathBuf, String>>,
}

impl Cache {
    /// Opens a directory of records, made if need be. `tools` names program, model, rules, playbooks, site and
    /// options.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(dir: &Path, tools: &str) -> Result<Self, Error> {
        fs_err::create_dir_all(dir).map_err(Error::Io)?;
        Ok(Self { dir: dir.to_owned(), tools: tools.to_owned(), files: Mutex::default() })
    }

    /// The record of a case, if it is there.
    pub(crate) fn get(&self, scenario: &Scenario, root: &Path) -> Result<Option<Record>, Error> {
        let path = self.path(scenario, root)?;
        if !path.is_file() {
            return Ok(None);
        }
        let again = |error: &dyn std::fmt::Display| {
            tracing::warn!(path = %path.display(), %error, "a kept record is damaged; running its case again");
        };
        match casemate_disk::open_checked(&path, MAGIC, VERSION) {
            Ok(bytes) => {
                let record = read(&bytes);
                if record.is_none() {
                    again(&"it is no record");
                }
                Ok(record)
            }
            Err(error) if error.is_damage() => {
                again(&error);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn put(&self, scenario: &Scenario, root: &Path, record: &Record) -> Result<(), Error> {
        let path = self.path(scenario, root)?;
        casemate_disk::write_checked(&path, MAGIC, VERSION, |file| write(record, file))?;
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
            "{:?} {:?} {:?} {} {} {:?} {:?}",
            scenario.verdict,
            scenario.start,
            scenario.end,
            scenario.family,
            scenario.granularity,
            scenario.suggested_alert,
            scenario.key_events
        ));
        for file in &scenario.files {
            add(&self.hash_of(&root.join(file))?);
        }
        let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.dir.join(name))
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

/// The record as it would be read back: reports hold figures of six digits, and a run has the same figures whether
/// its records were kept or not.
pub(crate) fn as_kept(record: &Record) -> Result<Record, Error> {
    let mut bytes = Vec::new();
    write(record, &mut bytes).map_err(Error::Io)?;
    read(&bytes).ok_or_else(|| Error::Io(std::io::Error::other("a record does not read back as written")))
}

/// Length of the JSON, the JSON, and of each investigation: layer, lines, dimensions, states (no line: none), and
/// dimensions and values of the pooled embedding.
fn write(record: &Record, file: &mut dyn Write) -> std::io::Result<()> {
    let json = serde_json::to_vec(record)?;
    file.write_all(&(json.len() as u64).to_le_bytes())?;
    file.write_all(&json)?;
    for report in &record.investigations {
        let states = report.states.clone().unwrap_or_default();
        let width = states.lines.first().map_or(0, Vec::len);
        for number in [states.layer, states.lines.len(), width] {
            file.write_all(&(number as u64).to_le_bytes())?;
        }
        for value in states.lines.iter().flatten() {
            file.write_all(&value.to_le_bytes())?;
        }
        file.write_all(&(report.vector.len() as u64).to_le_bytes())?;
        for value in &report.vector {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    Ok(())
}

fn read(mut bytes: &[u8]) -> Option<Record> {
    let length = number(&mut bytes)?;
    let mut record: Record = serde_json::from_slice(bytes.split_off(..length)?).ok()?;
    for report in &mut record.investigations {
        let (layer, lines, width) = (number(&mut bytes)?, number(&mut bytes)?, number(&mut bytes)?);
        let values = floats(&mut bytes, lines.checked_mul(width)?)?;
        if lines > 0 {
            let lines = values.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect();
            report.states = Some(States { layer, lines });
        }
        let width = number(&mut bytes)?;
        report.vector = floats(&mut bytes, width)?;
    }
    bytes.is_empty().then_some(record)
}

fn floats(bytes: &mut &[u8], count: usize) -> Option<Vec<f32>> {
    let (values, _) = bytes.split_off(..count.checked_mul(4)?)?.as_chunks::<4>();
    Some(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, _) = bytes.split_off(..8)?.as_chunks::<8>();
    usize::try_from(u64::from_le_bytes(*number.first()?)).ok()
}
