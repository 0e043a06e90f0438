//! Which alerts are there, and how does another product add one?

use crate::api::Part;
use crate::api::investigations::headline_json;
use crate::params::{Params, json_body, number};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use casemate_event::{Alert, AlertId, AlertOrigin, EventId, Severity, Stored, field};
use casemate_store::AlertState;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const MAX_TITLE_CHARS: usize = 500;
const MAX_TECHNIQUES: usize = 64;
const MAX_PRODUCT_CHARS: usize = 100;

/// An alert as another product sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAlert {
    title: String,
    severity: Severity,
    #[serde(default)]
    techniques: Vec<String>,
    #[serde(default)]
    events: Vec<EventId>,
    time: Option<Timestamp>,
    product: Option<String>,
}

/// `GET /v1/alerts`
pub(crate) async fn list(State(app): State<Arc<App>>, Params(part): Params<Part>) -> Result<Json<Value>> {
    blocking(&app, move |app| page(app, part)).await.map(Json)
}

/// At most `most` alerts, newest first; all, or those that nobody has closed.
pub(crate) fn listed(app: &App, most: usize, open: bool) -> Result<Value> {
    page(app, Part::newest(most, open))
}

/// Which alerts there are is known in memory; only those that are shown are read.
fn page(app: &App, part: Part) -> Result<Value> {
    let store = app.pipeline.store();
    let lists = app.board.now(store, &app.headlines, &app.live)?;
    let picked = part.of(lists.alerts.values().map(|row| (row.id.0, row.is_open())))?;
    drop(lists);
    let ids: Vec<AlertId> = picked.ids.into_iter().map(AlertId).collect();
    let rows: Vec<Value> = store.alert_states(&ids)?.iter().map(|state| state_json(app, state)).collect();
    Ok(json!({ "total": picked.total, "alerts": rows, "below": picked.below }))
}

/// `GET /v1/alerts/{id}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>> {
    blocking(&app, move |app| {
        let alert = alert(app, &id)?;
        let mut json = alert_json(app, &alert)?;
        json["reference"] = reference(app, &alert)?;
        Ok(Json(json))
    })
    .await
}

/// By which id, and at which address, the product knows its alert; null for an alert of our own rules.
fn reference(app: &App, alert: &Alert) -> Result<Value> {
    let Some(latest) = alert.events.last().filter(|_| matches!(alert.origin, AlertOrigin::Product(_))) else {
        return Ok(Value::Null);
    };
    let Some(stored) = app.pipeline.store().get(*latest)? else { return Ok(Value::Null) };
    let said = |name| stored.event.field(name);
    let (id, link) = (said(field::FINDING_UID), said(field::FINDING_LINK));
    Ok(if id.is_some() || link.is_some() { json!({ "id": id, "link": link }) } else { Value::Null })
}

/// `POST /v1/alerts`
pub(crate) async fn create(State(app): State<Arc<App>>, body: Body) -> Result<Response> {
    let new: NewAlert = json_body(body).await?;
    let (id, json) = blocking(&app, move |app| {
        let alert = new.store(app)?;
        Ok((alert.id, alert_json(app, &alert)?))
    })
    .await?;
    let mut response = (StatusCode::CREATED, Json(json)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/alerts/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The alert whose number is written `id`.
pub(crate) fn alert(app: &App, id: &str) -> Result<Alert> {
    let id = AlertId(number(id, "alert")?);
    app.pipeline.store().alert(id)?.ok_or_else(|| missing(id))
}

fn missing(id: AlertId) -> Problem {
    Problem::not_found(format!("there is no alert {id}; /v1/alerts lists them"))
}

fn alert_json(app: &App, alert: &Alert) -> Result<Value> {
    let state = app.pipeline.store().alert_states(&[alert.id])?.pop();
    state.map(|state| state_json(app, &state)).ok_or_else(|| missing(alert.id))
}

fn state_json(app: &App, state: &AlertState) -> Value {
    let AlertState { alert, raised: _, case, closing, assigned, feedback } = state;
    let entities: Vec<String> = alert.entities.iter().map(ToString::to_string).collect();
    let mut json = json!(alert);
    json["entities"] = json!(entities);
    json["investigation"] = headline_json(app, alert.id).unwrap_or(Value::Null);
    json["case"] = json!(case);
    json["closed"] = json!(closing);
    json["assigned"] = json!(assigned);
    json["feedback"] = json!(feedback);
    json
}

/// Everything about one alert.
pub(crate) fn whole(app: &App, id: AlertId) -> Result<Value> {
    alert_json(app, &alert(app, &id.to_string())?)
}

impl NewAlert {
    /// Stores the alert; the same alert sent again (same product, title and time) is the one already there.
    fn store(self, app: &App) -> Result<Alert> {
        self.check()?;
        let events = self.read_events(app)?;
        let product = self.product.unwrap_or_else(|| "api".to_owned());
        let fold_key = format!("product:{product}:{}", self.title);
        let origin = AlertOrigin::Product(product);
        let about = Alert::about(origin.clone(), self.title.clone(), self.severity, &events);
        // Of something that no event here tells.
        let claimed = self.time.map(|time| Alert {
            id: AlertId(0),
            origin,
            title: self.title,
            severity: self.severity,
            techniques: Vec::new(),
            first_time: time,
            last_time: time,
            events: Vec::new(),
            event_count: 0,
            entities: Vec::new(),
        });
        let Some(mut alert) = about.or(claimed) else {
            return Err(Problem::unprocessable(
                "the alert has neither events nor a time; give at least one of them",
            ));
        };
        alert.techniques = self.techniques;
        Ok(app.pipeline.store().raise(alert, &fold_key, SignedDuration::ZERO)?)
    }

    fn check(&self) -> Result<()> {
        let title_chars = self.title.trim().chars().count();
        if !(1..=MAX_TITLE_CHARS).contains(&title_chars) {
            let detail =
                format!("the title has {title_chars} characters; it can have 1 to {MAX_TITLE_CHARS}");
            return Err(Problem::unprocessable(detail));
        }
        if self.events.len() > Alert::MAX_EVENTS {
            let detail = format!(
                "the alert names {} events; it can name {}, the first ones tell most",
                self.events.len(),
                Alert::MAX_EVENTS
            );
            return Err(Problem::unprocessable(detail));
        }
        if self.product.as_ref().is_some_and(|product| product.chars().count() > MAX_PRODUCT_CHARS) {
            return Err(Problem::unprocessable(format!(
                "the product's name is longer than {MAX_PRODUCT_CHARS} characters"
            )));
        }
        if self.techniques.len() > MAX_TECHNIQUES {
            return Err(Problem::unprocessable(format!(
                "the alert names more than {MAX_TECHNIQUES} techniques"
            )));
        }
        match self.techniques.iter().find(|technique| !is_technique(technique)) {
            Some(wrong) => Err(Problem::unprocessable(format!(
                "{wrong:?} is no ATT&CK technique; write T1059 or T1059.001"
            ))),
            None => Ok(()),
        }
    }

    /// The events named, oldest first.
    fn read_events(&self, app: &App) -> Result<Vec<Stored>> {
        let mut ids = self.events.clone();
        ids.sort_unstable();
        ids.dedup();
        let mut events = Vec::with_capacity(ids.len());
        for id in ids {
            match app.pipeline.store().get(id)? {
                Some(stored) => events.push(stored),
                None => {
                    let detail = format!("there is no event {id}; send the events first, then the alert");
                    return Err(Problem::unprocessable(detail));
                }
            }
        }
        Ok(events)
    }
}

fn is_technique(text: &str) -> bool {
    let digits =
        |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = text.strip_prefix('T') else { return false };
    match number.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(number, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_written_as_attack_writes_them() {
        assert!(is_technique("T1059") && is_technique("T1059.001"));
        for wrong in ["", "T", "1059", "T10591", "T1059.1", "T1059.0011", "T1059.", "t1059", "T1059.001.2"] {
            assert!(!is_technique(wrong), "{wrong}");
        }
    }
}
