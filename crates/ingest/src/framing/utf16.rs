//! UTF-16 as UTF-8, streamed.
//!
//! What is not valid UTF-16 (lone surrogates, an odd last byte) becomes bytes that are not valid UTF-8
//! either and still say what was there, so that the line around it lands in quarantine whole.

use std::io::{self, Read};

/// Reads UTF-16 and gives UTF-8, without the byte order mark.
pub(crate) struct Utf16Reader<R> {
    inner: R,
    big_endian: bool,
    /// First byte of a unit whose second has not come yet.
    half: Option<u8>,
    /// High surrogate whose low one has not come yet.
    high: Option<u16>,
    out: Vec<u8>,
    given: usize,
    started: bool,
    ended: bool,
}

impl<R: Read> Utf16Reader<R> {
    pub(crate) fn new(inner: R, big_endian: bool) -> Self {
        let (half, high) = (None, None);
        Self { inner, big_endian, half, high, out: Vec::new(), given: 0, started: false, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        let mut buffer = [0; 32 << 10];
        let count = self.inner.read(&mut buffer)?;
        if count == 0 {
            self.ended = true;
            self.flush_high();
            if let Some(byte) = self.half.take() {
                // 0xff never occurs in UTF-8; it marks the stray byte.
                self.out.extend_from_slice(&[0xff, byte]);
            }
            return Ok(());
        }
        for &byte in buffer.get(..count).unwrap_or_default() {
            match self.half.take() {
                None => self.half = Some(byte),
                Some(first) if self.big_endian => self.unit(u16::from_be_bytes([first, byte])),
                Some(first) => self.unit(u16::from_le_bytes([first, byte])),
            }
        }
        Ok(())
    }

    fn unit(&mut self, unit: u16) {
        if !std::mem::replace(&mut self.started, true) && unit == 0xfeff {
            return;
        }
        match (self.high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                self.high = None;
                let code = 0x10000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(unit) - 0xdc00);
                self.push(code);
            }
            (_, 0xd800..=0xdbff) => {
                self.flush_high();
                self.high = Some(unit);
            }
            _ => {
                self.flush_high();
                self.push(u32::from(unit));
            }
        }
    }

    fn flush_high(&mut self) {
        if let Some(high) = self.high.take() {
            self.push(u32::from(high));
        }
    }

    /// Lone surrogates are written as if they were characters (WTF-8).
    fn push(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                let [.., high, low] = code.to_be_bytes();
                let bytes =
                    [0xe0 | (high >> 4), 0x80 | ((high & 0xf) << 2) | (low >> 6), 0x80 | (low & 0x3f)];
                self.out.extend_from_slice(&bytes);
            }
        }
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() && !self.ended {
            self.refill()?;
        }
        let rest = self.out.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(units: &[u16], tail: &[u8], expected: &[u8]) {
        for big_endian in [false, true] {
            let mut bytes: Vec<u8> = units
                .iter()
                .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect();
            bytes.extend_from_slice(tail);
            let mut found = Vec::new();
            Utf16Reader::new(bytes.as_slice(), big_endian).read_to_end(&mut found).unwrap();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn decodes() {
        check(&[0xfeff, 0x61, 0xe9, 0xd83d, 0xde00], b"", "aé😀".as_bytes());
    }

    #[test]
    fn invalid_units_stay_visible() {
        check(&[0xfeff, 0xd83d, 0x61], b"", b"\xed\xa0\xbda");
        check(&[0xfeff, 0x61, 0xdc00, 0xd800], b"z", b"a\xed\xb0\x80\xed\xa0\x80\xffz");
    }
}
