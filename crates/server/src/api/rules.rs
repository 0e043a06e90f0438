//! Which Sigma rules are in use, what did each raise, and what became of that? And is this text a rule?

use super::playbooks::{Text, checked};
use crate::knowledge::Raised;
use crate::knowledge::draft::{Checked, RuleDraft, sha256_of, shown_path};
use crate::params::{Params, json_body};
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use casemate_access::Principal;
use casemate_detect::Rule;
use casemate_event::{Disposition, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Words that a list may be narrowed by.
const MAX_WORDS: usize = 16;
/// Alerts of a rule that are listed one by one.
const ALERTS_LISTED: usize = 20;

/// What narrows the list of rules.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Words that all have to stand in title, description, id, file or tactics.
    #[serde(default)]
    pub(crate) q: String,
    /// ATT&CK id; a technique covers what is below it.
    #[serde(default)]
    pub(crate) technique: String,
    #[serde(default)]
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) sort: Sort,
    /// How many are left out before the first.
    #[serde(default)]
    pub(crate) skip: usize,
    pub(crate) limit: Option<usize>,
}

/// In which order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    /// By title.
    #[default]
    Title,
    /// Those that raised most first.
    Alerts,
}

/// Some of the rules that fit.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) total: usize,
    /// All that are in use.
    pub(crate) loaded: usize,
    pub(crate) rules: Vec<Row>,
}

/// What a list says of a rule.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) level: Severity,
    pub(crate) techniques: Vec<String>,
    pub(crate) tactics: Vec<String>,
    pub(crate) file: String,
    /// Whether its matches raise alerts by themselves.
    pub(crate) raises: bool,
    pub(crate) alerts: u64,
}

/// All there is to a rule.
#[derive(Debug, Serialize)]
pub(crate) struct Whole {
    #[serde(flatten)]
    pub(crate) row: Row,
    pub(crate) description: String,
    pub(crate) false_positives: Vec<String>,
    /// Of the file, in lower-case hex.
    pub(crate) sha256: String,
    /// The file, other rules in it too.
    pub(crate) text: String,
    pub(crate) history: History,
}

/// What became of the latest alerts of a rule.
#[derive(Debug, Default, Serialize)]
pub(crate) struct History {
    /// Of how many the rest of this is made.
    pub(crate) of: usize,
    /// Alerts by day of their first event.
    pub(crate) days: BTreeMap<String, usize>,
    pub(crate) verdicts: BTreeMap<String, usize>,
    pub(crate) closed_malicious: usize,
    pub(crate) closed_benign: usize,
    /// The latest, newest first.
    pub(crate) alerts: Vec<Past>,
}

/// An alert of a rule.
#[derive(Debug, Serialize)]
pub(crate) struct Past {
    pub(crate) id: u64,
    pub(crate) last_time: Timestamp,
    pub(crate) events: u64,
    pub(crate) verdict: Option<String>,
    pub(crate) closed: Option<Disposition>,
}

pub(crate) fn listed(app: &App, filter: &Filter) -> Result<Listed> {
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; it can be 1 to {MAX_LIMIT}")));
    }
    let level = match filter.level.trim() {
        "" => None,
        name => Some(level(name)?),
    };
    let words: Vec<String> = filter.q.to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.len() > MAX_WORDS {
        return Err(Problem::bad_request(format!("q has {} words; it can have {MAX_WORDS}", words.len())));
    }
    let technique = filter.technique.trim().to_uppercase();
    let rules = app.pipeline.rules();
    let mut found: Vec<&Rule> = rules
        .iter()
        .filter(|rule| level.is_none_or(|level| rule.severity == level))
        .filter(|rule| technique.is_empty() || rule.techniques.iter().any(|own| covers(&technique, own)))
        .filter(|rule| words.is_empty() || says(rule, &words))
        .collect();
    let total = found.len();
    let rows = app.knowledge.tally.look(app.pipeline.store(), |raised| {
        let alerts = |rule: &Rule| raised.get(&rule.id).map_or(0, |raised| raised.alerts);
        match filter.sort {
            Sort::Title => found.sort_by(|a, b| a.title.cmp(&b.title).then(a.id.cmp(&b.id))),
            Sort::Alerts => {
                found.sort_by(|a, b| alerts(b).cmp(&alerts(a)).then(a.title.cmp(&b.title)));
            }
        }
        found.iter().skip(filter.skip).take(limit).map(|rule| row(rule, alerts(rule))).collect()
    })?;
    Ok(Listed { total, loaded: rules.len(), rules: rows })
}

fn level(name: &str) -> Result<Severity> {
    const ALL: [Severity; 5] =
        [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    let found = ALL.into_iter().find(|level| level.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|level| level.name()).collect();
        Problem::bad_request(format!("level is {name:?}; it can be {}", names.join(", ")))
    })
}

fn covers(asked: &str, own: &str) -> bool {
    own.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn says(rule: &Rule, words: &[String]) -> bool {
    let mut text = format!("{} {} {} ", rule.title, rule.id, shown_path(&rule.path));
    text.push_str(&rule.description);
    for more in rule.tactics.iter().chain(&rule.techniques) {
        text.push(' ');
        text.push_str(more);
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

fn row(rule: &Rule, alerts: u64) -> Row {
    Row {
        id: rule.id.clone(),
        title: rule.title.clone(),
        level: rule.severity,
        techniques: rule.techniques.clone(),
        tactics: rule.tactics.clone(),
        file: shown_path(&rule.path),
        raises: rule.raises && rule.severity >= casemate_detect::ALERT_LEVEL,
        alerts,
    }
}

/// The rule in use that has this id.
pub(crate) fn rule<'a>(app: &'a App, id: &str) -> Result<&'a Rule> {
    let missing = || Problem::not_found(format!("no rule {id:?} is in use; /v1/rules lists them"));
    app.pipeline.rules().get(id).ok_or_else(missing)
}

pub(crate) fn whole(app: &App, id: &str) -> Result<Whole> {
    let rule = rule(app, id)?;
    let raised = app.knowledge.tally.look(app.pipeline.store(), |all| all.get(id).cloned())?;
    let raised = raised.unwrap_or_default();
    Ok(Whole {
        row: row(rule, raised.alerts),
        description: rule.description.clone(),
        false_positives: rule.false_positives.clone(),
        sha256: sha256_of(&rule.text),
        text: rule.text.to_string(),
        history: history(app, &raised)?,
    })
}

fn history(app: &App, raised: &Raised) -> Result<History> {
    let store = app.pipeline.store();
    let mut history = History { of: raised.latest.len(), ..History::default() };
    for id in raised.latest.iter().rev() {
        let Some(alert) = store.alert(*id)? else { continue };
        *history.days.entry(alert.first_time.strftime("%Y-%m-%d").to_string()).or_default() += 1;
        let verdict = app.headlines.get(*id).map(|found| found.verdict);
        if let Some(verdict) = &verdict {
            *history.verdicts.entry(verdict.clone()).or_default() += 1;
        }
        let closed = store.closing(*id)?.map(|closing| closing.verdict);
        match closed {
            Some(Disposition::Malicious) => history.closed_malicious += 1,
            Some(Disposition::Benign) => history.closed_benign += 1,
            None => {}
        }
        if history.alerts.len() < ALERTS_LISTED {
            let (last_time, events) = (alert.last_time, alert.event_count);
            history.alerts.push(Past { id: id.0, last_time, events, verdict, closed });
        }
    }
    Ok(history)
}

/// `GET /v1/rules`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(filter): Params<Filter>,
) -> Result<Json<Listed>> {
    blocking(&app, move |app| listed(app, &filter)).await.map(Json)
}

/// `GET /v1/rules/{rule}`
pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Whole>> {
    blocking(&app, move |app| whole(app, &id)).await.map(Json)
}

/// `POST /v1/rules/validate`
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
    checked(app, who, "check rule", move |app| RuleDraft::check(app, &text)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technique_covers_what_is_below_it() {
        assert!(covers("T1059", "T1059.001") && covers("T1059.001", "T1059.001"));
        assert!(!covers("T1059.001", "T1059") && !covers("T105", "T1059"));
    }
}
