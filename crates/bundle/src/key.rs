//! What names a key, and what names content? Key ids as minisign prints them, SHA-256 in hexadecimal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minisign_verify::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

/// Id of a minisign key: sixteen upper-case hexadecimal digits, as `minisign` prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);

/// A public key and what tells it from others.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) public: PublicKey,
    /// The Ed25519 key alone: the same under two ids is one signer.
    pub(crate) raw: [u8; 32],
}

impl Key {
    /// Reads the second line of a `minisign.pub`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "is not a minisign public key (the line that starts with RW)";
        let bytes = BASE64.decode(text).map_err(|_| WRONG)?;
        let bytes: [u8; 42] = bytes.try_into().map_err(|_| WRONG)?;
        let public = PublicKey::from_base64(text).map_err(|_| WRONG)?;
        let mut raw = [0; 32];
        raw.copy_from_slice(&bytes[10..]);
        Ok(Self { id: KeyId::from_bytes(&bytes[2..10]), public, raw })
    }
}

impl KeyId {
    fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().rev().map(|byte| format!("{byte:02X}")).collect())
    }
}

impl TryFrom<String> for KeyId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        if text.len() == 16 && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err("a key id has sixteen upper-case hexadecimal digits")
        }
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err("a SHA-256 has 64 lower-case hexadecimal digits")
        }
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl From<Sha256> for String {
    fn from(sum: Sha256) -> Self {
        sum.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Sha256 {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Sha256 {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(sha2::Sha256::new_with_prefix(bytes))
    }

    pub(crate) fn finish(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Of a whole file; `progress` is told the bytes read so far.
    pub(crate) fn of_file(path: &Path, progress: &mut dyn FnMut(u64)) -> std::io::Result<Self> {
        Self::of_range(path, 0, u64::MAX, progress)
    }

    /// Of `bytes` bytes of the file from `offset` on; fewer if it ends before.
    pub(crate) fn of_range(
        path: &Path,
        offset: u64,
        bytes: u64,
        progress: &mut dyn FnMut(u64),
    ) -> std::io::Result<Self> {
        let mut file = fs_err::File::open(path)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset))?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut reader = file.take(bytes);
        let mut done = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self::finish(hasher)),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    done += count as u64;
                    progress(done);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example key of minisign's own documentation.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn ids_are_those_that_minisign_prints() {
        assert_eq!(Key::parse(KEY).unwrap().id.to_string(), "E7620F1842B4E81F");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "RWQ", &KEY[..55], &KEY.replace("RW", "AA"), &format!("{KEY}AAAA"), "ä"] {
            assert!(Key::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_have_one_spelling() {
        assert!(KeyId::try_from("e7620f1842b4e81f".to_owned()).is_err());
        assert!(Sha256::try_from("A".repeat(64)).is_err());
        assert_eq!(Sha256::of(b"abc").to_string()[..8], *"ba7816bf");
    }
}
