//! Where do decoded records go?
//!
//! Counts every record, skips those an earlier read has taken, gathers the rest into batches for the sink.
//! Decodes nothing.

use crate::fault;
use crate::formats::Draft;
use crate::join::{Action, Waiting};
use crate::record::{Finisher, Malformed, Record};
use crate::{Error, Options, Result, SinkError, Summary};
use casemate_event::{Batch, Event, Format, QuarantineReason, Quarantined, SourceProgress};
use std::cell::Cell;
use std::rc::Rc;

/// Most records in one batch.
const BATCH_RECORDS: usize = 1000;
/// A batch is handed on once its records hold this many raw bytes, so that long records bound it too.
const BATCH_BYTES: usize = 8 << 20;
/// Most problem lines kept; a file damaged everywhere needs no more to say so.
const MAX_PROBLEMS: usize = 50;

/// Where a record came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) source: &'a str,
    pub(crate) position: u64,
}

/// One read in progress.
pub(crate) struct Intake<'a> {
    pub(crate) name: String,
    pub(crate) options: &'a Options,
    pub(crate) hint: Option<Format>,
    /// Bytes read so far of the outermost file or stream.
    pub(crate) bytes_read: Rc<Cell<u64>>,
    /// Bytes unpacked so far from all compressed layers.
    pub(crate) unpacked: Rc<Cell<u64>>,
    sha256: Option<String>,
    skip: u64,
    position: u64,
    finisher: Finisher,
    waiting: Waiting,
    batch: Batch,
    batch_bytes: usize,
    summary: Summary,
    problems_dropped: u64,
    sink: &'a mut dyn FnMut(Batch) -> Result<(), SinkError>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Intake<'a> {
    pub(crate) fn new(
        name: String,
        options: &'a Options,
        sink: &'a mut dyn FnMut(Batch) -> Result<(), SinkError>,
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        Self {
            name,
            options,
            hint: None,
            bytes_read: Rc::default(),
            unpacked: Rc::default(),
            sha256: None,
            skip: 0,
            position: 0,
            finisher: Finisher::new(options.arrival),
            waiting: Waiting::default(),
            batch: Batch::default(),
            batch_bytes: 0,
            summary: Summary::default(),
            problems_dropped: 0,
            sink,
            progress,
        }
    }

    /// States the hash of the source, and how many of its records an earlier read has taken.
    pub(crate) fn resume(&mut self, sha256: &str, position: u64) {
        self.sha256 = Some(sha256.to_owned());
        self.skip = position;
    }

    /// Takes a record that was looked at.
    pub(crate) fn record(&mut self, origin: Origin<'_>, record: Record) -> Result<()> {
        match record {
            Record::Event(event) if Waiting::concerns(&event) => {
                let done = self.waiting.take(origin, event);
                self.joined(done)
            }
            Record::Event(event) => self.finished(origin, event),
            Record::Quarantined { reason, detail, raw } => self.quarantine(origin, reason, &detail, &raw),
            Record::Header => {
                self.summary.headers += 1;
                Ok(())
            }
        }
    }

    /// Takes a record with what `decode` makes of it: an event, or why there is none.
    pub(crate) fn decoded(
        &mut self,
        origin: Origin<'_>,
        raw: &[u8],
        decode: impl FnOnce() -> Result<Draft, Malformed>,
    ) -> Result<()> {
        match fault::caught(|| decode().map(|draft| self.finisher.event(draft, raw))) {
            Ok(Ok(event)) => self.finished(origin, event),
            Ok(Err(why)) => self.quarantine(origin, why.reason, &why.detail, raw),
            Err(fault) => self.quarantine(origin, QuarantineReason::DecoderFault, &fault, raw),
        }
    }

    /// Takes what has waited for its other records.
    fn joined(&mut self, actions: Vec<Action>) -> Result<()> {
        for mut action in actions {
            let source = std::mem::take(&mut action.source);
            let origin = Origin { source: &source, position: action.position };
            match action.alone() {
                Some(record) => self.finished(origin, record)?,
                None => self.decoded(origin, &action.raw(), || Ok(action.joined()))?,
            }
        }
        Ok(())
    }

    fn finished(&mut self, origin: Origin<'_>, mut event: Event) -> Result<()> {
        if self.skips() {
            return Ok(());
        }
        origin.source.clone_into(&mut event.source);
        event.position = origin.position;
        *self.summary.events.entry(event.format).or_default() += 1;
        self.batch_bytes += event.raw.len();
        self.batch.events.push(event);
        self.taken()
    }

    /// Takes a record that could not be decoded; `raw` longer than the limit is kept in pieces.
    pub(crate) fn quarantine(
        &mut self,
        origin: Origin<'_>,
        reason: QuarantineReason,
        detail: &str,
        raw: &[u8],
    ) -> Result<()> {
        let limit = self.options.max_record_bytes.max(1);
        if raw.len() <= limit {
            return self.quarantine_piece(origin, reason, detail.to_owned(), raw.to_vec());
        }
        let count = raw.len().div_ceil(limit);
        for (number, piece) in raw.chunks(limit).enumerate() {
            let detail = format!("{detail} (piece {} of {count})", number + 1);
            self.quarantine_piece(origin, reason, detail, piece.to_vec())?;
        }
        Ok(())
    }

    fn quarantine_piece(
        &mut self,
        origin: Origin<'_>,
        reason: QuarantineReason,
        detail: String,
        raw: Vec<u8>,
    ) -> Result<()> {
        if self.skips() {
            return Ok(());
        }
        *self.summary.quarantined.entry(reason).or_default() += 1;
        self.batch_bytes += raw.len();
        self.batch.quarantined.push(Quarantined {
            source: origin.source.to_owned(),
            position: origin.position,
            reason,
            detail,
            raw,
        });
        self.taken()
    }

    /// Notes what is wrong with a whole file, in a line that says what to do.
    pub(crate) fn problem(&mut self, line: String) {
        tracing::warn!(problem = %line, "input problem");
        if self.summary.problems.len() < MAX_PROBLEMS {
            self.summary.problems.push(line);
        } else {
            self.problems_dropped += 1;
        }
    }

    /// Records seen so far, skipped ones included.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether this input has given neither records nor problems yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.waiting.is_empty()
            && self.position == 0
            && self.summary.headers == 0
            && self.summary.problems.is_empty()
    }

    pub(crate) fn read_error(&self, source: std::io::Error) -> Error {
        Error::Read { name: self.name.clone(), source }
    }

    /// Hands on what is left and says what was done.
    pub(crate) fn finish(mut self) -> Result<Summary> {
        let rest = self.waiting.end();
        self.joined(rest)?;
        if self.problems_dropped > 0 {
            let line = format!("{}: {} further problems are not listed", self.name, self.problems_dropped);
            self.summary.problems.push(line);
        }
        let batch_has_records = !self.batch.events.is_empty() || !self.batch.quarantined.is_empty();
        if batch_has_records || self.sha256.is_some() {
            self.flush(true)?;
        }
        self.summary.bytes = self.bytes_read.get();
        (self.progress)(self.summary.bytes);
        Ok(self.summary)
    }

    fn skips(&mut self) -> bool {
        if self.position >= self.skip {
            return false;
        }
        self.position += 1;
        self.summary.skipped += 1;
        true
    }

    fn taken(&mut self) -> Result<()> {
        self.position += 1;
        self.summary.records += 1;
        let records = self.batch.events.len() + self.batch.quarantined.len();
        if records >= BATCH_RECORDS || self.batch_bytes >= BATCH_BYTES {
            self.flush(false)?;
        }
        Ok(())
    }

    fn flush(&mut self, complete: bool) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        batch.progress = self.sha256.clone().map(|sha256| SourceProgress {
            sha256,
            name: self.name.clone(),
            position: self.position,
            complete,
        });
        (self.sink)(batch).map_err(|source| Error::Sink { name: self.name.clone(), source })?;
        (self.progress)(self.bytes_read.get());
        Ok(())
    }
}
