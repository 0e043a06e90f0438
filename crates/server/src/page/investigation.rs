//! `GET /investigations/{id}`: what happened, how sure are we, and why? And the same as one file to keep.

use super::bars::{self, Bars};
use super::parts::{Badge, EntityLink, When, entity_links, percent, severity, verdict, when};
use super::timeline::{self, Item, Timeline};
use super::{render, running};
use crate::api::investigations::stored;
use crate::hub::Status;
use crate::params::number;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use casemate_event::AlertId;
use casemate_investigate::Relation;
use casemate_investigate::report::{
    Answer, ContextItem, Evidence, Fact, Investigation, Method, SentenceSource,
};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "investigation.html")]
struct InvestigationPage {
    case: CaseView,
}

/// An investigation, ready to print.
struct CaseView {
    /// In a file of its own there is nothing to link to.
    standalone: bool,
    id: u64,
    title: String,
    severity: Badge,
    first: When,
    last: When,
    event_count: u64,
    verdict: Badge,
    confidence: String,
    convergence: String,
    probability: String,
    /// Why the model was not asked.
    without_model: Option<String>,
    summary: String,
    sentences: Vec<SentenceView>,
    narrative_replaced: u64,
    timeline: Option<Timeline>,
    bars: Option<Bars>,
    facts: Vec<FactView>,
    answers: Vec<AnswerView>,
    evidence: Vec<EvidenceView>,
    entities: Vec<EntityLink>,
    techniques: Vec<(String, String)>,
    reused_from: Option<u64>,
    similar: Vec<SimilarView>,
    context: Vec<ContextItem>,
    missing: Vec<String>,
    next_steps: Vec<String>,
    playbook: (String, u32, String),
    model: Option<(String, String)>,
    prompt_tokens: u64,
    generated_tokens: u64,
    seconds: Vec<(String, String)>,
    total_seconds: String,
}

struct SimilarView {
    case: u64,
    verdict: Badge,
    similarity: String,
    reason: String,
    by: String,
}

struct SentenceView {
    text: String,
    citations: Vec<String>,
    by_model: bool,
}

struct FactView {
    statement: String,
    name: String,
    weight: String,
    raises: bool,
    evidence: Vec<String>,
}

struct AnswerView {
    question: String,
    answer: String,
    sentence: String,
    probability: String,
    threshold: String,
    weight: String,
    variants: Vec<(String, String)>,
    spread: String,
}

struct EvidenceView {
    label: String,
    event: u64,
    time: When,
    host: String,
    line: String,
    why: String,
    count: u64,
}

/// `GET /investigations/{id}`
pub(crate) async fn page(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response> {
    let id = AlertId(number(&id, "investigation")?);
    let job = app.hub.job(id);
    let pending = job.filter(|job| job.status() != Status::Done);
    blocking(&app, move |app| {
        if let Some(job) = pending {
            return running::page(app, id, &job).map(IntoResponse::into_response);
        }
        match stored(app, id) {
            Ok(case) => Ok(render(&InvestigationPage { case: CaseView::new(&case, false) })?.into_response()),
            // An alert without an investigation is a page with a button, not an error.
            Err(_) if app.pipeline.store().alert(id)?.is_some() => {
                Ok(Redirect::to(&format!("/alerts/{id}")).into_response())
            }
            Err(problem) => Err(problem),
        }
    })
    .await
}

impl CaseView {
    fn new(case: &Investigation, standalone: bool) -> Self {
        let contributions: Vec<(String, f64)> =
            case.contributions.iter().map(|term| (term.name.replace('_', " "), term.weight)).collect();
        Self {
            standalone,
            id: case.id.0,
            title: case.alert.title.clone(),
            severity: severity(case.alert.severity),
            first: when(case.alert.first_time),
            last: when(case.alert.last_time),
            event_count: case.alert.event_count,
            verdict: verdict(case.verdict.name()),
            confidence: percent(case.confidence),
            convergence: percent(case.convergence),
            probability: percent(case.probability),
            without_model: match &case.method {
                Method::ModelAndFacts | Method::Settled => None,
                Method::FactsOnly(why) => Some(why.clone()),
            },
            summary: case.summary.clone(),
            sentences: case.narrative.iter().map(sentence).collect(),
            narrative_replaced: case.narrative_replaced,
            timeline: timeline::lay_out(timeline_items(case)),
            bars: bars::lay_out(&contributions),
            facts: case.facts.iter().map(fact).collect(),
            answers: case.answers.iter().map(answer).collect(),
            evidence: case.evidence.iter().map(evidence).collect(),
            entities: entity_links(&case.entities),
            techniques: techniques(case),
            reused_from: case.reused_from.map(|id| id.0),
            similar: case.similar_closed.iter().map(similar).collect(),
            context: case.context.clone(),
            missing: case.missing.clone(),
            next_steps: case.next_steps.clone(),
            playbook: (case.playbook.name.clone(), case.playbook.version, case.playbook.sha256.clone()),
            model: case.model.as_ref().map(|model| (model.name.clone(), model.sha256.clone())),
            prompt_tokens: case.prompt_tokens,
            generated_tokens: case.generated_tokens,
            seconds: case
                .seconds
                .iter()
                .map(|(stage, seconds)| (stage.clone(), format!("{seconds:.2}")))
                .collect(),
            total_seconds: format!("{:.1}", total_seconds(case)),
        }
    }
}

/// `total` where the report states it, the sum of the stages otherwise.
fn total_seconds(case: &Investigation) -> f64 {
    case.seconds.get("total").copied().unwrap_or_else(|| case.seconds.values().sum())
}

fn similar(case: &casemate_investigate::SimilarCase) -> SimilarView {
    SimilarView {
        case: case.case.0,
        verdict: verdict(case.verdict.name()),
        similarity: percent(case.similarity),
        reason: case.reason.clone(),
        by: case.by.clone(),
    }
}

fn sentence(sentence: &casemate_investigate::report::Sentence) -> SentenceView {
    SentenceView {
        text: sentence.text.clone(),
        citations: sentence.citations.clone(),
        by_model: sentence.source == SentenceSource::Model,
    }
}

fn timeline_items(case: &Investigation) -> Vec<Item> {
    let cited: BTreeSet<&String> = case.narrative.iter().flat_map(|sentence| &sentence.citations).collect();
    let of_alert: BTreeSet<&String> = case
        .evidence
        .iter()
        .filter(|item| item.relation == Relation::Alert)
        .map(|item| &item.label)
        .collect();
    let item = |entry: &casemate_investigate::report::TimelineEntry| Item {
        time: entry.time,
        label: entry.label.clone(),
        text: entry.text.clone(),
        lane: if entry.lane.is_empty() { "no host".to_owned() } else { entry.lane.clone() },
        is_alert: of_alert.contains(&entry.label),
        is_cited: cited.contains(&entry.label),
    };
    case.timeline.iter().map(item).collect()
}

fn fact(fact: &Fact) -> FactView {
    FactView {
        statement: fact.statement.clone(),
        name: fact.name.replace('_', " "),
        weight: signed(fact.weight),
        raises: fact.weight > 0.0,
        evidence: fact.evidence.iter().chain(&fact.context).cloned().collect(),
    }
}

fn answer(answer: &Answer) -> AnswerView {
    let probabilities = || answer.variants.iter().map(|variant| variant.probability);
    let spread = match (probabilities().reduce(f64::min), probabilities().reduce(f64::max)) {
        (Some(least), Some(most)) => format!("{least:.2} – {most:.2}"),
        _ => String::new(),
    };
    let variant = |variant: &casemate_investigate::report::Variant| {
        let name = format!("wording {}, order {}", variant.wording + 1, variant.order + 1);
        (name, format!("{:.3}", variant.probability))
    };
    AnswerView {
        question: answer.question.clone(),
        answer: answer.answer.clone(),
        sentence: answer.sentence.clone(),
        probability: format!("{:.2}", answer.probability),
        threshold: format!("{:.2}", answer.threshold),
        weight: signed(answer.weight),
        variants: answer.variants.iter().map(variant).collect(),
        spread,
    }
}

fn evidence(item: &Evidence) -> EvidenceView {
    EvidenceView {
        label: item.label.clone(),
        event: item.event.0,
        time: when(item.time),
        host: item.host.clone(),
        line: item.line.clone(),
        why: item.why.clone(),
        count: item.count,
    }
}

/// Techniques once each, with everyone who names them.
fn techniques(case: &Investigation) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for technique in &case.techniques {
        let source = technique.source.replace('_', " ");
        match found.iter_mut().find(|(id, _)| *id == technique.id) {
            Some((_, sources)) => {
                sources.push_str(", ");
                sources.push_str(&source);
            }
            None => found.push((technique.id.clone(), source)),
        }
    }
    found
}

/// With a sign, and U+2212 for the minus, which is as wide as the plus.
fn signed(weight: f64) -> String {
    format!("{weight:+.2}").replace('-', "−")
}
