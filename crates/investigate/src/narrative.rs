//! What happened, in two to four sentences, each with its evidence.
//!
//! The model writes under a grammar in which a sentence can end only in a citation, and a citation can only
//! be a label in context. Each sentence is then checked against the lines it cites ([`is_supported`]); one
//! that names anything they do not is replaced by its template, a fact in code's own words, and counted. The
//! narrative never states a verdict: that is not the model's to say.

use crate::report::{Evidence, Fact, Sentence, SentenceSource};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Sentences the grammar asks for, and the most the report holds.
const MIN_SENTENCES: usize = 2;
pub(crate) const MAX_SENTENCES: usize = 3;
/// Longest sentence in characters, without its citation: about 30 tokens.
const MAX_CHARS: usize = 120;

/// Lark grammar of a narrative over these labels.
///
/// The text of a sentence cannot hold a square bracket, so a citation is always one; it may hold what paths
/// and command lines hold.
pub(crate) fn grammar(evidence: &[Evidence]) -> String {
    let labels: Vec<&str> = evidence.iter().filter_map(|item| item.label.strip_prefix('E')).collect();
    let optional = MAX_SENTENCES - MIN_SENTENCES;
    format!(
        "start: {required}{optional}\n\
         sentence: TEXT \"[\" LABEL (\", \" LABEL)? \"].\"\n\
         TEXT: /[A-Z][A-Za-z0-9 ,.:;()$@_%&=+\\/\\\\'-]{{15,{MAX_CHARS}}}/\n\
         LABEL: /E({labels})/\n",
        required = ["sentence"; MIN_SENTENCES].join(" \" \" "),
        optional = " (\" \" sentence)?".repeat(optional),
        labels = labels.join("|"),
    )
}

/// Sentence the model wrote, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) citations: Vec<String>,
}

static SENTENCE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([^\[\]]+)\[(E\d+)(?:, (E\d+))?\]\.").ok());

/// Reads the sentences out of generated text; one that was cut off is left out.
pub(crate) fn parse(text: &str) -> Vec<Draft> {
    let Some(regex) = SENTENCE.as_ref() else { return Vec::new() };
    let mut drafts: Vec<Draft> = Vec::new();
    for found in regex.captures_iter(text).take(MAX_SENTENCES) {
        let text = found[1].trim().trim_end_matches(['.', ',', ';', ':']).to_owned();
        let mut citations: Vec<String> = [found.get(2), found.get(3)]
            .into_iter()
            .flatten()
            .map(|label| label.as_str().to_owned())
            .collect();
        citations.dedup();
        if !drafts.iter().any(|draft| draft.text == text) {
            drafts.push(Draft { text: format!("{text}."), citations });
        }
    }
    drafts
}

/// Checks each draft and replaces those that fail. Returns the narrative and how many failed.
///
/// `names` are all hosts, users, addresses and programs known to the investigation, in lower case.
pub(crate) fn verify(
    drafts: Vec<Draft>,
    evidence: &[Evidence],
    facts: &[Fact],
    names: &BTreeSet<String>,
) -> (Vec<Sentence>, u64) {
    let mut templates = templates(evidence, facts).into_iter();
    let mut sentences = Vec::new();
    let mut replaced = 0;
    if drafts.is_empty() {
        return (templates.take(MAX_SENTENCES).collect(), 0);
    }
    for draft in drafts {
        let cited: String = evidence
            .iter()
            .filter(|item| draft.citations.contains(&item.label))
            .map(|item| item.line.to_lowercase() + "\n")
            .collect();
        if is_supported(&draft.text, &cited, names) {
            let Draft { text, citations } = draft;
            sentences.push(Sentence { text, citations, source: SentenceSource::Model });
        } else {
            replaced += 1;
            sentences.extend(templates.next());
        }
    }
    (sentences, replaced)
}

/// Sentences in code's own words: facts that raise or explain, weightiest first, then evidence lines.
fn templates(evidence: &[Evidence], facts: &[Fact]) -> Vec<Sentence> {
    let of_facts = facts.iter().filter(|fact| !fact.evidence.is_empty()).map(|fact| Sentence {
        text: sentence_case(&fact.statement),
        citations: fact.evidence.clone(),
        source: SentenceSource::Template,
    });
    let of_lines = evidence.iter().map(|item| Sentence {
        text: format!("The log says: {}.", item.line),
        citations: vec![item.label.clone()],
        source: SentenceSource::Template,
    });
    of_facts.chain(of_lines).collect()
}

/// Begins with a capital and ends with a full stop.
pub(crate) fn sentence_case(statement: &str) -> String {
    let mut chars = statement.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Words by which a sentence would judge instead of report.
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
/// Capitalised words that name no actor and no object.
const PLAIN_NAMES: [&str; 6] = ["windows", "linux", "microsoft", "utc", "the", "this"];

/// Whether everything a sentence names occurs in the lines it cites (given in lower case).
///
/// Names are: known entities; words that look like a path, file, address, account, number or time; and
/// words with a capital inside the sentence.
pub(crate) fn is_supported(sentence: &str, cited: &str, names: &BTreeSet<String>) -> bool {
    if cited.is_empty() {
        return false;
    }
    let lower = sentence.to_lowercase();
    if JUDGEMENTS.iter().any(|word| lower.contains(word)) {
        return false;
    }
    sentence.split_whitespace().enumerate().all(|(position, word)| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '$' | '\\' | '/' | '%'));
        let word = word.strip_suffix("'s").unwrap_or(word).trim_end_matches(['.', ',']);
        let lower = word.to_lowercase();
        let capital = word.chars().next().is_some_and(char::is_uppercase) && position > 0;
        let names_something = names.contains(&lower)
            || is_identifier(&lower)
            || (capital && !PLAIN_NAMES.contains(&lower.as_str()));
        !names_something || occurs(&lower, cited)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relate::Relation;
    use casemate_event::EventId;
    use jiff::Timestamp;

    const LINE: &str =
        "14:02:11Z ws5 alice: process launch process \"powershell.exe\" parent \"winword.exe\"";

    fn evidence() -> Vec<Evidence> {
        [(1, LINE), (2, "14:03:00Z dc1 bob: logon status \"Success\" from \"10.0.0.7\"")]
            .into_iter()
            .map(|(id, line)| Evidence {
                label: format!("E{id}"),
                event: EventId(id),
                time: Timestamp::UNIX_EPOCH,
                host: String::new(),
                line: line.to_owned(),
                structural: String::new(),
                why: String::new(),
                relation: Relation::Alert,
                count: 1,
            })
            .collect()
    }

    fn names() -> BTreeSet<String> {
        ["ws5", "dc1", "alice", "bob", "powershell.exe", "winword.exe"].map(str::to_owned).into()
    }

    #[test]
    fn sentences_are_held_to_what_they_cite() {
        let check = |sentence, expected| {
            assert_eq!(is_supported(sentence, &LINE.to_lowercase(), &names()), expected, "{sentence}");
        };
        check("The user alice on ws5 started powershell.exe from winword.exe.", true);
        check("Winword.exe started powershell.exe at 14:02:11Z.", true);
        check("The user bob on ws5 started powershell.exe.", false);
        check("The user alice on dc1 started powershell.exe.", false);
        check("The process connected to 10.0.0.7.", false);
        check("The tool Mimikatz was started by alice.", false);
        check("This is a malicious process on ws5.", false);
        check("A process was started 12 times.", false);
        check("The process ws5 shell.exe was started.", false);
    }

    #[test]
    fn generated_text_is_read_back() {
        let drafts =
            parse("The user alice started powershell.exe [E1]. Then bob logged on [E2, E1]. Cut off [E");
        assert_eq!(drafts.len(), 2);
        assert_eq!(
            drafts[0],
            Draft {
                text: "The user alice started powershell.exe.".to_owned(),
                citations: vec!["E1".to_owned()]
            }
        );
        assert_eq!(drafts[1].citations, ["E2", "E1"]);
    }

    #[test]
    fn unsupported_sentences_are_replaced_and_counted() {
        let draft =
            |text: &str, label: &str| Draft { text: text.to_owned(), citations: vec![label.to_owned()] };
        let facts = [Fact {
            name: "f".to_owned(),
            statement: "winword.exe started powershell.exe".to_owned(),
            evidence: vec!["E1".to_owned()],
            context: Vec::new(),
            weight: 1.0,
        }];
        let drafts =
            vec![draft("The user bob logged on to dc1.", "E2"), draft("Alice logged on to dc1.", "E2")];
        let (sentences, replaced) = verify(drafts, &evidence(), &facts, &names());
        assert_eq!(replaced, 1);
        assert_eq!(sentences[0].source, SentenceSource::Model);
        assert_eq!(sentences[1].text, "Winword.exe started powershell.exe.");
        assert_eq!(sentences[1].source, SentenceSource::Template);
    }

    #[test]
    fn without_a_model_facts_speak() {
        let (sentences, replaced) = verify(Vec::new(), &evidence(), &[], &names());
        assert_eq!((sentences.len(), replaced), (2, 0));
        assert!(sentences.iter().all(|sentence| sentence.source == SentenceSource::Template));
    }
}
