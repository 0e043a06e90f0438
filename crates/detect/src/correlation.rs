//! Which events together match a correlation rule? Its claim, its groups and its condition.
//!
//! rsigma's own correlation counts in whole seconds, takes events in the order of arrival for the order of
//! time, lets a `temporal` rule without a condition fire on any one of its rules, does not chain
//! `value_count`, and cites no events in chained results; so the rules it parses are evaluated here.

use crate::view::View;
use crate::{Rule, Rules};
use casemate_event::EventId;
use jiff::{SignedDuration, Timestamp};
use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType, FieldAlias,
    Quantifier, WindowMode,
};
use std::collections::BTreeSet;
use std::path::Path;

/// Longest part of a group's name, in bytes.
const MAX_GROUP_BYTES: usize = 256;

const MAX_TIMESPAN_SECONDS: i64 = 366 * 86_400;
/// Entries that a group keeps at least before its oldest go.
const LEAST_ENTRIES: usize = 1000;
/// Most that a rule may count to.
const MOST_ENTRIES: usize = 100_000;

/// A correlation rule, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Correlation {
    /// Its place among the rules.
    pub(crate) rule: usize,
    /// The rules it refers to, in its order, and what it calls them.
    pub(crate) references: Vec<(usize, String)>,
    pub(crate) timespan: SignedDuration,
    /// Most entries that a group keeps.
    pub(crate) capacity: usize,
    /// Whether the rules it refers to raise alerts of their own as well.
    pub(crate) generate: bool,
    kind: CorrelationType,
    group_by: Vec<String>,
    aliases: Vec<FieldAlias>,
    condition: Condition,
}

#[derive(Debug)]
enum Condition {
    Threshold {
        predicates: Vec<(ConditionOperator, f64)>,
        fields: Vec<String>,
        percentile: f64,
    },
    /// Which of the rules must be there.
    Rules(ConditionExpr),
}

/// One match of a rule that a correlation refers to.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    /// The newest of the events.
    pub(crate) id: EventId,
    /// Place among the correlation's references.
    pub(crate) reference: usize,
    /// Hash of the values counted, or the number aggregated.
    pub(crate) value: Option<Value>,
    /// The events that the match is about.
    pub(crate) events: Vec<EventId>,
    /// Whether an alert has named it.
    pub(crate) is_cited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Hash(u64),
    Number(f64),
}

/// The readable part of a correlation rule.
pub(crate) fn rule(sigma: &CorrelationRule, path: &Path) -> Rule {
    let (techniques, tactics) = crate::rule::attack_tags(&sigma.tags);
    Rule {
        id: sigma.id.clone().unwrap_or_else(|| sigma.title.clone()),
        title: sigma.title.trim().to_owned(),
        description: sigma.description.as_deref().unwrap_or_default().trim().to_owned(),
        severity: crate::rule::severity(sigma.level),
        techniques,
        tactics,
        false_positives: sigma.falsepositives.clone(),
        path: path.to_path_buf(),
        text: std::sync::Arc::default(),
        raises: true,
    }
}

/// Rules that correlations refer to raise no alert of their own, unless one of these says `generate`.
pub(crate) fn mark_quiet(rules: &mut Rules) {
    let referred = |generate: bool| -> BTreeSet<usize> {
        let correlations = rules.correlations.iter().filter(|rule| rule.generate == generate);
        correlations.flat_map(|rule| rule.references.iter().map(|(index, _)| *index)).collect()
    };
    let (quiet, loud) = (referred(false), referred(true));
    for index in quiet.difference(&loud) {
        if let Some(rule) = rules.rules.get_mut(*index) {
            rule.raises = false;
        }
    }
}

impl Correlation {
    /// `rule` and `references` are places among the loaded rules; references in the order of the file.
    pub(crate) fn new(sigma: &CorrelationRule, rule: usize, references: Vec<usize>) -> Result<Self, String> {
        if sigma.window != WindowMode::Sliding {
            return Err(format!("window {:?} is not supported; leave it out", sigma.window.as_str()));
        }
        if references.is_empty() {
            return Err("refers to no rule; list ids or names under rules".to_owned());
        }
        let seconds = i64::try_from(sigma.timespan.seconds).unwrap_or(i64::MAX);
        if seconds == 0 || seconds > MAX_TIMESPAN_SECONDS {
            return Err("timespan must be at least 1s and at most 366 days".to_owned());
        }
        use CorrelationType::{EventCount, Temporal, TemporalOrdered, ValueCount};
        let kind = sigma.correlation_type;
        let is_temporal = matches!(kind, Temporal | TemporalOrdered);
        let condition = match &sigma.condition {
            CorrelationCondition::Extended(expression) if is_temporal => Condition::Rules(expression.clone()),
            CorrelationCondition::Extended(_) => {
                return Err("only temporal rules take a condition of rule names".to_owned());
            }
            CorrelationCondition::Threshold { predicates, field, percentile } => {
                let fields = field.clone().unwrap_or_default();
                if fields.is_empty() && !is_temporal && kind != EventCount {
                    return Err("needs a field in its condition".to_owned());
                }
                if fields.len() > 1 && kind != ValueCount {
                    return Err("takes one field in its condition".to_owned());
                }
                // What the parser writes for a temporal rule without a condition.
                let unstated = is_temporal && predicates.as_slice() == [(ConditionOperator::Gte, 1)];
                let predicates = match unstated {
                    true => vec![(ConditionOperator::Gte, sigma.rules.len() as f64)],
                    false => predicates.iter().map(|(operator, bound)| (*operator, *bound as f64)).collect(),
                };
                Condition::Threshold { predicates, fields, percentile: percentile.unwrap_or(50) as f64 }
            }
        };
        let highest = match &condition {
            Condition::Threshold { predicates, .. } => {
                predicates.iter().map(|(_, bound)| *bound).fold(0.0, f64::max)
            }
            Condition::Rules(_) => 0.0,
        };
        let counts = matches!(kind, EventCount | ValueCount);
        if counts && highest > MOST_ENTRIES as f64 {
            return Err(format!("counts to {highest}, more than {MOST_ENTRIES}"));
        }
        Ok(Self {
            rule,
            references: references.into_iter().zip(sigma.rules.iter().cloned()).collect(),
            timespan: SignedDuration::from_secs(seconds),
            capacity: if counts { LEAST_ENTRIES.max(2 * highest as usize) } else { LEAST_ENTRIES },
            generate: sigma.generate,
            kind,
            group_by: sigma.group_by.clone(),
            aliases: sigma.aliases.clone(),
            condition,
        })
    }

    /// The values that tell groups apart, as `field=value` pairs; `child` are those of a correlation below.
    pub(crate) fn group(
        &self,
        view: &View<'_>,
        reference: &str,
        child: &[(String, String)],
    ) -> Vec<(String, String)> {
        let value = |name: &String| {
            let own = child.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            let value = own.or_else(|| view.get(self.field(name, reference))).unwrap_or_default();
            // Names of accounts and hosts are the same in any case.
            short(&value.to_lowercase())
        };
        self.group_by.iter().map(|name| (name.clone(), value(name))).collect()
    }

    /// The field that an alias stands for in the events of a rule.
    fn field<'a>(&'a self, name: &'a str, reference: &str) -> &'a str {
        let alias = self.aliases.iter().find(|alias| alias.alias == name);
        alias.and_then(|alias| alias.mapping.get(reference)).map_or(name, String::as_str)
    }

    /// What an event adds to what is counted; `None` where it has no such field and does not count.
    pub(crate) fn value(&self, view: &View<'_>, reference: &str) -> Option<Option<Value>> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let Condition::Threshold { fields, .. } = &self.condition else { return Some(None) };
        let get = |name: &String| view.get(self.field(name, reference));
        match self.kind {
            CorrelationType::ValueCount => {
                let mut hasher = DefaultHasher::new();
                for name in fields {
                    get(name)?.to_lowercase().hash(&mut hasher);
                }
                Some(Some(Value::Hash(hasher.finish())))
            }
            CorrelationType::ValueSum
            | CorrelationType::ValueAvg
            | CorrelationType::ValuePercentile
            | CorrelationType::ValueMedian => {
                let number: f64 = get(fields.first()?)?.trim().parse().ok()?;
                number.is_finite().then_some(Some(Value::Number(number)))
            }
            _ => Some(None),
        }
    }

    /// Whether entries of one group within one timespan, oldest first, match.
    pub(crate) fn is_met(&self, window: &[&Entry]) -> bool {
        let present: BTreeSet<usize> = window.iter().map(|entry| entry.reference).collect();
        let (predicates, percentile) = match &self.condition {
            Condition::Rules(expression) => {
                return self.holds(expression, &present)
                    && (self.kind == CorrelationType::Temporal || in_order(window));
            }
            Condition::Threshold { predicates, percentile, .. } => (predicates, *percentile),
        };
        let numbers = || {
            let mut numbers: Vec<f64> = window
                .iter()
                .filter_map(|entry| match entry.value {
                    Some(Value::Number(number)) => Some(number),
                    _ => None,
                })
                .collect();
            numbers.sort_by(f64::total_cmp);
            numbers
        };
        let measured = match self.kind {
            CorrelationType::EventCount => Some(window.len() as f64),
            CorrelationType::ValueCount => {
                let hash = |entry: &&Entry| match entry.value {
                    Some(Value::Hash(hash)) => Some(hash),
                    _ => None,
                };
                Some(window.iter().filter_map(hash).collect::<BTreeSet<_>>().len() as f64)
            }
            CorrelationType::Temporal => Some(present.len() as f64),
            CorrelationType::TemporalOrdered => Some(longest_run(self.references.len(), window) as f64),
            CorrelationType::ValueSum => Some(numbers().iter().sum()),
            CorrelationType::ValueAvg => {
                let numbers = numbers();
                (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
            }
            CorrelationType::ValuePercentile => quantile(&numbers(), percentile / 100.0),
            CorrelationType::ValueMedian => quantile(&numbers(), 0.5),
        };
        measured.is_some_and(|measured| {
            predicates.iter().all(|(operator, bound)| compare(*operator, measured, *bound))
        })
    }

    fn holds(&self, expression: &ConditionExpr, present: &BTreeSet<usize>) -> bool {
        match expression {
            ConditionExpr::And(parts) => parts.iter().all(|part| self.holds(part, present)),
            ConditionExpr::Or(parts) => parts.iter().any(|part| self.holds(part, present)),
            ConditionExpr::Not(part) => !self.holds(part, present),
            ConditionExpr::Identifier(name) => self
                .references
                .iter()
                .position(|(_, own)| own == name)
                .is_some_and(|place| present.contains(&place)),
            ConditionExpr::Selector { quantifier, pattern } => {
                let selected = self.references.iter().enumerate();
                let selected: Vec<usize> = selected
                    .filter(|(_, (_, name))| pattern.matches_detection_name(name))
                    .map(|(place, _)| place)
                    .collect();
                let found = selected.iter().filter(|place| present.contains(place)).count() as u64;
                match quantifier {
                    Quantifier::Any => found > 0,
                    Quantifier::All => found == selected.len() as u64,
                    Quantifier::Count(count) => found >= *count,
                }
            }
        }
    }
}

/// Whether the rules that are present follow one another in the order of the list.
fn in_order(window: &[&Entry]) -> bool {
    let present: BTreeSet<usize> = window.iter().map(|entry| entry.reference).collect();
    let mut expected = present.into_iter().peekable();
    for entry in window {
        expected.next_if_eq(&entry.reference);
    }
    expected.peek().is_none()
}

/// How many of the rules, from the first, follow one another.
fn longest_run(rules: usize, window: &[&Entry]) -> usize {
    let mut next = 0;
    for entry in window {
        if next < rules && entry.reference == next {
            next += 1;
        }
    }
    next
}

fn compare(operator: ConditionOperator, measured: f64, bound: f64) -> bool {
    match operator {
        ConditionOperator::Lt => measured < bound,
        ConditionOperator::Lte => measured <= bound,
        ConditionOperator::Gt => measured > bound,
        ConditionOperator::Gte => measured >= bound,
        ConditionOperator::Eq => measured == bound,
        ConditionOperator::Neq => measured != bound,
    }
}

/// The value that a share of sorted numbers lies below, between neighbours in proportion.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

fn short(value: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    if value.len() <= MAX_GROUP_BYTES {
        return value.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    let start = value.get(..value.floor_char_boundary(MAX_GROUP_BYTES)).unwrap_or_default();
    format!("{start}…{:016x}", hasher.finish())
}
