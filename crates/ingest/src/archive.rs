//! What is inside a compressed file?
//!
//! Unpacks as a stream, under limits on the total and on the ratio. What cannot be unpacked is quarantined
//! as received where it can still be read. Never writes members to disk under their own names.

use crate::intake::{Intake, Origin};
use crate::source::{Counted, quarantine_rest, read_source};
use crate::text::clean;
use crate::{Error, Result};
use casemate_event::QuarantineReason;
use flate2::bufread::MultiGzDecoder;
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::rc::Rc;
use zip::ZipArchive;

/// Bytes that may be unpacked before the ratio is looked at.
const RATIO_FREE_BYTES: u64 = 64 << 20;

/// Why unpacking a layer stopped before its end.
enum Stop {
    /// A limit was reached; which, in words.
    Limit(String),
    /// The packed data is wrong.
    Damaged(io::Error),
}

/// Unpacked bytes of one layer, under limits. Damage and limits end the data; [`Guard::stop`] then says why.
struct Guard<R> {
    inner: R,
    /// Bytes of this layer read in packed form.
    packed: Rc<Cell<u64>>,
    /// Bytes of this layer unpacked.
    layer: u64,
    /// Bytes unpacked by all layers of the file.
    total: Rc<Cell<u64>>,
    max_total: u64,
    max_ratio: u64,
    stop: Rc<RefCell<Option<Stop>>>,
}

impl<R: Read> Guard<R> {
    fn new(intake: &Intake<'_>, inner: R, packed: Rc<Cell<u64>>) -> Self {
        Self {
            inner,
            packed,
            layer: 0,
            total: Rc::clone(&intake.unpacked),
            max_total: intake.options.max_unpacked_bytes,
            max_ratio: intake.options.max_ratio,
            stop: Rc::default(),
        }
    }

    fn limit(&self) -> Option<String> {
        if self.total.get() > self.max_total {
            return Some(format!("unpacks to more than {} bytes", self.max_total));
        }
        let allowed = self.packed.get().max(1).saturating_mul(self.max_ratio);
        (self.layer > RATIO_FREE_BYTES && self.layer > allowed)
            .then(|| format!("unpacks to more than {} times its size", self.max_ratio))
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.borrow().is_some() {
            return Ok(0);
        }
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                *self.stop.borrow_mut() = Some(Stop::Damaged(error));
                return Ok(0);
            }
        };
        self.layer += count as u64;
        self.total.set(self.total.get() + count as u64);
        if let Some(limit) = self.limit() {
            *self.stop.borrow_mut() = Some(Stop::Limit(limit));
            return Ok(0);
        }
        Ok(count)
    }
}

/// Takes in the content of a gzip file (several gzip members in a row are one stream).
pub(crate) fn read_gzip(
    intake: &mut Intake<'_>,
    name: &str,
    reader: &mut dyn BufRead,
    depth: u32,
) -> Result<()> {
    let packed = Rc::new(Cell::new(0));
    let counted = BufReader::new(Counted { inner: reader, count: Rc::clone(&packed) });
    let mut guard = Guard::new(intake, MultiGzDecoder::new(counted), packed);
    read_source(intake, name, &mut guard, depth + 1)?;
    let unpacked = guard.layer;
    let stop = guard.stop.take();
    match stop {
        None => Ok(()),
        Some(Stop::Limit(limit)) => over_limit(intake, name, &limit),
        Some(Stop::Damaged(error)) => {
            let mut rest = guard.inner.into_inner();
            let cut = error.kind() == ErrorKind::UnexpectedEof;
            if unpacked > 0 && !cut && only_zeros(&mut rest).map_err(|error| intake.read_error(error))? {
                // Zero padding after the last gzip member, as tape and block tools leave it.
                return Ok(());
            }
            let detail =
                format!("gzip data is damaged or cut short after {unpacked} unpacked bytes: {error}");
            intake.problem(format!(
                "{name}: {detail}; what was unpacked is taken in, copy the file again for the rest"
            ));
            damaged(intake, name, &detail, &mut rest)
        }
    }
}

/// Consumes leading zero bytes; whether nothing else is left.
fn only_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let all = zeros == buffer.len();
        reader.consume(zeros);
        if !all {
            return Ok(false);
        }
    }
}

/// Takes in every regular file of a tar archive.
pub(crate) fn read_tar(
    intake: &mut Intake<'_>,
    name: &str,
    reader: &mut dyn BufRead,
    depth: u32,
) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    let mut failure = None;
    // A reader that has been read is refused; this one has not.
    for entry in archive.entries().map_err(|error| intake.read_error(error))? {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        if entry.header().entry_type().is_file() {
            let member = format!("{name}!{}", clean(&String::from_utf8_lossy(&entry.path_bytes()), 200));
            let size = entry.size();
            let count = Rc::new(Cell::new(0));
            let mut counted = Counted { inner: &mut entry, count: Rc::clone(&count) };
            read_source(intake, &member, &mut counted, depth + 1)?;
            if count.get() < size {
                failure = Some(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    format!("{member} ends after {} of {size} bytes", count.get()),
                ));
                break;
            }
        }
    }
    if let Some(error) = failure {
        let detail = format!("tar archive is damaged or cut short: {error}");
        intake.problem(format!("{name}: {detail}; copy the file again"));
        damaged(intake, name, &detail, &mut archive.into_inner())?;
    }
    Ok(())
}

/// Takes in a zip archive that cannot be read twice, by way of a temporary file.
pub(crate) fn read_spooled_zip(
    intake: &mut Intake<'_>,
    name: &str,
    reader: &mut dyn BufRead,
    depth: u32,
) -> Result<()> {
    let spool_error = |source| Error::Spool { name: name.to_owned(), source };
    let mut file = tempfile::tempfile().map_err(spool_error)?;
    io::copy(reader, &mut file).map_err(spool_error)?;
    file.seek(SeekFrom::Start(0)).map_err(spool_error)?;
    read_zip(intake, name, BufReader::new(file), depth)
}

/// Takes in every member of a zip archive as `archive.zip!member`.
pub(crate) fn read_zip(
    intake: &mut Intake<'_>,
    name: &str,
    mut file: impl Read + Seek,
    depth: u32,
) -> Result<()> {
    let error = match ZipArchive::new(&mut file) {
        Ok(mut archive) => return read_zip_members(intake, name, &mut archive, depth),
        Err(error) => error,
    };
    let detail = format!("zip archive is damaged or cut short: {error}");
    intake.problem(format!("{name}: {detail}; copy the file again, or repair it with zip -FF"));
    file.seek(SeekFrom::Start(0)).map_err(|error| intake.read_error(error))?;
    damaged(intake, name, &detail, &mut file)
}

fn read_zip_members<R: Read + Seek>(
    intake: &mut Intake<'_>,
    name: &str,
    archive: &mut ZipArchive<R>,
    depth: u32,
) -> Result<()> {
    if archive.is_empty() {
        intake.problem(format!("{name}: is a zip archive without members"));
    }
    for index in 0..archive.len() {
        let (member, encrypted) = match archive.by_index_raw(index) {
            Ok(entry) if entry.is_dir() => continue,
            Ok(entry) => {
                let file_name = String::from_utf8_lossy(entry.name_raw()).into_owned();
                (format!("{name}!{}", clean(&file_name, 200)), entry.encrypted())
            }
            Err(error) => {
                let detail = format!("member {} of the zip archive cannot be found: {error}", index + 1);
                intake.problem(format!("{name}: {detail}; copy the file again"));
                damaged(intake, name, &detail, &mut io::empty())?;
                continue;
            }
        };
        if encrypted {
            intake.problem(format!(
                "{member}: is encrypted; unpack it with its password and take in the content"
            ));
            packed_member(intake, &member, "encrypted member of a zip archive", archive, index)?;
            continue;
        }
        if intake.unpacked.get() > intake.options.max_unpacked_bytes {
            over_limit(intake, &member, "comes after the limit on unpacked bytes was reached")?;
            break;
        }
        read_zip_member(intake, &member, archive, index, depth)?;
    }
    Ok(())
}

fn read_zip_member<R: Read + Seek>(
    intake: &mut Intake<'_>,
    member: &str,
    archive: &mut ZipArchive<R>,
    index: usize,
    depth: u32,
) -> Result<()> {
    let refused = archive.by_index(index).err().map(|error| error.to_string());
    if let Some(error) = refused {
        let detail = format!("cannot be unpacked: {error}");
        intake.problem(format!("{member}: {detail}; unpack it with another tool and take in the content"));
        return packed_member(intake, member, &detail, archive, index);
    }
    let Ok(entry) = archive.by_index(index) else { return Ok(()) };
    let packed = entry.compressed_size();
    let mut guard = Guard::new(intake, entry, Rc::new(Cell::new(packed)));
    read_source(intake, member, &mut guard, depth + 1)?;
    let (unpacked, stop) = (guard.layer, guard.stop.take());
    drop(guard);
    let read = intake.bytes_read.get() + packed;
    if depth == 0 {
        intake.bytes_read.set(read);
    }
    match stop {
        None => Ok(()),
        Some(Stop::Limit(limit)) => over_limit(intake, member, &limit),
        Some(Stop::Damaged(error)) => {
            let detail = format!("zip member is damaged after {unpacked} unpacked bytes: {error}");
            intake.problem(format!("{member}: {detail}; what was unpacked is taken in, copy the file again"));
            packed_member(intake, member, &detail, archive, index)
        }
    }
}

/// Quarantines a member as packed.
fn packed_member<R: Read + Seek>(
    intake: &mut Intake<'_>,
    member: &str,
    detail: &str,
    archive: &mut ZipArchive<R>,
    index: usize,
) -> Result<()> {
    match archive.by_index_raw(index) {
        Ok(mut entry) => damaged(intake, member, detail, &mut entry),
        Err(_) => damaged(intake, member, detail, &mut io::empty()),
    }
}

/// Quarantines what is left of a damaged archive: one record even where nothing is left, so that the damage
/// is counted.
fn damaged(intake: &mut Intake<'_>, name: &str, detail: &str, rest: &mut dyn Read) -> Result<()> {
    let reason = QuarantineReason::DamagedArchive;
    let before = intake.position();
    // The packed bytes may be unreadable for the reason the archive is damaged.
    let mut rest = Lenient(rest);
    quarantine_rest(intake, name, reason, detail, &mut rest)?;
    if intake.position() == before {
        intake.quarantine(Origin { source: name, position: 1 }, reason, detail, b"")?;
    }
    Ok(())
}

/// A read error counts as the end.
struct Lenient<'a>(&'a mut dyn Read);

impl Read for Lenient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Ok(0),
            other => other,
        }
    }
}

fn over_limit(intake: &mut Intake<'_>, name: &str, limit: &str) -> Result<()> {
    intake.problem(format!(
        "{name}: {limit}; what came before is taken in (if the file can be trusted, unpack it first or raise the limit)"
    ));
    let origin = Origin { source: name, position: 1 };
    intake.quarantine(origin, QuarantineReason::DecompressionLimit, limit, b"")
}
