//! Where does one syslog message end and the next begin in a byte stream (RFC 6587)?
//!
//! Octet counting and newline framing are told apart message by message: a count, one space and the `<` of the
//! priority begin a counted message, everything else runs to the next newline. What is longer than the limit
//! comes in pieces, so no more than that is ever held.

/// Digits of a count; more are no count.
const MAX_DIGITS: usize = 8;

/// One message or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) raw: Vec<u8>,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    /// A piece of a message longer than the limit; its number, from 1.
    Piece(u64),
    /// The connection ended inside a counted message that had this many bytes to go.
    Cut(usize),
}

#[derive(Debug, Clone, Copy)]
enum State {
    Between,
    /// Bytes of the counted message still to be given, and pieces given.
    Counted(usize, u64),
    /// Pieces given of the line.
    Line(u64),
}

pub(crate) struct Framer {
    limit: usize,
    buffer: Vec<u8>,
    taken: usize,
    state: State,
}

impl Framer {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), buffer: Vec::new(), taken: 0, state: State::Between }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    pub(crate) fn is_inside(&self) -> bool {
        self.taken < self.buffer.len() || !matches!(self.state, State::Between)
    }

    /// The next message that is there.
    pub(crate) fn next(&mut self) -> Option<Framed> {
        loop {
            match self.state {
                State::Between => self.begin(false)?,
                State::Counted(left, pieces) => return self.counted(left, pieces),
                State::Line(pieces) => return self.line(pieces),
            }
        }
    }

    /// What is left when no more bytes will come.
    pub(crate) fn finish(&mut self) -> Option<Framed> {
        if let Some(framed) = self.next() {
            return Some(framed);
        }
        if matches!(self.state, State::Between) {
            self.begin(true)?;
            if let Some(framed) = self.next() {
                return Some(framed);
            }
        }
        let raw = self.rest().to_vec();
        self.taken = self.buffer.len();
        let shape = match std::mem::replace(&mut self.state, State::Between) {
            State::Counted(left, _) => Shape::Cut(left - raw.len()),
            State::Line(0) | State::Between => Shape::Whole,
            State::Line(pieces) => Shape::Piece(pieces + 1),
        };
        (!raw.is_empty()).then_some(Framed { raw, shape })
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// Decides how the next message is framed; `None` while that is open.
    fn begin(&mut self, at_end: bool) -> Option<()> {
        // Some senders put a newline or a zero after a counted message.
        let blank = self.rest().iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
        self.taken += blank;
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let digits = rest.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let may_be_count = (1..=MAX_DIGITS).contains(&digits) && rest.first() != Some(&b'0');
        let after = rest.get(digits..).unwrap_or_default();
        let is_open = matches!(after, [] | [b' ']);
        if may_be_count && is_open && !at_end {
            return None;
        }
        let is_count = may_be_count && after.starts_with(b" <");
        let count = rest.iter().take(digits).fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'));
        self.state = if is_count { State::Counted(count, 0) } else { State::Line(0) };
        self.taken += if is_count { digits + 1 } else { 0 };
        Some(())
    }

    fn counted(&mut self, left: usize, pieces: u64) -> Option<Framed> {
        let want = left.min(self.limit);
        let raw = self.rest().get(..want)?.to_vec();
        self.taken += want;
        let ends = want == left;
        self.state = if ends { State::Between } else { State::Counted(left - want, pieces + 1) };
        let shape = if ends && pieces == 0 { Shape::Whole } else { Shape::Piece(pieces + 1) };
        Some(Framed { raw, shape })
    }

    fn line(&mut self, pieces: u64) -> Option<Framed> {
        let window = self.rest();
        let window = window.get(..window.len().min(self.limit + 1)).unwrap_or(window);
        if let Some(end) = memchr::memchr(b'\n', window) {
            let raw = window.get(..end).unwrap_or_default();
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw).to_vec();
            self.taken += end + 1;
            self.state = State::Between;
            let shape = if pieces == 0 { Shape::Whole } else { Shape::Piece(pieces + 1) };
            return Some(Framed { raw, shape });
        }
        if window.len() <= self.limit {
            return None;
        }
        let raw = window.get(..self.limit).unwrap_or_default().to_vec();
        self.taken += self.limit;
        self.state = State::Line(pieces + 1);
        Some(Framed { raw, shape: Shape::Piece(pieces + 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, limit: usize, expected: &[(&str, Shape)]) {
        for step in [1, 3, 1000] {
            let mut framer = Framer::new(limit);
            let mut found = Vec::new();
            for chunk in input.as_bytes().chunks(step) {
                framer.push(chunk);
                while let Some(framed) = framer.next() {
                    found.push(framed);
                }
            }
            while let Some(framed) = framer.finish() {
                found.push(framed);
            }
            let found: Vec<_> =
                found.iter().map(|f| (std::str::from_utf8(&f.raw).unwrap(), f.shape)).collect();
            assert_eq!(found, expected, "{input:?} in steps of {step}");
            assert!(!framer.is_inside());
        }
    }

    #[test]
    fn each_message_says_how_it_is_framed() {
        use Shape::{Cut, Piece, Whole};
        check("", 99, &[]);
        check("<1>a\r\n<2>b\n", 99, &[("<1>a", Whole), ("<2>b", Whole)]);
        check("6 <1>a\nb5 <2>cd<3>e\n", 99, &[("<1>a\nb", Whole), ("<2>cd", Whole), ("<3>e", Whole)]);
        check("4 <1>a\n\0\n4 <1>b", 99, &[("<1>a", Whole), ("<1>b", Whole)]);
        check(
            "2026-03-02 no priority\n12 monkeys\n",
            99,
            &[("2026-03-02 no priority", Whole), ("12 monkeys", Whole)],
        );
        check("<1>last", 99, &[("<1>last", Whole)]);
        check("9 <1>cut", 99, &[("<1>cut", Cut(3))]);
        check("12", 99, &[("12", Whole)]);
        check("999999999 <1>a\n", 99, &[("999999999 <1>a", Whole)]);
        check(
            "7 <1>abcd<2>b\n",
            3,
            &[("<1>", Piece(1)), ("abc", Piece(2)), ("d", Piece(3)), ("<2>", Piece(1)), ("b", Piece(2))],
        );
        check("abcdef\nx\n", 4, &[("abcd", Piece(1)), ("ef", Piece(2)), ("x", Whole)]);
    }
}
