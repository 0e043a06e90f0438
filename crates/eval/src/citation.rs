//! Do the events that a report cites exist, and do they say so?
//!
//! An auditor's check, apart from the one the report was made with: it reads whole events from the store, not
//! the lines of the report. Every sentence and every fact that cites evidence is looked at. What a statement
//! names (quoted values, addresses, paths, files, accounts, times, and any name that an event of the report
//! holds) has to occur in an event it cites, or in what a command of that event encodes.

use crate::Error;
use casemate_detect::Rules;
use casemate_event::{Event, Stored, field};
use casemate_investigate::{Investigation, decoded_layers};
use casemate_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// How the citations of a report fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Checked {
    pub(crate) citations: usize,
    pub(crate) existing: usize,
    pub(crate) supported: usize,
}

/// Checks every citation of a report. What a statement says of rules has to be the title of one of `rules` that
/// matches an event it cites.
pub(crate) fn check(report: &Investigation, store: &Store, rules: &Rules) -> Result<Checked, Error> {
    let mut cited: BTreeMap<&str, Stored> = BTreeMap::new();
    for item in &report.evidence {
        if let Some(stored) = store.get(item.event)? {
            cited.insert(&item.label, stored);
        }
    }
    let names: BTreeSet<String> = cited.values().flat_map(|stored| names(&stored.event)).collect();
    let facts = report.facts.iter().map(|fact| (&fact.statement, &fact.evidence));
    let sentences = report.narrative.iter().map(|sentence| (&sentence.text, &sentence.citations));
    let mut checked = Checked::default();
    for (statement, labels) in facts.chain(sentences).filter(|(_, labels)| !labels.is_empty()) {
        let events: Vec<&Stored> = labels.iter().filter_map(|label| cited.get(label.as_str())).collect();
        checked.citations += 1;
        if events.len() < labels.len() {
            continue;
        }
        checked.existing += 1;
        let lines = report.evidence.iter().filter(|item| labels.contains(&item.label));
        let mut text: String = lines.map(|item| item.line.to_lowercase() + "\n").collect();
        for stored in events {
            text.push_str(&everything(&stored.event));
            let titles =
                rules.matches(&stored.event).into_iter().map(|rule| rule.title.to_lowercase() + "\n");
            text.extend(titles);
        }
        match unsupported(statement, &as_shown(&text), &names) {
            None => checked.supported += 1,
            Some(word) => tracing::debug!(statement, word, "a cited event does not say so"),
        }
    }
    Ok(checked)
}

/// With the quotes and brackets that statements show in place of an event's own.
fn as_shown(text: &str) -> String {
    text.replace('"', "'").replace('[', "(").replace(']', ")")
}

/// The first thing a statement names that `text` (in lower case) does not hold.
fn unsupported(statement: &str, text: &str, names: &BTreeSet<String>) -> Option<String> {
    let mut quoted = false;
    for part in statement.split('"') {
        // Where a value was shortened, its pieces stand for it.
        for word in without_placeholders(part).split([' ', '…']) {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '$' | '\\' | '/'));
            let word = word.strip_suffix("'s").unwrap_or(word).to_lowercase();
            // Within quotes every word of some length is the event's; a cut at the end leaves a beginning.
            let named = names.contains(&word) || is_identifier(&word) || (quoted && word.len() >= 4);
            if named && !holds(text, &word) {
                return Some(word);
            }
        }
        quoted = !quoted;
    }
    None
}

/// The text with a space for each `<base64, 57 characters>` that a line shows instead of a long run.
fn without_placeholders(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("<base64, ") {
        kept.push_str(before);
        kept.push(' ');
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    kept + rest
}

fn holds(text: &str, word: &str) -> bool {
    // Lines show a value's spaces and quotes in one way, events in another.
    text.contains(word) || text.contains(&word.replace('\\', "\\\\"))
}

/// Whether a word looks like a path, address, account, file or time; a bare number may be a count.
fn is_identifier(word: &str) -> bool {
    let is_number = word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '%'));
    let address = word.split('.').count() == 4 && is_number;
    let inner_dot = word.split('.').filter(|part| !part.is_empty()).count() > 1;
    address || (!is_number && (word.contains(['\\', '@', '$', '_', ':']) || inner_dot))
}

/// Everything an event says, in lower case.
fn everything(event: &Event) -> String {
    let mut text = event.message.to_lowercase();
    for (_, value) in event.fields.iter().chain(event.native.iter()) {
        text.push('\n');
        text.push_str(&value.to_lowercase());
        for layer in decoded_layers(value) {
            text.push('\n');
            text.push_str(&layer.to_lowercase());
        }
    }
    text.push('\n');
    text.push_str(&event.time.to_string().to_lowercase());
    text.push('\n');
    text
}

/// Hosts, users, addresses and programs of an event, in lower case, with and without their folders.
fn names(event: &Event) -> Vec<String> {
    const NAMED: [&str; 9] = [
        field::DEVICE_HOSTNAME,
        field::USER,
        field::ACTOR_USER,
        field::SRC_IP,
        field::DST_IP,
        field::SRC_HOSTNAME,
        field::DST_HOSTNAME,
        field::PROCESS_NAME,
        field::SERVICE_NAME,
    ];
    let values = NAMED.iter().filter_map(|name| event.field(name));
    // Names that are words of every report say nothing.
    values.map(str::to_lowercase).filter(|name| name.len() >= 3 && name != "system").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_held_to_the_events() {
        let text =
            "14:02:11z ws5 alice: process launch\nc:\\windows\\temp\\a.dll\nrundll32.exe a.dll,#1 full";
        let names: BTreeSet<String> = ["ws5", "dc1", "alice", "bob"].map(str::to_owned).into();
        let check = |statement, expected: Option<&str>| {
            assert_eq!(unsupported(statement, text, &names).as_deref(), expected, "{statement}");
        };
        check("a command on ws5 runs \"rundll32.exe a.dll,#1\"", None);
        check("the user alice loaded C:\\Windows\\Temp\\a.dll at 14:02:11Z, 12 times within 5 s.", None);
        check("a command runs \"rundll32.exe <base64, 57 characters>a.dll,#1 fu…\"", None);
        check("a command on dc1 runs \"rundll32.exe\"", Some("dc1"));
        check("the user bob did it", Some("bob"));
        check("it connected to 10.0.0.7", Some("10.0.0.7"));
        check("a command runs \"rundll32.exe b.dll\"", Some("b.dll"));
        assert!(as_shown("a [REF] \"b\"").contains("a (REF) 'b'"));
        check("a command runs \"regsvr a.dll\"", Some("regsvr"));
        check("it happened at 14:02:12Z", Some("14:02:12z"));
    }
}
