//! Which events does a case see? A store of its own, from its files alone.
//!
//! Cases over the same files share one store, as alerts of one site do, unless a case is a window of them: it
//! then sees nothing after its end. What was read is renamed ([`crate::rename`]) before it is stored, and
//! columns that hold labels are dropped before anything reads them.

use crate::rename::Renamer;
use crate::scenario::Scenario;
use crate::{Error, Tools};
use casemate_event::{Batch, Class, Event, field};
use casemate_pipeline::Pipeline;
use casemate_store::Limits;
use flate2::read::MultiGzDecoder;
use jiff::{SignedDuration, Timestamp};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A store built for cases, gone when dropped.
pub(crate) struct Ground {
    pub(crate) pipeline: Arc<Pipeline>,
    /// Rows of files of other products' alerts; empty for raw logs.
    pub(crate) rows: Vec<Row>,
    _dir: TempDir,
}

/// A row of a file of alerts, as the source labels it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Number of its event in the store.
    pub(crate) event: casemate_event::EventId,
    pub(crate) time: Timestamp,
    pub(crate) name: String,
    pub(crate) host: String,
    /// Whether the source says that it was raised outside every attack: which rows make up a case, and nothing
    /// else, follows from it.
    pub(crate) outside: bool,
}

/// What cases have to agree on to share a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    files: Vec<PathBuf>,
    end: Option<String>,
}

impl Key {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let end = scenario.granularity.starts_with("window").then(|| scenario.end.clone()).flatten();
        Self { files: scenario.files.clone(), end }
    }
}

/// Whether the events of a case are other products' alerts.
pub(crate) fn is_alert_group(scenario: &Scenario) -> bool {
    scenario.granularity.starts_with("alert-group")
}

impl Ground {
    /// Builds the store of the cases like `scenario` and runs detection over it.
    pub(crate) fn build(scenario: &Scenario, root: &Path, tools: &Tools) -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(Error::Io)?;
        let pipeline = Arc::new(Pipeline::open_shared(
            dir.path(),
            Arc::clone(&tools.rules),
            tools.embedder.clone(),
            Limits::default(),
        )?);
        let end = Key::of(scenario).end.as_deref().and_then(time_of);
        let mut ground = Self { pipeline, rows: Vec::new(), _dir: dir };
        let renamer = Renamer::new()?;
        for file in &scenario.files {
            let path = root.join(file);
            if is_alert_group(scenario) {
                ground.take_alerts(&path, &renamer)?;
            } else {
                ground.take_log(&path, end, &renamer)?;
            }
        }
        ground.pipeline.store().sync()?;
        ground.pipeline.catch_up(&mut |_, _, _| {})?;
        Ok(ground)
    }

    fn take_log(&self, path: &Path, end: Option<Timestamp>, renamer: &Renamer) -> Result<(), Error> {
        let options = self.pipeline.ingest_options();
        let store = self.pipeline.store();
        // Sources give times to the millisecond; what they mark as the attack can follow within the next.
        let end = end.and_then(|end| end.checked_add(SignedDuration::from_micros(999)).ok());
        let mut sink = |mut batch: Batch| -> Result<(), casemate_ingest::SinkError> {
            batch.events.retain(|event| end.is_none_or(|end| event.time <= end));
            batch.events.iter_mut().for_each(|event| renamer.apply(event));
            batch.progress = None;
            store.append_unsynced(&batch)?;
            Ok(())
        };
        casemate_ingest::read_file(path, "", &options, 0, &mut sink, &mut |_| {})?;
        Ok(())
    }

    /// Takes in rows of alerts as findings, and keeps what the source says of them apart.
    fn take_alerts(&mut self, path: &Path, renamer: &Renamer) -> Result<(), Error> {
        let (text, labels) = without_labels(path)?;
        let options = self.pipeline.ingest_options();
        let store = Arc::clone(self.pipeline.store());
        let mut rows = Vec::new();
        let mut sink = |mut batch: Batch| -> Result<(), casemate_ingest::SinkError> {
            batch.progress = None;
            for event in &mut batch.events {
                finding(event);
                renamer.apply(event);
            }
            let ids = store.append_unsynced(&batch)?;
            for (id, event) in ids.zip(&batch.events) {
                rows.push(Row {
                    event: casemate_event::EventId(id),
                    time: event.time,
                    name: event.field(field::FINDING_TITLE).unwrap_or_default().to_owned(),
                    host: event.field(field::DEVICE_HOSTNAME).unwrap_or_default().to_owned(),
                    outside: false,
                });
            }
            Ok(())
        };
        casemate_ingest::read_stream("log", text.as_bytes(), &options, None, &mut sink)?;
        if rows.len() != labels.len() {
            let reason = format!("{} rows became {} events", labels.len(), rows.len());
            return Err(Error::Case { path: path.to_owned(), reason });
        }
        for (row, outside) in rows.iter_mut().zip(labels) {
            row.outside = outside;
        }
        self.rows.extend(rows);
        Ok(())
    }
}

/// Says of a row of alerts what it is: a finding of another product.
fn finding(event: &mut Event) {
    let name = event.native.get("name").unwrap_or_default().to_owned();
    event.class = Class::DetectionFinding;
    event.fields.set(field::FINDING_TITLE, &name);
    event.template_text = casemate_ingest::template::mask(&name);
    event.template = casemate_ingest::template::id(&event.template_text);
    event.message = name;
}

/// The text of a file of alerts without its columns of labels, and whether each row was outside every attack.
fn without_labels(path: &Path) -> Result<(String, Vec<bool>), Error> {
    let file = fs_err::File::open(path).map_err(Error::Io)?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut lines = BufReader::new(reader).lines();
    let header = lines.next().transpose().map_err(Error::Io)?.unwrap_or_default();
    let names: Vec<&str> = header.split(',').collect();
    // The short name is the collection's own code.
    let is_kept = |name: &str| !name.ends_with("_label") && name != "short";
    let kept: Vec<usize> = (0..names.len()).filter(|index| is_kept(names[*index])).collect();
    let label = names.iter().position(|name| *name == "time_label");
    let pick = |cells: &[&str]| -> String {
        let cells: Vec<&str> = kept.iter().filter_map(|index| cells.get(*index).copied()).collect();
        cells.join(",")
    };
    let mut text = pick(&names);
    let mut labels = Vec::new();
    for line in lines {
        let line = line.map_err(Error::Io)?;
        let cells: Vec<&str> = line.split(',').collect();
        if cells.len() != names.len() {
            let reason = format!("row {} has {} columns, not {}", labels.len() + 2, cells.len(), names.len());
            return Err(Error::Case { path: path.to_owned(), reason });
        }
        text.push('\n');
        text.push_str(&pick(&cells));
        labels.push(label.is_some_and(|index| cells[index] == "false_positive"));
    }
    Ok((text, labels))
}

/// A time as scenarios write it: RFC 3339, or seconds since 1970.
pub(crate) fn time_of(text: &str) -> Option<Timestamp> {
    match text.parse::<Timestamp>() {
        Ok(time) => Some(time),
        Err(_) => {
            let seconds: f64 = text.parse().map_or(f64::NAN, |seconds| seconds);
            seconds.is_finite().then(|| Timestamp::from_millisecond((seconds * 1e3) as i64).ok()).flatten()
        }
    }
}
