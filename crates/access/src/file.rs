//! What is in the access file, and when is it fit to be used?
//!
//! JSON, so that an auditor can read it; no password or token is in it, only their argon2id hashes.

use crate::oidc::Oidc;
use crate::secret::Phc;
use crate::{Error, Result, Role, Scopes};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Newest version of the format, and the only one so far.
pub(crate) const VERSION: u64 = 1;
/// Most entries of each kind.
pub(crate) const MAX_ENTRIES: usize = 4096;
/// Longest name, in bytes.
const MAX_NAME: usize = 64;
/// Longest file that is read; all entries there can be fit.
const MAX_BYTES: u64 = 16 << 20;

/// All that the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    pub(crate) version: u64,
    /// When the first server started on it, and made the first token unless there was an entry.
    #[serde(default)]
    pub(crate) started: Option<Timestamp>,
    #[serde(default)]
    pub(crate) users: Vec<UserEntry>,
    #[serde(default)]
    pub(crate) tokens: Vec<TokenEntry>,
    #[serde(default)]
    pub(crate) certificates: Vec<CertificateEntry>,
    #[serde(default)]
    pub(crate) peers: Vec<PeerEntry>,
    #[serde(default)]
    pub(crate) oidc: Option<Oidc>,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            version: VERSION,
            started: None,
            users: Vec::new(),
            tokens: Vec::new(),
            certificates: Vec::new(),
            peers: Vec::new(),
            oidc: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserEntry {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) redacted: bool,
    pub(crate) disabled: bool,
    pub(crate) created: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) hash: Phc,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenEntry {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    pub(crate) redacted: bool,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) hash: Phc,
}

/// A certificate that is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// What its holder is called.
    pub name: String,
    /// SHA-256 of its DER, 64 lower-case hex digits.
    pub sha256: String,
    /// What its holder may do.
    pub role: Role,
    /// Whether its holder sees personal data masked.
    pub redacted: bool,
}

/// A user or group of this machine that is let in through the Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerEntry {
    /// What the entry is called.
    pub name: String,
    /// Who.
    pub who: PeerId,
    /// What they may do.
    pub role: Role,
    /// Whether they see personal data masked.
    pub redacted: bool,
}

/// Whom a [`PeerEntry`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerId {
    /// One user.
    Uid(u32),
    /// All members of a group.
    Gid(u32),
}

impl Contents {
    /// Reads `bytes` as the file `path`; entries come sorted by name, tokens by id.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Header {
            version: u64,
        }
        let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
        let header: Header = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if header.version > VERSION {
            return Err(Error::Newer { path: path.to_owned(), found: header.version, supported: VERSION });
        }
        if header.version == 0 {
            return Err(damaged("format version 0 never existed".to_owned()));
        }
        let mut contents: Self = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        contents.sort();
        contents.check().map_err(|e| damaged(e.to_string()))?;
        Ok(contents)
    }

    pub(crate) fn sort(&mut self) {
        self.users.sort_by(|a, b| a.name.cmp(&b.name));
        self.tokens.sort_by(|a, b| a.id.cmp(&b.id));
        self.certificates.sort_by(|a, b| a.name.cmp(&b.name));
        self.peers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Whether every entry makes sense and names are unique.
    pub(crate) fn check(&self) -> Result<()> {
        check_names("user", self.users.iter().map(|e| e.name.as_str()).collect())?;
        check_names("token", self.tokens.iter().map(|e| e.name.as_str()).collect())?;
        check_names("certificate", self.certificates.iter().map(|e| e.name.as_str()).collect())?;
        check_names("peer", self.peers.iter().map(|e| e.name.as_str()).collect())?;
        for user in &self.users {
            user.hash.check().map_err(|why| Error::Entry { what: "user", name: user.name.clone(), why })?;
        }
        check_unique("token", self.tokens.iter().map(|e| (e.id.as_str(), e.name.as_str())).collect())?;
        for token in &self.tokens {
            if !crate::token::is_id(&token.id) {
                let why = "has an id that this program does not make".to_owned();
                return Err(Error::Entry { what: "token", name: token.name.clone(), why });
            }
            token.hash.check().map_err(|why| Error::Entry {
                what: "token",
                name: token.name.clone(),
                why,
            })?;
        }
        let who: Vec<_> =
            self.peers.iter().map(|entry| (format!("{:?}", entry.who), entry.name.as_str())).collect();
        check_unique("peer", who)?;
        let hashes =
            self.certificates.iter().map(|entry| (entry.sha256.as_str(), entry.name.as_str())).collect();
        check_unique("certificate", hashes)?;
        for entry in &self.certificates {
            if entry.sha256.len() != 64
                || !entry.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            {
                let why = "needs the SHA-256 of its DER as 64 lower-case hex digits".to_owned();
                return Err(Error::Entry { what: "certificate", name: entry.name.clone(), why });
            }
        }
        self.oidc.as_ref().map_or(Ok(()), Oidc::check)
    }
}

fn check_names(what: &'static str, names: Vec<&str>) -> Result<()> {
    if names.len() > MAX_ENTRIES {
        return Err(Error::TooMany { what, limit: MAX_ENTRIES });
    }
    for name in &names {
        check_name(name)?;
    }
    check_unique(what, names.into_iter().map(|name| (name, name)).collect())
}

/// Refuses two entries of one key; each comes with the name it is reported by.
fn check_unique<K: Ord>(what: &'static str, mut keys: Vec<(K, &str)>) -> Result<()> {
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Error::Exists { what, name: pair[0].1.to_owned() }),
        None => Ok(()),
    }
}

/// Whether an entry may be called `name`.
///
/// # Errors
/// [`Error::Name`] if not.
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'@');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_NAME && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::Name { name: name.chars().take(80).collect() })
}

/// What tells one state of the file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(meta: &std::fs::Metadata) -> Self {
        Self {
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Of the file at `path`; none if there is no file.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        match fs_err::metadata(path) {
            Ok(meta) => Ok(Some(Self::of(&meta))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::Read(e)),
        }
    }

    /// Whether a change within the clock tick of this one could look the same: not once it is two seconds old.
    pub(crate) fn is_settled(&self) -> bool {
        let now = Timestamp::now().as_second();
        self.changed.0 < now - 2
    }
}

/// Reads the file at `path`, if there is one and nobody else can.
pub(crate) fn load(path: &Path) -> Result<Option<(Contents, Stamp)>> {
    let Some((bytes, meta)) = read_bounded(path, MAX_BYTES)? else { return Ok(None) };
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    check_owner(path, &meta)?;
    Ok(Some((Contents::parse(&bytes, path)?, Stamp::of(&meta))))
}

/// Refuses what a user other than root and our own could have written.
pub(crate) fn check_owner(path: &Path, meta: &std::fs::Metadata) -> Result<()> {
    match is_trusted(meta.uid(), rustix::process::geteuid().as_raw()) {
        true => Ok(()),
        false => Err(Error::Owner { path: path.to_owned(), uid: meta.uid() }),
    }
}

/// Root may work on the file of the service's user, and the service use what root wrote.
fn is_trusted(owner: u32, own: u32) -> bool {
    owner == own || owner == 0 || own == 0
}

/// Bytes of the file and what the system says of it, of the same file; none if there is no file.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Option<(Vec<u8>, std::fs::Metadata)>> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::Read(e)),
    };
    let meta = file.metadata().map_err(Error::Read)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::Read)?;
    if bytes.len() as u64 > limit {
        let why = format!("it is longer than {limit} bytes");
        return Err(Error::Damaged { path: path.to_owned(), why });
    }
    Ok(Some((bytes, meta)))
}

/// Puts `contents` in the place of the file at `path`, for its owner alone.
pub(crate) fn store(path: &Path, contents: &Contents) -> Result<()> {
    casemate_disk::write_private(path, |out| {
        serde_json::to_writer_pretty(&mut *out, contents)?;
        out.write_all(b"\n")
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_files_are_read() {
        for (owner, own, expected) in [(7, 7, true), (0, 7, true), (7, 0, true), (8, 7, false)] {
            assert_eq!(is_trusted(owner, own), expected, "{owner} {own}");
        }
    }
}
