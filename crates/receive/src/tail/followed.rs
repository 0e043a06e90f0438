//! How far has one file been read, and is it still the same file?

use super::past::{self, Past, Previous};
use super::{Identity, STILL};
use crate::intake::Intake;
use crate::{Error, Result};
use casemate_event::{Batch, QuarantineReason, Quarantined, SourceProgress};
use casemate_ingest::read_records;
use fs_err::File;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The first line, or this much of it, tells a file from another.
const HEAD_BYTES: usize = 1024;
/// Bytes before the place read to that must still be there when more is read.
const RECENT_BYTES: usize = 4096;
/// Read at once; a line that is longer comes in pieces.
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_LINES: usize = 5000;

/// One file that is followed.
pub(crate) struct Followed {
    path: PathBuf,
    file: File,
    identity: Identity,
    begun: Option<Begun>,
    /// Since when it is not where it was looked for, and lies still.
    away: Option<Instant>,
    last_length: u64,
}

/// A file whose first line is known.
struct Begun {
    key: String,
    head: Vec<u8>,
    offset: u64,
    lines: u64,
    /// Pieces given of a line that is too long.
    pieces: u64,
    recent: Vec<u8>,
    header: Vec<Vec<u8>>,
}

/// How far a file had been read when it was truncated: its copy is read from there.
pub(crate) struct Remembered {
    head: Vec<u8>,
    offset: u64,
    recent: Vec<u8>,
}

/// What is known of files that are not what they were.
pub(crate) struct Memory {
    /// Truncated a while ago, latest first.
    pub(crate) remembered: VecDeque<Remembered>,
    pub(crate) past: Past,
}

pub(crate) enum Step {
    More,
    Nothing,
    /// Moved away and read to its end.
    Done,
    NotText(&'static str),
}

impl Followed {
    pub(crate) fn new(file: File, identity: Identity, path: &Path) -> Self {
        Self { path: path.to_owned(), file, identity, begun: None, away: None, last_length: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_new(&self) -> bool {
        self.begun.is_none()
    }

    /// As it is to be found again after a restart.
    pub(crate) fn to_save(&self) -> Option<Previous> {
        let begun = self.begun.as_ref()?;
        Some(Previous {
            identity: self.identity,
            key: begun.key.clone(),
            path: self.path.clone(),
            offset: begun.offset,
            read_to: None,
            recent_bytes: begun.recent.len(),
            recent: past::hash(&begun.recent),
        })
    }

    pub(crate) fn is_at(&mut self, path: &Path) {
        self.away = None;
        if self.path != path {
            self.path = path.to_owned();
        }
    }

    pub(crate) fn moved_away(&mut self, now: Instant) {
        self.away.get_or_insert(now);
    }

    /// Takes in what is new, up to one chunk.
    pub(crate) fn step(
        &mut self,
        intake: &Intake,
        others: &HashMap<Identity, Self>,
        memory: &mut Memory,
    ) -> Result<Step> {
        let length = self.file.metadata().map_err(|source| self.failed(source))?.len();
        if length != self.last_length && self.away.is_some() {
            self.away = Some(Instant::now());
        }
        let is_last = self.away.is_some_and(|since| since.elapsed() >= STILL);
        if length != self.last_length
            && let Some(begun) = self.begun.take_if(|begun| !begun.is_in(&self.file, length))
        {
            tracing::info!(path = %self.path.display(), "truncated: read from its beginning");
            memory.remembered.push_front(Remembered {
                head: begun.head,
                offset: begun.offset,
                recent: begun.recent,
            });
            self.last_length = length;
            return self.begin(intake, length, is_last, true, others, memory);
        }
        self.last_length = length;
        if self.begun.is_none() {
            return self.begin(intake, length, is_last, false, others, memory);
        }
        self.read(intake, is_last)
    }

    /// Finds out which file it is, and from where it is to be read.
    fn begin(
        &mut self,
        intake: &Intake,
        length: u64,
        is_last: bool,
        is_anew: bool,
        others: &HashMap<Identity, Self>,
        memory: &mut Memory,
    ) -> Result<Step> {
        let mut head = self.read_at(0, HEAD_BYTES)?;
        if let Some(what) = not_text(&head) {
            return Ok(Step::NotText(what));
        }
        match memchr::memchr(b'\n', &head) {
            Some(end) => head.truncate(end + 1),
            // The first line is not complete: it cannot tell the file yet.
            None if head.len() < HEAD_BYTES && !is_last => return Ok(Step::Nothing),
            None if head.is_empty() => return Ok(Step::Done),
            None => {}
        }
        let key = key(self.identity, &head);
        let known = if is_anew { None } else { intake.pipeline().store().source_progress(&key)? };
        let mut offset = known.as_ref().map_or(0, |progress| progress.position);
        let read_at = |offset, count| self.look_at(offset, count);
        if known.is_some() && !memory.past.is_still((self.identity, &key), (offset, length), &read_at) {
            tracing::info!(path = %self.path.display(), "not what it was: read from its beginning");
            offset = 0;
        }
        if known.is_none() && !is_anew {
            match self.copied_from(intake, (&head, length), others, memory)? {
                Copied::Until(place) => offset = place,
                Copied::NotKnownYet => return Ok(Step::Nothing),
            }
        }
        let mut begun =
            Begun { key, head, offset: 0, lines: 0, pieces: 0, recent: Vec::new(), header: Vec::new() };
        self.pass_over(&mut begun, offset)?;
        self.begun = Some(begun);
        if offset > 0 && known.is_none() {
            self.commit(intake, Batch::default(), offset)?;
        }
        self.read(intake, is_last)
    }

    /// Counts the lines before `offset`, and notes a column header among them.
    fn pass_over(&self, begun: &mut Begun, offset: u64) -> Result<()> {
        while begun.offset < offset {
            let want = usize::try_from(offset - begun.offset).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let chunk = self.read_at(begun.offset, want)?;
            if chunk.is_empty() {
                break;
            }
            begun.note_names(&chunk);
            begun.note_header(&chunk);
            begun.lines += memchr::memchr_iter(b'\n', &chunk).count() as u64;
            begun.moved_on(&chunk);
        }
        Ok(())
    }

    /// Whether this is a copy of a file that is or was followed (`copytruncate`), and how far that was read.
    fn copied_from(
        &self,
        intake: &Intake,
        (head, length): (&[u8], u64),
        others: &HashMap<Identity, Self>,
        memory: &mut Memory,
    ) -> Result<Copied> {
        let (key_of, read_at) = (|of| key(of, head), |offset, count| self.look_at(offset, count));
        if let Some(old) = memory.past.copied(&key_of, &read_at) {
            let known = intake.pipeline().store().source_progress(&old.key)?;
            let known = old.read_to.or(known.map(|known| known.position));
            let place = known.unwrap_or(0).max(old.offset);
            return Ok(Copied::Until(place.min(length)));
        }
        let remembered = &mut memory.remembered;
        for index in 0..remembered.len() {
            let Some(old) = remembered.get(index).filter(|old| old.head == head && old.offset <= length)
            else {
                continue;
            };
            let start = old.offset - old.recent.len() as u64;
            if self.read_at(start, old.recent.len())? == old.recent {
                let offset = old.offset;
                remembered.remove(index);
                return Ok(Copied::Until(offset));
            }
        }
        for other in others.values() {
            let Some(begun) = other.begun.as_ref().filter(|begun| begun.head == head) else { continue };
            let common = begun.offset.min(length);
            let start = common.saturating_sub(RECENT_BYTES as u64);
            let count = usize::try_from(common - start).unwrap_or(RECENT_BYTES);
            // Read from the original while it is there: a truncation in between is found by its next step.
            if common > head.len() as u64 && self.read_at(start, count)? == other.read_at(start, count)? {
                return Ok(if begun.offset >= length { Copied::Until(length) } else { Copied::NotKnownYet });
            }
        }
        Ok(Copied::Until(0))
    }

    fn read(&mut self, intake: &Intake, is_last: bool) -> Result<Step> {
        let Some(begun) = &self.begun else { return Ok(Step::Nothing) };
        let chunk = self.read_at(begun.offset, CHUNK_BYTES)?;
        if chunk.is_empty() {
            return Ok(if is_last { Step::Done } else { Step::Nothing });
        }
        let is_full = chunk.len() == CHUNK_BYTES;
        let mut lines = Lines { end: 0, whole: Vec::new(), piece: None };
        for end in memchr::memchr_iter(b'\n', &chunk).take(CHUNK_LINES) {
            lines.whole.push((lines.end, end));
            lines.end = end + 1;
        }
        if lines.whole.is_empty() && (is_full || is_last) {
            lines.end = chunk.len();
            match is_full {
                true => lines.piece = Some(chunk.len()),
                false => lines.whole.push((0, chunk.len())),
            }
        }
        if lines.end == 0 {
            return Ok(Step::Nothing);
        }
        let chunk = chunk.get(..lines.end).unwrap_or_default();
        if let Some(begun) = &mut self.begun {
            begun.note_names(chunk);
        }
        let Some(begun) = &self.begun else { return Ok(Step::Nothing) };
        let batch = self.decode(intake, begun, chunk, &lines)?;
        let offset = begun.offset + chunk.len() as u64;
        self.commit(intake, batch, offset)?;
        if let Some(begun) = &mut self.begun {
            begun.note_header(chunk);
            begun.lines += lines.whole.len() as u64;
            begun.pieces = if lines.piece.is_some() { begun.pieces + 1 } else { 0 };
            begun.moved_on(chunk);
        }
        Ok(Step::More)
    }

    fn decode(&self, intake: &Intake, begun: &Begun, chunk: &[u8], lines: &Lines) -> Result<Batch> {
        let name = self.name();
        let mut kept = Vec::new();
        let mut too_long = |number: u64, position: u64, raw: &[u8]| {
            kept.push(Quarantined {
                source: name.clone(),
                position,
                reason: QuarantineReason::TooLong,
                detail: format!("line longer than {CHUNK_BYTES} bytes, piece {number}"),
                raw: raw.to_vec(),
            });
        };
        let mut records = Vec::new();
        for (index, (start, end)) in lines.whole.iter().enumerate() {
            let position = begun.lines + index as u64 + 1;
            let raw = chunk.get(*start..*end).unwrap_or_default();
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            let is_first = begun.offset == 0 && index == 0;
            let raw = if is_first { raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw) } else { raw };
            if begun.pieces > 0 && index == 0 {
                too_long(begun.pieces + 1, position, raw);
            } else {
                records.push((position, raw));
            }
        }
        if let Some(end) = lines.piece {
            too_long(begun.pieces + 1, begun.lines + 1, chunk.get(..end).unwrap_or_default());
        }
        let header: Vec<&[u8]> = begun.header.iter().map(Vec::as_slice).collect();
        let options = intake.pipeline().ingest_options();
        let mut batch = read_records(&name, &header, records, &options)?;
        batch.quarantined.append(&mut kept);
        Ok(batch)
    }

    /// Stores the lines together with how far the file has been read.
    fn commit(&self, intake: &Intake, mut batch: Batch, offset: u64) -> Result<()> {
        let Some(begun) = &self.begun else { return Ok(()) };
        let (sha256, name) = (begun.key.clone(), self.name());
        batch.progress =
            Some(SourceProgress { sha256, name: name.clone(), position: offset, complete: false });
        intake.append(&name, &batch)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// As [`read_at`](Self::read_at), to recognise a file by: one that cannot be read is not recognised.
    fn look_at(&self, offset: u64, count: usize) -> Option<Vec<u8>> {
        let read = self.read_at(offset, count);
        read.inspect_err(|error| tracing::warn!(path = %self.path.display(), %error, "cannot be looked at"))
            .ok()
    }

    fn read_at(&self, offset: u64, count: usize) -> Result<Vec<u8>> {
        read_at(&self.file, offset, count).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Follow { path: self.path.clone(), source }
    }
}

enum Copied {
    /// What is before this place has been read from the original.
    Until(u64),
    /// A copy of a file that is still being read.
    NotKnownYet,
}

/// Lines within a chunk, by start and end.
struct Lines {
    end: usize,
    whole: Vec<(usize, usize)>,
    piece: Option<usize>,
}

impl Begun {
    /// Whether the file still holds what was read.
    fn is_in(&self, file: &File, length: u64) -> bool {
        let start = self.offset - self.recent.len() as u64;
        let holds =
            |offset: u64, bytes: &[u8]| read_at(file, offset, bytes.len()).is_ok_and(|found| found == bytes);
        length >= self.offset && holds(0, &self.head) && holds(start, &self.recent)
    }

    fn moved_on(&mut self, chunk: &[u8]) {
        self.offset += chunk.len() as u64;
        self.recent.extend_from_slice(chunk);
        let excess = self.recent.len().saturating_sub(RECENT_BYTES);
        self.recent.drain(..excess);
    }

    /// Zeek, IIS and others name their columns in comments, mostly at the head of a file: what is read later needs
    /// them.
    fn note_header(&mut self, chunk: &[u8]) {
        if let Some(header) = casemate_ingest::column_comments(chunk) {
            self.header = header;
        }
    }

    /// Other files name them in their first line; it may have come alone.
    fn note_names(&mut self, chunk: &[u8]) {
        let head = match self.lines {
            0 => Cow::Borrowed(chunk),
            1 if self.header.is_empty() => Cow::Owned([self.head.as_slice(), chunk].concat()),
            _ => return,
        };
        if let Some(names) = casemate_ingest::column_names(&head) {
            self.header = vec![names.to_vec()];
        }
    }
}

fn read_at(file: &File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        let Some(rest) = bytes.get_mut(filled..) else { break };
        match file.file().read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// What a file is that holds no lines of text in one byte per character.
fn not_text(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x1f, 0x8b, ..] => Some("it is compressed by gzip"),
        [b'P', b'K', 3, 4, ..] => Some("it is a ZIP archive"),
        [b'B', b'Z', b'h', ..] => Some("it is compressed by bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("it is compressed by xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("it is compressed by zstd"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is UTF-16"),
        _ => head.contains(&0).then_some("it is binary"),
    }
}

fn key((device, inode): Identity, head: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"casemate followed file\0");
    hasher.update(device.to_le_bytes());
    hasher.update(inode.to_le_bytes());
    hasher.update(head);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
