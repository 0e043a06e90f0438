//! `GET /investigations/{id}`: what happened, how sure are we, and why?

use super::attempts::{self, Attempt};
use super::bars::{self, Bars};
use super::cited::{Cite, Labels, Piece};
use super::exhibits::{Exhibits, source_of};
use super::feedback::FeedbackView;
use super::graph::{self, Drawing};
use super::matrix::{self, Matrix};
use super::parts::{Badge, EntityLink, When, entity_links, percent, severity, verdict, when};
use super::spread::{self, Strip};
use super::timeline::{self, Item, Timeline, Window};
use super::{render, running};
use crate::api::investigations::stored;
use crate::hub::Status;
use crate::params::{Params, number};
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use casemate_access::Principal;
use casemate_event::{AlertId, EventId};
use casemate_investigate::report::{
    Answer, ContextItem, Evidence, Fact, Investigation, Method, SentenceSource, Variant,
};
use casemate_investigate::{Relation, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "investigation.html")]
struct InvestigationPage {
    case: CaseView,
    feedback: FeedbackView,
}

/// An investigation, ready to print.
struct CaseView {
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
    /// How the convergence came about: `12 malicious`.
    variants: Vec<String>,
    variant_count: usize,
    /// Why the model was not asked.
    without_model: Option<String>,
    is_settled: bool,
    summary: Vec<Piece>,
    sentences: Vec<SentenceView>,
    narrative_replaced: u64,
    timeline: Option<Timeline>,
    graph: Option<Drawing>,
    bars: Option<Bars>,
    facts: Vec<FactView>,
    answers: Vec<AnswerView>,
    /// Whether any question was asked of the model.
    asked: bool,
    evidence: Vec<EvidenceView>,
    /// Lines whose event is not in the store any more.
    gone: usize,
    attempts: Vec<Attempt>,
    entities: Vec<EntityLink>,
    matrix: Option<Matrix>,
    reused_from: Option<u64>,
    similar: Vec<SimilarView>,
    context: Vec<ContextItem>,
    missing: Vec<String>,
    next_steps: Vec<String>,
    playbook: (String, u32, String),
    model: Option<(String, String)>,
    head: Option<(String, String)>,
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
    cites: Vec<Cite>,
    by_model: bool,
}

struct FactView {
    statement: String,
    name: String,
    weight: String,
    raises: bool,
    cites: Vec<Cite>,
}

struct AnswerView {
    question: String,
    answer: String,
    sentence: String,
    probability: String,
    threshold: String,
    weight: String,
    strip: Option<Strip>,
    variants: Vec<(String, String)>,
    spread: String,
    cites: Vec<Cite>,
    /// It was read with all of the evidence.
    cites_all: bool,
}

struct EvidenceView {
    label: String,
    event: u64,
    time: When,
    host: String,
    line: String,
    why: String,
    rules: Vec<String>,
    count: u64,
    is_alert: bool,
}

/// `GET /investigations/{id}`
pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Params(window): Params<Window>,
    Extension(who): Extension<Principal>,
) -> Result<Response> {
    let id = AlertId(number(&id, "investigation")?);
    let window = window.parse()?;
    let job = app.hub.job(id);
    let pending = job.filter(|job| job.status() != Status::Done);
    blocking(&app, move |app| {
        if let Some(job) = pending {
            return running::page(app, id, &job).map(IntoResponse::into_response);
        }
        match stored(app, id) {
            Ok(case) => {
                let case = CaseView::new(&case, &Exhibits::gather(app, &case)?, window);
                let feedback = FeedbackView::of_alert(app, id, &who, format!("/investigations/{id}"))?;
                Ok(render(&InvestigationPage { case, feedback })?.into_response())
            }
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
    fn new(case: &Investigation, exhibits: &Exhibits, window: Option<(f64, f64)>) -> Self {
        let labels = Labels::new(
            case.evidence
                .iter()
                .map(|item| (item.label.clone(), Some(item.event.0)))
                .chain(case.context.iter().map(|item| (item.label.clone(), None))),
        );
        let contributions: Vec<(String, f64)> =
            case.contributions.iter().map(|term| (term.name.replace('_', " "), term.weight)).collect();
        Self {
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
            variants: counted(&case.variants),
            variant_count: case.variants.len(),
            without_model: match &case.method {
                Method::ModelAndFacts | Method::Settled => None,
                Method::FactsOnly(why) => Some(why.clone()),
            },
            is_settled: case.method == Method::Settled,
            summary: labels.pieces(&case.summary),
            sentences: case
                .narrative
                .iter()
                .map(|sentence| SentenceView {
                    text: sentence.text.clone(),
                    cites: labels.cites(&sentence.citations),
                    by_model: sentence.source == SentenceSource::Model,
                })
                .collect(),
            narrative_replaced: case.narrative_replaced,
            timeline: timeline::lay_out(timeline_items(case, exhibits), window),
            graph: graph::draw(case, exhibits),
            bars: bars::lay_out(&contributions),
            facts: case.facts.iter().map(|one| fact(one, &labels)).collect(),
            answers: case.answers.iter().map(|one| answer(one, &labels, case.evidence.len())).collect(),
            asked: case.answers.iter().any(|answer| !answer.variants.is_empty()),
            evidence: case.evidence.iter().map(|item| evidence(item, exhibits)).collect(),
            gone: exhibits.gone,
            attempts: attempts::find(case, exhibits, &labels),
            entities: entity_links(&case.entities),
            matrix: matrix::lay_out(&case.techniques),
            reused_from: case.reused_from.map(|id| id.0),
            similar: case.similar_closed.iter().map(similar).collect(),
            context: case.context.clone(),
            missing: case.missing.clone(),
            next_steps: case.next_steps.clone(),
            playbook: (case.playbook.name.clone(), case.playbook.version, case.playbook.sha256.clone()),
            model: case.model.as_ref().map(|model| (model.name.clone(), model.sha256.clone())),
            head: case.head.as_ref().map(|head| (head.name.clone(), head.sha256.clone())),
            prompt_tokens: case.prompt_tokens,
            generated_tokens: case.generated_tokens,
            seconds: case
                .seconds
                .iter()
                .filter(|(stage, _)| *stage != "total")
                .map(|(stage, seconds)| (stage.replace('_', " "), format!("{seconds:.2}")))
                .collect(),
            total_seconds: format!("{:.1}", total_seconds(case)),
        }
    }
}

/// How many variants reached each verdict, the most frequent first.
fn counted(variants: &[Verdict]) -> Vec<String> {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    variants.iter().for_each(|verdict| *counts.entry(*verdict).or_default() += 1);
    let mut counts: Vec<(Verdict, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(verdict, count)| format!("{count} {verdict}")).collect()
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

fn timeline_items(case: &Investigation, exhibits: &Exhibits) -> Vec<Item> {
    let cited: BTreeSet<&String> = case.narrative.iter().flat_map(|sentence| &sentence.citations).collect();
    let texts: BTreeMap<&String, &String> =
        case.timeline.iter().map(|entry| (&entry.label, &entry.text)).collect();
    let time = |id: &EventId| exhibits.events.get(id).map(|stored| stored.event.time);
    let item = |item: &Evidence| Item {
        time: item.time,
        label: item.label.clone(),
        event: item.event.0,
        text: texts.get(&item.label).copied().unwrap_or(&item.line).clone(),
        host: item.host.clone(),
        source: exhibits.events.get(&item.event).map(source_of).unwrap_or_default(),
        is_alert: item.relation == Relation::Alert,
        is_cited: cited.contains(&item.label),
        rules: exhibits.rules.get(&item.event).cloned().unwrap_or_default(),
        folded: item.folded.iter().filter_map(time).collect(),
        count: item.count,
        silent_minutes: item.silent_minutes(),
    };
    case.evidence.iter().map(item).collect()
}

fn fact(fact: &Fact, labels: &Labels) -> FactView {
    FactView {
        statement: fact.statement.clone(),
        name: fact.name.replace('_', " "),
        weight: signed(fact.weight),
        raises: fact.weight > 0.0,
        cites: labels.cites(fact.evidence.iter().chain(&fact.context)),
    }
}

fn answer(answer: &Answer, labels: &Labels, lines: usize) -> AnswerView {
    let probabilities = || answer.variants.iter().map(|variant| variant.probability);
    let spread = match (probabilities().reduce(f64::min), probabilities().reduce(f64::max)) {
        (Some(least), Some(most)) => format!("{least:.2} – {most:.2}"),
        _ => String::new(),
    };
    let variant = |variant: &Variant| {
        let name = format!("wording {}, order {}", variant.wording + 1, variant.order + 1);
        (name, format!("{:.3}", variant.probability))
    };
    let cites_all = !answer.variants.is_empty() && answer.evidence.len() == lines && lines > 1;
    AnswerView {
        question: answer.question.clone(),
        answer: answer.answer.clone(),
        sentence: answer.sentence.clone(),
        probability: format!("{:.2}", answer.probability),
        threshold: format!("{:.2}", answer.threshold),
        weight: signed(answer.weight),
        strip: spread::lay_out(&answer.variants, answer.threshold),
        variants: answer.variants.iter().map(variant).collect(),
        spread,
        cites: if cites_all { Vec::new() } else { labels.cites(&answer.evidence) },
        cites_all,
    }
}

fn evidence(item: &Evidence, exhibits: &Exhibits) -> EvidenceView {
    EvidenceView {
        label: item.label.clone(),
        event: item.event.0,
        time: when(item.time),
        host: item.host.clone(),
        line: item.line.clone(),
        why: item.why.clone(),
        rules: exhibits.rules.get(&item.event).cloned().unwrap_or_default(),
        count: item.count,
        is_alert: item.relation == Relation::Alert,
    }
}

/// With a sign, and U+2212 for the minus, which is as wide as the plus.
fn signed(weight: f64) -> String {
    format!("{weight:+.2}").replace('-', "−")
}
