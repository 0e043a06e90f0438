//! Records of streams that are neither lines nor JSON: Windows events as XML, and journal entries with binary fields.
//!
//! Where a record ends is found without understanding it; memory is bounded by the longest record allowed.

use super::documents::Shape;
use std::io::{self, BufRead, Read};

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `<Event …>…</Event>`, with or without `<Events>` around them.
    XmlEvents,
    /// Entries of `journalctl -o export`, a blank line between them.
    JournalExport,
}

const XML_END: &[u8] = b"</Event>";

/// Cuts a stream into records.
pub(crate) struct Enclosed<R> {
    reader: R,
    kind: Kind,
    max_bytes: usize,
    pieces: u64,
    record: Vec<u8>,
}

impl<R: BufRead> Enclosed<R> {
    pub(crate) fn new(reader: R, kind: Kind, max_bytes: usize) -> Self {
        Self { reader, kind, max_bytes: max_bytes.max(64), pieces: 0, record: Vec::new() }
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Shape, &[u8])>> {
        self.record.clear();
        loop {
            let ended = match self.kind {
                Kind::XmlEvents => self.xml()?,
                Kind::JournalExport => self.journal()?,
            };
            match ended {
                Step::More => {}
                Step::Skip => self.record.clear(),
                Step::Record if self.pieces == 0 => return Ok(Some((Shape::Whole, &self.record))),
                Step::Record | Step::Full => {
                    let number = self.pieces + 1;
                    self.pieces = if ended == Step::Full { number } else { 0 };
                    return Ok(Some((Shape::Piece(number), &self.record)));
                }
                Step::End if self.record.trim_ascii().is_empty() => return Ok(None),
                Step::End => {
                    let shape = if self.pieces > 0 { Shape::Piece(self.pieces + 1) } else { Shape::Cut };
                    self.pieces = 0;
                    return Ok(Some((shape, &self.record)));
                }
            }
        }
    }

    /// Reads to the end of a tag.
    fn xml(&mut self) -> io::Result<Step> {
        if !self.read_until(b'>')? {
            return Ok(if self.record.len() >= self.max_bytes { Step::Full } else { Step::End });
        }
        if self.record.ends_with(XML_END) {
            return Ok(Step::Record);
        }
        let tag = self.record.trim_ascii();
        let structure = tag.starts_with(b"<?xml") || tag.starts_with(b"</Events") || opens(tag, b"<Events");
        Ok(if structure && self.pieces == 0 { Step::Skip } else { Step::More })
    }

    /// Reads a field.
    fn journal(&mut self) -> io::Result<Step> {
        let start = self.record.len();
        if !self.read_until(b'\n')? {
            return Ok(match self.record.len() {
                full if full >= self.max_bytes => Step::Full,
                0 => Step::End,
                // The last line may lack its end.
                _ if self.record.get(start..).is_some_and(|line| line.contains(&b'=')) => Step::Record,
                _ => Step::End,
            });
        }
        let line = self.record.get(start..).unwrap_or_default();
        if line == b"\n" || line == b"\r\n" {
            return Ok(if start == 0 && self.pieces == 0 { Step::Skip } else { Step::Record });
        }
        if line.contains(&b'=') || self.pieces > 0 {
            return Ok(Step::More);
        }
        // A field with its length: what it says beyond the limit is read as lines, in quarantine.
        let mut length = [0; 8];
        for byte in &mut length {
            let mut one = [0];
            if self.reader.read(&mut one)? == 0 {
                return Ok(Step::End);
            }
            self.record.push(one[0]);
            *byte = one[0];
        }
        let room = self.max_bytes.saturating_sub(self.record.len()) as u64;
        let length = u64::from_le_bytes(length).saturating_add(1);
        let read = (&mut self.reader).take(length.min(room)).read_to_end(&mut self.record)?;
        Ok(if length > room {
            Step::Full
        } else if (read as u64) < length {
            Step::End
        } else {
            Step::More
        })
    }

    /// Appends bytes up to and with `end`; whether it came before the limit and the end of the stream.
    fn read_until(&mut self, end: u8) -> io::Result<bool> {
        let room = self.max_bytes.saturating_sub(self.record.len()) as u64;
        let read = (&mut self.reader).take(room).read_until(end, &mut self.record)?;
        Ok(read > 0 && self.record.last() == Some(&end))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    More,
    Skip,
    Record,
    Full,
    End,
}

/// Whether `text` begins with this tag, as opposed to a longer name.
pub(crate) fn opens(text: &[u8], tag: &[u8]) -> bool {
    text.strip_prefix(tag)
        .is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'\t' | b'\r' | b'\n' | b'>')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(kind: Kind, input: &[u8], max_bytes: usize, expected: &[(Shape, &[u8])]) {
        let mut records = Enclosed::new(input, kind, max_bytes);
        let mut found = Vec::new();
        while let Some((shape, bytes)) = records.next().unwrap() {
            found.push((shape, bytes.to_vec()));
        }
        let found: Vec<_> = found.iter().map(|(shape, bytes)| (*shape, bytes.as_slice())).collect();
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(input));
    }

    #[test]
    fn xml() {
        use Shape::{Cut, Piece, Whole};
        let kind = Kind::XmlEvents;
        check(
            kind,
            b"<?xml v?>\n<Events x='y'><Event a>1</Event>\n<Event>2</Event></Events>\n",
            99,
            &[(Whole, b"<Event a>1</Event>"), (Whole, b"\n<Event>2</Event>")],
        );
        check(kind, b"<Event>1</Event><Event>cut", 99, &[(Whole, b"<Event>1</Event>"), (Cut, b"<Event>cut")]);
        let long = [b"<Event>".as_slice(), &[b'x'; 70], b"</Event>"].concat();
        check(kind, &long, 64, &[(Piece(1), &long[..64]), (Piece(2), &long[64..])]);
    }

    #[test]
    fn journal() {
        use Shape::{Cut, Whole};
        let kind = Kind::JournalExport;
        check(
            kind,
            b"\nA=1\nB\n\x02\0\0\0\0\0\0\0\n\n\nC=3\n\nD=4",
            99,
            &[(Whole, b"A=1\nB\n\x02\0\0\0\0\0\0\0\n\n\nC=3\n\n"), (Whole, b"D=4")],
        );
        check(kind, b"A=1\nB\n\xff\0\0", 99, &[(Cut, b"A=1\nB\n\xff\0\0")]);
    }

    proptest! {
        #[test]
        fn all_bytes_are_given(input in prop::collection::vec(prop::sample::select(b"<>/EventA=\n\0\x01 ".to_vec()), 0..400), max in 1_usize..200) {
            for kind in [Kind::XmlEvents, Kind::JournalExport] {
                let mut records = Enclosed::new(input.as_slice(), kind, max);
                let mut all = Vec::new();
                while let Some((_, bytes)) = records.next().unwrap() {
                    prop_assert!(bytes.len() <= max.max(64) + 8);
                    all.extend_from_slice(bytes);
                }
                let solid = |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect() };
                // The alphabet can make no `<Events` that would be skipped: it has no second `s`.
                prop_assert_eq!(solid(&all), solid(&input));
            }
        }
    }
}
