//! What does a Sigma filter leave out? Rewrites the rules it names, before they are compiled.
//!
//! rsigma adds a filter's detections to the compiled rule under names that the rule's own `1 of *_name`
//! selects too, and finds rules by title instead of by name. Here each selector is first written out, and
//! then the condition of the filter is required as well.

use rsigma_parser::{
    ConditionExpr, Detections, FilterRule, FilterRuleTarget, LogSource, Quantifier, SelectorPattern,
    SigmaRule,
};
use std::collections::BTreeMap;

/// Requires the condition of `filter` in each of `rules` that it names.
///
/// # Errors
/// The reason, where the filter cannot be used or names a rule that is not there.
pub(crate) fn apply<'a>(
    filter: &FilterRule,
    rules: impl Iterator<Item = &'a mut SigmaRule>,
) -> Result<(), String> {
    let failed = |reason: &str| format!("filter {:?}: {reason}", filter.title);
    let [condition] = filter.detection.conditions.as_slice() else {
        return Err(failed("needs one condition"));
    };
    let mut names: Vec<&String> = filter.detection.named.keys().collect();
    names.sort();
    let condition = written_out(condition, &filter.detection)
        .ok_or_else(|| failed("counts selections other than `1 of` and `all of`, which filters cannot"))?;
    let mut found = 0;
    for rule in rules {
        let is_named = match &filter.rules {
            FilterRuleTarget::Any => true,
            FilterRuleTarget::Specific(targets) => targets.iter().any(|target| {
                [rule.id.as_ref(), rule.name.as_ref(), Some(&rule.title)].contains(&Some(target))
            }),
        };
        let fits = filter.logsource.as_ref().is_none_or(|source| covers(source, &rule.logsource));
        if !is_named || !fits {
            continue;
        }
        found += 1;
        // Names nobody writes, and no two filters share.
        let start = rule.detection.named.len();
        let renamed: BTreeMap<&String, String> = names
            .iter()
            .enumerate()
            .map(|(number, name)| (*name, format!("\u{1}filter {}", start + number)))
            .collect();
        let own: Vec<ConditionExpr> = rule
            .detection
            .conditions
            .iter()
            .map(|own| written_out(own, &rule.detection).unwrap_or_else(|| own.clone()))
            .collect();
        let required = rename(&condition, &renamed);
        rule.detection.conditions =
            own.into_iter().map(|own| ConditionExpr::And(vec![own, required.clone()])).collect();
        for (name, renamed) in renamed {
            if let Some(detection) = filter.detection.named.get(name) {
                rule.detection.named.insert(renamed, detection.clone());
            }
        }
    }
    if found == 0 {
        return Err(failed("names no rule that is loaded and has its log source"));
    }
    Ok(())
}

/// Whether each part of a filter's log source is that of the rule.
fn covers(filter: &LogSource, rule: &LogSource) -> bool {
    let same = |filter: &Option<String>, rule: &Option<String>| {
        filter.as_ref().is_none_or(|filter| {
            rule.as_ref().is_some_and(|rule| rule.trim().eq_ignore_ascii_case(filter.trim()))
        })
    };
    same(&filter.product, &rule.product)
        && same(&filter.category, &rule.category)
        && same(&filter.service, &rule.service)
}

/// A condition with its selectors as the names they select; `None` where one counts.
fn written_out(condition: &ConditionExpr, detection: &Detections) -> Option<ConditionExpr> {
    let all = |parts: &[ConditionExpr]| -> Option<Vec<_>> {
        parts.iter().map(|part| written_out(part, detection)).collect()
    };
    Some(match condition {
        ConditionExpr::And(parts) => ConditionExpr::And(all(parts)?),
        ConditionExpr::Or(parts) => ConditionExpr::Or(all(parts)?),
        ConditionExpr::Not(part) => ConditionExpr::Not(Box::new(written_out(part, detection)?)),
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(name.clone()),
        ConditionExpr::Selector { quantifier, pattern } => {
            let selected = selected(pattern, detection);
            match quantifier {
                Quantifier::Any | Quantifier::Count(1) => ConditionExpr::Or(selected),
                Quantifier::All => ConditionExpr::And(selected),
                Quantifier::Count(_) => return None,
            }
        }
    })
}

/// A selector that selects nothing, so that what it is required for never matches. Under `not` it is no fault:
/// rules are written with room for filters.
pub(crate) fn idle(condition: &ConditionExpr, detection: &Detections) -> Option<String> {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            parts.iter().find_map(|part| idle(part, detection))
        }
        ConditionExpr::Selector { pattern, .. } if selected(pattern, detection).is_empty() => {
            Some(pattern.to_string())
        }
        ConditionExpr::Selector { .. } | ConditionExpr::Not(_) | ConditionExpr::Identifier(_) => None,
    }
}

fn selected(pattern: &SelectorPattern, detection: &Detections) -> Vec<ConditionExpr> {
    let mut names: Vec<&String> =
        detection.named.keys().filter(|name| pattern.matches_detection_name(name)).collect();
    names.sort();
    names.into_iter().map(|name| ConditionExpr::Identifier(name.clone())).collect()
}

fn rename(condition: &ConditionExpr, names: &BTreeMap<&String, String>) -> ConditionExpr {
    let all = |parts: &[ConditionExpr]| parts.iter().map(|part| rename(part, names)).collect();
    match condition {
        ConditionExpr::And(parts) => ConditionExpr::And(all(parts)),
        ConditionExpr::Or(parts) => ConditionExpr::Or(all(parts)),
        ConditionExpr::Not(part) => ConditionExpr::Not(Box::new(rename(part, names))),
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(names.get(name).unwrap_or(name).clone()),
        selector @ ConditionExpr::Selector { .. } => selector.clone(),
    }
}
