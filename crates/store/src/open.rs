//! How is a data directory opened, whatever state it was left in?

use crate::cache::ChunkCache;
use crate::findings::Findings;
use crate::head::Head;
use crate::manifest::{Manifest, SegmentEntry, log_path, numbers, segment_path};
use crate::meta::Meta;
use crate::resident::Resident;
use crate::retention::ClockWatch;
use crate::segment::Segment;
use crate::stats::Stats;
use crate::store::{Inner, Writer};
use crate::view::{Slot, View};
use crate::{Error, Limits, Result};
use casemate_disk::{DirLock, Mark};
use casemate_event::EventId;
use jiff::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

/// Opens the store whose files are in `dir`.
pub(crate) fn open(dir: &Path, limits: Limits) -> Result<Inner> {
    let lock = DirLock::acquire(dir)?;
    refuse_older_layout(dir)?;
    let found = Manifest::read(dir)?;
    let listed = found.is_some();
    let mut manifest = match found {
        Some(manifest) => manifest,
        None => rebuilt_manifest(dir)?,
    };
    let meta = Meta::open(&dir.join("meta.redb"))?;
    let findings = Findings::open(&dir.join("findings.redb"))?;
    if listed {
        remove_unlisted(dir, &manifest)?;
    }
    let slots: Vec<Slot> =
        manifest.segments.iter().map(|entry| open_segment(dir, entry)).collect::<Result<_>>()?;
    let sealed = take_stats(&slots, &meta)?;

    let (mut next_id, mut next_quarantined) = manifest
        .segments
        .last()
        .map_or((1, 1), |last| (last.end_id(), last.first_quarantined + last.quarantined));
    let mut heads = Vec::new();
    for number in numbers(dir, "log")?.into_iter().filter(|number| *number >= manifest.first_log) {
        let mark = mark_of(&manifest, number);
        let head = Head::replay(dir, number, next_id, next_quarantined, mark)?;
        next_id = head.end_id();
        next_quarantined += head.index().quarantined.len() as u64;
        heads.push(Arc::new(head));
    }
    refuse_missing_log(dir, &manifest, &heads)?;
    let highest =
        manifest.segments.iter().map(|entry| entry.number).chain(heads.iter().map(|head| head.number)).max();
    let mut next_number = highest.map_or(1, |number| number + 1);
    let live = match heads.last() {
        Some(live) => Arc::clone(live),
        None => {
            let live = Arc::new(Head::create(dir, next_number, next_id, next_quarantined)?);
            next_number += 1;
            heads.push(Arc::clone(&live));
            live
        }
    };
    findings.check_refers_up_to(EventId(next_id - 1))?;
    let audit = crate::audit::open(dir, &findings)?;
    if !listed {
        manifest.first_log = heads.first().map_or(0, |head| head.number);
        manifest.write(dir)?;
    }
    let now = Timestamp::now();
    let sealed_at = manifest.segments.iter().map(|entry| entry.sealed_at).max();
    let sealed_at = sealed_at.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let clock = ClockWatch::new(meta.open_at()?.max(sealed_at).unwrap_or(now), Instant::now());
    Ok(Inner {
        dir: dir.to_owned(),
        limits,
        view: RwLock::new(View { segments: Arc::new(slots), heads: Arc::new(heads) }),
        writer: Mutex::new(Writer { head: live, next_id, next_quarantined, next_number }),
        meta,
        findings,
        resident: Resident::default(),
        audit: Mutex::new(audit),
        cache: ChunkCache::default(),
        sealed: Mutex::new(sealed),
        moving: RwLock::new(()),
        replacing: Mutex::new(()),
        clock: Mutex::new(clock),
        manifest: Mutex::new(manifest),
        _lock: lock,
    })
}

/// The one file of the first layout.
fn refuse_older_layout(dir: &Path) -> Result<()> {
    let path = dir.join("events.log");
    if path.exists() {
        let what = "it is of a layout that this version does not read; move the directory away and take the logs in again";
        return Err(Error::Damaged { path, what: what.to_owned() });
    }
    Ok(())
}

/// Opens a segment; what is damaged leaves a gap, the rest stays available.
fn open_segment(dir: &Path, entry: &SegmentEntry) -> Result<Slot> {
    let path = segment_path(dir, entry.number);
    let opened = Segment::open(&path, entry.number).and_then(|segment| {
        let same = (segment.entry.first_id, segment.entry.events, segment.entry.quarantined)
            == (entry.first_id, entry.events, entry.quarantined);
        if same {
            return Ok(segment);
        }
        let what = "it is not the file that the list of segments names".to_owned();
        Err(Error::Damaged { path: path.clone(), what })
    });
    match opened {
        Ok(mut segment) => {
            segment.entry = entry.clone();
            Ok(Slot::Open(Arc::new(segment)))
        }
        Err(error) if error.is_damage() || !path.exists() => {
            tracing::error!(%error, events = entry.events, "a segment cannot be read; its events are missing from every answer");
            Ok(Slot::Damaged { entry: entry.clone(), why: error.to_string().into() })
        }
        Err(error) => Err(error),
    }
}

/// Counters of all segments; those that `meta` has not taken in yet are.
fn take_stats(slots: &[Slot], meta: &Meta) -> Result<Stats> {
    let applied = meta.applied()?;
    let mut sealed = Stats::default();
    for slot in slots {
        let Slot::Open(segment) = slot else { continue };
        let new = segment.entry.end_id() > applied;
        match if new { segment.stats() } else { segment.counters() } {
            Ok(stats) => {
                sealed.extend_counters(&stats);
                if new {
                    meta.apply(&stats, segment.entry.end_id())?;
                }
            }
            Err(error) if error.is_damage() => {
                tracing::error!(%error, "the counters of a segment cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sealed)
}

/// The manifest that the files in `dir` speak of. Of segments that hold the same events the longest counts.
fn rebuilt_manifest(dir: &Path) -> Result<Manifest> {
    let mut entries = Vec::new();
    for number in numbers(dir, "segment")? {
        match Segment::open(&segment_path(dir, number), number) {
            Ok(segment) => entries.push(segment.entry.clone()),
            Err(error) => {
                tracing::error!(%error, "a segment cannot be read and, without a list of segments, is left out");
            }
        }
    }
    entries.sort_by_key(|entry| (entry.first_id, std::cmp::Reverse(entry.events)));
    let mut manifest = Manifest::default();
    for entry in entries {
        if manifest.segments.last().is_none_or(|last| last.end_id() <= entry.first_id) {
            manifest.segments.push(entry);
        }
    }
    Ok(manifest)
}

/// Removes what a crash left between two steps: segments not listed yet, whose logs are still there, and logs
/// whose segments are listed.
fn remove_unlisted(dir: &Path, manifest: &Manifest) -> Result<()> {
    let failed = |source| Error::Directory { path: dir.to_owned(), source };
    let listed = |number: &u64| manifest.segments.iter().any(|entry| entry.number == *number);
    for number in numbers(dir, "segment")?.into_iter().filter(|number| !listed(number)) {
        fs_err::remove_file(segment_path(dir, number)).map_err(failed)?;
    }
    for number in numbers(dir, "log")?.into_iter().filter(|number| *number < manifest.first_log) {
        fs_err::remove_file(log_path(dir, number)).map_err(failed)?;
    }
    Ok(())
}

fn mark_of(manifest: &Manifest, number: u64) -> Option<Mark> {
    manifest.mark.as_ref().filter(|(of, _)| *of == number).and_then(|(_, mark)| mark.parse().ok())
}

/// A log that was acknowledged and is gone was lost, not never there.
fn refuse_missing_log(dir: &Path, manifest: &Manifest, heads: &[Arc<Head>]) -> Result<()> {
    let Some((number, _)) = &manifest.mark else { return Ok(()) };
    if heads.iter().any(|head| head.number == *number) {
        return Ok(());
    }
    let what = "it is missing, with the latest events; restore it from a backup, or delete MANIFEST to go on without";
    Err(Error::Damaged { path: log_path(dir, *number), what: what.to_owned() })
}
