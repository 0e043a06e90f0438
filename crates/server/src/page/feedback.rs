//! What was decided, whose is it, and the forms that say so: on the pages of alerts, cases and investigations.
//!
//! `templates/feedback.html` lays a [`FeedbackView`] named `feedback` out.

use super::parts::{Badge, When, verdict, when};
use super::session::own;
use crate::api::feedback::{Doing, Said};
use crate::params::{form_pairs, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::Redirect;
use casemate_access::{Kind, Principal};
use casemate_event::{AlertId, Assigned, Case, CaseId, Closing, Disposition, Feedback, Subject};
use std::sync::Arc;

/// What was decided about an alert or a case, and where forms change it.
pub(crate) struct FeedbackView {
    /// `/alerts/3` or `/cases/3`.
    pub(crate) path: String,
    /// The page to come back to.
    pub(crate) next: String,
    /// The verdict there is to agree with.
    pub(crate) verdict: Option<Badge>,
    /// Whether agreeing with it says what it was.
    pub(crate) decides: bool,
    pub(crate) said: Option<SaidView>,
    pub(crate) closed: Option<ClosedView>,
    pub(crate) assigned: Option<AssignedView>,
    /// Whether whoever decides has to say their name.
    pub(crate) asks_name: bool,
    /// Whether it is a case, whose alerts are decided together.
    pub(crate) is_case: bool,
}

/// How it was closed, ready to print.
pub(crate) struct ClosedView {
    pub(crate) verdict: Badge,
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) at: When,
    pub(crate) by_machine: bool,
}

/// What was said of the verdict, ready to print.
pub(crate) struct SaidView {
    pub(crate) agrees: bool,
    /// The verdict that it was said of.
    pub(crate) of: String,
    pub(crate) truth: Option<Badge>,
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) at: When,
}

/// Whose it is, ready to print.
pub(crate) struct AssignedView {
    pub(crate) to: String,
    pub(crate) by: String,
    pub(crate) at: When,
}

impl FeedbackView {
    /// Of an alert, on the page at `next`.
    pub(crate) fn of_alert(app: &App, id: AlertId, who: &Principal, next: String) -> Result<Self> {
        let state = app.pipeline.store().alert_states(&[id])?.pop();
        let (closing, assigned, said) =
            state.map_or((None, None, None), |state| (state.closing, state.assigned, state.feedback));
        let verdict_now = app.headlines.get(id).map(|found| found.verdict);
        Ok(Self {
            path: format!("/alerts/{id}"),
            next,
            decides: verdict_now.as_deref().and_then(Feedback::truth_of_agreeing).is_some(),
            verdict: verdict_now.as_deref().map(verdict),
            said: said.map(SaidView::from),
            closed: closing.map(ClosedView::from),
            assigned: assigned.map(AssignedView::from),
            asks_name: asks_name(who),
            is_case: false,
        })
    }

    /// Of a case whose gravest verdict is `gravest`.
    pub(crate) fn of_case(case: &Case, gravest: Option<&str>, who: &Principal) -> Self {
        Self {
            path: format!("/cases/{}", case.id),
            next: format!("/cases/{}", case.id),
            verdict: gravest.map(verdict),
            decides: gravest.and_then(Feedback::truth_of_agreeing).is_some(),
            said: None,
            closed: case.closed.clone().map(ClosedView::from),
            assigned: case.assigned.clone().map(AssignedView::from),
            asks_name: asks_name(who),
            is_case: true,
        }
    }
}

/// Whether a form has to ask for a name: whoever logged in is known by theirs.
pub(crate) fn asks_name(who: &Principal) -> bool {
    matches!(who.kind, Kind::Local | Kind::Token)
}

impl From<Closing> for ClosedView {
    fn from(closing: Closing) -> Self {
        Self {
            verdict: verdict(closing.verdict.name()),
            reason: closing.reason,
            by: closing.by,
            at: when(closing.at),
            by_machine: closing.by_machine,
        }
    }
}

impl From<Feedback> for SaidView {
    fn from(said: Feedback) -> Self {
        Self {
            agrees: said.agrees,
            of: said.of,
            truth: said.truth.map(|truth| verdict(truth.name())),
            reason: said.reason,
            by: said.by,
            at: when(said.at),
        }
    }
}

impl From<Assigned> for AssignedView {
    fn from(assigned: Assigned) -> Self {
        Self { to: assigned.to, by: assigned.by, at: when(assigned.at) }
    }
}

/// `POST /alerts/{id}/feedback`
pub(crate) async fn alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let id = AlertId(number(&id, "alert")?);
    let form = Form::read(body).await?;
    form.apply(&app, who, vec![Subject::Alert(id)], format!("/alerts/{id}")).await
}

/// `POST /cases/{id}/feedback`
pub(crate) async fn case(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let id = CaseId(number(&id, "case")?);
    let form = Form::read(body).await?;
    form.apply(&app, who, vec![Subject::Case(id)], format!("/cases/{id}")).await
}

/// `POST /alerts/feedback`: about all alerts and cases that the form names.
pub(crate) async fn many(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Principal>,
    body: Body,
) -> Result<Redirect> {
    let mut form = Form::read(body).await?;
    let subjects = std::mem::take(&mut form.subjects);
    if subjects.is_empty() {
        return Err(Problem::unprocessable("no alert is selected: mark those that are meant, then decide"));
    }
    form.apply(&app, who, subjects, "/".to_owned()).await
}

/// A form of the page.
struct Form {
    said: Said,
    next: String,
    /// Alerts and cases that were marked.
    subjects: Vec<Subject>,
}

impl Form {
    async fn read(body: Body) -> Result<Self> {
        Self::parse(form_pairs(body).await?)
    }

    fn parse(pairs: Vec<(String, String)>) -> Result<Self> {
        let mut act = None;
        let mut said = Said {
            act: Doing::Close,
            verdict: None,
            reason: String::new(),
            to: String::new(),
            by: String::new(),
            close: false,
        };
        let (mut next, mut subjects) = (String::new(), Vec::new());
        for (name, value) in pairs {
            match name.as_str() {
                "act" => act = Some(doing(&value)?),
                "verdict" => said.verdict = truth(&value)?,
                "reason" => said.reason = value,
                "to" => said.to = value,
                "by" => said.by = value,
                "close" => said.close = true,
                "next" => next = value,
                "alert" => subjects.push(Subject::Alert(AlertId(number(&value, "alert")?))),
                "case" => subjects.push(Subject::Case(CaseId(number(&value, "case")?))),
                other => {
                    return Err(Problem::unprocessable(format!("the form has a field {other:?} too many")));
                }
            }
        }
        said.act =
            act.ok_or_else(|| Problem::unprocessable("the form does not say what to do, in \"act\""))?;
        Ok(Self { said, next, subjects })
    }

    /// Does it, and leads back to where the form was.
    async fn apply(
        self,
        app: &Arc<App>,
        who: Principal,
        subjects: Vec<Subject>,
        default: String,
    ) -> Result<Redirect> {
        let Self { said, next, .. } = self;
        blocking(app, move |app| said.apply(app, &who, &subjects)).await?;
        Ok(Redirect::to(if next.is_empty() { &default } else { own(&next) }))
    }
}

fn doing(value: &str) -> Result<Doing> {
    match value {
        "agree" => Ok(Doing::Agree),
        "disagree" => Ok(Doing::Disagree),
        "withdraw" => Ok(Doing::Withdraw),
        "assign" => Ok(Doing::Assign),
        "close" => Ok(Doing::Close),
        "reopen" => Ok(Doing::Reopen),
        other => Err(Problem::unprocessable(format!("{other:?} is nothing that can be done here"))),
    }
}

fn truth(value: &str) -> Result<Option<Disposition>> {
    match value {
        "" => Ok(None),
        "malicious" => Ok(Some(Disposition::Malicious)),
        "benign" => Ok(Some(Disposition::Benign)),
        other => Err(Problem::unprocessable(format!("it was malicious or benign, not {other:?}"))),
    }
}
