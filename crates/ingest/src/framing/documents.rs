//! Records out of JSON documents: arrays, envelopes (`{"Records": […]}`) and values that span lines.
//!
//! Only brackets, strings and separators are looked at; whether a record is valid JSON is for the decoder
//! to say. A document is never held whole: memory is bounded by the longest record allowed.

use crate::sniff;
use std::io::{self, BufRead, ErrorKind};

/// What the next stretch of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole value: array element, member of an envelope, or a value of its own.
    Whole,
    /// A piece of a value longer than the limit; the number of the piece from 1.
    Piece(u64),
    /// The document ended inside this value.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between documents.
    Top,
    /// In an array that is a document of its own.
    Array,
    /// In the array of an envelope.
    Envelope,
    /// After the array of an envelope, before its closing brace.
    Tail,
}

/// State of the scan through one value.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
    scalar: bool,
}

/// Why reading records stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The stream is at its end, and every document was closed.
    Clean,
    /// The stream is at its end inside a document.
    Open,
    /// What follows is no JSON document; the reader stands before it.
    Broken,
}

/// Splits JSON documents into records.
pub(crate) struct Documents<R> {
    reader: R,
    max_bytes: usize,
    place: Place,
    /// The value being read, if it is longer than the limit and partly given.
    scan: Option<Scan>,
    pieces: u64,
    value: Vec<u8>,
}

impl<R: BufRead> Documents<R> {
    pub(crate) fn new(reader: R, max_bytes: usize) -> Self {
        Self {
            reader,
            max_bytes: max_bytes.max(2),
            place: Place::Top,
            scan: None,
            pieces: 0,
            value: Vec::new(),
        }
    }

    /// The reader, standing where the documents ended.
    pub(crate) fn into_reader(self) -> R {
        self.reader
    }

    /// The next record, or why there is none.
    pub(crate) fn next(&mut self) -> io::Result<Result<(Shape, &[u8]), End>> {
        self.value.clear();
        if let Some(scan) = self.scan.take() {
            return self.read_value(scan);
        }
        loop {
            let Some(byte) = self.peek()? else {
                return Ok(Err(if self.place == Place::Top { End::Clean } else { End::Open }));
            };
            match (self.place, byte) {
                (_, b' ' | b'\t' | b'\r' | b'\n') => self.reader.consume(1),
                (Place::Array | Place::Envelope, b',') => self.reader.consume(1),
                (Place::Top, b'[') => self.enter(1, Place::Array),
                (Place::Array, b']') => self.enter(1, Place::Top),
                (Place::Envelope, b']') => self.enter(1, Place::Tail),
                (Place::Tail, b'}') => self.enter(1, Place::Top),
                (Place::Top, b'{') => match sniff::envelope(self.reader.fill_buf()?) {
                    Some(length) => self.enter(length, Place::Envelope),
                    None => return self.read_value(Scan::default()),
                },
                (Place::Tail, b',') => {
                    // The envelope's other members, as an object of their own.
                    self.reader.consume(1);
                    self.place = Place::Top;
                    self.value.push(b'{');
                    return self.read_value(Scan { depth: 1, ..Scan::default() });
                }
                (
                    Place::Array | Place::Envelope,
                    b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n',
                ) => {
                    return self.read_value(Scan::default());
                }
                _ => {
                    self.place = Place::Top;
                    return Ok(Err(End::Broken));
                }
            }
        }
    }

    fn enter(&mut self, length: usize, place: Place) {
        self.reader.consume(length);
        self.place = place;
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads on to the end of a value, the limit, or the end of the stream.
    fn read_value(&mut self, mut scan: Scan) -> io::Result<Result<(Shape, &[u8]), End>> {
        loop {
            if self.peek()?.is_none() {
                // A scalar ends with the stream; anything else is cut.
                let shape = match self.pieces {
                    0 if scan.scalar && !scan.in_string => Shape::Whole,
                    0 => Shape::Cut,
                    pieces => Shape::Piece(pieces + 1),
                };
                self.pieces = 0;
                return Ok(Ok((shape, &self.value)));
            }
            let room = self.max_bytes - self.value.len();
            let buffer = self.reader.fill_buf()?;
            let window = buffer.get(..room.min(buffer.len())).unwrap_or(buffer);
            let (taken, ended) = scan.advance(window);
            self.value.extend_from_slice(window.get(..taken).unwrap_or_default());
            self.reader.consume(taken);
            if ended {
                let shape = if self.pieces == 0 { Shape::Whole } else { Shape::Piece(self.pieces + 1) };
                self.pieces = 0;
                return Ok(Ok((shape, &self.value)));
            }
            if self.value.len() >= self.max_bytes {
                self.scan = Some(scan);
                self.pieces += 1;
                return Ok(Ok((Shape::Piece(self.pieces), &self.value)));
            }
        }
    }
}

impl Scan {
    /// How many bytes of `window` belong to the value, and whether it ends with them.
    fn advance(&mut self, window: &[u8]) -> (usize, bool) {
        for (index, &byte) in window.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return (index + 1, true);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => {
                    self.in_string = true;
                    self.scalar = self.depth == 0;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return (index, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (index + 1, true);
                    }
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return (index, true),
                _ if self.depth == 0 => self.scalar = true,
                _ => {}
            }
        }
        (window.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn check(input: &str, max_bytes: usize, expected: &[(Shape, &str)], expected_end: End) {
        let reader = BufReader::with_capacity(64, input.as_bytes());
        let mut documents = Documents::new(reader, max_bytes);
        let mut found = Vec::new();
        let end = loop {
            match documents.next().unwrap() {
                Ok((shape, value)) => found.push((shape, String::from_utf8(value.to_vec()).unwrap())),
                Err(end) => break end,
            }
        };
        let found: Vec<_> = found.iter().map(|(shape, value)| (*shape, value.as_str())).collect();
        assert_eq!((found.as_slice(), end), (expected, expected_end), "{input:?}");
    }

    #[test]
    fn arrays_envelopes_and_values() {
        use Shape::Whole;
        check(r#"[{"a":1}, {"b":"}]"}]"#, 99, &[(Whole, r#"{"a":1}"#), (Whole, r#"{"b":"}]"}"#)], End::Clean);
        check("{\n\"a\": {}\n}\n{\n}", 99, &[(Whole, "{\n\"a\": {}\n}"), (Whole, "{\n}")], End::Clean);
        check(
            r#"{"Records":[{"a":1},{"a":2}],"NextToken":"x"}"#,
            99,
            &[(Whole, r#"{"a":1}"#), (Whole, r#"{"a":2}"#), (Whole, r#"{"NextToken":"x"}"#)],
            End::Clean,
        );
        check("[1, \"a b\",null]", 99, &[(Whole, "1"), (Whole, "\"a b\""), (Whole, "null")], End::Clean);
        check("[]", 99, &[], End::Clean);
    }

    #[test]
    fn damage_is_told() {
        use Shape::{Cut, Piece, Whole};
        check(r#"[{"a":1},{"b":"#, 99, &[(Whole, r#"{"a":1}"#), (Cut, r#"{"b":"#)], End::Open);
        check(r#"[{"a":1},"#, 99, &[(Whole, r#"{"a":1}"#)], End::Open);
        check(r#"[{"a":1}] tail"#, 99, &[(Whole, r#"{"a":1}"#)], End::Broken);
        check(
            r#"[{"a":12345},{}]"#,
            5,
            &[(Piece(1), "{\"a\":"), (Piece(2), "12345"), (Piece(3), "}"), (Whole, "{}")],
            End::Clean,
        );
    }
}
