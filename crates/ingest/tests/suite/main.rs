//! Takes in whole files and streams through the public interface.
//!
//! - `auditd`: records of one audit event are joined, none is lost
//! - `golden`: small files of every format beside their expected events
//! - `hostile`: damaged, oversized and lying input
//! - `property`: arbitrary bytes are accounted for
//! - `resume`: a read that was interrupted goes on where it stopped
//! - `guide`: the example of a new format in ARCHITECTURE.md
//! - `vendors`: records of products that mapping files describe, where they are present
//! - `collections`: the real collections, where they are present

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod auditd;
mod collections;
mod golden;
mod guide;
mod hostile;
mod property;
mod records;
mod resume;
mod vendors;

use casemate_event::{Batch, Event, Quarantined};
use casemate_ingest::{Options, Summary};
use std::path::{Path, PathBuf};

/// Stands for the hash of a file where no test looks at it.
const SHA256: &str = "00ff";

/// Everything one read handed on.
#[derive(Debug, Default)]
struct Taken {
    summary: Summary,
    events: Vec<Event>,
    quarantined: Vec<Quarantined>,
    batches: usize,
}

impl Taken {
    fn messages(&self) -> Vec<&str> {
        self.events.iter().map(|event| event.message.as_str()).collect()
    }

    fn add(&mut self, batch: Batch) {
        assert!(batch.events.len() + batch.quarantined.len() <= 1000);
        self.batches += 1;
        self.events.extend(batch.events);
        self.quarantined.extend(batch.quarantined);
    }

    /// Checks that the summary counts what was handed on.
    fn checked(mut self, summary: Summary) -> Self {
        assert_eq!(summary.event_count(), self.events.len() as u64);
        assert_eq!(summary.quarantined_count(), self.quarantined.len() as u64);
        assert_eq!(summary.records, summary.event_count() + summary.quarantined_count());
        self.summary = summary;
        self
    }
}

fn options() -> Options {
    Options { arrival: "2026-03-01T00:00:00Z".parse().unwrap(), ..Options::default() }
}

fn take_stream(bytes: &[u8], options: &Options) -> Taken {
    let mut taken = Taken::default();
    let mut sink = |batch| {
        taken.add(batch);
        Ok(())
    };
    let summary = casemate_ingest::read_stream("stream", bytes, options, None, &mut sink).unwrap();
    taken.checked(summary)
}

fn take_file(path: &Path, options: &Options) -> Taken {
    let mut taken = Taken::default();
    let mut sink = |batch| {
        taken.add(batch);
        Ok(())
    };
    let summary = casemate_ingest::read_file(path, SHA256, options, 0, &mut sink, &mut |_| {}).unwrap();
    taken.checked(summary)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}
