//! Is the record whole? Every number, every hash, every signature.

use crate::chain::files;
use crate::key::is_signed_by;
use crate::{BEGIN, CHECKPOINT, Checkpoint, Error, Head, KEY, Line, NamedKey, Result, hash, no_hash};
use fs_err::File;
use serde::Serialize;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Problems named; more are counted.
const MAX_NAMED: usize = 100;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Lines.
    pub lines: u64,
    /// Number of the first one there is.
    pub first: u64,
    /// The last one.
    pub head: Option<Head>,
    /// Checkpoints whose signature holds.
    pub checkpoints: u64,
    /// Lines after the last checkpoint: chained, not signed yet.
    pub unsigned: u64,
    /// Public key of the last signature.
    pub public_key: Option<String>,
    /// What is wrong, with file and line.
    pub problems: Vec<String>,
    /// What is not wrong and yet to be known: keys lost, damage that was noted when it was found.
    pub notes: Vec<String>,
}

/// Reads the whole record in `dir`. `known` are heads that were kept elsewhere and must be in it; `key` is the public
/// key that the first line there is must have been signed under, if it is known.
///
/// # Errors
/// The system's refusal to read.
pub fn verify(dir: &Path, known: &[Head], key: Option<&str>) -> Result<Verified> {
    let failed = |source| Error::Io { dir: dir.to_owned(), source };
    let is_pinned = key.is_some();
    let mut walk = Walk { key: key.map(str::to_owned), is_pinned, known: known.to_vec(), ..Walk::default() };
    for (_, path) in files(dir).map_err(failed)? {
        walk.file(&path).map_err(failed)?;
    }
    for head in std::mem::take(&mut walk.known) {
        walk.problem(format!("line {} is not there, or was changed: its hash was {}", head.n, head.hash));
    }
    if walk.more > 0 {
        walk.problems.push(format!("and {} more", walk.more));
    }
    Ok(Verified {
        lines: walk.lines,
        first: walk.first.unwrap_or(0),
        head: walk.head,
        checkpoints: walk.checkpoints,
        unsigned: walk.unsigned,
        public_key: walk.key,
        problems: walk.problems,
        notes: walk.notes,
    })
}

/// A walk along the lines.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) head: Option<Head>,
    pub(crate) key: Option<String>,
    pub(crate) last_row: u64,
    pub(crate) unsigned: u64,
    pub(crate) problems: Vec<String>,
    notes: Vec<String>,
    known: Vec<Head>,
    /// Whether the caller knows the key: another one is then signed by it, or wrong.
    is_pinned: bool,
    first: Option<u64>,
    lines: u64,
    checkpoints: u64,
    more: u64,
}

impl Walk {
    fn problem(&mut self, what: String) {
        if self.problems.len() < MAX_NAMED {
            self.problems.push(what);
        } else {
            self.more += 1;
        }
    }

    /// Goes through one file.
    pub(crate) fn file(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (at, bytes) in BufReader::new(File::open(path)?).split(b'\n').enumerate() {
            let bytes = bytes?;
            let place = format!("{name}:{}", at + 1);
            let named = name.split('.').next().and_then(|stem| stem.parse::<u64>().ok());
            let head = match serde_json::from_slice::<Line>(&bytes) {
                Ok(line) => {
                    if at == 0 && named.is_some_and(|first| first != line.n) {
                        self.problem(format!("{place}: the file begins with line {}", line.n));
                    }
                    self.line(&line, &place);
                    Head { n: line.n, hash: hash(&bytes) }
                }
                Err(error) => {
                    self.problem(format!("{place} is no line of the record: {error}"));
                    let n = self.head.as_ref().map_or(1, |head| head.n + 1);
                    Head { n, hash: hash(&bytes) }
                }
            };
            self.known.retain(|known| *known != head);
            self.head = Some(head);
        }
        Ok(())
    }

    fn line(&mut self, line: &Line, place: &str) {
        self.lines += 1;
        match &self.head {
            // What came before the first file there is was moved away.
            None if line.n > 1 => {}
            None if line.prev == no_hash() => {}
            None => self.problem(format!("{place}: the first line names one before it")),
            Some(head) => {
                let (n, hash) = (head.n, head.hash.clone());
                if line.n != n + 1 {
                    self.problem(format!("{place}: line {} comes after line {n}", line.n));
                }
                if line.prev != hash {
                    self.problem(format!("{place}: the line before it was changed, or is another"));
                }
            }
        }
        self.first.get_or_insert(line.n);
        self.unsigned += 1;
        if let Some(row) = line.row {
            if row <= self.last_row {
                self.problem(format!("{place}: row {row} was taken over before"));
            }
            self.last_row = row;
        }
        match line.action.as_str() {
            BEGIN | KEY => self.key(line, place),
            CHECKPOINT => self.checkpoint(line, place),
            "damage" => self.notes.push(format!("{place}, {}: {}", line.at, line.now["problems"])),
            _ => {}
        }
    }

    fn key(&mut self, line: &Line, place: &str) {
        let Ok(named) = serde_json::from_value::<NamedKey>(line.now.clone()) else {
            return self.problem(format!("{place}: it names no key"));
        };
        match (&self.key, &named.signature) {
            (None, _) => {}
            (Some(old), Some(signature)) if is_signed_by(old, &named.public_key, signature) => {}
            (Some(old), _) if *old == named.public_key => {}
            (Some(_), Some(_)) => {
                self.problem(format!("{place}: the new key is not signed by the old one"));
            }
            (Some(_), None) if line.action == BEGIN => {
                self.problem(format!("{place}: the record begins with another key than the one known"));
            }
            (Some(_), None) if self.is_pinned => {
                self.problem(format!("{place}: a new key without the old one's signature"));
            }
            (Some(_), None) => {
                self.notes.push(format!("{place}, {}: a new key without the old one's signature", line.at));
            }
        }
        self.key = Some(named.public_key);
    }

    fn checkpoint(&mut self, line: &Line, place: &str) {
        let Ok(checkpoint) = serde_json::from_value::<Checkpoint>(line.now.clone()) else {
            return self.problem(format!("{place}: it is no checkpoint"));
        };
        // The first file there is may begin in the middle, with its key in one moved away.
        let Some(key) = &self.key else { return };
        let is_of_line_before = self.head.as_ref().is_none_or(|head| *head == checkpoint.head);
        if !is_of_line_before {
            self.problem(format!("{place}: the checkpoint is of another line than the one before it"));
        } else if !is_signed_by(key, &checkpoint.head.message(), &checkpoint.signature) {
            self.problem(format!("{place}: the signature of the checkpoint does not hold"));
        } else {
            self.checkpoints += 1;
            self.unsigned = 0;
        }
    }
}
