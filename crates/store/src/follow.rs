//! Which events are new? For a program beside the one that has the data directory: read from its log, as it grows.

use crate::frame;
use crate::head::{MAGIC, VERSION};
use crate::manifest::{log_path, numbers};
use crate::query::{Expr, Query};
use crate::search::compile;
use crate::{Error, Result};
use casemate_disk::{Frame, LogFollower};
use casemate_event::{EventId, Stored};
use std::path::{Path, PathBuf};

/// Follows the events of a data directory that match a query; takes no lock and changes nothing. Holds one batch in
/// memory at a time.
///
/// Ask again and again: what came since is told. It may not be on the device yet.
#[derive(Debug)]
pub struct Follow {
    dir: PathBuf,
    expr: Expr,
    /// The log that is read; none as long as there is none.
    log: Option<(u64, LogFollower)>,
    /// The number the next event has, once one was seen.
    next_id: Option<u64>,
    missed: u64,
}

impl Follow {
    /// Follows from here on.
    ///
    /// # Errors
    /// If the query cannot be read ([`Error::is_bad_input`]), or the directory.
    pub fn start(data_dir: &Path, query: &Query) -> Result<Self> {
        let dir = data_dir.join("store");
        let mut follow =
            Self { expr: compile(query)?, log: None, next_id: None, missed: 0, dir: dir.clone() };
        if dir.is_dir()
            && let Some(newest) = numbers(&dir, "log")?.pop()
            && let Some(mut log) = follow.open(newest)?
        {
            log.skip()?;
            follow.log = Some((newest, log));
        }
        Ok(follow)
    }

    /// Events that came in and went into a segment before they were looked at.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The matching events of the next batch, in order of arrival; `None` if no batch has come.
    ///
    /// # Errors
    /// If a log is there and cannot be read, or is damaged.
    pub fn next_batch(&mut self) -> Result<Option<Vec<Stored>>> {
        if let Some(frame) = self.read()? {
            return self.events(&frame).map(Some);
        }
        if !self.dir.is_dir() {
            return Ok(None);
        }
        let after = self.log.as_ref().map_or(0, |(number, _)| *number);
        let Some(newer) = numbers(&self.dir, "log")?.into_iter().find(|number| *number > after) else {
            return Ok(None);
        };
        // No more is appended to the log before: what came between the last look and now is the rest of it.
        if let Some(frame) = self.read()? {
            return self.events(&frame).map(Some);
        }
        self.log = self.open(newer)?.map(|log| (newer, log));
        match self.read()? {
            Some(frame) => self.events(&frame).map(Some),
            None => Ok(None),
        }
    }

    /// The log of this number; none if it is gone again, or not yet as it will be.
    fn open(&self, number: u64) -> Result<Option<LogFollower>> {
        let path = log_path(&self.dir, number);
        match LogFollower::open(&path, MAGIC, VERSION) {
            Ok(log) => Ok(Some(log)),
            Err(_) if !path.exists() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&mut self) -> Result<Option<Frame>> {
        let Some((number, log)) = &mut self.log else { return Ok(None) };
        match log.read() {
            // Its events are in a segment.
            Err(_) if !log_path(&self.dir, *number).exists() => Ok(None),
            other => Ok(other?),
        }
    }

    fn events(&mut self, frame: &Frame) -> Result<Vec<Stored>> {
        let (chunks, _) = frame::decode(frame)?;
        let mut found = Vec::new();
        for chunk in chunks {
            if let Some(expected) = self.next_id {
                self.missed += chunk.first_id.saturating_sub(expected);
            }
            self.next_id = Some(chunk.first_id + chunk.events as u64);
            let events = frame::events(&chunk)
                .ok_or_else(|| Error::from(frame.damaged(0, "the events of a chunk in it do not decode")))?;
            let numbered = (chunk.first_id..).map(EventId).zip(events);
            let matching = numbered.filter(|(id, event)| self.expr.matches(event, *id));
            found.extend(matching.map(|(id, event)| Stored { id, event }));
        }
        Ok(found)
    }
}
