//! What is asked for, as a value.

use super::glob::Glob;
use casemate_event::{EntityKind, TemplateId};
use jiff::Timestamp;
use std::net::IpAddr;

/// A query as parsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// Every event.
    All,
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// A phrase (one word mostly) in the message, or in the name of an entity.
    Phrase(Vec<String>),
    /// A word of the message, or an entity or a word of its name, that fits a pattern.
    Pattern(Glob),
    /// A phrase in the message alone.
    Message(Vec<String>),
    /// A word of the message that fits a pattern.
    MessagePattern(Glob),
    /// An entity by its canonical name.
    Entity(EntityKind, Test),
    /// A normalised field.
    Field(String, Test),
    /// A normalised field whose whole value is this, regardless of case.
    Whole(String, String),
    /// A field under its vendor's name.
    Native(String, Test),
    /// The record as received.
    Raw(Test),
    /// Where the record came from.
    Source(Test),
    Format(Test),
    /// Name or number of an OCSF class.
    Class(Test),
    Template(TemplateId),
    Id(Test),
    Time(Option<Timestamp>, Option<Timestamp>),
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Exists,
    /// The whole value, regardless of case, or a phrase of its words.
    Is(String),
    /// The whole value or one of its words fits.
    Like(Glob),
    Between(Bound, Bound),
    /// An address in a network: base and length of the prefix.
    In(IpAddr, u8),
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    Open,
    Included(String),
    Excluded(String),
}
