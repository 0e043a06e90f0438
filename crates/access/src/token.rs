//! What does a token look like?
//!
//! `cmt_ID_SECRET`: the id (12 hex digits) names it in lists and logs; the secret is 256 random bits as 64 hex digits, then
//! the CRC-32 of all before it as 8. So that a secret scanner finds one that was pasted somewhere
//! (`cmt_[0-9a-f]{12}_[0-9a-f]{72}`), and a mistyped one is told apart from a wrong one at no cost.

use crate::Result;
use crate::secret::{hex, random};

const PREFIX: &str = "cmt_";
const ID_LEN: usize = 12;
const SECRET_LEN: usize = 64;
const CHECK_LEN: usize = 8;
/// Length of every token, in bytes.
pub(crate) const TOKEN_LEN: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN + CHECK_LEN;

/// A new id, and the whole token.
pub(crate) fn make() -> Result<(String, String)> {
    let id = hex(&random::<{ ID_LEN / 2 }>()?);
    let mut token = format!("{PREFIX}{id}_{}", hex(&random::<{ SECRET_LEN / 2 }>()?));
    token.push_str(&checksum(&token));
    Ok((id, token))
}

/// Whether `text` means to be a token of ours, well formed or not.
pub(crate) fn is_ours(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The id of a well-formed token; none if it is not one.
pub(crate) fn id_of(token: &str) -> Option<&str> {
    if token.len() != TOKEN_LEN {
        return None;
    }
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let (body, check) = token.split_at_checked(TOKEN_LEN - CHECK_LEN)?;
    let fits = is_id(id) && secret.bytes().all(is_hex) && checksum(body) == check;
    fits.then_some(id)
}

pub(crate) fn is_id(id: &str) -> bool {
    id.len() == ID_LEN && id.bytes().all(is_hex)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn made_and_read() {
        let (id, token) = make().unwrap();
        assert_eq!(token.len(), TOKEN_LEN);
        assert_eq!(id_of(&token), Some(id.as_str()));
        assert_ne!(make().unwrap().1, token);
    }

    #[test]
    fn every_typing_mistake_is_noticed() {
        let (_, token) = make().unwrap();
        for index in 0..token.len() {
            let mut typed = token.clone().into_bytes();
            typed[index] = if typed[index] == b'0' { b'1' } else { b'0' };
            assert_eq!(id_of(std::str::from_utf8(&typed).unwrap()), None, "byte {index}");
            assert_eq!(id_of(&token[..index]), None);
        }
        assert_eq!(id_of(&token.to_uppercase()), None);
        assert_eq!(id_of(&format!("{token} ")), None);
    }

    proptest! {
        #[test]
        fn hostile_text_is_never_a_token(text in ".{0,120}", tail in "[0-9a-f_]{60,100}") {
            prop_assert_eq!(id_of(&text), None);
            let token = format!("cmt_{tail}");
            prop_assert_eq!(id_of(&token), None);
        }
    }
}
