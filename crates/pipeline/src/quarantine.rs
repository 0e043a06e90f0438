//! Which quarantined records can be understood by now? After an update, or with a mapping file added.
//!
//! A record that decodes becomes its event, and leaves quarantine in the same append: a crash in between neither
//! loses nor doubles it. What decodes as nothing better than text, or is only a piece of a record, stays.

use crate::{Pipeline, Result, lock};
use casemate_event::{Batch, Format, QuarantineReason};
use casemate_store::{Resolved, StoredQuarantined};
use std::collections::BTreeMap;

/// Records looked at before the events among them are stored.
const CHUNK: usize = 500;
/// Bytes of them.
const CHUNK_BYTES: usize = 8 << 20;

/// What a retry of the quarantine came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// Records looked at.
    pub examined: u64,
    /// Events that took the place of records.
    pub events: u64,
    /// Records that left quarantine, by the reason they had been there for.
    pub resolved: BTreeMap<QuarantineReason, u64>,
}

impl Pipeline {
    /// Decodes all quarantined records again, and stores those that are understood by now as events. Call
    /// [`catch_up`](Self::catch_up) afterwards.
    ///
    /// A record that states no time gets that of the retry: when it arrived is not known any more.
    ///
    /// # Errors
    /// If the store fails; what was resolved until then is.
    pub fn retry_quarantine(&self) -> Result<Retried> {
        let _turn = lock(&self.retrying);
        let mut done = Retried::default();
        let mut before = None;
        loop {
            let page = self.store.quarantined(before, CHUNK)?;
            let Some(last) = page.last() else { return Ok(done) };
            before = Some(last.id);
            done.examined += page.len() as u64;
            let (mut batch, mut resolved, mut bytes) = (Batch::default(), Vec::new(), 0);
            for stored in page {
                let Some(mut decoded) = self.decode_again(&stored)? else { continue };
                bytes += stored.record.raw.len();
                batch.events.append(&mut decoded.events);
                resolved.push((stored.id, stored.record.reason));
                if bytes >= CHUNK_BYTES {
                    self.resolve(&std::mem::take(&mut batch), &std::mem::take(&mut resolved), &mut done)?;
                    bytes = 0;
                }
            }
            self.resolve(&batch, &resolved, &mut done)?;
        }
    }

    fn resolve(&self, batch: &Batch, resolved: &[Resolved], done: &mut Retried) -> Result<()> {
        if resolved.is_empty() {
            return Ok(());
        }
        self.store.append_resolving(batch, resolved)?;
        done.events += batch.events.len() as u64;
        for (_, reason) in resolved {
            *done.resolved.entry(*reason).or_default() += 1;
        }
        Ok(())
    }

    /// The events that a record says, if it is understood.
    fn decode_again(&self, stored: &StoredQuarantined) -> Result<Option<Batch>> {
        let record = &stored.record;
        if is_part(record.reason) || record.detail.contains("(piece ") {
            return Ok(None);
        }
        let records = [(record.position, record.raw.as_slice())];
        let batch = casemate_ingest::read_records(&record.source, &[], records, &self.ingest_options())?;
        // What is no text in any encoding we knew is understood if it is text.
        let may_be_text = record.reason == QuarantineReason::InvalidEncoding;
        let understood = !batch.events.is_empty()
            && batch.quarantined.is_empty()
            && batch.events.iter().all(|event| event.format != Format::Text || may_be_text);
        Ok(understood.then_some(batch))
    }
}

/// Whether such a record is a piece of one, or not all there.
fn is_part(reason: QuarantineReason) -> bool {
    use QuarantineReason::{DamagedArchive, DamagedRecord, DecompressionLimit, TooLong};
    matches!(reason, TooLong | DamagedRecord | DamagedArchive | DecompressionLimit)
}
