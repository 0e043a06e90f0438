//! How is a protocol buffer read, field by field? No message is ever built: a hostile body costs no more memory
//! than it is long.

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of one message, in order, each with its number. Ends with `Err` where the bytes make no sense.
pub(super) struct Fields<'a>(&'a [u8]);

/// The bytes are no protocol buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            // Groups have not been written for twenty years.
            _ => return None,
        };
        (tag >> 3 > 0).then_some((tag >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read().ok_or(Malformed);
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}

/// Appends a varint field.
pub(super) fn write_varint(out: &mut Vec<u8>, number: u64, value: u64) {
    write_raw(out, number << 3);
    write_raw(out, value);
}

/// Appends a field of bytes: text or a message.
pub(super) fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_raw(out, number << 3 | 2);
    write_raw(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_raw(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], expected: &Result<Vec<(u64, Field<'_>)>, Malformed>) {
        assert_eq!(&Fields::new(message).collect::<Result<Vec<_>, _>>(), expected, "{message:?}");
    }

    #[test]
    fn fields_are_what_the_encoding_says() {
        check(b"", &Ok(vec![]));
        // The examples of the encoding's own documentation.
        check(&[0x08, 0x96, 0x01], &Ok(vec![(1, Field::Varint(150))]));
        check(b"\x12\x07testing", &Ok(vec![(2, Field::Bytes(b"testing"))]));
        check(&[0x0d, 1, 0, 0, 0], &Ok(vec![(1, Field::Fixed32(1))]));
        check(&[0x09, 2, 0, 0, 0, 0, 0, 0, 0], &Ok(vec![(1, Field::Fixed64(2))]));
        check(&[0x08], &Err(Malformed));
        check(b"\x12\x08testing", &Err(Malformed));
        check(&[0x00, 0x00], &Err(Malformed));
        check(&[0x0b], &Err(Malformed));
        check(&[0xff; 12], &Err(Malformed));
        check(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", &Err(Malformed));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        write_varint(&mut out, 1, u64::MAX);
        write_bytes(&mut out, 300, b"text");
        check(&out, &Ok(vec![(1, Field::Varint(u64::MAX)), (300, Field::Bytes(b"text"))]));
    }
}
