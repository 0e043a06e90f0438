//! Does a sentence say what the events that it cites say?
//!
//! A sentence is split into clauses, and each clause must hold of one cited event as a whole: everything it
//! names is named by that event, in the part the sentence gives it (who acted, what was acted on, from where
//! to where), and its time, outcome and counts are the event's. Words are matched by fixed lists; a sentence
//! that cannot be read this way is not supported, which costs a template and not a wrong claim.

use super::roles::{Role, Roles};
use crate::view::View;
use casemate_event::{Class, Event, field};
use std::collections::BTreeSet;

/// A cited event as the sentence is held against it.
pub(crate) struct Cited<'a> {
    pub(crate) event: &'a Event,
    /// Its line of evidence, in lower case.
    pub(crate) line: String,
    /// How many alike the line stands for.
    pub(crate) count: u64,
    pub(crate) roles: Roles,
}

/// Words by which a sentence would judge instead of report, or denies.
const JUDGEMENTS: [&str; 14] = [
    "malicious",
    "benign",
    "attack",
    "legitimate",
    "suspicious",
    "compromis",
    "unauthori",
    "authori",
    "harmless",
    "malware",
    "threat",
    "false positive",
    "exploit",
    "safe",
];
const NEGATIONS: [&str; 8] = ["not", "no", "never", "without", "neither", "nor", "didn't", "wasn't"];
/// Capitalised words that name no actor and no object.
const PLAIN_NAMES: [&str; 6] = ["windows", "linux", "microsoft", "utc", "the", "this"];

/// What a verb claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Open,
    Write,
    Delete,
    Connect,
    Logon,
}

const VERBS: [(Verb, &[&str]); 6] = [
    (
        Verb::Start,
        &[
            "started",
            "launched",
            "spawned",
            "ran",
            "executed",
            "invoked",
            "starts",
            "launches",
            "runs",
            "executes",
            "starting",
            "launching",
            "running",
            "executing",
        ],
    ),
    (
        Verb::Open,
        &["opened", "accessed", "read", "injected", "opens", "accesses", "reads", "accessing", "reading"],
    ),
    (
        Verb::Write,
        &[
            "wrote",
            "created",
            "modified",
            "changed",
            "set",
            "loaded",
            "installed",
            "dropped",
            "added",
            "creates",
            "writes",
            "loads",
            "creating",
            "writing",
        ],
    ),
    (Verb::Delete, &["deleted", "removed", "cleared", "deletes", "removes"]),
    (
        Verb::Connect,
        &[
            "connected",
            "contacted",
            "requested",
            "queried",
            "resolved",
            "sent",
            "communicated",
            "connects",
            "connecting",
        ],
    ),
    (Verb::Logon, &["logged", "authenticated", "signed", "logs"]),
];

/// Nouns that say what the next name is, and the roles that fit.
const HINTS: [(&[&str], &[Role]); 11] = [
    (&["parent"], &[Role::Parent]),
    (&["user", "account", "username"], &[Role::Actor, Role::Account]),
    (
        &["host", "computer", "machine", "workstation", "device"],
        &[Role::Host, Role::Source, Role::Destination],
    ),
    (&["process", "program", "binary", "executable", "tool"], &[Role::Program, Role::By, Role::Parent]),
    (&["file", "path"], &[Role::File, Role::Module, Role::Program, Role::By, Role::Parent]),
    (&["key"], &[Role::Key]),
    (&["service", "task", "job"], &[Role::Job, Role::Operation]),
    (&["module", "library", "driver", "dll"], &[Role::Module]),
    (&["source"], &[Role::Source]),
    (&["destination"], &[Role::Destination, Role::Query]),
    (&["domain", "url"], &[Role::Query, Role::Destination]),
];

/// Prepositions, and the roles of what they lead to.
const PREPOSITIONS: [(&[&str], &[Role]); 7] = [
    (&["on", "at"], &[Role::Host]),
    (&["from"], &[Role::Source, Role::Parent]),
    (&["to"], &[Role::Destination, Role::Query, Role::Account, Role::File, Role::Key]),
    (&["by"], &[Role::Actor, Role::By, Role::Parent]),
    (&["as"], &[Role::Actor, Role::Account]),
    (&["into", "inside"], &[Role::Program, Role::File]),
    (
        &["via", "using", "with", "through"],
        &[Role::Program, Role::By, Role::Parent, Role::Operation, Role::Module],
    ),
];
const PASSIVE: [&str; 6] = ["was", "were", "been", "is", "being", "are"];
/// Words that go over a boundary between clauses.
const JOINTS: [&str; 6] = ["and", "then", "which", "that", "who", "while"];

/// One word of a clause, as it matters.
#[derive(Debug, Clone, PartialEq)]
struct Word {
    /// In lower case, without punctuation around it.
    text: String,
    /// Whether it names something: known, shaped like a name, or with a capital inside the sentence.
    names: bool,
}

/// Whether the cited events say what the sentence says. `names` are all hosts, users, addresses and programs
/// known to the investigation, in lower case.
pub(crate) fn is_supported(sentence: &str, cited: &[Cited<'_>], names: &BTreeSet<String>) -> bool {
    let lower = sentence.to_lowercase();
    if cited.is_empty() || JUDGEMENTS.iter().any(|word| lower.contains(word)) {
        return false;
    }
    let mut before: Vec<Word> = Vec::new();
    clauses(sentence, names).into_iter().all(|clause| {
        if clause.iter().any(|word| NEGATIONS.contains(&word.text.as_str())) {
            return false;
        }
        // "… started a.exe and b.exe" says twice that it started something.
        let whole = if verb_of(&clause).is_none() { [before.clone(), clause].concat() } else { clause };
        let holds = cited.iter().any(|cited| holds(&whole, cited));
        if let Some((place, ..)) = verb_of(&whole) {
            before = whole[..=place].to_vec();
        }
        holds
    })
}

fn clauses(sentence: &str, names: &BTreeSet<String>) -> Vec<Vec<Word>> {
    let mut clauses: Vec<Vec<Word>> = vec![Vec::new()];
    for (position, written) in sentence.split_whitespace().enumerate() {
        let ends = written.ends_with([',', ';']);
        let text = trim(written);
        let lower = text.to_lowercase();
        if JOINTS.contains(&lower.as_str()) {
            clauses.push(Vec::new());
            continue;
        }
        let capital = position > 0 && text.chars().next().is_some_and(char::is_uppercase);
        let names_something = names.contains(&lower)
            || is_identifier(&lower)
            || (capital && !PLAIN_NAMES.contains(&lower.as_str()));
        if let Some(clause) = clauses.last_mut().filter(|_| !lower.is_empty()) {
            clause.push(Word { text: lower, names: names_something });
        }
        if ends {
            clauses.push(Vec::new());
        }
    }
    clauses.retain(|clause| !clause.is_empty());
    clauses
}

fn trim(word: &str) -> &str {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '$' | '\\' | '/' | '%'));
    word.strip_suffix("'s").unwrap_or(word).trim_end_matches(['.', ','])
}

/// The first verb of a clause: its place, what it claims, and whether the passive is used.
fn verb_of(clause: &[Word]) -> Option<(usize, Verb, bool)> {
    clause.iter().enumerate().find_map(|(place, word)| {
        let (verb, _) = VERBS.iter().find(|(_, words)| words.contains(&word.text.as_str()))?;
        let passive = clause[..place].iter().rev().take(2).any(|word| PASSIVE.contains(&word.text.as_str()));
        (!word.names || !is_identifier(&word.text)).then_some((place, *verb, passive))
    })
}

/// Whether a clause holds of one event.
fn holds(clause: &[Word], cited: &Cited<'_>) -> bool {
    let verb = verb_of(clause);
    if verb.is_some_and(|(_, verb, _)| !can(verb, cited.event)) || !outcome_agrees(clause, cited.event) {
        return false;
    }
    let mut subject = None;
    let mut object = None;
    for (place, word) in clause.iter().enumerate() {
        if is_time(&word.text) {
            if !time_agrees(&word.text, cited.event) {
                return false;
            }
            continue;
        }
        if let Some(count) = count_at(clause, place) {
            if count != cited.count {
                return false;
            }
            continue;
        }
        let roles = cited.roles.of_name(&word.text);
        if !word.names && roles.is_empty() {
            continue;
        }
        // Ordinary words may also be names: only those that are told apart count as names.
        if !word.names && guide(clause, place).is_none() {
            continue;
        }
        if roles.is_empty() {
            // Parts of a command line and numbers: they have to be there, and play no part.
            if !word.names || occurs(&word.text, &cited.line) && !is_name_elsewhere(clause, place) {
                continue;
            }
            return false;
        }
        match guide(clause, place) {
            Some(allowed) => {
                let by_host = cited.event.class == Class::Authentication && before(clause, place, "to");
                if !roles.iter().any(|role| allowed.contains(role) || (by_host && *role == Role::Host)) {
                    return false;
                }
                if before(clause, place, "by") || !governed(clause, place) {
                    note(&mut subject, &mut object, place, verb, &roles);
                }
            }
            None => note(&mut subject, &mut object, place, verb, &roles),
        }
    }
    match verb {
        Some((_, verb, passive)) => {
            let (agent, patient) = if passive { (object, subject) } else { (subject, object) };
            agent.is_none_or(|roles| plays(&roles, agents(verb)))
                && patient.is_none_or(|roles| plays(&roles, patients(verb)))
        }
        None => true,
    }
}

/// The first name before the verb is its subject, the first after it its object.
fn note(
    subject: &mut Option<Vec<Role>>,
    object: &mut Option<Vec<Role>>,
    place: usize,
    verb: Option<(usize, Verb, bool)>,
    roles: &[Role],
) {
    if let Some((at, ..)) = verb {
        let slot = if place < at { subject } else { object };
        if slot.is_none() {
            *slot = Some(roles.to_vec());
        }
    }
}

fn plays(roles: &[Role], allowed: &[Role]) -> bool {
    roles.iter().any(|role| allowed.contains(role))
}

fn agents(verb: Verb) -> &'static [Role] {
    match verb {
        Verb::Start => &[Role::Actor, Role::Parent, Role::By, Role::Job, Role::Host],
        Verb::Open | Verb::Write | Verb::Delete => &[Role::Actor, Role::By, Role::Host],
        Verb::Connect => &[Role::Actor, Role::By, Role::Source, Role::Host],
        Verb::Logon => &[Role::Account, Role::Actor],
    }
}

fn patients(verb: Verb) -> &'static [Role] {
    match verb {
        Verb::Start => &[Role::Program, Role::Job, Role::Module],
        Verb::Open => &[Role::Program, Role::File, Role::Key, Role::Module],
        Verb::Write | Verb::Delete => {
            &[Role::File, Role::Key, Role::Job, Role::Module, Role::Account, Role::Program]
        }
        Verb::Connect => &[Role::Destination, Role::Query, Role::Operation],
        Verb::Logon => &[Role::Host, Role::Account, Role::Source, Role::Destination],
    }
}

/// Whether an event of this kind can be what the verb says.
fn can(verb: Verb, event: &Event) -> bool {
    let view = View(event);
    let class = event.class;
    let deletes = ["delete", "remove", "clear"].iter().any(|word| {
        view.activity().to_lowercase().contains(word) || event.message.to_lowercase().contains(word)
    });
    match verb {
        Verb::Start => {
            view.is_launch()
                || view.is_job_change()
                || matches!(
                    class,
                    Class::ScriptActivity | Class::WindowsServiceActivity | Class::ScheduledJobActivity
                )
        }
        Verb::Open => !view.is_launch() && class != Class::Authentication,
        Verb::Write => {
            !matches!(
                class,
                Class::Authentication | Class::NetworkActivity | Class::DnsActivity | Class::HttpActivity
            ) && !deletes
        }
        Verb::Delete => deletes,
        Verb::Connect => matches!(
            class,
            Class::NetworkActivity
                | Class::HttpActivity
                | Class::DnsActivity
                | Class::ApiActivity
                | Class::DetectionFinding
        ),
        Verb::Logon => class == Class::Authentication,
    }
}

fn outcome_agrees(clause: &[Word], event: &Event) -> bool {
    let says =
        |starts: &[&str]| clause.iter().any(|word| starts.iter().any(|start| word.text.starts_with(start)));
    let is = |expected: &str| {
        event.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case(expected))
    };
    (!says(&["fail", "denied", "refused", "unsuccessful"]) || is("failure"))
        && (!says(&["success", "succeeded", "granted"]) || is("success"))
        // A bare "logged on" claims that it worked.
        && !(verb_of(clause).is_some_and(|(_, verb, _)| verb == Verb::Logon)
            && is("failure")
            && !says(&["fail", "denied", "refused", "unsuccessful", "tried", "attempt"]))
}

/// The roles that the words before a name leave it.
fn guide(clause: &[Word], place: usize) -> Option<Vec<Role>> {
    let mut allowed: Option<Vec<Role>> = None;
    for word in clause[..place].iter().rev().take(4) {
        let text = word.text.as_str();
        if matches!(
            text,
            "the" | "a" | "an" | "its" | "named" | "called" | "local" | "remote" | "ip" | "address"
        ) {
            continue;
        }
        if let Some((_, roles)) = HINTS.iter().find(|(words, _)| words.contains(&text)) {
            // "parent process": the narrower of two counts.
            allowed = Some(match allowed {
                Some(known) => {
                    let both: Vec<Role> = known.iter().copied().filter(|role| roles.contains(role)).collect();
                    if both.is_empty() { roles.to_vec() } else { both }
                }
                None => roles.to_vec(),
            });
            continue;
        }
        if let Some((_, roles)) = PREPOSITIONS.iter().find(|(words, _)| words.contains(&text)) {
            allowed = Some(match allowed {
                // "from host ws5" needs both to fit; where the noun alone decides, it is the narrower one.
                Some(known) => {
                    let both: Vec<Role> = known.iter().copied().filter(|role| roles.contains(role)).collect();
                    if both.is_empty() { known } else { both }
                }
                None => roles.to_vec(),
            });
        }
        break;
    }
    allowed
}

/// Whether a preposition leads to the name.
fn governed(clause: &[Word], place: usize) -> bool {
    clause[..place]
        .iter()
        .rev()
        .take(4)
        .take_while(|word| !word.names && verb_of(std::slice::from_ref(word)).is_none())
        .any(|word| PREPOSITIONS.iter().any(|(words, _)| words.contains(&word.text.as_str())))
}

fn before(clause: &[Word], place: usize, preposition: &str) -> bool {
    clause[..place].iter().rev().take(4).take_while(|word| !word.names).any(|word| word.text == preposition)
}

/// Whether the words around say that this is a host, user or program, so that text of a command will not do.
fn is_name_elsewhere(clause: &[Word], place: usize) -> bool {
    guide(clause, place).is_some() && !is_number(&clause[place].text)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The count that a number states: `12 times`, `3 failed logons`.
fn count_at(clause: &[Word], place: usize) -> Option<u64> {
    const COUNTED: [&str; 10] = [
        "times",
        "events",
        "logons",
        "attempts",
        "failures",
        "requests",
        "connections",
        "queries",
        "processes",
        "files",
    ];
    let number: u64 = clause[place].text.parse().ok()?;
    let counted = clause[place + 1..].iter().take(3).any(|word| COUNTED.contains(&word.text.as_str()));
    counted.then_some(number)
}

fn is_time(text: &str) -> bool {
    let bytes = text.trim_end_matches('z').as_bytes();
    matches!(bytes.len(), 5 | 8)
        && bytes.iter().enumerate().all(
            |(at, byte)| {
                if at % 3 == 2 { *byte == b':' } else { byte.is_ascii_digit() }
            },
        )
}

fn time_agrees(text: &str, event: &Event) -> bool {
    event.time.strftime("%H:%M:%S").to_string().starts_with(text.trim_end_matches('z'))
}

/// Whether a word looks like a path, file name, address, account, number or time.
fn is_identifier(word: &str) -> bool {
    let inner_dot = word.split('.').filter(|part| !part.is_empty()).count() > 1;
    word.contains(['\\', '/', '@', '$', '_', ':', '%', '='])
        || inner_dot
        || word.chars().any(|c| c.is_ascii_digit())
}

/// Whether `word` occurs in `text` as a whole: not inside a longer name.
fn occurs(word: &str, text: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
        })
}
