//! What do other programs get? One module per kind of thing; JSON in, JSON out.

use crate::params::SearchParams;
use crate::problem::Result;
use serde::Deserialize;

pub(crate) mod about;
pub(crate) mod aggregate;
pub(crate) mod alerts;
pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod cases;
pub(crate) mod elastic;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod exports;
pub(crate) mod feedback;
pub(crate) mod framed;
pub(crate) mod hec;
pub(crate) mod ingest;
pub(crate) mod investigations;
pub(crate) mod live;
pub(crate) mod once;
pub(crate) mod openai;
pub(crate) mod otlp;
pub(crate) mod playbooks;
pub(crate) mod prompt;
pub(crate) mod quarantine;
pub(crate) mod rules;
pub(crate) mod stream;
pub(crate) mod suggest;
pub(crate) mod system;
pub(crate) mod tail;
pub(crate) mod tries;

/// Which part of a list of numbered things is asked for, the highest number first.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Part {
    limit: Option<usize>,
    /// Only those numbered below this.
    below: Option<u64>,
    /// Only those that nobody has closed.
    open: bool,
}

/// What a list shows of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picked {
    /// How many there are, shown or not.
    pub(crate) total: usize,
    pub(crate) ids: Vec<u64>,
    /// Where to go on; nothing at the end.
    pub(crate) below: Option<u64>,
}

impl Part {
    pub(crate) fn newest(limit: usize, open: bool) -> Self {
        Self { limit: Some(limit), below: None, open }
    }

    /// Picks from all there are: their numbers, ascending, each with whether it is open.
    pub(crate) fn of(&self, all: impl DoubleEndedIterator<Item = (u64, bool)>) -> Result<Picked> {
        let limit = SearchParams { limit: self.limit, ..SearchParams::default() }.limit()?;
        let mut picked = Picked { total: 0, ids: Vec::with_capacity(limit), below: None };
        for (id, _) in all.rev().filter(|(_, is_open)| *is_open || !self.open) {
            picked.total += 1;
            if self.below.is_some_and(|below| id >= below) {
                continue;
            }
            if picked.ids.len() < limit {
                picked.ids.push(id);
            } else if picked.below.is_none() {
                picked.below = picked.ids.last().copied();
            }
        }
        Ok(picked)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Those with odd numbers are open.
    fn of_five(limit: usize, below: Option<u64>, open: bool) -> (usize, Vec<u64>, Option<u64>) {
        let part = Part { limit: Some(limit), below, open };
        let Picked { total, ids, below } = part.of((1..=5).map(|id| (id, id % 2 == 1))).unwrap();
        (total, ids, below)
    }

    #[test]
    fn parts_make_up_the_whole() {
        assert_eq!(of_five(2, None, false), (5, vec![5, 4], Some(4)));
        assert_eq!(of_five(2, Some(4), false), (5, vec![3, 2], Some(2)));
        assert_eq!(of_five(2, Some(2), false), (5, vec![1], None));
        assert_eq!(of_five(2, None, true), (3, vec![5, 3], Some(3)));
        assert_eq!(of_five(2, Some(3), true), (3, vec![1], None));
        assert_eq!(of_five(5, None, false), (5, vec![5, 4, 3, 2, 1], None));
        assert_eq!(of_five(5, Some(0), false), (5, vec![], None));
        assert!(Part::newest(0, false).of(std::iter::empty()).is_err());
        assert!(Part::newest(1001, false).of(std::iter::empty()).is_err());
    }
}
