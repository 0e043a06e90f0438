//! What does this hostile byte string say?
//!
//! Takes files and streams of unknown content, recognises what they are by their bytes (never by their
//! name), and hands out batches of normalised events. Whatever cannot be understood is kept as received, in
//! quarantine, with a reason: every line or record that is not blank ends as exactly one of the two, or as
//! a column header that the events after it carry in their field names.
//!
//! Memory is bounded by [`Options::max_record_bytes`] and the size of a batch, not by the size of the input.
//!
//! This crate stores nothing, matches no rules and never opens a network connection.

mod archive;
mod carrier;
mod fault;
mod formats;
mod framing;
mod intake;
mod join;
mod json;
mod mapping;
mod parallel;
mod record;
mod sniff;
mod source;
pub mod template;
mod text;
mod time;

use casemate_event::{Batch, Format, QuarantineReason};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use mapping::{MappingError, Mappings};

/// What a sink may fail with; it ends the read.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with the service, as opposed to with the input: hostile input is never an error, it is
/// quarantined and reported in [`Summary::problems`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input cannot be read.
    #[error("cannot read {name}: {source}; check that it exists and may be read")]
    Read {
        /// Name of the file or stream.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An archive inside an archive or stream cannot be unpacked to a temporary file.
    #[error("cannot unpack {name} to a temporary file: {source}; free space in the temporary directory")]
    Spool {
        /// Name of the archive.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The sink refused a batch.
    #[error("cannot hand on the records of {name}: {source}")]
    Sink {
        /// Name of the file or stream.
        name: String,
        /// What the sink said.
        source: SinkError,
    },
}

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Limits and context of a read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest record taken in one piece, in bytes; longer ones are quarantined in pieces of this size.
    pub max_record_bytes: usize,
    /// Most bytes that compressed members of one file may unpack to, all layers together.
    pub max_unpacked_bytes: u64,
    /// Most bytes unpacked per packed byte of one layer, checked once 64 MiB are unpacked.
    pub max_ratio: u64,
    /// Time of arrival: stands in for times that are not stated, and bounds assumed years.
    pub arrival: Timestamp,
    /// Formats that mapping files define: those of the program unless the site adds its own.
    pub mappings: Arc<Mappings>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_record_bytes: 1 << 20,
            max_unpacked_bytes: 8 << 30,
            max_ratio: 200,
            arrival: Timestamp::now(),
            mappings: mapping::standard(),
        }
    }
}

/// What one read did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes read of the file or stream, as stored (packed).
    pub bytes: u64,
    /// Records handed to the sink: events and quarantined together.
    pub records: u64,
    /// Records decoded again and skipped, because an earlier read had taken them.
    pub skipped: u64,
    /// Header lines that name the columns of the records after them (Zeek), not records themselves.
    pub headers: u64,
    /// Events by format.
    pub events: BTreeMap<Format, u64>,
    /// Quarantined records by reason.
    pub quarantined: BTreeMap<QuarantineReason, u64>,
    /// What was wrong with the file as a whole, and what to do about it; one line each.
    pub problems: Vec<String>,
}

impl Summary {
    /// Number of events.
    pub fn event_count(&self) -> u64 {
        self.events.values().sum()
    }

    /// Number of quarantined records.
    pub fn quarantined_count(&self) -> u64 {
        self.quarantined.values().sum()
    }
}

/// Files named by `paths`: files as they are, directories searched to the bottom, sorted, without
/// duplicates. Symbolic links inside directories are not followed.
///
/// # Errors
/// [`Error::Read`] naming the first path that does not exist or cannot be listed.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let meta = fs_err::metadata(path).map_err(|source| read_error(path, source))?;
        if meta.is_dir() {
            list(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = fs_err::read_dir(&directory).map_err(|source| read_error(&directory, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| read_error(&directory, source))?;
            let kind = entry.file_type().map_err(|source| read_error(&entry.path(), source))?;
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Reads one file of any known content and hands its records to `sink`, in order, in batches.
///
/// `sha256` is the SHA-256 of the file's bytes in lower-case hex: batches carry it in their
/// [`SourceProgress`](casemate_event::SourceProgress), and the last batch says that the file is complete.
/// The first `resume_from` records are taken to be stored already: they are decoded again, but not handed
/// on. `progress` is told how many bytes of the file have been read, now and then and at the end.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::Sink`] if the sink refuses a batch. Damaged content
/// is no error: see [`Summary::problems`].
pub fn read_file(
    path: &Path,
    sha256: &str,
    options: &Options,
    resume_from: u64,
    sink: &mut dyn FnMut(Batch) -> Result<(), SinkError>,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary> {
    let name = path.display().to_string();
    let file = fs_err::File::open(path).map_err(|source| read_error(path, source))?;
    let mut intake = intake::Intake::new(name, options, sink, progress);
    intake.resume(sha256, resume_from);
    source::read_whole_file(&mut intake, file)?;
    intake.finish()
}

/// Reads a stream (such as an HTTP body) with the same detection as [`read_file`].
///
/// `hint` only breaks ties: [`Format::Text`] takes every line as text and [`Format::JsonLines`] takes every
/// JSON object as itself, without recognising vendors; other hints change nothing.
///
/// # Errors
/// As for [`read_file`].
pub fn read_stream(
    name: &str,
    reader: impl Read,
    options: &Options,
    hint: Option<Format>,
    sink: &mut dyn FnMut(Batch) -> Result<(), SinkError>,
) -> Result<Summary> {
    stream((name, None), reader, options, hint, sink)
}

/// What is known of a stream that may come again, because its sender did not hear that it had arrived.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What makes it the same stream; batches carry it in their
    /// [`SourceProgress`](casemate_event::SourceProgress).
    pub key: &'a str,
    /// Records of it that are stored already: decoded again, not handed on.
    pub resume_from: u64,
}

/// As [`read_stream`], so that an interrupted read of the same bytes goes on where it stopped.
///
/// # Errors
/// As for [`read_file`].
pub fn resume_stream(
    (name, known): (&str, Known<'_>),
    reader: impl Read,
    options: &Options,
    hint: Option<Format>,
    sink: &mut dyn FnMut(Batch) -> Result<(), SinkError>,
) -> Result<Summary> {
    stream((name, Some(known)), reader, options, hint, sink)
}

fn stream(
    (name, known): (&str, Option<Known<'_>>),
    reader: impl Read,
    options: &Options,
    hint: Option<Format>,
    sink: &mut dyn FnMut(Batch) -> Result<(), SinkError>,
) -> Result<Summary> {
    let mut progress = |_| {};
    let mut intake = intake::Intake::new(name.to_owned(), options, sink, &mut progress);
    intake.hint = hint;
    if let Some(known) = known {
        intake.resume(known.key, known.resume_from);
    }
    source::read_whole_stream(&mut intake, reader)?;
    intake.finish()
}

/// Decodes records that their sender has framed already: one message, one document, one line each.
///
/// Gives one batch without progress, however many records there are: the caller bounds them. Each record comes
/// with the position its event gets. Nothing is unpacked, and line ends inside a record do not split it.
/// `header` lines are read first for the columns they name ([`column_comments`], [`column_names`]); they are no
/// records.
///
/// # Errors
/// None from the content of a record; [`Error`] is for a decoder that cannot go on.
pub fn read_records<'r>(
    name: &str,
    header: &[&[u8]],
    records: impl IntoIterator<Item = (u64, &'r [u8])>,
    options: &Options,
) -> Result<Batch> {
    let mut whole = Batch::default();
    let mut sink = |mut batch: Batch| {
        whole.events.append(&mut batch.events);
        whole.quarantined.append(&mut batch.quarantined);
        Ok(())
    };
    source::read_framed(name, header, records, options, &mut sink)?;
    Ok(whole)
}

/// Comments among `lines` (whole lines of a file) that name the columns of what follows the last of them: those of
/// Zeek and of W3C extended logs.
pub fn column_comments(lines: &[u8]) -> Option<Vec<Vec<u8>>> {
    /// Most lines of one header.
    const MOST: usize = 16;
    if !lines.starts_with(b"#") && memchr::memmem::find(lines, b"\n#").is_none() {
        return None;
    }
    let mut header = None;
    let mut comments: Vec<Vec<u8>> = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').chain([b"".as_slice()]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") {
            comments.push(line.to_vec());
            continue;
        }
        let names = |line: &Vec<u8>| line.starts_with(b"#fields") || line.starts_with(b"#Fields:");
        if comments.iter().any(names) {
            comments.truncate(MOST);
            header = Some(std::mem::take(&mut comments));
        }
        comments.clear();
    }
    header
}

/// The first line of a file that begins with `head`, if it names the columns of the lines after it.
pub fn column_names(head: &[u8]) -> Option<&[u8]> {
    carrier::table::Table::opened_by(head)?;
    head.split(|byte| *byte == b'\n').next().map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn read_error(path: &Path, source: std::io::Error) -> Error {
    Error::Read { name: path.display().to_string(), source }
}
