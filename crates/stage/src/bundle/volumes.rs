//! How do documents and parts go onto media of a given size? Volumes in the one form that sites accept.

use super::collect::File;
use crate::error::Error;
use crate::place::Summing;
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const BLOCK: u64 = 512;
/// Longest part that sites accept.
const MAX_PART: u64 = 1 << 30;
/// What was finished, for the next run.
const NOTE: &str = ".volumes.json";

/// A part and where its bytes are.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    sha256: &'a str,
    bytes: u64,
    source: &'a Path,
    offset: u64,
}

/// A finished volume.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Volume {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// Whether an earlier run made it.
    pub(super) kept: bool,
}

/// Names and hashes of the volumes that were finished for these documents.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    documents: String,
    volumes: BTreeMap<String, String>,
}

/// Bytes, or a number with K, M or G.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| "write bytes, or a whole number with K, M or G, such as 4095M".into())
}

/// How long parts may be, so that volumes of this size are well filled.
pub(super) fn part_bytes(volume_size: Option<u64>) -> u64 {
    volume_size.map_or(MAX_PART, |size| (size / 16).clamp(4096, MAX_PART))
}

/// Every part once, in the order of the files.
pub(super) fn pieces(files: &[File]) -> Vec<Piece<'_>> {
    let mut known = BTreeSet::new();
    let mut pieces = Vec::new();
    for file in files {
        let mut offset = 0;
        for part in &file.parts {
            if known.insert(&part.sha256) {
                let (sha256, bytes) = (part.sha256.as_str(), part.bytes);
                pieces.push(Piece { sha256, bytes, source: &file.source, offset });
            }
            offset += part.bytes;
        }
    }
    pieces
}

/// Splits parts over volumes that hold `documents` too.
fn split<'a, 'b>(
    pieces: &'b [Piece<'a>],
    documents: &[(String, Vec<u8>)],
    volume_size: Option<u64>,
) -> Result<Vec<&'b [Piece<'a>]>> {
    let on_tape = |bytes: u64| BLOCK + bytes.next_multiple_of(BLOCK);
    let fixed = 2 * BLOCK + documents.iter().map(|(_, content)| on_tape(content.len() as u64)).sum::<u64>();
    let room = volume_size.unwrap_or(u64::MAX).saturating_sub(fixed);
    let longest = pieces.iter().map(|piece| on_tape(piece.bytes)).max().unwrap_or(0);
    if longest > room {
        let text =
            format!("--volume-size is too small: documents take {fixed} bytes, the longest part {longest}");
        return Err(Error::Usage(text).into());
    }
    let mut volumes = Vec::new();
    let (mut start, mut filled) = (0, 0);
    for (at, piece) in pieces.iter().enumerate() {
        if filled + on_tape(piece.bytes) > room {
            volumes.push(&pieces[start..at]);
            (start, filled) = (at, 0);
        }
        filled += on_tape(piece.bytes);
    }
    volumes.push(&pieces[start..]);
    Ok(volumes)
}

/// Writes the volumes that are not there yet.
pub(super) fn write(
    out: &Path,
    stem: &str,
    documents: &[(String, Vec<u8>)],
    pieces: &[Piece<'_>],
    volume_size: Option<u64>,
) -> Result<Vec<Volume>> {
    let volumes = split(pieces, documents, volume_size)?;
    let note_path = out.join(NOTE);
    let mut joined = Vec::new();
    for (name, content) in documents {
        joined.extend_from_slice(format!("{name} {}\n", super::sha256(content)).as_bytes());
    }
    let documents_sum = super::sha256(&joined);
    // A note that cannot be read costs time only: volumes are written anew.
    let mut note: Note = fs_err::read(&note_path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    if note.documents != documents_sum {
        note = Note { documents: documents_sum, volumes: BTreeMap::new() };
    }
    let mut finished = Vec::new();
    for (number, pieces) in volumes.iter().enumerate() {
        let name = format!("{stem}.{}of{}.tar", number + 1, volumes.len());
        let path = out.join(&name);
        if let Some(volume) = kept(&path, note.volumes.get(&name))? {
            eprintln!("kept     {}", path.display());
            finished.push(volume);
            continue;
        }
        let volume = write_one(&path, documents, pieces)?;
        eprintln!("written  {} ({} bytes)", path.display(), volume.bytes);
        note.volumes.insert(name, volume.sha256.clone());
        super::write(&note_path, &super::json(&note)?)?;
        finished.push(volume);
    }
    Ok(finished)
}

/// The volume at `path`, if an earlier run finished it and it is still what it was.
fn kept(path: &Path, sha256: Option<&String>) -> Result<Option<Volume>> {
    let Some(expected) = sha256.filter(|_| path.is_file()) else { return Ok(None) };
    let progress = Progress::start(&format!("checking {}", path.display()), fs_err::metadata(path)?.len());
    let sum = crate::place::sum_of(path, &mut |bytes| progress.set(bytes))?;
    let volume = Volume { path: path.to_owned(), bytes: sum.bytes, sha256: sum.sha256, kept: true };
    Ok((volume.sha256 == *expected).then_some(volume))
}

fn write_one(path: &Path, documents: &[(String, Vec<u8>)], pieces: &[Piece<'_>]) -> Result<Volume> {
    let partial = path.with_added_extension("partial");
    let total = pieces.iter().map(|piece| piece.bytes).sum();
    let progress = Progress::start(&format!("writing {}", path.display()), total);
    let to = BufWriter::with_capacity(1 << 20, fs_err::File::create(&partial)?);
    let mut tar = tar::Builder::new(Summing::new(to));
    for (name, content) in documents {
        tar.append(&header(name, content.len() as u64)?, content.as_slice())?;
    }
    let mut done = 0;
    for piece in pieces {
        let mut source = fs_err::File::open(piece.source)?;
        source.seek(SeekFrom::Start(piece.offset))?;
        let mut from = Hashing { inner: source.take(piece.bytes), sums: Summing::new(std::io::sink()) };
        tar.append(&header(&format!("parts/{}", piece.sha256), piece.bytes)?, &mut from)?;
        let (_, sum) = from.sums.finish()?;
        if sum.bytes != piece.bytes || sum.sha256 != piece.sha256 {
            bail!("{} changed while the bundle was built; run again", piece.source.display());
        }
        done += piece.bytes;
        progress.set(done);
    }
    let (_, sum) = tar.into_inner()?.finish()?;
    crate::place::put(&partial, path).with_context(|| format!("cannot name {}", path.display()))?;
    Ok(Volume { path: path.to_owned(), bytes: sum.bytes, sha256: sum.sha256, kept: false })
}

/// The one header that sites accept for a name and a size.
fn header(name: &str, bytes: u64) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

/// Sums what is read through it.
struct Hashing<R> {
    inner: R,
    sums: Summing<std::io::Sink>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        std::io::Write::write_all(&mut self.sums, &buffer[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_bytes_or_powers_of_1024() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("4095M"), Ok(4095 << 20));
        assert_eq!(size("4G"), Ok(4 << 30));
        for wrong in ["", "G", "1.5G", "-1", "4GB", "ä", "99999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_are_split_in_order_and_none_is_lost() {
        let path = Path::new("x");
        let sums: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let pieces: Vec<_> =
            sums.iter().map(|sha256| Piece { sha256, bytes: 1000, source: path, offset: 0 }).collect();
        let documents = [("targets.json".to_owned(), vec![0; 100])];
        // Documents and end take 2048 bytes, each part 1536.
        for (size, expected) in
            [(None, vec![10]), (Some(2048 + 1536 * 4), vec![4, 4, 2]), (Some(3584), vec![1; 10])]
        {
            let volumes = split(&pieces, &documents, size).unwrap();
            assert_eq!(volumes.iter().map(|volume| volume.len()).collect::<Vec<_>>(), expected);
        }
        assert!(split(&pieces, &documents, Some(3583)).is_err());
        assert_eq!(split(&[], &documents, Some(3000)).unwrap().len(), 1);
    }
}
