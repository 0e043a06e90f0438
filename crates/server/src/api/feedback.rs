//! What does a person say of verdicts, whose are alerts, and how are many decided at once?
//!
//! Agreeing with `malicious` or `benign` says what it was; agreeing with `suspicious` or `inconclusive` says that the
//! evidence does not tell, which is counted and is no example for anything. Whoever disagrees says what it was
//! instead, and why: from that moment on it is an example for alerts like it, as a closed one is.

use crate::admit::signature;
use crate::params::{json_body, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use casemate_access::Principal;
use casemate_event::{AlertId, Assigned, CaseId, Closing, Disposition, Feedback, Subject};
use casemate_store::Act;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Alerts and cases that one request may decide about.
pub(crate) const MOST_AT_ONCE: usize = 500;
const MAX_REASON_CHARS: usize = 2000;
const MAX_NAME_CHARS: usize = 100;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Doing {
    Agree,
    Disagree,
    /// Takes back what was said of the verdict.
    Withdraw,
    Assign,
    Close,
    Reopen,
}

/// What is said about one or more alerts or cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    pub(crate) act: Doing,
    /// What it was: to disagree, and to close.
    pub(crate) verdict: Option<Disposition>,
    #[serde(default)]
    pub(crate) reason: String,
    /// Whose it is to be; nobody's if empty.
    #[serde(default)]
    pub(crate) to: String,
    /// Who decides; whoever is known by name need not say.
    #[serde(default)]
    pub(crate) by: String,
    /// Whether to close as well: of whoever agrees or disagrees.
    #[serde(default)]
    pub(crate) close: bool,
}

/// The same about many alerts.
#[derive(Debug, Deserialize)]
pub(crate) struct SaidOfMany {
    alerts: Vec<AlertId>,
    #[serde(flatten)]
    said: Said,
}

/// What became of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) subjects: Vec<Subject>,
    /// Alerts without a verdict that could be agreed or disagreed with.
    pub(crate) without_verdict: Vec<AlertId>,
}

/// `POST /v1/alerts/{id}/feedback`
pub(crate) async fn alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let id = AlertId(number(&id, "alert")?);
    let said: Said = json_body(body).await?;
    blocking(&app, move |app| {
        said.apply(app, &who, &[Subject::Alert(id)])?;
        super::alerts::whole(app, id)
    })
    .await
    .map(Json)
}

/// `POST /v1/cases/{id}/feedback`
pub(crate) async fn case(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let id = CaseId(number(&id, "case")?);
    let said: Said = json_body(body).await?;
    blocking(&app, move |app| {
        said.apply(app, &who, &[Subject::Case(id)])?;
        super::cases::whole(app, id)
    })
    .await
    .map(Json)
}

/// `POST /v1/alerts/feedback`
pub(crate) async fn many(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>> {
    let SaidOfMany { alerts, said } = json_body(body).await?;
    let subjects: Vec<Subject> = alerts.into_iter().map(Subject::Alert).collect();
    let done = blocking(&app, move |app| said.apply(app, &who, &subjects)).await?;
    Ok(Json(json!({ "done": done.subjects.len(), "without_verdict": done.without_verdict })))
}

impl Said {
    /// Does it, all or nothing, each with its row in the audit record.
    pub(crate) fn apply(&self, app: &App, who: &Principal, subjects: &[Subject]) -> Result<Done> {
        if !(1..=MOST_AT_ONCE).contains(&subjects.len()) {
            return Err(Problem::unprocessable(format!(
                "{} alerts or cases are named; name 1 to {MOST_AT_ONCE}",
                subjects.len()
            )));
        }
        let by = bounded("the name in \"by\"", &signature(who, self.by.trim())?, MAX_NAME_CHARS)?;
        let hand = Hand { said: self, by, at: Timestamp::now() };
        let mut acts = Vec::new();
        let mut done = Done::default();
        for subject in subjects {
            hand.add(app, *subject, &mut acts, &mut done)?;
        }
        if acts.is_empty() {
            return Err(Problem::unprocessable(
                "there is no verdict yet to agree or disagree with; close it with one of your own, or have it investigated",
            ));
        }
        // Looked up before: only a store that lost something since would miss one.
        if let Some(missing) = app.pipeline.store().act(&acts, &hand.by, hand.at)?.first() {
            return Err(super::cases::missing(*missing));
        }
        for (subject, act) in &acts {
            match (subject, act) {
                (_, Act::Reopen | Act::Say(_)) => app.queue.read_again(),
                (Subject::Alert(id), Act::Close(_)) => app.queue.forget(*id),
                (Subject::Case(id), Act::Close(_)) => {
                    for member in app.pipeline.store().case(*id)?.into_iter().flat_map(|case| case.alerts) {
                        app.queue.forget(member.alert);
                    }
                }
                (_, Act::Assign(_)) => {}
            }
        }
        Ok(done)
    }
}

/// Who does it, and when.
struct Hand<'a> {
    said: &'a Said,
    by: String,
    at: Timestamp,
}

impl Hand<'_> {
    /// Adds what is to be done about `subject`.
    fn add(
        &self,
        app: &App,
        subject: Subject,
        acts: &mut Vec<(Subject, Act)>,
        done: &mut Done,
    ) -> Result<()> {
        let members = match subject {
            Subject::Alert(id) => {
                if app.pipeline.store().alert(id)?.is_none() {
                    return Err(super::cases::missing(subject));
                }
                vec![id]
            }
            Subject::Case(id) => {
                let found = app.pipeline.store().case(id)?.ok_or_else(|| super::cases::missing(subject))?;
                found.alerts.iter().map(|member| member.alert).collect()
            }
        };
        match self.said.act {
            Doing::Close => acts.push((subject, Act::Close(self.closing(self.truth()?, &self.reason()?)))),
            Doing::Reopen => acts.push((subject, Act::Reopen)),
            Doing::Assign => acts.push((subject, Act::Assign(self.assigned()?))),
            Doing::Withdraw => {
                acts.extend(members.iter().map(|id| (Subject::Alert(*id), Act::Say(None))));
            }
            Doing::Agree | Doing::Disagree => {
                let mut truths = Vec::new();
                for id in members {
                    let Some(headline) = app.headlines.get(id) else {
                        done.without_verdict.push(id);
                        continue;
                    };
                    let feedback = self.feedback(id, &headline.verdict)?;
                    truths.push(feedback.truth);
                    acts.push((Subject::Alert(id), Act::Say(Some(feedback))));
                }
                if truths.is_empty() {
                    return Ok(());
                }
                if self.said.close {
                    truths.dedup();
                    let [Some(truth)] = truths[..] else {
                        return Err(Problem::unprocessable(format!(
                            "the verdicts on {subject} do not say one thing that it was: close it with a verdict of your own"
                        )));
                    };
                    let reason = self.said.reason.trim();
                    let reason = if reason.is_empty() { "agreed with the verdict" } else { reason };
                    acts.push((subject, Act::Close(self.closing(truth, reason))));
                }
            }
        }
        done.subjects.push(subject);
        Ok(())
    }

    fn feedback(&self, id: AlertId, verdict: &str) -> Result<Feedback> {
        let agrees = self.said.act == Doing::Agree;
        let (truth, reason) = match agrees {
            true => (Feedback::truth_of_agreeing(verdict), self.any_reason()?),
            false => (Some(self.truth()?), self.reason()?),
        };
        if !agrees && truth == Feedback::truth_of_agreeing(verdict) {
            return Err(Problem::unprocessable(format!(
                "the verdict on alert {id} is {verdict}, which is what you say it was: agree with it instead"
            )));
        }
        Ok(Feedback { agrees, of: verdict.to_owned(), truth, reason, by: self.by.clone(), at: self.at })
    }

    fn closing(&self, verdict: Disposition, reason: &str) -> Closing {
        Closing { verdict, reason: reason.to_owned(), by: self.by.clone(), at: self.at, by_machine: false }
    }

    fn assigned(&self) -> Result<Option<Assigned>> {
        if self.said.to.trim().is_empty() {
            return Ok(None);
        }
        let to = bounded("the name in \"to\"", &self.said.to, MAX_NAME_CHARS)?;
        Ok(Some(Assigned { to, by: self.by.clone(), at: self.at }))
    }

    fn truth(&self) -> Result<Disposition> {
        let missing = || Problem::unprocessable("say what it was: malicious or benign, in \"verdict\"");
        self.said.verdict.ok_or_else(missing)
    }

    fn reason(&self) -> Result<String> {
        bounded("the reason", &self.said.reason, MAX_REASON_CHARS)
    }

    fn any_reason(&self) -> Result<String> {
        if self.said.reason.trim().is_empty() { Ok(String::new()) } else { self.reason() }
    }
}

/// `text` without spaces around it, if it is neither empty nor too long.
pub(crate) fn bounded(what: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    let chars = text.chars().count();
    if (1..=most).contains(&chars) {
        return Ok(text.to_owned());
    }
    Err(Problem::unprocessable(format!("{what} has {chars} characters; it can have 1 to {most}")))
}
