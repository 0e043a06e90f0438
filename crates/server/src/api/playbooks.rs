//! Which playbooks are in use, what does each ask, and how did its verdicts fare? And is this text one?

use crate::admit::record;
use crate::knowledge::draft::{Checked, PlaybookDraft};
use crate::knowledge::{Agreement, Knowledge, decisions};
use crate::params::json_body;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use casemate_access::Principal;
use casemate_audit::Entry;
use casemate_investigate::playbook::{Decided, Given, Playbook, Question, Trial};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a list says of a playbook.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) version: u32,
    pub(crate) sha256: String,
    pub(crate) file: String,
    /// Whether it takes the alerts that no other takes.
    pub(crate) default: bool,
    /// Questions for the model.
    pub(crate) questions: usize,
    /// Questions that code answers.
    pub(crate) predicates: usize,
    pub(crate) tests: usize,
    /// Investigations that are stored and followed it.
    pub(crate) used: usize,
    /// Among the latest decisions of people.
    pub(crate) closed: Agreement,
}

/// All that a playbook says.
#[derive(Debug, Serialize)]
pub(crate) struct Whole {
    #[serde(flatten)]
    pub(crate) row: Row,
    pub(crate) criteria: Vec<Criterion>,
    pub(crate) before_minutes: u64,
    pub(crate) after_minutes: u64,
    pub(crate) pivots: Vec<&'static str>,
    pub(crate) semantic: String,
    pub(crate) max_lines: usize,
    pub(crate) asked: Vec<Asked>,
    pub(crate) decided: Vec<ByCode>,
    pub(crate) trials: Vec<Test>,
    pub(crate) next_steps: Vec<String>,
    /// The file.
    pub(crate) text: String,
}

/// Which alerts choose it.
#[derive(Debug, Serialize)]
pub(crate) struct Criterion {
    pub(crate) what: &'static str,
    pub(crate) values: Vec<String>,
}

/// A question for the model.
#[derive(Debug, Serialize)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) wordings: Vec<String>,
    pub(crate) answers: Vec<Meaning>,
    pub(crate) threshold: f64,
    pub(crate) weight: f64,
}

/// What an answer means.
#[derive(Debug, Serialize)]
pub(crate) struct Meaning {
    pub(crate) answer: String,
    pub(crate) sentence: String,
    /// `raises`, `lowers` or `tells nothing`.
    pub(crate) counts: &'static str,
}

/// A question that facts answer.
#[derive(Debug, Serialize)]
pub(crate) struct ByCode {
    pub(crate) id: String,
    pub(crate) question: String,
    pub(crate) facts: Vec<&'static str>,
    pub(crate) yes: String,
    pub(crate) no: String,
}

/// A test that it carries.
#[derive(Debug, Serialize)]
pub(crate) struct Test {
    pub(crate) name: String,
    /// Events; nothing where records are read in, which may be any number.
    pub(crate) events: Option<usize>,
    pub(crate) expects: Vec<String>,
}

/// All that are in use, by name.
pub(crate) fn rows(app: &App) -> Result<Vec<Row>> {
    let used = app.headlines.by_playbook();
    let mut closed: BTreeMap<String, Agreement> = BTreeMap::new();
    for decision in decisions(app)? {
        if let Some(found) = app.headlines.get(decision.alert.id) {
            closed.entry(found.playbook.name).or_default().add(&found.verdict, decision.closing.verdict);
        }
    }
    let all = app.knowledge.investigator.playbooks().iter();
    Ok(all
        .map(|playbook| Row {
            name: playbook.name.clone(),
            title: playbook.title.clone(),
            version: playbook.version,
            sha256: playbook.sha256.clone(),
            file: playbook.file.clone(),
            default: playbook.criteria.default,
            questions: playbook.questions.len(),
            predicates: playbook.decided.len(),
            tests: playbook.trials.len(),
            used: used.get(&playbook.name).copied().unwrap_or_default(),
            closed: closed.get(&playbook.name).copied().unwrap_or_default(),
        })
        .collect())
}

/// The playbook in use that has this name.
pub(crate) fn named<'a>(knowledge: &'a Knowledge, name: &str) -> Result<&'a Playbook> {
    let missing = || Problem::not_found(format!("no playbook {name:?} is in use; /v1/playbooks lists them"));
    knowledge.investigator.playbooks().get(name).ok_or_else(missing)
}

pub(crate) fn whole(app: &App, name: &str) -> Result<Whole> {
    let playbook = named(&app.knowledge, name)?;
    let missing = || Problem::not_found(format!("no playbook {name:?} is in use"));
    let row = rows(app)?.into_iter().find(|row| row.name == name).ok_or_else(missing)?;
    let retrieval = &playbook.retrieval;
    Ok(Whole {
        row,
        criteria: criteria(playbook),
        before_minutes: retrieval.before.as_secs() / 60,
        after_minutes: retrieval.after.as_secs() / 60,
        pivots: retrieval.pivots.iter().map(|kind| kind.name()).collect(),
        semantic: retrieval.semantic.clone(),
        max_lines: retrieval.max_lines,
        asked: playbook.questions.iter().map(asked).collect(),
        decided: playbook.decided.iter().map(by_code).collect(),
        trials: playbook.trials.iter().map(test).collect(),
        next_steps: playbook.next_steps.clone(),
        text: playbook.text.to_string(),
    })
}

fn criteria(playbook: &Playbook) -> Vec<Criterion> {
    let own = &playbook.criteria;
    // As it is written in the file.
    let classes = own.classes.iter().filter_map(|class| json!(class).as_str().map(str::to_owned)).collect();
    [
        ("rule", own.rules.clone()),
        ("ATT&CK technique", own.techniques.clone()),
        ("application protocol", own.protocols.clone()),
        ("product", own.products.clone()),
        ("class of the first event", classes),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .map(|(what, values)| Criterion { what, values })
    .collect()
}

fn asked(question: &Question) -> Asked {
    let meanings = question.answers.iter().zip(&question.sentences).zip(&question.raises);
    let counts = |raises: bool| match (raises, question.may_lower) {
        (true, _) => "raises",
        (false, true) => "lowers",
        (false, false) => "tells nothing",
    };
    Asked {
        id: question.id.clone(),
        wordings: question.wordings.clone(),
        answers: meanings
            .map(|((answer, sentence), raises)| Meaning {
                answer: answer.clone(),
                sentence: sentence.clone(),
                counts: counts(*raises),
            })
            .collect(),
        threshold: question.threshold,
        weight: question.weight,
    }
}

fn by_code(question: &Decided) -> ByCode {
    let [yes, no] = question.sentences.clone();
    ByCode {
        id: question.id.clone(),
        question: question.question.clone(),
        facts: question.fact_names().collect(),
        yes,
        no,
    }
}

fn test(trial: &Trial) -> Test {
    let answers = trial.answers.iter().map(|(question, answer)| format!("{question}: {answer}"));
    let facts = trial.facts.iter().map(|fact| format!("{fact} holds"));
    let not = trial.no_facts.iter().map(|fact| format!("{fact} does not hold"));
    Test {
        name: trial.name.clone(),
        events: match &trial.given {
            Given::Events(events) => Some(events.len()),
            Given::Records(..) => None,
        },
        expects: answers.chain(facts).chain(not).collect(),
    }
}

/// `GET /v1/playbooks`
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>> {
    let rows = blocking(&app, rows).await?;
    Ok(Json(json!({ "total": rows.len(), "playbooks": rows })))
}

/// `GET /v1/playbooks/{name}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Whole>> {
    blocking(&app, move |app| whole(app, &name)).await.map(Json)
}

/// A text to be looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    pub(crate) text: String,
}

/// `POST /v1/playbooks/validate`
pub(crate) async fn validate(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Checked>> {
    let Text { text } = json_body(body).await?;
    check(&app, &who, text).await.map(Json)
}

/// Looks at a text, and puts it on record.
pub(crate) async fn check(app: &Arc<App>, who: &Principal, text: String) -> Result<Checked> {
    checked(app, who, "check playbook", move |app| PlaybookDraft::check(&app.knowledge, &text)).await
}

/// What `look` says of a text, which is put on record as `action`.
pub(crate) async fn checked(
    app: &Arc<App>,
    who: &Principal,
    action: &str,
    look: impl FnOnce(&App) -> Result<Checked> + Send + 'static,
) -> Result<Checked> {
    let checked = app.knowledge.checking(app, look).await?;
    let said = json!({ "names": checked.names, "valid": checked.valid });
    let entry = Entry::new(&who.to_string(), action, format!("text {}", checked.sha256), said);
    record(app, entry, true).await;
    Ok(checked)
}
