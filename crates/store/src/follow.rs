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
    /// Number of the log that was looked at last; 0 before any.
    number: u64,
    /// That log; none where it was gone before it could be read.
    log: Option<LogFollower>,
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
        let expr = compile(query)?;
        let mut follow = Self { expr, number: 0, log: None, next_id: None, missed: 0, dir };
        if follow.dir.is_dir()
            && let Some(newest) = numbers(&follow.dir, "log")?.pop()
        {
            follow.turn_to(newest)?;
            if let Some(log) = &mut follow.log {
                log.skip()?;
            }
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
        let Some(newer) = numbers(&self.dir, "log")?.into_iter().find(|number| *number > self.number) else {
            return Ok(None);
        };
        // No more is appended to the log before: what came between the last look and now is the rest of it.
        if let Some(frame) = self.read()? {
            return self.events(&frame).map(Some);
        }
        self.turn_to(newer)?;
        match self.read()? {
            Some(frame) => self.events(&frame).map(Some),
            None => Ok(None),
        }
    }

    /// Goes on with the log of this number, and never back to one before. It may be gone again: its events are in a
    /// segment.
    fn turn_to(&mut self, number: u64) -> Result<()> {
        let path = log_path(&self.dir, number);
        self.log = match LogFollower::open(&path, MAGIC, VERSION) {
            Ok(log) => Some(log),
            Err(_) if !path.exists() => None,
            Err(error) => return Err(error.into()),
        };
        self.number = number;
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Frame>> {
        Ok(self.log.as_mut().map(LogFollower::read).transpose()?.flatten())
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
