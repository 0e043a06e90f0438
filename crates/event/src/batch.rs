use crate::Event;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What one durable append takes: records of one source, in order, each either an event or quarantined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Records that were understood.
    pub events: Vec<Event>,
    /// Records that were not, kept as received.
    pub quarantined: Vec<Quarantined>,
    /// How far the source has been read with this batch, so that an interrupted read resumes instead of
    /// doubling.
    pub progress: Option<SourceProgress>,
}

/// How far a source has been taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProgress {
    /// SHA-256 of the source's bytes, in lower-case hex: what makes it the same source under another name.
    pub sha256: String,
    /// Name it was read under, for people.
    pub name: String,
    /// Records taken in so far: events and quarantined together.
    pub position: u64,
    /// Whether that was all of it.
    pub complete: bool,
}

/// A record that could not be understood, kept as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Where it came from.
    pub source: String,
    /// Line or record number within the source, from 1.
    pub position: u64,
    /// Why it is here, as a kind that can be counted.
    pub reason: QuarantineReason,
    /// Why it is here, in words: what was wrong and at which byte.
    pub detail: String,
    /// The record as received.
    pub raw: Vec<u8>,
}

/// Why a record was quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuarantineReason {
    /// Looks like JSON and does not parse as JSON.
    MalformedJson,
    /// Of a format with fixed columns, with too few or too many of them.
    MalformedColumns,
    /// Not UTF-8 and not UTF-16 with a byte order mark.
    InvalidEncoding,
    /// Longer than the limit on one record; kept in pieces.
    TooLong,
    /// A binary record or chunk whose checksum or structure is wrong.
    DamagedRecord,
    /// A compressed file that is damaged, encrypted or cut short.
    DamagedArchive,
    /// A compressed file that unpacks to more than the limit.
    DecompressionLimit,
    /// Binary data of no known format.
    UnknownBinary,
    /// Looks like an event as XML and is none.
    MalformedXml,
    /// Made a decoder fail: a fault of ours, not of the record.
    DecoderFault,
}

impl QuarantineReason {
    /// Name used in summaries and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::MalformedColumns => "malformed_columns",
            Self::InvalidEncoding => "invalid_encoding",
            Self::TooLong => "too_long",
            Self::DamagedRecord => "damaged_record",
            Self::DamagedArchive => "damaged_archive",
            Self::DecompressionLimit => "decompression_limit",
            Self::UnknownBinary => "unknown_binary",
            Self::MalformedXml => "malformed_xml",
            Self::DecoderFault => "decoder_fault",
        }
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
