//! How does an investigation or a case leave as a file? Each format of `casemate-export` has an address, for both.
//!
//! What somebody may not see is masked before anything is rendered: no format carries it in a form in which it would not
//! be found any more.

use crate::params::number;
use crate::problem::{Problem, Result};
use crate::redact::Masked;
use crate::state::{App, blocking};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use casemate_access::Principal;
use casemate_event::{AlertId, CaseId, Subject};
use casemate_export::{Error, Format, export, gather};
use jiff::Timestamp;
use std::sync::Arc;

/// Every address that answers with a file: a test holds them to the formats.
pub(crate) const PATHS: [&str; 20] = [
    "/v1/investigations/{id}/report.json",
    "/v1/investigations/{id}/report.md",
    "/v1/investigations/{id}/report.html",
    "/v1/investigations/{id}/report.pdf",
    "/v1/investigations/{id}/report.stix.json",
    "/v1/investigations/{id}/report.navigator.json",
    "/v1/investigations/{id}/report.ocsf.json",
    "/v1/investigations/{id}/report.timeline.csv",
    "/v1/investigations/{id}/report.thehive.json",
    "/v1/investigations/{id}/report.iris.json",
    "/v1/cases/{id}/report.json",
    "/v1/cases/{id}/report.md",
    "/v1/cases/{id}/report.html",
    "/v1/cases/{id}/report.pdf",
    "/v1/cases/{id}/report.stix.json",
    "/v1/cases/{id}/report.navigator.json",
    "/v1/cases/{id}/report.ocsf.json",
    "/v1/cases/{id}/report.timeline.csv",
    "/v1/cases/{id}/report.thehive.json",
    "/v1/cases/{id}/report.iris.json",
];

/// The format that one of [`PATHS`] answers in.
pub(crate) fn format_of(path: &str) -> Option<Format> {
    path.split_once("/report.").and_then(|(_, extension)| Format::of_extension(extension))
}

/// `GET` of one of [`PATHS`]
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(who): Extension<Principal>,
    uri: Uri,
) -> Result<Response> {
    let path = uri.path();
    let subject = if path.starts_with("/v1/cases/") {
        Subject::Case(CaseId(number(&id, "case")?))
    } else {
        Subject::Alert(AlertId(number(&id, "investigation")?))
    };
    let format = format_of(path).ok_or_else(|| {
        Problem::not_found(format!("there is no report at {path:?}; /openapi.json lists them"))
    })?;
    let bytes = blocking(&app, move |app| {
        let made = Timestamp::now();
        let made = Timestamp::from_second(made.as_second()).unwrap_or(made);
        let mut dossier = gather(app.pipeline.store(), subject, made).map_err(|why| problem(subject, why))?;
        if who.redacted {
            dossier = dossier.masked(&|text| app.redaction.apply(text).into_owned());
        }
        export(&dossier, format).map_err(|why| problem(subject, why))
    })
    .await?;
    let name = format!("attachment; filename=\"{}\"", format.file_name(subject));
    let disposition = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media())),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((Extension(Masked), headers, bytes).into_response())
}

fn problem(subject: Subject, why: Error) -> Problem {
    match (why, subject) {
        (Error::NotInvestigated(_), Subject::Alert(id)) => crate::api::investigations::not_finished(id),
        (Error::NotInvestigated(_), Subject::Case(_)) => Problem::not_found(format!(
            "no alert of {subject} was investigated; POST /v1/investigations {{\"alert\": NUMBER}} starts one"
        )),
        (Error::Missing(_), _) => crate::api::cases::missing(subject),
        (Error::Store(error), _) => error.into(),
        (error @ (Error::Unreadable { .. } | Error::Failed { .. }), _) => {
            Problem::internal("making the report", &error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_two_addresses() {
        let of = |start: &str| {
            let paths = PATHS.iter().filter(|path| path.starts_with(start));
            paths.map(|path| format_of(path)).collect::<Vec<_>>()
        };
        let all: Vec<Option<Format>> = Format::ALL.into_iter().map(Some).collect();
        assert_eq!(of("/v1/investigations/{id}/report."), all);
        assert_eq!(of("/v1/cases/{id}/report."), all);
    }
}
