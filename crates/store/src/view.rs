//! What does the store consist of at this moment? A snapshot that stays while files come and go.

use crate::head::Head;
use crate::manifest::SegmentEntry;
use crate::segment::Segment;
use std::sync::Arc;

/// The segments and heads, in order of their events. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) segments: Arc<Vec<Slot>>,
    /// The last one takes new events; those before it are being written as segments.
    pub(crate) heads: Arc<Vec<Arc<Head>>>,
}

/// A segment, or the gap that a damaged one leaves.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Open(Arc<Segment>),
    Damaged { entry: SegmentEntry, why: Arc<str> },
}

impl Slot {
    /// The segment, if it can be read.
    pub(crate) fn open(&self) -> Option<&Arc<Segment>> {
        match self {
            Self::Open(segment) => Some(segment),
            Self::Damaged { .. } => None,
        }
    }

    pub(crate) fn entry(&self) -> &SegmentEntry {
        match self {
            Self::Open(segment) => &segment.entry,
            Self::Damaged { entry, .. } => entry,
        }
    }
}

/// Where an event is.
pub(crate) enum Place {
    Segment(Arc<Segment>),
    Damaged {
        entry: SegmentEntry,
        why: Arc<str>,
    },
    Head(Arc<Head>),
    /// Deleted by retention, or not there yet.
    Nowhere,
}

impl View {
    /// The part that holds event `id`.
    pub(crate) fn place(&self, id: u64) -> Place {
        let index = self.segments.partition_point(|slot| slot.entry().end_id() <= id);
        match self.segments.get(index).filter(|slot| slot.entry().first_id <= id) {
            Some(Slot::Open(segment)) => return Place::Segment(Arc::clone(segment)),
            Some(Slot::Damaged { entry, why }) => {
                return Place::Damaged { entry: entry.clone(), why: Arc::clone(why) };
            }
            None => {}
        }
        let head = self.heads.iter().find(|head| head.first_id <= id && id < head.end_id());
        head.map_or(Place::Nowhere, |head| Place::Head(Arc::clone(head)))
    }

    /// The first event at or after `id` that is not in a gap.
    pub(crate) fn next_readable(&self, id: u64) -> Option<u64> {
        let open = self.segments.iter().filter_map(|slot| match slot {
            Slot::Open(segment) => Some((segment.entry.first_id, segment.entry.end_id())),
            Slot::Damaged { .. } => None,
        });
        let heads = self.heads.iter().map(|head| (head.first_id, head.end_id()));
        open.chain(heads).find(|(_, end)| *end > id).map(|(first, _)| first.max(id))
    }

    /// Number of the first quarantined record there may be.
    pub(crate) fn first_quarantined(&self) -> u64 {
        let segment = self.segments.first().map(|slot| slot.entry().first_quarantined);
        segment.or_else(|| self.heads.first().map(|head| head.first_quarantined)).unwrap_or(1)
    }

    /// Segments that can be read.
    pub(crate) fn open_segments(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.segments.iter().filter_map(Slot::open)
    }
}
