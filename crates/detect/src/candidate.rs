//! Can this text, which somebody has typed, be a rule here? Bounded before it is read, and answered with lines.
//!
//! The lists and filters of the site hold for it as for the rules in use, and a correlation may refer to those.
//! Nothing here reads or writes a file.

use crate::load::Loader;
use crate::{Problem, Rules};
use regex::RegexBuilder;
use rsigma_parser::lint::{Severity, lint_yaml_str};
use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaCollection, SigmaValue, parse_sigma_yaml};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use yaml_serde::Value;

/// Longest text that is looked at.
pub const MAX_CANDIDATE_BYTES: usize = 64 << 10;
/// Brackets within each other, and negations in a row: the parsers below call themselves for each.
const MAX_DEPTH: usize = 32;
/// Regular expressions in a text, and the memory of one compiled.
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Name under which problems of the text come back.
const HERE: &str = "candidate";

/// What was found in a text.
#[derive(Debug, Default)]
pub struct Candidate {
    /// Its rules, ready to match, and those in use that they refer to.
    pub rules: Rules,
    /// Ids of its own rules.
    pub own: BTreeSet<String>,
    /// What is wrong with it, and what could be better.
    pub remarks: Vec<Remark>,
}

/// Something to be said about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Line, from 1, where one can be named.
    pub line: Option<usize>,
    /// Whether nothing can be used until it is put right.
    pub fatal: bool,
    /// What it is, and what to do.
    pub text: String,
}

impl Candidate {
    /// Whether its rules can be used.
    pub fn is_usable(&self) -> bool {
        !self.own.is_empty() && !self.remarks.iter().any(|remark| remark.fatal)
    }

    fn refused(line: Option<usize>, text: String) -> Self {
        Self { remarks: vec![Remark { line, fatal: true, text }], ..Self::default() }
    }
}

impl Rules {
    /// Reads a text as a file of rules beside these. Costs at most some tenths of a second, whatever the text is.
    pub fn candidate(&self, text: &str) -> Candidate {
        if text.len() > MAX_CANDIDATE_BYTES {
            let said = format!(
                "the text has {} bytes; a file of rules has at most {MAX_CANDIDATE_BYTES}",
                text.len()
            );
            return Candidate::refused(None, said);
        }
        if let Some(line) = too_deep(text) {
            let said = format!(
                "more than {MAX_DEPTH} brackets within each other or negations in a row; write it flatter"
            );
            return Candidate::refused(Some(line), said);
        }
        if conditions_too_deep(text) {
            let said = format!(
                "a condition has more than {MAX_DEPTH} brackets within each other or negations in a row; write it flatter"
            );
            return Candidate::refused(line_of(text, "condition"), said);
        }
        let collection = match parse_sigma_yaml(text) {
            Ok(collection) => collection,
            Err(error) => {
                let said = error.to_string();
                return Candidate::refused(line_in(&said), said);
            }
        };
        if let Err(said) = patterns(&collection) {
            let line = line_of_words(text, &said);
            return Candidate::refused(line, said);
        }
        self.load_candidate(text, collection)
    }

    fn load_candidate(&self, text: &str, collection: SigmaCollection) -> Candidate {
        let own: BTreeSet<String> = collection
            .rules
            .iter()
            .map(|rule| rule.id.as_ref().unwrap_or(&rule.title))
            .chain(collection.correlations.iter().map(|rule| rule.id.as_ref().unwrap_or(&rule.title)))
            .cloned()
            .collect();
        let (path, shared) = (Path::new(HERE), Arc::<str>::from(text));
        let mut loader = Loader::with(Arc::clone(&self.placeholders));
        let is_empty = own.is_empty() && collection.errors.is_empty();
        let references: Vec<String> =
            collection.correlations.iter().flat_map(|rule| rule.rules.iter().cloned()).collect();
        loader.take(path, &shared, collection);
        if is_empty {
            loader.report(
                path,
                "holds no rule: a detection rule has title, logsource and detection".to_owned(),
            );
        }
        self.take_referred(&mut loader, &references, &own);
        // Filters that name no rule of the text have nothing to do with it.
        let filters = self.filters.iter().cloned();
        loader.filters.extend(filters);
        let (mut rules, problems) = loader.finish();
        rules.log_sources.clone_from(&self.log_sources);
        let mut remarks: Vec<Remark> = problems
            .into_iter()
            .filter(|problem| problem.path == path)
            .map(|Problem { reason, .. }| Remark {
                line: line_in(&reason).or_else(|| line_of_words(text, &reason)),
                fatal: true,
                text: reason,
            })
            .collect();
        remarks.extend(rules.without_source().filter(|rule| own.contains(&rule.id)).map(|rule| Remark {
            line: line_of(text, "logsource:"),
            fatal: false,
            text: format!(
                "rule {:?} can never match here: no decoder writes events of its log source",
                rule.title
            ),
        }));
        remarks.extend(lint(text));
        Candidate { rules, own, remarks }
    }

    /// Takes rules in use that a correlation of the text refers to.
    fn take_referred(&self, loader: &mut Loader, references: &[String], own: &BTreeSet<String>) {
        let mut taken = BTreeSet::new();
        for name in references.iter().filter(|name| !own.contains(*name)) {
            let line = format!("name: {name}");
            let named = || self.iter().find(|rule| rule.text.lines().any(|own| own.trim() == line));
            let Some(rule) = self.get(name).or_else(named) else { continue };
            if own.contains(&rule.id) || !taken.insert(rule.path.clone()) {
                continue;
            }
            if let Ok(collection) = parse_sigma_yaml(&rule.text) {
                loader.take(&rule.path, &rule.text, collection);
            }
        }
    }
}

/// The first line at which brackets, negations or lists are nested too deeply.
fn too_deep(text: &str) -> Option<usize> {
    let (mut open, mut negations) = (0_usize, 0_usize);
    for (index, line) in text.lines().enumerate() {
        // Lists within lists on one line: `- - -`.
        let lists = line.split_whitespace().take_while(|word| *word == "-").count();
        for word in line.split_whitespace() {
            negations = if word.trim_matches('(').eq_ignore_ascii_case("not") { negations + 1 } else { 0 };
            for byte in word.bytes() {
                match byte {
                    b'(' | b'[' | b'{' => open += 1,
                    b')' | b']' | b'}' => open = open.saturating_sub(1),
                    _ => {}
                }
                if open > MAX_DEPTH {
                    return Some(index + 1);
                }
            }
            if negations > MAX_DEPTH || lists > MAX_DEPTH {
                return Some(index + 1);
            }
        }
        // Text of a description may leave one open; what goes on over lines is indented.
        if !line.starts_with([' ', '\t', '(', '[', '{']) {
            open = 0;
        }
    }
    None
}

/// Whether a condition, as YAML's escapes make it, is nested too deeply. What is no YAML is for the parser to tell.
fn conditions_too_deep(text: &str) -> bool {
    yaml_serde::Deserializer::from_str(text)
        .map_while(|document| Value::deserialize(document).ok())
        .any(|document| has_deep_condition(&document, false))
}

fn has_deep_condition(value: &Value, is_condition: bool) -> bool {
    match value {
        Value::String(text) => is_condition && is_deep(text),
        Value::Sequence(items) => items.iter().any(|item| has_deep_condition(item, is_condition)),
        Value::Mapping(pairs) => pairs.iter().any(|(key, value)| {
            has_deep_condition(
                value,
                is_condition || key.as_str().is_some_and(|key| key.trim() == "condition"),
            )
        }),
        _ => false,
    }
}

fn is_deep(condition: &str) -> bool {
    let (mut open, mut negations) = (0_usize, 0_usize);
    for word in condition.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => open += 1,
            ")" => open = open.saturating_sub(1),
            word if word.eq_ignore_ascii_case("not") => negations += 1,
            _ => negations = 0,
        }
        if open > MAX_DEPTH || negations > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Refuses regular expressions that are too many or too large.
fn patterns(collection: &SigmaCollection) -> Result<(), String> {
    let mut found = Vec::new();
    let rules = collection.rules.iter().map(|rule| &rule.detection);
    let filters = collection.filters.iter().map(|filter| &filter.detection);
    for detections in rules.chain(filters) {
        detections.named.values().for_each(|detection| collect(detection, &mut found));
    }
    if found.len() > MAX_PATTERNS {
        return Err(format!("{} regular expressions are too many; keep {MAX_PATTERNS}", found.len()));
    }
    for pattern in found {
        if let Err(error) = RegexBuilder::new(&pattern).size_limit(MAX_PATTERN_BYTES).build() {
            // What is said of a wrong one spans lines, the last of which says it.
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default().trim().to_owned();
            return Err(format!("the regular expression `{pattern}` cannot be used: {last}"));
        }
    }
    Ok(())
}

fn collect(detection: &Detection, found: &mut Vec<String>) {
    let items = |items: &[DetectionItem], found: &mut Vec<String>| {
        for item in items.iter().filter(|item| item.field.has_modifier(Modifier::Re)) {
            found.extend(item.values.iter().filter_map(|value| match value {
                SigmaValue::String(text) => Some(text.original.clone()),
                _ => None,
            }));
        }
    };
    match detection {
        Detection::AllOf(own) => items(own, found),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().for_each(|part| collect(part, found));
        }
        Detection::ArrayMatch { body, .. } => collect(body, found),
        Detection::Conditional { named, .. } => named.values().for_each(|part| collect(part, found)),
        Detection::Keywords(_) => {}
    }
}

/// What the specification asks for beyond what is needed to match.
fn lint(text: &str) -> impl Iterator<Item = Remark> {
    let all = lint_yaml_str(text).into_iter();
    all.filter(|found| matches!(found.severity, Severity::Error | Severity::Warning)).map(|found| Remark {
        line: found.span.map(|span| span.start_line as usize + 1),
        fatal: false,
        text: found.message,
    })
}

/// The line that a message of the parser names.
fn line_in(message: &str) -> Option<usize> {
    let rest = &message[message.find("line ")? + "line ".len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

fn line_of(text: &str, begins: &str) -> Option<usize> {
    text.lines().position(|line| line.trim_start().starts_with(begins)).map(|index| index + 1)
}

/// The line that holds what a message quotes, the longest quotation first; else the first that holds its last word.
fn line_of_words(text: &str, message: &str) -> Option<usize> {
    // The title of the rule, which comes first, says nothing of the place.
    let message = message.split_once("\": ").map_or(message, |(_, rest)| rest);
    let mut quoted: Vec<&str> = message.split(['`', '"', '\'']).skip(1).step_by(2).collect();
    quoted.sort_by_key(|word| std::cmp::Reverse(word.len()));
    quoted.extend(message.split_whitespace().next_back());
    let holds = |word: &&str| word.len() > 1 && text.contains(*word);
    let word = quoted.into_iter().find(holds)?;
    text.lines().position(|line| line.contains(word)).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULE: &str = "title: Encoded command\nid: 5b1a9f0e-0000-4000-8000-000000000001\nlogsource:\n    product: windows\n    category: process_creation\ndetection:\n    selection:\n        CommandLine|contains: ' -enc '\n    condition: selection\nlevel: high\n";

    /// The first fatal remark.
    #[track_caller]
    fn refused(text: &str) -> Remark {
        let found = Rules::default().candidate(text);
        assert!(!found.is_usable(), "{text:.200} was taken");
        found.remarks.into_iter().find(|remark| remark.fatal).unwrap()
    }

    #[test]
    fn a_rule_is_taken_and_told_where_it_is_wrong() {
        let found = Rules::default().candidate(RULE);
        assert!(found.is_usable(), "{:?}", found.remarks);
        assert_eq!(found.rules.len(), 1);
        let wrong = refused(&RULE.replace("contains", "contians"));
        assert_eq!(wrong.line, Some(8), "{wrong:?}");
        let wrong = refused(&RULE.replace("condition: selection", "condition: slection"));
        assert_eq!(wrong.line, Some(9), "{wrong:?}");
        let wrong = refused(&RULE.replace("    category", "\tcategory"));
        assert!(wrong.line.is_some(), "{wrong:?}");
        // What YAML's escapes hide is as deep.
        for (part, end) in [(r"\x28", r"\x29"), (r"\x6eot ", "")] {
            let deep = format!("condition: \"{}selection{}\"", part.repeat(5000), end.repeat(5000));
            let wrong = refused(&RULE.replace("condition: selection", &deep));
            assert!(wrong.text.contains("write it flatter"), "{wrong:?}");
        }
        let wrong = refused("title: nothing\n");
        assert!(!wrong.text.is_empty());
        refused("");
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let condition = |text: &str| RULE.replace("condition: selection", &format!("condition: {text}"));
        for text in [
            condition(&format!("{}selection{}", "(".repeat(9000), ")".repeat(9000))),
            condition(&format!("{}selection", "not ".repeat(9000))),
            RULE.replace("contains: ' -enc '", "re: '(a{1000}){1000}'"),
            RULE.replace("contains: ' -enc '", &format!("re:{}", "\n            - a+".repeat(100))),
            "[".repeat(60_000),
            "a: ".repeat(20_000),
            "- ".repeat(30_000),
            "a".repeat(MAX_CANDIDATE_BYTES + 1),
            format!(
                "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
                ('b'..='z')
                    .map(|c| {
                        let before = char::from(c as u8 - 1);
                        format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(","))
                    })
                    .collect::<String>()
            ),
        ] {
            let started = std::time::Instant::now();
            refused(&text);
            assert!(started.elapsed().as_secs() < 10, "{text:.80}");
        }
    }

    #[test]
    fn a_correlation_refers_to_rules_in_use() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("a.yml"), RULE).unwrap();
        let (rules, problems) = Rules::load(&[dir.path().to_owned()]).unwrap();
        assert!(problems.is_empty());
        let text = "title: Many\nid: 5b1a9f0e-0000-4000-8000-000000000002\ncorrelation:\n    type: event_count\n    rules:\n        - 5b1a9f0e-0000-4000-8000-000000000001\n    group-by:\n        - Computer\n    timespan: 5m\n    condition:\n        gte: 3\nlevel: high\n";
        let found = rules.candidate(text);
        assert!(found.is_usable(), "{:?}", found.remarks);
        assert_eq!((found.rules.len(), found.own.len()), (2, 1));
        assert!(!found.rules.correlator().is_idle());
        assert!(!Rules::default().candidate(text).is_usable());
    }
}
