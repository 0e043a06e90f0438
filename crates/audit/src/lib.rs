//! Who did what, and can it be shown that nothing of that was changed?
//!
//! The record is text: files of JSON lines in one directory, only ever added to.
//!
//! | file | what |
//! |---|---|
//! | `NNNNNNNNNNNN.jsonl` | lines from number `N` on; a file is begun anew at 16 MiB |
//! | `key.pub` | public key of the signer, in minisign's form |
//! | `key` | its secret key, for the owner alone; in no backup |
//!
//! Each line holds its number `n` and, as `prev`, the SHA-256 of the line before it (without its line feed), so that
//! `sed -n 7p FILE | tr -d '\n' | sha256sum` gives what line 8 must name. Now and then, and whenever the program ends,
//! comes a *checkpoint*: number and hash of the line before it, signed. A checkpoint that is kept elsewhere (a log
//! server, a print-out) shows later that nothing up to it was changed or cut off: whoever holds the secret key can
//! write another record, but not one that leads to that hash.
//!
//! The first line names the public key; a line `key` names another, signed by the one before it.
//!
//! Deliberately absent: deleting anything. Old files can be moved away whole; what is left then begins with a hash
//! that the last file moved away leads to.

mod chain;
mod error;
mod key;
mod verify;

pub use chain::{Chain, Opened, copy};
pub use error::{Error, Result};
pub use verify::{Verified, verify};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who: a user, a token, a program.
    pub by: String,
    /// What was done: `close`, `login`, `search` …
    pub action: String,
    /// To what: `case 3`, `alert 7`, `model cc324a…`.
    pub subject: String,
    /// How it was before, where that says something.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub previous: Value,
    /// How it is now.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub now: Value,
}

impl Entry {
    /// An entry of this moment.
    pub fn new(by: &str, action: &str, subject: impl Into<String>, now: Value) -> Self {
        Self {
            at: Timestamp::now(),
            by: by.to_owned(),
            action: action.to_owned(),
            subject: subject.into(),
            previous: Value::Null,
            now,
        }
    }
}

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its number, from 1.
    pub n: u64,
    /// Number of the row it was taken over from, where it first stood in a table beside what it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// How it was before.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub previous: Value,
    /// How it is now.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub now: Value,
    /// SHA-256 of the line before, in lower-case hex; zeros for the first.
    pub prev: String,
}

/// How far the record went, and the hash of the line it ended with. Written `N:HASH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the line.
    pub n: u64,
    /// SHA-256 of it, in lower-case hex.
    pub hash: String,
}

impl Head {
    /// What a checkpoint signs.
    fn message(&self) -> String {
        format!("casemate audit\n{}\n{}\n", self.n, self.hash)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is no checkpoint: it is written N:HASH, as checkpoints print it");
        let (n, hash) = text.trim().split_once(':').ok_or_else(wrong)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match n.parse() {
            Ok(n) if is_hash => Ok(Self { n, hash: hash.to_owned() }),
            _ => Err(wrong()),
        }
    }
}

/// What the line of a checkpoint holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Checkpoint {
    #[serde(flatten)]
    head: Head,
    /// Over [`Head::message`], in minisign's form.
    signature: String,
}

/// What the first line, and one that changes the key, holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct NamedKey {
    public_key: String,
    /// By the key before, over the text of this one; absent for the first, and where that key was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

const BEGIN: &str = "begin";
const CHECKPOINT: &str = "checkpoint";
const KEY: &str = "key";
/// Who writes lines that nobody asked for.
const PROGRAM: &str = "casemate";

fn hash(line: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn no_hash() -> String {
    "0".repeat(64)
}
