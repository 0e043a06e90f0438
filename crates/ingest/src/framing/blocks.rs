//! Blocks of whole lines out of a byte stream, to be decoded apart from each other.

use std::io::{self, BufRead, ErrorKind};

/// A block ends with the last line that begins in this many bytes.
const BLOCK_BYTES: usize = 256 << 10;

/// Whole lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    /// Lines before it.
    pub(crate) before: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Block(Block),
    /// A line too long for a block has begun: its first bytes, and the lines before it. What follows them is
    /// still in the reader.
    Long(Block),
    End,
}

/// Cuts a stream behind line ends.
pub(crate) struct Blocks<'a> {
    reader: &'a mut dyn BufRead,
    carried: Vec<u8>,
    lines: u64,
    max_line: usize,
}

impl<'a> Blocks<'a> {
    /// Lines of more than `max_line` bytes, and more than a block, are not put into blocks.
    pub(crate) fn new(reader: &'a mut dyn BufRead, before: u64, max_line: usize) -> Self {
        Self { reader, carried: Vec::new(), lines: before, max_line: max_line.max(BLOCK_BYTES) }
    }

    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let mut bytes = std::mem::take(&mut self.carried);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(if bytes.is_empty() { Next::End } else { Next::Block(self.block(bytes)) });
            }
            let before = bytes.len();
            let take = buffer.len().min((BLOCK_BYTES.max(before + 1) - before).max(4096));
            bytes.extend_from_slice(&buffer[..take]);
            self.reader.consume(take);
            if bytes.len() < BLOCK_BYTES {
                continue;
            }
            if let Some(end) = memchr::memrchr(b'\n', &bytes[before..]).map(|at| before + at + 1) {
                self.carried = bytes.split_off(end);
                return Ok(Next::Block(self.block(bytes)));
            }
            if before == 0 || !bytes[..before].contains(&b'\n') {
                if bytes.len() > self.max_line {
                    return Ok(Next::Long(self.block(bytes)));
                }
            } else if let Some(end) = memchr::memrchr(b'\n', &bytes).map(|at| at + 1) {
                self.carried = bytes.split_off(end);
                return Ok(Next::Block(self.block(bytes)));
            }
        }
    }

    /// What the reader still holds.
    pub(crate) fn into_reader(self) -> &'a mut dyn BufRead {
        self.reader
    }

    fn block(&mut self, bytes: Vec<u8>) -> Block {
        let before = self.lines;
        self.lines += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Block { bytes, before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn blocks_put_together_are_the_stream() {
        for length in [0, 10, 1000, 70_000] {
            let mut text = Vec::new();
            for line in 0..20_usize {
                text.extend(format!("{line} ").bytes());
                text.extend(vec![b'x'; length * (line % 3 + 1)]);
                text.push(b'\n');
            }
            text.extend(b"no line end");
            for capacity in [7, 8192, 1 << 20] {
                let mut reader = BufReader::with_capacity(capacity, text.as_slice());
                let mut blocks = Blocks::new(&mut reader, 5, 1 << 20);
                let mut all = Vec::new();
                loop {
                    match blocks.next().unwrap() {
                        Next::Block(block) => {
                            let lines = memchr::memchr_iter(b'\n', &all).count() as u64;
                            assert_eq!(block.before, 5 + lines);
                            assert!(block.bytes.ends_with(b"\n") || block.bytes.ends_with(b"end"));
                            all.extend(block.bytes);
                        }
                        Next::Long(_) => panic!("no line is too long"),
                        Next::End => break,
                    }
                }
                assert_eq!(all, text);
            }
        }
    }

    #[test]
    fn a_line_too_long_is_handed_over_with_the_reader() {
        let text = [b"short\n".as_slice(), &vec![b'y'; 2 << 20], b"\nafter\n"].concat();
        let mut reader = text.as_slice();
        let mut blocks = Blocks::new(&mut reader, 0, 1 << 20);
        let mut all = Vec::new();
        loop {
            match blocks.next().unwrap() {
                Next::Block(block) => all.extend(block.bytes),
                Next::Long(block) => {
                    all.extend(block.bytes);
                    break;
                }
                Next::End => panic!("the line is too long"),
            }
        }
        let mut rest = Vec::new();
        io::Read::read_to_end(&mut blocks.into_reader(), &mut rest).unwrap();
        all.extend(rest);
        assert_eq!(all, text);
    }
}
