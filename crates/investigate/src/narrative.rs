//! What happened, in two to four sentences, each with its evidence.
//!
//! The model writes under a grammar in which a sentence can end only in a citation, and a citation can only
//! be a label in context. Each sentence is then held against the events it cites ([`gate`](crate::gate)); one
//! that says more or otherwise than they do is replaced by its template, a fact in code's own words, and
//! counted. The narrative never states a verdict: that is not the model's to say.

use crate::gate::{self, Cited};
use crate::report::{Evidence, Fact, Sentence, SentenceSource};
use casemate_event::Stored;
use regex::Regex;
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
    grammar_of(evidence, MIN_SENTENCES, MAX_SENTENCES)
}

/// The same for another number of sentences.
pub(crate) fn grammar_of(evidence: &[Evidence], least: usize, most: usize) -> String {
    let labels: Vec<&str> = evidence.iter().filter_map(|item| item.label.strip_prefix('E')).collect();
    let optional = most.saturating_sub(least);
    format!(
        "start: {required}{optional}\n\
         sentence: TEXT \"[\" LABEL (\", \" LABEL)? \"].\"\n\
         TEXT: /[A-Z][A-Za-z0-9 ,.:;()$@_%&=+\\/\\\\'-]{{15,{MAX_CHARS}}}/\n\
         LABEL: /E({labels})/\n",
        required = vec!["sentence"; least].join(" \" \" "),
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
/// `events` are all that the investigation has read, those of the evidence among them.
pub(crate) fn verify(
    drafts: Vec<Draft>,
    evidence: &[Evidence],
    facts: &[Fact],
    events: &[Stored],
) -> (Vec<Sentence>, u64) {
    let mut templates = templates(evidence, facts).into_iter();
    if drafts.is_empty() {
        return (templates.take(MAX_SENTENCES).collect(), 0);
    }
    let names = gate::names(events);
    let (mut sentences, mut replaced) = (Vec::new(), 0);
    for Draft { text, citations } in drafts {
        let cited: Vec<Cited<'_>> = evidence
            .iter()
            .filter(|item| citations.contains(&item.label))
            .filter_map(|item| {
                let stored = events.iter().find(|stored| stored.id == item.event)?;
                Some(Cited::of(&stored.event, item))
            })
            .collect();
        if cited.len() == citations.len() && gate::is_supported(&text, &cited, &names) {
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
        text: line_sentence(item),
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

/// A line of evidence as a sentence.
pub(crate) fn line_sentence(item: &Evidence) -> String {
    format!("The log says: {}.", item.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, stored};
    use casemate_event::{Class, field};

    fn events() -> Vec<Stored> {
        let launch = [
            (field::DEVICE_HOSTNAME, "ws5"),
            (field::ACTOR_USER, "alice"),
            (field::ACTIVITY, "Launch"),
            (field::PROCESS_PATH, "powershell.exe"),
            (field::PARENT_PROCESS_PATH, "winword.exe"),
        ];
        let logon = [
            (field::DEVICE_HOSTNAME, "dc1"),
            (field::USER, "bob"),
            (field::STATUS, "Success"),
            (field::SRC_IP, "10.0.0.7"),
        ];
        vec![stored(1, 0, Class::ProcessActivity, &launch), stored(2, 49, Class::Authentication, &logon)]
    }

    fn evidence() -> Vec<Evidence> {
        events().iter().map(|stored| testing::evidence(stored, 1)).collect()
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
        let drafts = vec![
            draft("The user bob logged on to dc1.", "E2"),
            draft("Alice logged on to dc1.", "E2"),
            draft("The user bob logged on to dc1.", "E9"),
        ];
        let (sentences, replaced) = verify(drafts, &evidence(), &facts, &events());
        assert_eq!(replaced, 2);
        assert_eq!(sentences[0].source, SentenceSource::Model);
        assert_eq!(sentences[1].text, "Winword.exe started powershell.exe.");
        assert_eq!(sentences[1].source, SentenceSource::Template);
    }

    #[test]
    fn without_a_model_facts_speak() {
        let (sentences, replaced) = verify(Vec::new(), &evidence(), &[], &events());
        assert_eq!((sentences.len(), replaced), (2, 0));
        assert!(sentences.iter().all(|sentence| sentence.source == SentenceSource::Template));
    }
}
