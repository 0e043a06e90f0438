//! What does an analyst get? The investigation as data; `casemate-export` makes reports of it.
//!
//! Everything but `seconds` is the same, byte for byte, for the same events, model file, playbook and site
//! file.

use crate::relate::Relation;
use casemate_event::{AlertId, AlertOrigin, Entity, EventId, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What an investigation concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An attack.
    Malicious,
    /// More likely an attack than not; a person should look.
    Suspicious,
    /// Explained by what is normal at this site.
    Benign,
    /// The evidence does not carry a verdict; the report says what is missing.
    Inconclusive,
}

impl Verdict {
    /// Name as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::Suspicious => "suspicious",
            Self::Benign => "benign",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A finished investigation of one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Investigation {
    /// The alert's number, and the investigation's.
    pub id: AlertId,
    /// The alert.
    pub alert: AlertSummary,
    /// The conclusion.
    pub verdict: Verdict,
    /// How sure the verdict is, 0 to 1.
    #[serde(serialize_with = "figure")]
    pub confidence: f64,
    /// Probability of an attack that the verdict was drawn from, 0 to 1.
    #[serde(serialize_with = "figure")]
    pub probability: f64,
    /// Share of variants (other wordings and orders; facts or parts of the evidence left out) whose own verdict is
    /// this verdict, 0 to 1.
    #[serde(serialize_with = "figure")]
    pub convergence: f64,
    /// The conclusion in a sentence or two.
    pub summary: String,
    /// How the verdict was reached: with the model's answers, or without and why.
    pub method: Method,
    /// The investigation whose verdict this is, because everything it rested on is the same here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<AlertId>,
    /// The evidence, oldest first.
    pub evidence: Vec<Evidence>,
    /// What is known of the site about it, counted in its logs or written down by it.
    #[serde(default)]
    pub context: Vec<ContextItem>,
    /// Events cited by facts and narrative, ascending.
    pub cited: Vec<EventId>,
    /// What code established, weightiest first.
    pub facts: Vec<Fact>,
    /// What the model answered.
    pub answers: Vec<Answer>,
    /// The verdict of each variant alone: every wording and order of the questions, every block of evidence
    /// left out. Empty where nothing could be varied.
    #[serde(default)]
    pub variants: Vec<Verdict>,
    /// The learned head that judged, if any did.
    #[serde(default)]
    pub head: Option<HeadSummary>,
    /// The reader's states of the evidence, kept only for fitting.
    #[serde(skip)]
    pub states: Option<crate::States>,
    /// What a learned head may look at, in order of names.
    #[serde(default)]
    pub features: Vec<crate::Feature>,
    /// Everything that went into the probability, in logits, in the order added.
    pub contributions: Vec<Contribution>,
    /// What happened when.
    pub timeline: Vec<TimelineEntry>,
    /// What it is about.
    pub entities: Vec<Entity>,
    /// ATT&CK techniques, the best supported first.
    pub techniques: Vec<Technique>,
    /// Closed cases whose evidence is like this, the nearest first, with what people said they were.
    #[serde(default)]
    pub similar_closed: Vec<crate::SimilarCase>,
    /// Telemetry and knowledge that was looked for and is not there.
    pub missing: Vec<String>,
    /// What an analyst does next.
    pub next_steps: Vec<String>,
    /// What happened, in sentences that cite their evidence.
    pub narrative: Vec<Sentence>,
    /// Sentences of the model that their evidence did not support, replaced by templates or left out.
    pub narrative_replaced: u64,
    /// The playbook followed.
    pub playbook: PlaybookSummary,
    /// The model asked, if any.
    pub model: Option<ModelSummary>,
    /// Tokens the model read.
    pub prompt_tokens: u64,
    /// Tokens the model wrote.
    pub generated_tokens: u64,
    /// Seconds of machine time by stage; the only part that differs between two runs.
    pub seconds: BTreeMap<String, f64>,
    /// Hashes of what the verdict rested on, for the store; empty for one that is reused itself.
    #[serde(default)]
    pub rests_on: Vec<String>,
    /// Everything else that the report rests on.
    #[serde(default)]
    pub provenance: Provenance,
    /// Pooled embedding of the evidence, for the store; not part of the report.
    #[serde(skip)]
    pub vector: Vec<f32>,
    /// What was retrieved, for the store; not part of the report.
    #[serde(skip)]
    pub inputs: Vec<u8>,
}

/// What a report rests on beside what it names already. There is no seed: nothing is drawn at random.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// SHA-256 over the rule files.
    pub rules_sha256: String,
    /// SHA-256 over what the site says of itself.
    pub site_sha256: String,
    /// SHA-256 over all tokens that the model was given, in the order in which it read them; absent where it read none.
    pub prompt_sha256: Option<String>,
    /// Instructions that computed: verdicts are the same to the byte on processors with the same.
    pub computed_by: Option<String>,
}

impl Investigation {
    /// What the store keeps of it beside the report, `json` being the report as JSON.
    pub fn finished<'a>(&'a self, json: &'a [u8]) -> casemate_store::Finished<'a> {
        casemate_store::Finished {
            json,
            rests_on: &self.rests_on,
            vector: &self.vector,
            inputs: &self.inputs,
            entry: None,
        }
    }

    /// SHA-256 over the report without `seconds`: two that are the same byte for byte have the same.
    pub fn sha256(&self) -> String {
        let timeless = Self { seconds: BTreeMap::new(), ..self.clone() };
        // What is read from JSON can be written as JSON.
        crate::hash::sha256_hex(&serde_json::to_vec(&timeless).unwrap_or_default())
    }

    /// What the audit record says of it.
    pub fn entry(&self, by: &str) -> casemate_audit::Entry {
        let now = serde_json::json!({
            "verdict": self.verdict,
            "confidence": self.confidence,
            "convergence": self.convergence,
            "method": self.method,
            "reused_from": self.reused_from,
            "cited": self.cited,
            "playbook": self.playbook,
            "head": self.head,
            "model": self.model,
            "provenance": self.provenance,
            "report_sha256": self.sha256(),
        });
        casemate_audit::Entry::new(by, "verdict", format!("alert {}", self.id), now)
    }
}

/// How a verdict was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Rules, facts and the model's answers.
    ModelAndFacts,
    /// Rules, facts and the reader's first pass, which no answer of the model could have changed; none was
    /// asked for.
    Settled,
    /// Rules and facts only; why the model was not asked.
    FactsOnly(String),
}

/// The alert as the report names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertSummary {
    /// Number in the store.
    pub id: AlertId,
    /// What it claims.
    pub title: String,
    /// How bad it would be if true.
    pub severity: Severity,
    /// Who raised it.
    pub origin: AlertOrigin,
    /// Time of its first event.
    pub first_time: Timestamp,
    /// Time of its last event.
    pub last_time: Timestamp,
    /// How many events it stands for.
    pub event_count: u64,
}

/// One line of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `E1`, `E2` … in order of time.
    pub label: String,
    /// The event.
    pub event: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// Where.
    pub host: String,
    /// The line as the model read it.
    pub line: String,
    /// The line without anything an attacker may have written, as the probe read it.
    #[serde(default)]
    pub structural: String,
    /// Why it is here.
    pub why: String,
    /// Its tie to the alert.
    pub relation: Relation,
    /// How many alike it stands for.
    pub count: u64,
    /// The others that the line stands for, in order of time.
    #[serde(default)]
    pub folded: Vec<EventId>,
}

impl Evidence {
    /// Minutes for which the host had logged nothing before, where the line says that it ends such a silence.
    pub fn silent_minutes(&self) -> Option<u32> {
        crate::silence::told_by(&self.line)
    }
}

impl Investigation {
    /// The events that reached the prompt, ascending: those of the evidence lines, and those folded into them.
    pub fn shown(&self) -> BTreeSet<EventId> {
        self.evidence
            .iter()
            .flat_map(|item| std::iter::once(item.event).chain(item.folded.iter().copied()))
            .collect()
    }
}

/// A statement about the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextItem {
    /// `S1`, `S2` …
    pub label: String,
    /// What it says.
    pub text: String,
    /// What it rests on: file and line of what the site wrote, or how many logs it was counted in.
    pub rests_on: String,
}

/// Something code established.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Name of the predicate.
    pub name: String,
    /// What it says here.
    pub statement: String,
    /// Labels of the evidence it rests on.
    pub evidence: Vec<String>,
    /// Labels of the statements about the site that it rests on.
    #[serde(default)]
    pub context: Vec<String>,
    /// Signed logits it adds.
    #[serde(serialize_with = "figure")]
    pub weight: f64,
}

/// The model's answer to one question of the playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's name in the playbook.
    pub id: String,
    /// The question in its first wording.
    pub question: String,
    /// The answer, or `undecided` where wordings and orders disagree.
    pub answer: String,
    /// The answer as a sentence; empty when undecided.
    pub sentence: String,
    /// Mean probability of the answers that speak for an attack.
    #[serde(serialize_with = "figure")]
    pub probability: f64,
    /// Probability from which they count as given.
    #[serde(serialize_with = "figure")]
    pub threshold: f64,
    /// Signed logits the answer would add on its own.
    #[serde(serialize_with = "figure")]
    pub weight: f64,
    /// The probability in each wording and evidence order.
    pub variants: Vec<Variant>,
    /// Labels of the evidence in context.
    pub evidence: Vec<String>,
}

/// A question asked once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Index of the wording, from 0.
    pub wording: usize,
    /// Index of the evidence order, from 0.
    pub order: usize,
    /// Probability of the answers that speak for an attack.
    #[serde(serialize_with = "figure")]
    pub probability: f64,
}

/// One term of the sum behind the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// What adds it.
    pub name: String,
    /// Signed logits.
    #[serde(serialize_with = "figure")]
    pub weight: f64,
}

/// One point of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub time: Timestamp,
    /// Label of its evidence.
    pub label: String,
    /// What happened.
    pub text: String,
    /// Host it happened on.
    pub lane: String,
}

/// An ATT&CK technique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    /// `T1003.001`.
    pub id: String,
    /// What speaks for it most: `alert`, a fact, the title of another rule, or the kind of event.
    pub source: String,
    /// How much speaks for it in all, in the logits of facts.
    #[serde(default, serialize_with = "figure")]
    pub support: f64,
}

/// Who wrote a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentenceSource {
    /// The model, checked against the events it cites.
    Model,
    /// A template over facts.
    Template,
}

/// One sentence of the narrative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence without its citation.
    pub text: String,
    /// Labels of the evidence that supports it.
    pub citations: Vec<String>,
    /// Who wrote it.
    pub source: SentenceSource,
}

/// The head that judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSummary {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// SHA-256 of the model file that its probe read with; absent where it judged without.
    pub reader: Option<String>,
    /// Why the probe did not read, if it should have.
    pub unread: Option<String>,
}

/// The playbook followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybookSummary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// The model asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Its name, from its file.
    pub name: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// As [`figure`], for one that may be absent.
pub(crate) fn maybe_figure<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => figure(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Writes a figure with six decimals: more would be noise, and fewer digits read back as the same number.
pub(crate) fn figure<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e6).round() / 1e6)
}
