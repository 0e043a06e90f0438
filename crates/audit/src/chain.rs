//! How is a line added, and how is the record opened again, whatever state it was left in?

use crate::key::Signer;
use crate::verify::Walk;
use crate::{
    BEGIN, CHECKPOINT, Checkpoint, Entry, Error, Head, KEY, Line, NamedKey, PROGRAM, Result, hash, no_hash,
};
use fs_err::{File, OpenOptions};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file is begun anew once it is this long.
const MAX_FILE: u64 = 16 << 20;
/// A checkpoint comes after so many lines, at the latest.
const CHECKPOINT_EVERY: u64 = 256;

/// The record of one directory, open for adding. One process at a time: hold a lock.
pub struct Chain {
    dir: PathBuf,
    signer: Signer,
    file: File,
    /// Bytes of the file.
    length: u64,
    head: Head,
    /// Row of the last line that was taken over from a table.
    last_row: u64,
    /// Lines since the last checkpoint.
    unsigned: u64,
    /// Whether all lines are on the device.
    synced: bool,
}

/// What opening the record found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// What was wrong and what was done about it; noted in the record as well.
    pub problems: Vec<String>,
}

impl Chain {
    /// Opens the record in `dir`, or begins it. `known` is the number of a line that there must be.
    ///
    /// A line that a crash cut short is moved to a file beside; what is damaged stays as it is, is noted in the line
    /// that follows, and is found by [`verify`](crate::verify()).
    ///
    /// # Errors
    /// The system's refusal, or a key that is none.
    pub fn open(dir: &Path, known: u64) -> Result<(Self, Opened)> {
        let failed = |source| Error::Io { dir: dir.to_owned(), source };
        casemate_disk::create_private_dir(dir)?;
        let mut problems = Vec::new();
        let files = files(dir).map_err(failed)?;
        let Some((_, path)) = files.last() else { return Self::begin(dir, known) };
        if let Some(cut) = cut_torn(path).map_err(failed)? {
            problems.push(cut);
        }
        let mut walk = Walk::default();
        walk.file(path).map_err(failed)?;
        problems.extend(walk.problems.iter().map(ToString::to_string));
        let head = walk.head.clone().unwrap_or(Head { n: 0, hash: no_hash() });
        if head.n < known {
            let missing = known - head.n;
            problems.push(format!("{missing} lines that were there are gone from the end of the record"));
        }
        let named = match &walk.key {
            Some(key) => Some(key.clone()),
            None => last_key(&files).map_err(failed)?,
        };
        // The rows taken over can stand in an earlier file.
        let mut last_row = walk.last_row;
        for (_, path) in files.iter().rev().skip(1).take_while(|_| walk.last_row == 0) {
            let mut earlier = Walk::default();
            earlier.file(path).map_err(failed)?;
            last_row = earlier.last_row;
            if last_row > 0 {
                break;
            }
        }
        let signer = Signer::open(dir)?;
        let (file, length) = Self::file(path).map_err(failed)?;
        let unsigned = walk.unsigned;
        let mut chain =
            Self { dir: dir.to_owned(), signer, file, length, head, last_row, unsigned, synced: true };
        // After damage a new file begins, so that what is there stays as it was found.
        if !walk.problems.is_empty() {
            chain.begin_file()?;
        }
        if named.as_deref() != Some(chain.signer.public.as_str()) {
            problems
                .push("the key that signed the record is not there: a new one signs from here on".to_owned());
            chain.note_key(None)?;
        }
        if !problems.is_empty() {
            let entry = Entry::new(PROGRAM, "damage", "audit record", json!({ "problems": problems }));
            chain.append(&entry, None)?;
            chain.checkpoint()?;
        }
        Ok((chain, Opened { problems }))
    }

    fn begin(dir: &Path, known: u64) -> Result<(Self, Opened)> {
        let failed = |source| Error::Io { dir: dir.to_owned(), source };
        let signer = Signer::open(dir)?;
        let (file, length) = Self::file(&path_of(dir, 1)).map_err(failed)?;
        let head = Head { n: 0, hash: no_hash() };
        let mut chain =
            Self { dir: dir.to_owned(), signer, file, length, head, last_row: 0, unsigned: 0, synced: true };
        let named = NamedKey { public_key: chain.signer.public.clone(), signature: None };
        let mut now = to_value(&named)?;
        now["version"] = Value::from(env!("CARGO_PKG_VERSION"));
        let mut problems = Vec::new();
        if known > 0 {
            let gone = format!("the record was gone; it had {known} lines or more");
            problems.push(gone);
        }
        chain.append(&Entry::new(PROGRAM, BEGIN, "audit record", now), None)?;
        if !problems.is_empty() {
            let entry = Entry::new(PROGRAM, "damage", "audit record", json!({ "problems": problems }));
            chain.append(&entry, None)?;
        }
        chain.checkpoint()?;
        Ok((chain, Opened { problems }))
    }

    fn file(path: &Path) -> io::Result<(File, u64)> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok((file, length))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { dir: self.dir.clone(), source }
    }

    fn begin_file(&mut self) -> Result<()> {
        self.sync()?;
        let path = path_of(&self.dir, self.head.n + 1);
        (self.file, self.length) = Self::file(&path).map_err(|error| self.failed(error))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(|error| self.failed(error))
    }

    /// Adds a line, and a checkpoint where one is due. It is durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// The system's refusal; the record is then as it was.
    pub fn append(&mut self, entry: &Entry, row: Option<u64>) -> Result<u64> {
        if self.length >= MAX_FILE {
            self.begin_file()?;
        }
        let n = self.write(entry, row)?;
        if self.unsigned >= CHECKPOINT_EVERY {
            self.sign()?;
        }
        Ok(n)
    }

    fn write(&mut self, entry: &Entry, row: Option<u64>) -> Result<u64> {
        let Entry { at, by, action, subject, previous, now } = entry.clone();
        let n = self.head.n + 1;
        let line = Line { n, row, at, by, action, subject, previous, now, prev: self.head.hash.clone() };
        let mut bytes =
            serde_json::to_vec(&line).map_err(|error| Error::Encode { why: error.to_string() })?;
        let hash = hash(&bytes);
        bytes.push(b'\n');
        self.synced = false;
        if let Err(error) = self.file.write_all(&bytes) {
            // Half a line must not stand before the next one.
            self.file.set_len(self.length).map_err(|error| self.failed(error))?;
            return Err(self.failed(error));
        }
        self.length += bytes.len() as u64;
        self.head = Head { n, hash };
        self.last_row = row.unwrap_or(self.last_row);
        self.unsigned += 1;
        Ok(n)
    }

    /// Makes all lines durable.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn sync(&mut self) -> Result<()> {
        if !self.synced {
            self.file.sync_data().map_err(|error| self.failed(error))?;
            self.synced = true;
        }
        Ok(())
    }

    /// Signs what is not signed yet, and makes it durable. Returns the head that was signed last.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn checkpoint(&mut self) -> Result<Head> {
        let signed = self.head.clone();
        if self.unsigned > 0 {
            self.sign()?;
        }
        self.sync()?;
        Ok(signed)
    }

    fn sign(&mut self) -> Result<()> {
        let head = self.head.clone();
        let signature = self.signer.sign(&head.message())?;
        tracing::info!(checkpoint = %head, "audit record");
        let subject = format!("line {}", head.n);
        let now = to_value(&Checkpoint { head, signature })?;
        self.write(&Entry::new(PROGRAM, CHECKPOINT, subject, now), None)?;
        self.unsigned = 0;
        Ok(())
    }

    /// Makes a new key, signed by the old one.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn rotate_key(&mut self, by: &str) -> Result<()> {
        self.checkpoint()?;
        let old = std::mem::replace(&mut self.signer, Signer::make(&self.dir)?);
        let signature = old.sign(&self.signer.public)?;
        self.note_key(Some((by, signature)))?;
        self.checkpoint().map(|_| ())
    }

    fn note_key(&mut self, signed: Option<(&str, String)>) -> Result<()> {
        let (by, signature) = match signed {
            Some((by, signature)) => (by, Some(signature)),
            None => (PROGRAM, None),
        };
        let named = NamedKey { public_key: self.signer.public.clone(), signature };
        self.write(&Entry::new(by, KEY, "audit record", to_value(&named)?), None)?;
        Ok(())
    }

    /// The last line there is.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Row of the last line that was taken over from a table; 0 if none was.
    pub fn last_row(&self) -> u64 {
        self.last_row
    }

    /// Up to `most` lines numbered below `before`, newest first.
    ///
    /// # Errors
    /// The system's refusal. Lines that cannot be read are left out.
    pub fn lines(&self, before: u64, most: usize) -> Result<Vec<Line>> {
        lines(&self.dir, before, most).map_err(|error| self.failed(error))
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Err(error) = self.checkpoint() {
            tracing::error!(%error, "the last lines of the audit record are not signed");
        }
    }
}

fn to_value(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::Encode { why: error.to_string() })
}

/// Up to `most` lines of the record in `dir` numbered below `before`, newest first.
fn lines(dir: &Path, before: u64, most: usize) -> io::Result<Vec<Line>> {
    let mut found = Vec::new();
    for (first, path) in files(dir)?.into_iter().rev() {
        if first >= before {
            continue;
        }
        let mut of_file = Vec::new();
        for line in BufReader::new(File::open(&path)?).split(b'\n') {
            match serde_json::from_slice::<Line>(&line?) {
                Ok(line) if line.n < before => of_file.push(line),
                _ => {}
            }
        }
        found.extend(of_file.into_iter().rev().take(most - found.len()));
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

/// Copies the record to another directory as far as it is written, without the secret key. Hold what keeps others
/// from adding lines.
///
/// # Errors
/// The system's refusal.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        let files = files(from)?;
        if !files.is_empty() {
            fs_err::create_dir_all(to)?;
        }
        for (_, path) in files {
            let name = path.file_name().unwrap_or_default();
            let mut target = File::create(to.join(name))?;
            io::copy(&mut File::open(&path)?, &mut target)?;
            target.sync_all()?;
        }
        Ok(())
    };
    copy().map_err(|source| Error::Io { dir: to.to_owned(), source })
}

fn path_of(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:012}.jsonl"))
}

/// Files of the record in order, each with the number of its first line.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_line = path.extension().is_some_and(|extension| extension == "jsonl");
        if let Some(first) = stem.filter(|_| is_line).and_then(|stem| stem.parse().ok()) {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The public key that the latest line about one names.
fn last_key(files: &[(u64, PathBuf)]) -> io::Result<Option<String>> {
    for (_, path) in files.iter().rev().skip(1) {
        let mut walk = Walk::default();
        walk.file(path)?;
        if walk.key.is_some() {
            return Ok(walk.key);
        }
    }
    Ok(None)
}

/// Moves what follows the last line feed to a file beside; says so if there was anything.
fn cut_torn(path: &Path) -> io::Result<Option<String>> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if whole == bytes.len() {
        return Ok(None);
    }
    let kept = path.with_extension(format!("torn-{whole}"));
    let mut beside = File::create(&kept)?;
    beside.write_all(&bytes[whole..])?;
    beside.sync_all()?;
    file.set_len(whole as u64)?;
    file.sync_all()?;
    let cut = bytes.len() - whole;
    let name = kept.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(format!("{cut} bytes of a line that was never finished were moved to {name}")))
}
