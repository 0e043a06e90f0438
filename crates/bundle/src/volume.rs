//! What does this file hold, entry by entry? The container alone: nothing here trusts or interprets content.
//!
//! Each header must be, byte for byte, the one that a name and a size give, padding must be zero, and the file must
//! end after two zero blocks. So a volume of given content has one form, and nothing can hide in it: no links, no
//! devices, no extensions, no bytes behind the end.

use crate::key::{KeyId, Sha256};
use crate::metadata::{MAX_ROOT, MAX_SNAPSHOT, MAX_TARGETS};
use crate::{Error, Result};
use std::io::{self, Read};

const BLOCK: usize = 512;
/// Longest signature file: four lines.
const MAX_SIGNATURE: u64 = 1 << 10;
const MAX_SIGNATURES: usize = 64;
const MAX_ROOTS: usize = 64;

/// A document with the detached signatures that came with it; none of them verified.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    /// Its name in the volume.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// By the key id in their file's name.
    pub(crate) signatures: Vec<(KeyId, Vec<u8>)>,
}

/// The documents at the beginning of a volume.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    /// Consecutive, by version.
    pub(crate) roots: Vec<(u64, Signed)>,
    pub(crate) snapshot: Signed,
    pub(crate) targets: Signed,
}

/// One entry's place in the fixed order of a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Document { kind: u8, version: u64, signature: Option<KeyId> },
    Part(Sha256),
}

const ROOT: u8 = 0;
const SNAPSHOT: u8 = 1;
const TARGETS: u8 = 2;

/// A volume being read.
pub(crate) struct Volume<R> {
    /// For messages.
    pub(crate) name: String,
    inner: R,
    offset: u64,
    /// What follows the documents, read while looking for their end: a part, or the end of the volume.
    ahead: Option<Option<(Sha256, u64)>>,
}

impl<R: Read> Volume<R> {
    pub(crate) fn new(name: String, inner: R) -> Self {
        Self { name, inner, offset: 0, ahead: None }
    }

    /// Reads the documents, within their limits.
    pub(crate) fn documents(&mut self) -> Result<Documents> {
        let mut last: Option<Name> = None;
        let mut roots: Vec<(u64, Signed)> = Vec::new();
        let (mut snapshot, mut targets) = (None, None);
        loop {
            let (name, bytes) = match self.entry()? {
                Some((Name::Part(sum), bytes)) => {
                    self.ahead = Some(Some((sum, bytes)));
                    break;
                }
                None => {
                    self.ahead = Some(None);
                    break;
                }
                Some(document) => document,
            };
            let Name::Document { kind, version, signature } = &name else { break };
            if last.as_ref().is_some_and(|last| *last >= name) {
                return Err(self.container("an entry is out of order or there twice"));
            }
            let content = self.small(bytes, limit(*kind, signature.is_some()))?;
            let place = match *kind {
                ROOT => roots.last_mut().filter(|(last, _)| last == version).map(|(_, signed)| signed),
                SNAPSHOT => snapshot.as_mut(),
                _ => targets.as_mut(),
            };
            match (signature, place) {
                (Some(id), Some(signed)) if signed.signatures.len() < MAX_SIGNATURES => {
                    signed.signatures.push((id.clone(), content));
                }
                (Some(_), Some(signed)) => {
                    let what = format!("{}, signatures", signed.name);
                    let limit = MAX_SIGNATURES as u64;
                    return Err(Error::TooLarge { what, found: limit + 1, limit });
                }
                (Some(_), None) => return Err(self.container("a signature of a document that is not there")),
                (None, _) => {
                    let signed = Signed { name: name.to_string(), bytes: content, signatures: Vec::new() };
                    match *kind {
                        ROOT => {
                            check_next(&roots, *version)?;
                            roots.push((*version, signed));
                        }
                        SNAPSHOT => snapshot = Some(signed),
                        _ => targets = Some(signed),
                    }
                }
            }
            last = Some(name);
        }
        match (roots.is_empty(), snapshot, targets) {
            (false, Some(snapshot), Some(targets)) => Ok(Documents { roots, snapshot, targets }),
            _ => Err(self.container("it lacks root, snapshot.json or targets.json")),
        }
    }

    /// The next part's hash as its name says, and its length; `None` at the end. [`Self::content`] comes next.
    pub(crate) fn part(&mut self) -> Result<Option<(Sha256, u64)>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(ahead);
        }
        match self.entry()? {
            None => Ok(None),
            Some((Name::Part(sum), bytes)) => Ok(Some((sum, bytes))),
            Some(_) => Err(self.container("an entry is out of order or there twice")),
        }
    }

    /// Hands on `bytes` bytes of content in pieces, then checks the padding.
    pub(crate) fn content(&mut self, bytes: u64, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; usize::try_from(bytes.min(1 << 20)).unwrap_or(1 << 20)];
        let mut left = bytes;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            self.fill(&mut buffer[..piece], "a file")?;
            each(&buffer[..piece])?;
            left -= piece as u64;
        }
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..bytes.wrapping_neg() as usize % BLOCK];
        self.fill(padding, "padding")?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(self.container("padding that is not zero"));
        }
        Ok(())
    }

    fn small(&mut self, bytes: u64, limit: u64) -> Result<Vec<u8>> {
        if bytes > limit {
            let what = format!("{}, the entry before byte {}", self.name, self.offset);
            return Err(Error::TooLarge { what, found: bytes, limit });
        }
        let mut content = Vec::new();
        self.content(bytes, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(content)
    }

    /// Name and length of the next entry; `None` at the end of the volume, which is checked.
    fn entry(&mut self) -> Result<Option<(Name, u64)>> {
        let mut block = [0; BLOCK];
        self.fill(&mut block, "a header")?;
        if block == [0; BLOCK] {
            self.fill(&mut block, "its end")?;
            if block != [0; BLOCK] {
                return Err(self.container("a block that is not zero where the volume ends"));
            }
            return match self.read_once(&mut block)? {
                0 => Ok(None),
                _ => Err(self.container("bytes behind the end")),
            };
        }
        let found = tar::Header::from_byte_slice(&block);
        if !block[257..].starts_with(b"ustar") {
            return Err(self.container("no entry of a bundle; is this one of its volumes?"));
        }
        let kind = block[156];
        if kind != b'0' {
            let offset = self.offset - BLOCK as u64;
            return Err(Error::NotAFile { volume: self.name.clone(), offset, kind: char::from(kind) });
        }
        let path = found.path_bytes();
        let Some(name) = std::str::from_utf8(&path).ok().and_then(Name::parse) else {
            return Err(self.container("an entry of a name that no bundle has"));
        };
        let Ok(bytes) = found.entry_size() else { return Err(self.container("a header without a size")) };
        let expected = header(&name.to_string(), bytes);
        if expected.as_ref().is_none_or(|expected| expected.as_bytes() != &block) {
            return Err(self.container("a header that is not as casemate-stage writes it"));
        }
        Ok(Some((name, bytes)))
    }

    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_once(&mut buffer[filled..])? {
                0 => {
                    let (volume, offset) = (self.name.clone(), self.offset);
                    return Err(Error::Truncated { volume, offset, what: what.to_owned() });
                }
                count => filled += count,
            }
        }
        Ok(())
    }

    fn read_once(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read volume")(e)),
            }
        }
    }

    pub(crate) fn container(&self, what: &str) -> Error {
        Error::Container { volume: self.name.clone(), offset: self.offset, what: what.to_owned() }
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        if let Some(sum) = text.strip_prefix("parts/") {
            return Sha256::try_from(sum.to_owned()).ok().map(Self::Part);
        }
        let (document, signature) = match text.strip_suffix(".minisig") {
            Some(rest) => {
                let (document, id) = rest.rsplit_once('.')?;
                (document, Some(KeyId::try_from(id.to_owned()).ok()?))
            }
            None => (text, None),
        };
        let (kind, version) = match document {
            "snapshot.json" => (SNAPSHOT, 0),
            "targets.json" => (TARGETS, 0),
            root => (ROOT, root.strip_prefix("root/")?.strip_suffix(".root.json")?.parse().ok()?),
        };
        let name = Self::Document { kind, version, signature };
        // One spelling each: no leading zeros, no sign.
        (name.to_string() == text).then_some(name)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Part(sum) => write!(f, "parts/{sum}"),
            Self::Document { kind, version, signature } => {
                match *kind {
                    ROOT => write!(f, "root/{version}.root.json")?,
                    SNAPSHOT => f.write_str("snapshot.json")?,
                    _ => f.write_str("targets.json")?,
                }
                signature.as_ref().map_or(Ok(()), |id| write!(f, ".{id}.minisig"))
            }
        }
    }
}

fn limit(kind: u8, is_signature: bool) -> u64 {
    match kind {
        _ if is_signature => MAX_SIGNATURE,
        ROOT => MAX_ROOT,
        SNAPSHOT => MAX_SNAPSHOT,
        _ => MAX_TARGETS,
    }
}

fn check_next(roots: &[(u64, Signed)], version: u64) -> Result<()> {
    let Some((last, _)) = roots.last() else { return Ok(()) };
    if roots.len() == MAX_ROOTS {
        let limit = MAX_ROOTS as u64;
        return Err(Error::TooLarge { what: "the chain of roots".into(), found: limit + 1, limit });
    }
    if last.checked_add(1) != Some(version) {
        return Err(Error::RootGap { have: *last, found: version });
    }
    Ok(())
}

/// The one header that an entry of this name and size has; `None` if there is none.
pub(crate) fn header(name: &str, bytes: u64) -> Option<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).ok()?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes);
    header.set_cksum();
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let id = "E7620F1842B4E81F";
        for good in ["snapshot.json".into(), "root/12.root.json".into(), format!("targets.json.{id}.minisig")]
        {
            assert_eq!(Name::parse(&good).map(|name| name.to_string()), Some(good));
        }
        for bad in [
            "root/01.root.json",
            "root/+1.root.json",
            "./snapshot.json",
            "snapshot.json.minisig",
            "parts/a",
            "",
        ] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
        assert_eq!(Name::parse(&format!("parts/{}", "A".repeat(64))), None);
    }

    #[test]
    fn documents_come_before_parts_and_their_signatures_behind_them() {
        let place = |text: &str| Name::parse(text).unwrap();
        let part = format!("parts/{}", "0".repeat(64));
        let order = ["root/1.root.json", "root/1.root.json.E7620F1842B4E81F.minisig", "root/2.root.json"];
        let order: Vec<_> =
            order.into_iter().chain(["snapshot.json", "targets.json", part.as_str()]).map(place).collect();
        assert!(order.is_sorted());
    }

    /// Released volumes must stay readable: this header may never change.
    #[test]
    fn the_header_of_a_name_and_size_is_fixed() {
        let header = header("snapshot.json", 7).unwrap();
        let sum = "fcf0f8bb621c932d0a29aa1c983196aea641a47ec70b5047425bce732601f65d";
        assert_eq!(Sha256::of(header.as_bytes()).as_ref(), sum);
    }
}
