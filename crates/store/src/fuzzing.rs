//! What fuzz targets call: readers of files whose checksums are right, whatever they say, and the query language.
//!
//! Each ends with an answer or an error; what they say does not matter.

use crate::cache::ChunkCache;
use crate::head::Head;
use crate::manifest::log_path;
use crate::query::parse;
use crate::segment::{self, Segment};
use crate::terms::{Bits, Kind, Rows, evaluate, field_key, key};
use crate::{Query, Result};
use casemate_disk::Log;
use casemate_event::{Class, Event, EventId, Fields, Format, TemplateId, TimeQuality};
use jiff::Timestamp;
use roaring::RoaringBitmap;
use std::path::Path;

/// Queries that look at every kind of term.
const QUERIES: [&str; 9] = [
    "failed password",
    "\"a b c\"",
    "*a* -b?c",
    "user:root OR ip:10.0.0.0/8",
    "process.name:*e* status:[a TO z]",
    "template:0000000000000001",
    "class:process_activity format:text source:*",
    "id>3 earliest=-1d",
    "native.x:y raw:z",
];

/// Writes `content` as a segment into `dir` and reads all of it.
///
/// # Errors
/// Whatever is wrong with it.
pub fn segment(dir: &Path, content: &[u8]) -> Result<()> {
    let path = dir.join("segment");
    casemate_disk::write_sealed(&path, segment::MAGIC, segment::VERSION, |out| out.write_all(content))?;
    let segment = Segment::open(&path, 1)?;
    let _ = (
        segment.stats(),
        segment.counters(),
        segment.quarantined(),
        segment.times().map(|times| times.get(0)),
    );
    let _ = segment.each_chunk(&mut |_, chunk| chunk.events(0..chunk.len()).map(drop));
    let _ = segment.rows(0..segment.entry.events.min(100), &ChunkCache::default());
    segment.with_terms(|terms| {
        for text in QUERIES {
            let _ = evaluate(&parse(text, Timestamp::UNIX_EPOCH)?, terms, &NoTimes);
        }
        // Every second row, so that counting has to look at rows.
        let rows: RoaringBitmap = (0..terms.rows().min(1 << 20)).step_by(2).collect();
        let some = Bits::of_rows(&rows, terms.rows().min(1 << 20));
        for prefix in [key(Kind::Entity, b""), key(Kind::Class, b""), field_key(Kind::Value, "status", b"")] {
            let _ = terms.count(&prefix, &some, &mut |_, _| {});
            let _ = terms.names(&prefix, &mut |_, _| true);
            let _ = terms.first(&prefix);
        }
        Ok(())
    })
}

/// Writes `content` as the one frame of a log into `dir` and reads it back.
///
/// # Errors
/// Whatever is wrong with it.
pub fn log(dir: &Path, content: &[u8]) -> Result<()> {
    let path = log_path(dir, 1);
    drop(fs_err::remove_file(&path));
    let (mut log, _) = Log::open(&path, crate::head::MAGIC, crate::head::VERSION)?;
    log.append(content)?;
    drop(log);
    let head = Head::replay(dir, 1, 1, 1, None)?;
    head.scan(1..head.end_id().min(200), &ChunkCache::default()).map(drop)
}

/// Reads a query and asks whether an event matches it.
///
/// # Errors
/// [`Error::Query`](crate::Error::Query) with what to write instead.
pub fn query(text: &str) -> Result<bool> {
    let expr = parse(text, Timestamp::UNIX_EPOCH)?;
    let fields: Fields =
        [("actor.user.name", "EXAMPLE\\Alice"), ("process.cmd_line", "a \"b\" ÉCOLE 10.0.0.7")]
            .into_iter()
            .collect();
    let event = Event {
        time: Timestamp::UNIX_EPOCH,
        time_quality: TimeQuality::Stated,
        format: Format::Text,
        class: Class::ProcessActivity,
        source: "fuzz".to_owned(),
        position: 1,
        message: "Failed password for Alice from 10.0.0.7".to_owned(),
        native: fields.clone(),
        fields,
        raw: b"raw \xff".to_vec(),
        template: TemplateId(1),
        template_text: String::new(),
    };
    let _ = super::search::compile(&Query { text: text.to_owned(), ..Query::default() })?;
    Ok(expr.matches(&event, EventId(1)))
}

struct NoTimes;

impl Rows for NoTimes {
    fn first_id(&self) -> u64 {
        1
    }

    fn between(&self, _: Option<Timestamp>, _: Option<Timestamp>) -> Result<Option<RoaringBitmap>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Store};
    use casemate_event::{Batch, QuarantineReason, Quarantined, SourceProgress};

    fn event(n: u64) -> Event {
        let fields: Fields = [
            ("actor.user.name", ["root", "EXAMPLE\\alice"][n as usize % 2]),
            ("src_endpoint.ip", "10.0.0.7"),
        ]
        .into_iter()
        .collect();
        Event {
            time: Timestamp::from_second(n as i64).unwrap(),
            time_quality: TimeQuality::Stated,
            format: Format::Text,
            class: Class::ProcessActivity,
            source: "seed".to_owned(),
            position: n,
            message: format!("failed password for user {n}"),
            native: fields.clone(),
            fields,
            raw: vec![b'r'; n as usize % 40],
            template: TemplateId(n % 3 + 1),
            template_text: "failed password for user <*>".to_owned(),
        }
    }

    /// Payloads of a segment and of the frames of a log.
    fn sound() -> (Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { seal_on_close: 10, ..Limits::default() };
        let store = Store::open_with(dir.path(), limits).unwrap();
        let record = Quarantined {
            source: "seed".to_owned(),
            position: 1,
            reason: QuarantineReason::MalformedJson,
            detail: "cut".to_owned(),
            raw: b"{".to_vec(),
        };
        let progress =
            SourceProgress { sha256: "ab".repeat(32), name: "seed".into(), position: 60, complete: true };
        let events = (0..60).map(event).collect();
        store.append(&Batch { events, quarantined: vec![record], progress: Some(progress) }).unwrap();
        fs_err::copy(log_path(&dir.path().join("store"), 1), dir.path().join("copy")).unwrap();
        let (log, _) = Log::open(&dir.path().join("copy"), crate::head::MAGIC, crate::head::VERSION).unwrap();
        let frame = log.frames(casemate_disk::FrameOffset::FIRST).next().unwrap().unwrap().to_vec();
        drop(store);
        let path = crate::manifest::segment_path(&dir.path().join("store"), 1);
        let file = casemate_disk::Sealed::open(&path, segment::MAGIC, segment::VERSION).unwrap();
        (file.bytes(0..file.len()).unwrap().to_vec(), frame)
    }

    /// With `CASEMATE_FUZZ_SEEDS` set to the directory `corpus` of the fuzz targets, also writes what they are to
    /// begin with.
    #[test]
    fn wrong_content_under_right_checksums_is_an_answer_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (good_segment, good_frame) = sound();
        segment(dir.path(), &good_segment).unwrap();
        log(dir.path(), &good_frame).unwrap();
        if let Some(corpus) = std::env::var_os("CASEMATE_FUZZ_SEEDS") {
            for (name, content) in [("segment", &good_segment), ("log", &good_frame)] {
                let seeds = Path::new(&corpus).join(name);
                fs_err::create_dir_all(&seeds).unwrap();
                fs_err::write(seeds.join("sound"), content).unwrap();
            }
        }
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..400 {
            let (mut bad_segment, mut bad_frame) = (good_segment.clone(), good_frame.clone());
            for _ in 0..=random(3) {
                // The directory of a segment, at its end, decides most.
                let near_end = bad_segment.len() - 1 - random(bad_segment.len().min(200));
                bad_segment[near_end] = random(256) as u8;
                let anywhere = random(bad_segment.len());
                bad_segment[anywhere] ^= 1 << random(8);
                let place = random(bad_frame.len());
                bad_frame[place] = random(256) as u8;
            }
            drop(segment(dir.path(), &bad_segment));
            drop(log(dir.path(), &bad_frame));
        }
    }
}
