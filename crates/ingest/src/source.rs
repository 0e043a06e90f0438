//! How is a stream of unknown content taken in? Peels containers and encodings off it, then hands its
//! records to the decoders.

use crate::formats::{Decoder, evtx};
use crate::framing::documents::{self, Documents, End};
use crate::framing::enclosed::{self, Enclosed};
use crate::framing::lines::{self, Lines};
use crate::framing::utf16::Utf16Reader;
use crate::intake::{Intake, Origin};
use crate::record::Record;
use crate::sniff::{self, Kind};
use crate::{Options, Result, SinkError, archive, parallel};
use casemate_event::{Batch, QuarantineReason};
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

/// Deepest nesting of containers followed (`a.zip!b.gz` is two).
const MAX_DEPTH: u32 = 6;
const BUFFER_BYTES: usize = 256 << 10;

/// Counts the bytes read through it.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// Takes in a file on disk.
pub(crate) fn read_whole_file(intake: &mut Intake<'_>, mut file: fs_err::File) -> Result<()> {
    let name = intake.name.clone();
    let mut magic = Vec::new();
    file.by_ref().take(8).read_to_end(&mut magic).map_err(|error| intake.read_error(error))?;
    file.seek(SeekFrom::Start(0)).map_err(|error| intake.read_error(error))?;
    if sniff::kind(&magic) == Kind::Zip {
        let length = file.metadata().map_err(|error| intake.read_error(error))?.len();
        archive::read_zip(intake, &name, BufReader::new(file), 0)?;
        intake.bytes_read.set(length);
    } else {
        let count = Rc::clone(&intake.bytes_read);
        read_source(intake, &name, &mut Counted { inner: file, count }, 0)?;
    }
    note_if_nothing(intake, &name);
    Ok(())
}

/// Takes in a stream that can be read once.
pub(crate) fn read_whole_stream(intake: &mut Intake<'_>, reader: impl Read) -> Result<()> {
    let name = intake.name.clone();
    let count = Rc::clone(&intake.bytes_read);
    read_source(intake, &name, &mut Counted { inner: reader, count }, 0)?;
    note_if_nothing(intake, &name);
    Ok(())
}

/// Takes in records that are framed already.
pub(crate) fn read_framed<'r>(
    name: &str,
    header: &[&[u8]],
    records: impl IntoIterator<Item = (u64, &'r [u8])>,
    options: &Options,
    sink: &mut dyn FnMut(Batch) -> Result<(), SinkError>,
) -> Result<()> {
    let mut progress = |_| {};
    let mut intake = Intake::new(name.to_owned(), options, sink, &mut progress);
    let mut decoder = Decoder::new(&intake);
    for line in header {
        decoder.header(line);
    }
    for (position, raw) in records {
        let origin = Origin { source: name, position };
        if raw.trim_ascii().is_empty() {
            continue;
        }
        if raw.len() > options.max_record_bytes {
            let detail = format!("record longer than {} bytes", options.max_record_bytes);
            intake.quarantine(origin, QuarantineReason::TooLong, &detail, raw)?;
        } else {
            take(&mut intake, origin, decoder.line(raw))?;
        }
    }
    intake.finish().map(|_summary| ())
}

fn note_if_nothing(intake: &mut Intake<'_>, name: &str) {
    if intake.is_untouched() {
        intake.problem(format!("{name}: holds blank lines only; check that the export ran to its end"));
    }
}

/// Takes in what `reader` gives, whatever it is.
pub(crate) fn read_source(
    intake: &mut Intake<'_>,
    name: &str,
    mut reader: &mut dyn Read,
    depth: u32,
) -> Result<()> {
    let mut head = Vec::new();
    let filled = (&mut reader).take(sniff::HEAD_BYTES as u64).read_to_end(&mut head);
    filled.map_err(|error| intake.read_error(error))?;
    let kind = sniff::kind(&head);
    tracing::debug!(name, ?kind, "recognised");
    let mut whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(reader));
    if depth >= MAX_DEPTH && matches!(kind, Kind::Gzip | Kind::Zip | Kind::Tar) {
        let detail = format!("containers nested more than {MAX_DEPTH} deep");
        intake.problem(format!("{name}: {detail}; unpack the inner ones first"));
        return quarantine_rest(intake, name, QuarantineReason::DecompressionLimit, &detail, &mut whole);
    }
    if matches!(kind, Kind::Lines | Kind::JsonDocument | Kind::XmlEvents) {
        skip_byte_order_mark(&mut whole).map_err(|error| intake.read_error(error))?;
    }
    match kind {
        Kind::Empty => {
            intake.problem(format!("{name}: is empty (0 bytes); check that the export ran to its end"));
            Ok(())
        }
        Kind::Gzip => archive::read_gzip(intake, name, &mut whole, depth),
        Kind::Zip => archive::read_spooled_zip(intake, name, &mut whole, depth),
        Kind::Tar => archive::read_tar(intake, name, &mut whole, depth),
        Kind::Evtx => evtx::read(intake, name, &mut whole),
        Kind::Utf16Le => read_source(intake, name, &mut Utf16Reader::new(whole, false), depth + 1),
        Kind::Utf16Be => read_source(intake, name, &mut Utf16Reader::new(whole, true), depth + 1),
        Kind::JsonDocument => read_documents(intake, name, &mut whole),
        Kind::XmlEvents => read_enclosed(intake, name, &mut whole, enclosed::Kind::XmlEvents),
        Kind::JournalExport => read_enclosed(intake, name, &mut whole, enclosed::Kind::JournalExport),
        Kind::Lines => parallel::read_lines(intake, name, &mut whole, 0),
        Kind::Binary(what, advice) => {
            intake.problem(format!("{name}: is {what}; {advice}"));
            quarantine_rest(intake, name, QuarantineReason::UnknownBinary, what, &mut whole)
        }
    }
}

/// Quarantines everything `reader` still gives, in pieces; nothing if it gives nothing.
pub(crate) fn quarantine_rest(
    intake: &mut Intake<'_>,
    name: &str,
    reason: QuarantineReason,
    detail: &str,
    mut reader: &mut dyn Read,
) -> Result<()> {
    let mut position = 0;
    let limit = intake.options.max_record_bytes.max(1) as u64;
    loop {
        let mut piece = Vec::new();
        let read = (&mut reader).take(limit).read_to_end(&mut piece);
        read.map_err(|error| intake.read_error(error))?;
        if piece.is_empty() {
            return Ok(());
        }
        position += 1;
        let detail = format!("{detail}, piece {position}");
        intake.quarantine(Origin { source: name, position }, reason, &detail, &piece)?;
    }
}

/// Takes in lines one after the other.
pub(crate) fn read_lines_in_turn(
    intake: &mut Intake<'_>,
    name: &str,
    decoder: &mut Decoder,
    reader: &mut dyn BufRead,
    before: u64,
) -> Result<()> {
    let limit = intake.options.max_record_bytes;
    let mut lines = Lines::new(reader, limit);
    loop {
        let (shape, number, raw) = match lines.next() {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(()),
            Err(error) => return Err(intake.read_error(error)),
        };
        let origin = Origin { source: name, position: before + number };
        match shape {
            _ if raw.trim_ascii().is_empty() => {}
            lines::Shape::Whole => take(intake, origin, decoder.line(raw))?,
            lines::Shape::Piece(piece) => too_long(intake, origin, "line", piece, raw)?,
        }
    }
}

/// Hands on what a decoder made of one record.
fn take(
    intake: &mut Intake<'_>,
    origin: Origin<'_>,
    mut records: impl Iterator<Item = Record>,
) -> Result<()> {
    records.try_for_each(|record| intake.record(origin, record))
}

fn read_documents(intake: &mut Intake<'_>, name: &str, reader: &mut dyn BufRead) -> Result<()> {
    let limit = intake.options.max_record_bytes;
    let mut decoder = Decoder::new(intake);
    let mut documents = Documents::new(reader, limit);
    let mut position = 0;
    let mut cut = false;
    let end = loop {
        let (shape, raw) = match documents.next() {
            Ok(Ok(next)) => next,
            Ok(Err(end)) => break end,
            Err(error) => return Err(intake.read_error(error)),
        };
        if !matches!(shape, documents::Shape::Piece(2..)) {
            position += 1;
        }
        let origin = Origin { source: name, position };
        match shape {
            _ if raw.trim_ascii().is_empty() => {}
            documents::Shape::Whole => take(intake, origin, decoder.value(raw))?,
            documents::Shape::Piece(number) => too_long(intake, origin, "JSON value", number, raw)?,
            documents::Shape::Cut => {
                cut = true;
                let detail = format!("the document ends inside this value, after {} bytes of it", raw.len());
                intake.quarantine(origin, QuarantineReason::MalformedJson, &detail, raw)?;
            }
        }
    };
    if cut || end == End::Open {
        intake.problem(format!(
            "{name}: the JSON document is cut short after {position} values; copy or export the file again"
        ));
    }
    if end == End::Broken {
        intake.problem(format!(
            "{name}: what follows JSON value {position} is not JSON; it is taken in line by line"
        ));
        parallel::read_lines(intake, name, &mut documents.into_reader(), position)?;
    }
    Ok(())
}

fn read_enclosed(
    intake: &mut Intake<'_>,
    name: &str,
    reader: &mut dyn BufRead,
    kind: enclosed::Kind,
) -> Result<()> {
    let mut decoder = Decoder::new(intake);
    let mut records = Enclosed::new(reader, kind, intake.options.max_record_bytes);
    let mut position = 0;
    loop {
        let (shape, raw) = match records.next() {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(()),
            Err(error) => return Err(intake.read_error(error)),
        };
        if !matches!(shape, documents::Shape::Piece(2..)) {
            position += 1;
        }
        let origin = Origin { source: name, position };
        match shape {
            documents::Shape::Piece(number) => too_long(intake, origin, "record", number, raw)?,
            // Damage ends as a reason of the decoder's.
            documents::Shape::Whole | documents::Shape::Cut => match kind {
                enclosed::Kind::XmlEvents => take(intake, origin, decoder.xml(raw))?,
                enclosed::Kind::JournalExport => take(intake, origin, decoder.journal_entry(raw))?,
            },
        }
    }
}

pub(crate) fn too_long(
    intake: &mut Intake<'_>,
    origin: Origin<'_>,
    what: &str,
    number: u64,
    raw: &[u8],
) -> Result<()> {
    let limit = intake.options.max_record_bytes;
    if number == 1 {
        intake.problem(format!(
            "{}: {what} {} is longer than {limit} bytes; it is kept in quarantine in pieces (raise the limit on \
             one record to take it in)",
            origin.source, origin.position
        ));
    }
    let detail = format!("{what} longer than {limit} bytes, piece {number}");
    intake.quarantine(origin, QuarantineReason::TooLong, &detail, raw)
}

fn skip_byte_order_mark(reader: &mut dyn BufRead) -> io::Result<()> {
    if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(())
}
