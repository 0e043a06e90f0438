//! What fuzz targets call: readers of files whose checksums are right, whatever they say, and the query language.
//!
//! Each ends with an answer or an error; what they say does not matter.

use crate::cache::ChunkCache;
use crate::head::Head;
use crate::manifest::log_path;
use crate::query::parse;
use crate::segment::{self, Segment};
use crate::terms::{Kind, Rows, evaluate, field_key, key};
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
    let _ = (segment.stats(), segment.counters(), segment.quarantined(), segment.times().map(<[_]>::len));
    let _ = segment.each_chunk(&mut |_, chunk| chunk.events(0..chunk.len()).map(drop));
    let _ = segment.rows(0..segment.entry.events.min(100), &ChunkCache::default());
    segment.with_terms(|terms| {
        for text in QUERIES {
            let _ = evaluate(&parse(text, Timestamp::UNIX_EPOCH)?, terms, &NoTimes);
        }
        let mut all = RoaringBitmap::new();
        all.insert_range(0..terms.rows().min(1 << 20));
        for prefix in [key(Kind::Entity, b""), key(Kind::Class, b""), field_key(Kind::Value, "status", b"")] {
            let _ = terms.count(&prefix, &all, &mut |_, _| {});
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
