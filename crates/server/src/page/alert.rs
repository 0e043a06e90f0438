//! `GET /alerts/{id}`: what does an alert claim, and which events say so? And the button that investigates it.

use super::feedback::FeedbackView;
use super::parts::{Badge, EntityLink, EventRow, Outcome, When, entity_links, event_row, severity, when};
use super::queue::{origin, outcome_of};
use super::render;
use crate::api::alerts::alert;
use crate::api::investigations::start;
use crate::params::number;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::{Html, Redirect};
use casemate_access::Principal;
use casemate_event::{AlertId, AlertOrigin};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage {
    id: u64,
    title: String,
    severity: Badge,
    origin: String,
    rule: Option<Rule>,
    first: When,
    last: When,
    techniques: Vec<String>,
    entities: Vec<EntityLink>,
    event_count: u64,
    rows: Vec<EventRow>,
    outcome: Outcome,
    case: u64,
    feedback: FeedbackView,
}

struct Rule {
    id: String,
    description: String,
    false_positives: Vec<String>,
}

pub(crate) async fn page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
) -> Result<Html<String>> {
    blocking(&app, move |app| {
        let alert = alert(app, &id)?;
        let mut rows = Vec::with_capacity(alert.events.len());
        for id in &alert.events {
            rows.extend(app.pipeline.store().get(*id)?.map(|stored| event_row(&stored)));
        }
        let store = app.pipeline.store();
        render(&AlertPage {
            case: store.case_of(alert.id)?.map_or(0, |case| case.0),
            feedback: FeedbackView::of_alert(app, alert.id, &who, format!("/alerts/{}", alert.id))?,
            id: alert.id.0,
            severity: severity(alert.severity),
            origin: origin(&alert.origin),
            rule: rule(app, &alert.origin),
            first: when(alert.first_time),
            last: when(alert.last_time),
            entities: entity_links(&alert.entities),
            outcome: outcome_of(app, alert.id),
            title: alert.title,
            techniques: alert.techniques,
            event_count: alert.event_count,
            rows,
        })
    })
    .await
}

fn rule(app: &App, origin: &AlertOrigin) -> Option<Rule> {
    let AlertOrigin::Rule(id) = origin else { return None };
    let rule = app.pipeline.rules().get(id);
    Some(Rule {
        id: id.clone(),
        description: rule.map(|rule| rule.description.clone()).unwrap_or_default(),
        false_positives: rule.map(|rule| rule.false_positives.clone()).unwrap_or_default(),
    })
}

/// `POST /alerts/{id}/investigate`
pub(crate) async fn investigate(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Redirect> {
    let id = AlertId(number(&id, "alert")?);
    start(&app, id).await?;
    Ok(Redirect::to(&format!("/investigations/{id}")))
}
