//! Logs to measure intake on: real records, repeated with fresh times, numbers and addresses until there are
//! enough.

use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use casemate_event::{Batch, Format};
use casemate_ingest::Options;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file of records, one a line.
#[derive(Debug, Clone)]
pub(super) struct Corpus {
    pub(super) path: PathBuf,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// What records a corpus is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Where they are, under the directory of data.
    folders: &'static [&'static str],
    formats: &'static [Format],
}

pub(super) const SYSLOG: Kind = Kind {
    name: "syslog",
    folders: &["linux", "vendor-syslog", "loghub"],
    formats: &[Format::SyslogRfc3164, Format::SyslogRfc5424],
};
pub(super) const WINDOWS: Kind =
    Kind { name: "windows", folders: &["windows-json"], formats: &[Format::WindowsJson] };
pub(super) const ZEEK: Kind = Kind { name: "zeek", folders: &["zeek"], formats: &[Format::ZeekJson] };

/// Real records read of one kind at most; more only repeat what they say.
const MAX_REAL: usize = 60_000;
/// And of one file, so that no file is most of it.
const MAX_OF_A_FILE: usize = 6_000;

/// Writes `records` records of a kind under `data` to a file in `scratch`.
pub(super) fn write(data: &Path, scratch: &Path, kind: Kind, records: u64) -> Outcome<Corpus> {
    write_some(&real(data, kind)?, scratch, kind, 0..records)
}

/// Writes the records with these numbers: the real ones first, then as many fresh ones as are asked for.
pub(super) fn write_some(
    real: &[Vec<u8>],
    scratch: &Path,
    kind: Kind,
    numbers: Range<u64>,
) -> Outcome<Corpus> {
    let records = numbers.end - numbers.start;
    let path = scratch.join(format!("{}.log", kind.name));
    let mut out = BufWriter::new(fs_err::File::create(&path)?);
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ numbers.start);
    let mut bytes = 0;
    let mut line = Vec::new();
    for number in numbers {
        let record = &real[number as usize % real.len()];
        line.clear();
        if (number as usize) < real.len() {
            line.extend_from_slice(record);
        } else {
            freshen(record, number, &mut random, &mut line);
        }
        line.push(b'\n');
        out.write_all(&line)?;
        bytes += line.len() as u64;
    }
    out.flush()?;
    Ok(Corpus { path, records, bytes })
}

/// Records as received, each on one line.
pub(super) fn real(data: &Path, kind: Kind) -> Outcome<Vec<Vec<u8>>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    let folders = kind.folders.iter().map(|folder| data.join(folder)).filter(|folder| folder.is_dir());
    for path in casemate_ingest::expand(&folders.collect::<Vec<_>>()).map_err(Failure::input)? {
        if records.len() >= MAX_REAL {
            break;
        }
        let enough = records.len() + MAX_OF_A_FILE;
        let mut keep = |batch: Batch| {
            let events = batch.events.into_iter().filter(|event| kind.formats.contains(&event.format));
            records.extend(events.map(|event| event.raw).filter(|raw| !raw.contains(&b'\n')));
            if records.len() < enough { Ok(()) } else { Err("enough".into()) }
        };
        match casemate_ingest::read_file(&path, "", &Options::default(), 0, &mut keep, &mut |_| {}) {
            Ok(_) | Err(casemate_ingest::Error::Sink { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    records.truncate(MAX_REAL);
    if records.is_empty() {
        return Err(Failure::input(anyhow!(
            "{} holds no {} records to measure on: give a directory of logs with --data",
            data.display(),
            kind.name
        )));
    }
    Ok(records)
}

/// Writes a record with another time of day (syslog), other long numbers and other last parts of addresses.
fn freshen(record: &[u8], number: u64, random: &mut Random, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < record.len() {
        let digits = record[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            out.push(record[at]);
            at += 1;
            continue;
        }
        let part = &record[at..at + digits];
        let before = |back: usize| at.checked_sub(back).and_then(|at| record.get(at)).copied();
        let clock = digits == 2
            && record.get(at + 2) == Some(&b':')
            && record.get(at + 5) == Some(&b':')
            && before(1) == Some(b' ');
        if clock
            && record.len() >= at + 8
            && record[at..at + 8].iter().all(|b| b.is_ascii_digit() || *b == b':')
        {
            let second = number % 86_400;
            let text = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
            out.extend_from_slice(text.as_bytes());
            at += 8;
            continue;
        }
        let last_of_address = digits <= 3
            && before(1) == Some(b'.')
            && record.get(at + digits) != Some(&b'.')
            && is_address(record, at);
        if last_of_address {
            out.extend_from_slice(random.below(255).to_string().as_bytes());
        } else if (5..=9).contains(&digits) {
            out.push(b'1' + random.below(9) as u8);
            out.extend((1..digits).map(|_| b'0' + random.below(10) as u8));
        } else {
            out.extend_from_slice(part);
        }
        at += digits;
    }
}

/// Whether three numbers with dots stand before `at`.
fn is_address(record: &[u8], at: usize) -> bool {
    let start = record[..at]
        .iter()
        .rposition(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .map_or(0, |place| place + 1);
    record[start..at].iter().filter(|byte| **byte == b'.').count() == 3
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_record_keeps_its_shape() {
        let mut out = Vec::new();
        let record = b"<34>Oct 11 22:14:15 web1 sshd[12345]: from 10.0.0.1 port 22 v1.2.3 2024";
        freshen(record, 3661, &mut Random(1), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("<34>Oct 11 01:01:01 web1 sshd["), "{text}");
        assert!(text.contains("]: from 10.0.0.") && text.ends_with(" port 22 v1.2.3 2024"), "{text}");
        assert!(!text.contains("12345"));
    }
}
