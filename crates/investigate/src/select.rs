//! Which of hundreds of candidate events go into the evidence?
//!
//! Several rankings (tie to the alert, detections, rarity at this site, likeness) are fused by reciprocal
//! rank (Cormack et al. 2009), weighted by closeness in time. Repeats fold into one line with a count. Events
//! that facts rest on always come first, so no fact is left without its evidence.

use crate::relate::Relation;
use crate::view::View;
use casemate_event::{EventId, Severity, Stored, TemplateId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The constant of reciprocal rank fusion: how little the very first ranks dominate.
const RANK_OFFSET: f64 = 60.0;
/// Time distance at which an event counts half.
const HALF_LIFE_SECONDS: f64 = 300.0;
/// Most lines for the alert's own events, for nearby events without a detection, and for mere likeness.
const MAX_ALERT_LINES: usize = 4;
const MAX_NEAR_LINES: usize = 3;
const MAX_SIMILAR_LINES: usize = 1;
/// Most lines for events whose point is that a silence ends with them.
const MAX_SILENT_LINES: usize = 1;

/// An event that may become evidence.
pub(crate) struct Candidate<'a> {
    pub(crate) stored: &'a Stored,
    pub(crate) relation: Relation,
    /// Worst severity of the rules that match it.
    pub(crate) detection: Option<Severity>,
    /// How often its template was seen at this site.
    pub(crate) template_count: u64,
    /// Rank in the semantic search, from 0.
    pub(crate) likeness: Option<usize>,
    /// Minutes in which its host logged nothing before it, if that is unusual.
    pub(crate) silence: Option<i64>,
}

/// An event chosen, with those alike that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    /// Index among the candidates.
    pub(crate) index: usize,
    /// Indices of the others, in order of time.
    pub(crate) folded: Vec<usize>,
}

/// Chooses at most `max_lines` events, most useful first. `must` are those facts rest on, weightiest first:
/// they are all chosen, whatever else happened, so that no flood of events can push a fact's evidence out.
pub(crate) fn choose(candidates: &[Candidate<'_>], must: &[EventId], max_lines: usize) -> Vec<Chosen> {
    let groups = fold(candidates, must);
    let scores = fuse(candidates, &groups.keys().copied().collect::<Vec<_>>());
    let position: BTreeMap<EventId, usize> =
        must.iter().rev().enumerate().map(|(i, id)| (*id, i + 1)).collect();
    let mut order: Vec<usize> = groups.keys().copied().collect();
    order.sort_by(|a, b| {
        let rank = |index: usize| position.get(&candidates[index].stored.id).copied().unwrap_or(0);
        Reverse(rank(*a))
            .cmp(&Reverse(rank(*b)))
            .then(scores[b].total_cmp(&scores[a]))
            .then(candidates[*a].stored.id.cmp(&candidates[*b].stored.id))
    });
    let mut lines = Lines::default();
    order
        .into_iter()
        .filter(|index| {
            position.contains_key(&candidates[*index].stored.id) || lines.take(&candidates[*index])
        })
        .map(|index| Chosen { index, folded: groups[&index].clone() })
        .take(max_lines.max(position.len()))
        .collect()
}

#[derive(Default)]
struct Lines {
    alert: usize,
    near: usize,
    silent: usize,
    similar: usize,
}

impl Lines {
    /// Whether there is room for one more of this kind.
    fn take(&mut self, candidate: &Candidate<'_>) -> bool {
        let (taken, most) = match candidate.relation {
            Relation::Alert => (&mut self.alert, MAX_ALERT_LINES),
            Relation::Near if candidate.silence.is_some() => (&mut self.silent, MAX_SILENT_LINES),
            Relation::Near if candidate.detection.is_none() => (&mut self.near, MAX_NEAR_LINES),
            Relation::Similar => (&mut self.similar, MAX_SIMILAR_LINES),
            _ => return true,
        };
        *taken += 1;
        *taken <= most
    }
}

/// What makes two events the same line to a reader.
type Alike = (TemplateId, String, Option<String>, String, String, bool, bool);

/// One representative per group of alike events, with the others of its group.
fn fold(candidates: &[Candidate<'_>], must: &[EventId]) -> BTreeMap<usize, Vec<usize>> {
    let must: BTreeSet<EventId> = must.iter().copied().collect();
    let mut groups: BTreeMap<Alike, Vec<usize>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let view = View(&candidate.stored.event);
        let key = (
            candidate.stored.event.template,
            view.host(),
            view.user(),
            view.process_name(),
            view.actor_name(),
            candidate.relation == Relation::Alert,
            candidate.silence.is_some(),
        );
        groups.entry(key).or_default().push(index);
    }
    let mut kept = BTreeMap::new();
    for members in groups.into_values() {
        let needed: Vec<usize> =
            members.iter().copied().filter(|index| must.contains(&candidates[*index].stored.id)).collect();
        let closest = members
            .iter()
            .copied()
            .min_by_key(|index| (candidates[*index].relation, candidates[*index].stored.event.time, *index));
        let first = needed.first().copied().or(closest);
        // Others that facts need stand for themselves.
        let rest = members.iter().copied().filter(|index| Some(*index) != first && !needed.contains(index));
        kept.extend(first.map(|index| (index, rest.collect())));
        kept.extend(needed.iter().skip(1).map(|index| (*index, Vec::new())));
    }
    kept
}

fn fuse(candidates: &[Candidate<'_>], kept: &[usize]) -> BTreeMap<usize, f64> {
    let times: Vec<i64> = candidates
        .iter()
        .filter(|candidate| candidate.relation == Relation::Alert)
        .map(|candidate| candidate.stored.event.time.as_second())
        .collect();
    let distance = |index: usize| {
        let at = candidates[index].stored.event.time.as_second();
        times.iter().map(|time| (time - at).abs()).min().unwrap_or_default()
    };
    let mut scores: BTreeMap<usize, f64> = kept.iter().map(|index| (*index, 0.0)).collect();
    let mut add = |weight: f64, mut ranked: Vec<usize>, key: &dyn Fn(usize) -> (u64, i64)| {
        ranked.sort_by_key(|index| (key(*index), *index));
        for (rank, index) in ranked.into_iter().enumerate() {
            if let Some(score) = scores.get_mut(&index) {
                *score += weight / (RANK_OFFSET + rank as f64);
            }
        }
    };
    let having = |filter: &dyn Fn(&Candidate<'_>) -> bool| -> Vec<usize> {
        kept.iter().copied().filter(|index| filter(&candidates[*index])).collect()
    };
    add(2.0, kept.to_vec(), &|index| (candidates[index].relation as u64, distance(index)));
    add(1.5, having(&|candidate| candidate.detection.is_some()), &|index| {
        (candidates[index].detection.map_or(9, |severity| 4 - severity as u64), distance(index))
    });
    add(1.0, kept.to_vec(), &|index| (candidates[index].template_count, distance(index)));
    add(1.0, having(&|candidate| candidate.likeness.is_some()), &|index| {
        (candidates[index].likeness.unwrap_or_default() as u64, distance(index))
    });
    add(1.0, having(&|candidate| candidate.silence.is_some()), &|index| {
        (candidates[index].relation as u64, distance(index))
    });
    for (index, score) in &mut scores {
        *score /= 1.0 + distance(*index) as f64 / HALF_LIFE_SECONDS;
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stored;
    use casemate_event::{Class, field};

    fn event(id: u64, seconds: i64, template: u64) -> Stored {
        let mut event = stored(id, seconds, Class::NetworkActivity, &[(field::DEVICE_HOSTNAME, "ws1")]);
        event.event.template = TemplateId(template);
        event
    }

    fn candidate(stored: &Stored, relation: Relation, detection: Option<Severity>) -> Candidate<'_> {
        Candidate { stored, relation, detection, template_count: 1, likeness: None, silence: None }
    }

    fn ids(candidates: &[Candidate<'_>], chosen: &[Chosen]) -> Vec<(u64, u64)> {
        chosen
            .iter()
            .map(|chosen| (candidates[chosen.index].stored.id.0, chosen.folded.len() as u64 + 1))
            .collect()
    }

    #[test]
    fn repeats_fold_and_ties_order() {
        let events = [event(1, -100, 7), event(2, 0, 8), event(3, 1, 7), event(4, 2, 9)];
        let candidates = [
            candidate(&events[0], Relation::Near, None),
            candidate(&events[1], Relation::Alert, Some(Severity::High)),
            candidate(&events[2], Relation::Near, None),
            candidate(&events[3], Relation::Process, None),
        ];
        let chosen = choose(&candidates, &[], 3);
        assert_eq!(ids(&candidates, &chosen), [(2, 1), (4, 1), (1, 2)]);
    }

    #[test]
    fn events_of_facts_come_first_and_unfolded() {
        let events: Vec<Stored> = (1..=9).map(|id| event(id, id as i64, 7)).collect();
        let candidates: Vec<_> = events.iter().map(|event| candidate(event, Relation::Near, None)).collect();
        let chosen = choose(&candidates, &[EventId(8), EventId(3)], 4);
        assert_eq!(ids(&candidates, &chosen), [(8, 1), (3, 8)]);
        assert_eq!(chosen[1].folded, [0, 1, 3, 4, 5, 6, 8]);
        assert_eq!(ids(&candidates, &choose(&candidates, &[EventId(8), EventId(3)], 1)), [(8, 1), (3, 8)]);
    }
}
