//! Which records are one event? The Linux audit daemon writes several for one action, under one serial number, and
//! those of other actions in between.
//!
//! Records wait until the event is complete: an end-of-event record has come, or one that is more than two seconds
//! later on the same host (auditd's own rule), or too many others. What waits is bounded by number and bytes; what
//! does not fit any more becomes an event of its own. Nothing waits beyond the end of the stream.

use crate::formats::{Draft, auditd};
use crate::intake::Origin;
use casemate_event::{Event, Format, field};
use jiff::SignedDuration;

/// Events that wait at a time.
const MAX_WAITING: usize = 32;
/// Records in one event, and bytes of all of them.
const MAX_RECORDS: usize = 256;
const MAX_BYTES: usize = 1 << 20;
/// Records of one event are no further apart.
const SPAN: SignedDuration = SignedDuration::from_secs(2);

/// Records of one action, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) source: String,
    /// Position of the first.
    pub(crate) position: u64,
    records: Vec<Event>,
    bytes: usize,
}

/// Records that wait for others of their event, oldest event first.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    actions: Vec<Action>,
}

impl Waiting {
    /// Whether a record has to wait.
    pub(crate) fn concerns(event: &Event) -> bool {
        event.format == Format::Auditd && event.native.get("serial").is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Takes a record; gives what is complete with it.
    pub(crate) fn take(&mut self, origin: Origin<'_>, record: Event) -> Vec<Action> {
        let mut done = Vec::new();
        if self.actions.first().is_some_and(|action| action.source != origin.source) {
            done.append(&mut self.actions);
        }
        let host = record.field(field::DEVICE_HOSTNAME);
        done.extend(self.actions.extract_if(.., |action| {
            action.host() == host && record.time.duration_since(action.records[0].time) > SPAN
        }));
        let is_end = record.native.get("type") == Some("EOE");
        let place = self.actions.iter().position(|action| action.is_of(&record));
        let place = match place {
            Some(place) if self.actions[place].has_room_for(&record) => place,
            full => {
                done.extend(full.map(|place| self.actions.remove(place)));
                self.actions.push(Action {
                    source: origin.source.to_owned(),
                    position: origin.position,
                    records: Vec::new(),
                    bytes: 0,
                });
                self.actions.len() - 1
            }
        };
        self.actions[place].bytes += record.raw.len();
        self.actions[place].records.push(record);
        if is_end {
            done.push(self.actions.remove(place));
        } else if self.actions.len() > MAX_WAITING {
            done.push(self.actions.remove(0));
        }
        done
    }

    /// Gives all that waits.
    pub(crate) fn end(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }
}

impl Action {
    fn host(&self) -> Option<&str> {
        self.records.first()?.field(field::DEVICE_HOSTNAME)
    }

    fn is_of(&self, record: &Event) -> bool {
        self.records.first().is_some_and(|first| {
            first.time == record.time
                && first.native.get("serial") == record.native.get("serial")
                && first.field(field::DEVICE_HOSTNAME) == record.field(field::DEVICE_HOSTNAME)
        })
    }

    fn has_room_for(&self, record: &Event) -> bool {
        self.records.len() < MAX_RECORDS && self.bytes + record.raw.len() < MAX_BYTES
    }

    /// The record, where there is only one.
    pub(crate) fn alone(&mut self) -> Option<Event> {
        if self.records.len() == 1 { self.records.pop() } else { None }
    }

    /// What all records say.
    pub(crate) fn joined(&self) -> Draft {
        auditd::join(&self.records)
    }

    /// Their bytes, a line each.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(self.bytes + self.records.len());
        for record in &self.records {
            if !raw.is_empty() {
                raw.push(b'\n');
            }
            raw.extend_from_slice(&record.raw);
        }
        raw
    }
}
