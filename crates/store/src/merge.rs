//! When do segments become others? Small neighbours are put together, and what was derived from the events of a
//! damaged one is derived again. Events keep their numbers and their compressed bytes.

use crate::chunk::Chunk;
use crate::head::nanoseconds;
use crate::manifest::{SegmentEntry, segment_path};
use crate::segment::{self, Segment};
use crate::stats::Stats;
use crate::store::{Inner, lock};
use crate::terms::Builder;
use crate::view::Slot;
use crate::{Error, Limits, Result};
use casemate_event::TemplateId;
use hashbrown::HashMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

/// Segments that are worth the work together.
const MIN_SEGMENTS: usize = 4;
/// Most seconds between the first and the last of them, as their age counts for all of their events.
const MAX_APART: i64 = 86_400;

/// The latest neighbours to put together: at least [`MIN_SEGMENTS`], none of which is most of the result, so that
/// an event is moved a few times at most.
pub(crate) fn worth_merging(slots: &[Slot], limits: &Limits) -> Option<Range<usize>> {
    (0..slots.len()).rev().find_map(|end| {
        let (mut start, mut events, mut bytes, mut largest) = (end + 1, 0, 0, 0);
        let latest = slots[end].entry().sealed_at;
        while let Some(Slot::Open(segment)) = start.checked_sub(1).and_then(|before| slots.get(before)) {
            let entry = &segment.entry;
            let joins =
                slots.get(start).filter(|_| start <= end).is_none_or(|next| follows(entry, next.entry()));
            let sum = events + u64::from(entry.events);
            if !joins
                || sum > limits.segment_events
                || bytes + entry.bytes > limits.segment_bytes
                || latest - entry.sealed_at > MAX_APART
            {
                break;
            }
            (start, events, bytes) = (start - 1, sum, bytes + entry.bytes);
            largest = largest.max(u64::from(entry.events));
        }
        let worth = end + 1 - start >= MIN_SEGMENTS && largest * 2 <= events;
        worth.then_some(start..end + 1)
    })
}

fn follows(entry: &SegmentEntry, next: &SegmentEntry) -> bool {
    entry.end_id() == next.first_id && entry.first_quarantined + entry.quarantined == next.first_quarantined
}

impl Inner {
    /// Puts segments together that are worth it; says whether there were any.
    pub(crate) fn merge(&self) -> Result<bool> {
        let _one = lock(&self.replacing);
        let slots = self.view().segments;
        let Some(range) = worth_merging(&slots, &self.limits) else { return Ok(false) };
        let run: Vec<Arc<Segment>> = slots[range].iter().filter_map(Slot::open).cloned().collect();
        self.replace(&run)?;
        Ok(true)
    }

    /// Derives again what does not come from a log but from the events of a segment, if that is what is damaged.
    ///
    /// # Errors
    /// Damage to the events themselves, or to its quarantined records: only a backup has those.
    pub(crate) fn repair(&self, number: u64) -> Result<()> {
        let _one = lock(&self.replacing);
        let slots = self.view().segments;
        let found = slots.iter().filter_map(Slot::open).find(|segment| segment.entry.number == number);
        let Some(segment) = found else { return Ok(()) };
        match segment.verify() {
            Err(error) if error.is_damage() => {}
            outcome => return outcome,
        }
        self.replace(std::slice::from_ref(segment))?;
        tracing::warn!(
            number,
            "a segment was damaged in what is derived from its events; that was made anew"
        );
        Ok(())
    }

    /// Writes one segment with the events of `run`, neighbours in order, which takes their place.
    fn replace(&self, run: &[Arc<Segment>]) -> Result<()> {
        let Some(first) = run.first() else { return Ok(()) };
        let number = {
            let mut writer = self.writer();
            writer.next_number += 1;
            writer.next_number - 1
        };
        let path = segment_path(&self.dir, number);
        let done = self.write_merged(run, &path).and_then(|()| Segment::open(&path, number));
        let mut merged = match done {
            Ok(merged) => merged,
            Err(error) => {
                drop(fs_err::remove_file(&path));
                return Err(error);
            }
        };
        merged.entry.sealed_at =
            run.iter().map(|segment| segment.entry.sealed_at).max().unwrap_or(first.entry.sealed_at);
        let mut manifest = self.manifest();
        let mut changed = manifest.clone();
        let entries = &mut changed.segments;
        let start = entries.iter().position(|entry| entry.number == first.entry.number);
        let there = start.filter(|start| {
            let listed = entries.iter().skip(*start).map(|entry| entry.number);
            listed.take(run.len()).eq(run.iter().map(|segment| segment.entry.number))
        });
        let Some(start) = there else {
            // Retention has deleted some of them meanwhile.
            drop(manifest);
            return fs_err::remove_file(&path).map_err(|source| Error::Directory { path, source });
        };
        entries.splice(start..start + run.len(), [merged.entry.clone()]);
        changed.write(&self.dir)?;
        *manifest = changed;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut slots = view.segments.to_vec();
        slots.splice(start..start + run.len(), [Slot::Open(Arc::new(merged))]);
        view.segments = Arc::new(slots);
        drop(view);
        drop(manifest);
        for segment in run {
            let path = segment_path(&self.dir, segment.entry.number);
            fs_err::remove_file(&path).map_err(|source| Error::Directory { path, source })?;
        }
        Ok(())
    }

    fn write_merged(&self, run: &[Arc<Segment>], path: &std::path::Path) -> Result<()> {
        let (mut terms, mut times, mut stats) = (Builder::default(), Vec::new(), Stats::default());
        let (mut chunks, mut quarantined) = (Vec::new(), Vec::new());
        for segment in run {
            let kept = self.stats_of(segment)?;
            let texts: HashMap<u64, &str> =
                kept.templates.iter().map(|(id, row)| (*id, row.text.as_str())).collect();
            let first_row = times.len() as u32;
            segment.each_chunk(&mut |mut packed, chunk: &Chunk<'_>| {
                for stored in chunk.events(0..chunk.len())? {
                    times.push(nanoseconds(stored.event.time));
                    let text = texts.get(&stored.event.template.0).copied().unwrap_or_default();
                    terms.add(&stored.event, text);
                }
                packed.row += first_row;
                chunks.push(packed);
                Some(())
            })?;
            quarantined.extend(segment.quarantined()?.into_iter().map(|stored| stored.record));
            stats.extend(&kept);
        }
        let Some(first) = run.first() else { return Ok(()) };
        segment::write(
            path,
            &segment::Contents {
                first_id: first.entry.first_id,
                events: times.len() as u32,
                chunks,
                times: &times,
                terms: &terms,
                stats: &stats,
                first_quarantined: first.entry.first_quarantined,
                quarantined: &quarantined,
            },
        )
    }

    /// What a segment adds to counters, templates and sources, counted again where that is damaged. Sources that
    /// were read and records that were resolved are in the tables.
    fn stats_of(&self, segment: &Arc<Segment>) -> Result<Stats> {
        match segment.stats() {
            Err(error) if error.is_damage() => {}
            outcome => return outcome,
        }
        let mut stats = Stats::default();
        segment.each_chunk(&mut |_, chunk| {
            chunk.events(0..chunk.len())?.iter().for_each(|stored| stats.event(&stored.event));
            Some(())
        })?;
        for (id, row) in &mut stats.templates {
            if let Some(known) = self.meta.template(TemplateId(*id))? {
                row.text = known.text;
            }
        }
        segment.quarantined()?.iter().for_each(|stored| stats.quarantined(&stored.record));
        Ok(stats)
    }
}

/// Whether a search that failed on a segment has it looked at: its number.
pub(crate) fn damaged_segment(error: &Error) -> Option<u64> {
    let path = match error {
        Error::Damaged { path, .. } => path,
        Error::Disk(casemate_disk::Error::Damaged { path, .. }) => path,
        _ => return None,
    };
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".segment")?.parse().ok()
}
