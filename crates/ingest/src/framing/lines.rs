//! Lines of bounded length out of a byte stream.

use std::io::{self, BufRead, ErrorKind};

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole line.
    Whole,
    /// A piece of a line that is longer than the limit; the number of the piece from 1.
    Piece(u64),
}

/// Splits a stream at `\n` without ever holding more than `max_bytes` of a line.
pub(crate) struct Lines<R> {
    reader: R,
    max_bytes: usize,
    line: Vec<u8>,
    number: u64,
    pieces: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, max_bytes: usize) -> Self {
        Self { reader, max_bytes: max_bytes.max(1), line: Vec::new(), number: 0, pieces: 0 }
    }

    /// The next line or piece of one, without its line end (`\n` or `\r\n`), and its number from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Shape, u64, &[u8])>> {
        self.line.clear();
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(self.at_end());
            }
            let room = self.max_bytes - self.line.len();
            // One byte past the room may be the line end.
            let window = buffer.get(..(room + 1).min(buffer.len())).unwrap_or(buffer);
            if let Some(end) = memchr::memchr(b'\n', window) {
                self.line.extend_from_slice(window.get(..end).unwrap_or_default());
                self.reader.consume(end + 1);
                return Ok(Some(self.at_line_end()));
            }
            let take = window.len().min(room);
            self.line.extend_from_slice(window.get(..take).unwrap_or_default());
            let more_follows = window.len() > room;
            self.reader.consume(take);
            if self.line.len() == self.max_bytes && more_follows {
                return Ok(Some(self.piece()));
            }
        }
    }

    fn at_end(&mut self) -> Option<(Shape, u64, &[u8])> {
        (!self.line.is_empty()).then(|| self.at_line_end())
    }

    fn at_line_end(&mut self) -> (Shape, u64, &[u8]) {
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if self.pieces > 0 {
            let number = self.pieces + 1;
            self.pieces = 0;
            return (Shape::Piece(number), self.number, &self.line);
        }
        self.number += 1;
        (Shape::Whole, self.number, &self.line)
    }

    fn piece(&mut self) -> (Shape, u64, &[u8]) {
        self.pieces += 1;
        if self.pieces == 1 {
            self.number += 1;
        }
        (Shape::Piece(self.pieces), self.number, &self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn check(input: &str, max_bytes: usize, expected: &[(Shape, &str, u64)]) {
        for capacity in [1, 3, 64] {
            let reader = BufReader::with_capacity(capacity, input.as_bytes());
            let mut lines = Lines::new(reader, max_bytes);
            let mut found = Vec::new();
            while let Some((shape, number, line)) = lines.next().unwrap() {
                found.push((shape, String::from_utf8(line.to_vec()).unwrap(), number));
            }
            let found: Vec<_> = found.iter().map(|(s, l, n)| (*s, l.as_str(), *n)).collect();
            assert_eq!(found, expected, "{input:?} with a buffer of {capacity}");
        }
    }

    #[test]
    fn lines_and_pieces() {
        use Shape::{Piece, Whole};
        check("", 8, &[]);
        check("a\r\n\nb", 8, &[(Whole, "a", 1), (Whole, "", 2), (Whole, "b", 3)]);
        check("12345678\n9", 8, &[(Whole, "12345678", 1), (Whole, "9", 2)]);
        check("12345678", 8, &[(Whole, "12345678", 1)]);
        check("123456789\nx\n", 8, &[(Piece(1), "12345678", 1), (Piece(2), "9", 1), (Whole, "x", 2)]);
        check("123456", 2, &[(Piece(1), "12", 1), (Piece(2), "34", 1), (Piece(3), "56", 1)]);
    }
}
