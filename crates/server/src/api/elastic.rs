//! How do Elastic's shippers hand on documents (`_bulk`), and what do they ask before they do?
//!
//! As much of the API as Filebeat, Winlogbeat, Vector, Fluent Bit and the client libraries use to ship. There
//! are no indexes here: the name of one is kept with the record; templates and policies are accepted and do
//! nothing. A document that cannot be understood is in quarantine, and so it is acknowledged.

use crate::api::framed::{self, Beside, Told};
use crate::params::Params;
use crate::problem::{Problem, Result};
use crate::state::{App, blocking};
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use casemate_access::{Principal, Scope};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Version told to clients, which refuse to talk to one of another major number than theirs.
const VERSION: &str = "8.17.0";
/// Clients refuse to talk to anything that does not say this.
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));

fn reply(status: StatusCode, body: Value) -> Response {
    (status, [PRODUCT], Json(body)).into_response()
}

/// `GET /`: the page for people, the version for shippers.
pub(crate) async fn root(
    state: State<Arc<App>>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    filter: Params<crate::page::filter::Filter>,
) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accepts.contains("json") && !accepts.contains("text/html") {
        return reply(
            StatusCode::OK,
            json!({
                "name": "casemate",
                "cluster_name": "casemate",
                "cluster_uuid": "casemate",
                "version": {
                    "number": VERSION,
                    "build_flavor": "default",
                    "build_type": "casemate",
                    "lucene_version": "9.12.0",
                    "minimum_wire_compatibility_version": "7.17.0",
                    "minimum_index_compatibility_version": "7.0.0",
                },
                "tagline": "You Know, for Search",
            }),
        );
    }
    if let Err(problem) = crate::admit::may(&who, Scope::Read) {
        return problem.into_response();
    }
    crate::page::queue::page(state, filter, Extension(who)).await.into_response()
}

/// `GET /_license` and `/_xpack`
pub(crate) async fn license() -> Response {
    let license = json!({ "uid": "casemate", "type": "basic", "mode": "basic", "status": "active" });
    let features = json!({ "ilm": { "available": true, "enabled": true } });
    reply(StatusCode::OK, json!({ "license": license, "features": features }))
}

/// `GET /_cluster/health`
pub(crate) async fn health() -> Response {
    reply(StatusCode::OK, json!({ "cluster_name": "casemate", "status": "green", "timed_out": false }))
}

/// Templates, policies, pipelines and data streams, asked for: they are as wanted.
pub(crate) async fn have() -> Response {
    reply(StatusCode::OK, json!({}))
}

/// The same, sent: they do nothing here.
pub(crate) async fn accept(request: Request) -> Result<Response> {
    crate::api::ingest::read(request).await?;
    Ok(reply(StatusCode::OK, json!({ "acknowledged": true })))
}

/// `POST` or `PUT /_bulk`
pub(crate) async fn bulk(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    take(app, None, request).await
}

/// `POST` or `PUT /{index}/_bulk`
pub(crate) async fn bulk_of(
    State(app): State<Arc<App>>,
    Path(index): Path<String>,
    request: Request,
) -> Result<Response> {
    take(app, Some(index), request).await
}

async fn take(app: Arc<App>, index: Option<String>, request: Request) -> Result<Response> {
    let began = Instant::now();
    let _permit = framed::permit(&app)?;
    let received = framed::receive(request).await?;
    let items = blocking(&app, move |app| {
        let Bulk { told, items } = parse(&received.body, index.as_deref())?;
        if !told.is_empty() {
            framed::store(app, "elastic-bulk", &received, told)?;
        }
        Ok(items)
    });
    let items = items.await?;
    let errors = items.iter().any(|(_, item)| item["error"].is_object());
    let items: Vec<Value> = items.into_iter().map(|(action, item)| json!({ action: item })).collect();
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(reply(StatusCode::OK, json!({ "took": took, "errors": errors, "items": items })))
}

struct Bulk {
    told: Vec<Told>,
    /// Action and result.
    items: Vec<(String, Value)>,
}

fn parse(body: &[u8], default_index: Option<&str>) -> Result<Bulk> {
    let mut bulk = Bulk { told: Vec::new(), items: Vec::new() };
    let mut lines = body.split(|byte| *byte == b'\n').enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let malformed = || {
            let detail = "is no action: expected one of index, create, update, delete";
            Problem::bad_request(format!("line {} {detail}; nothing of the body was stored", number + 1))
        };
        let action: Map<String, Value> = serde_json::from_slice(line).map_err(|_| malformed())?;
        let (name, meta) = action.iter().next().ok_or_else(malformed)?;
        let index = meta["_index"].as_str().or(default_index).unwrap_or_default();
        let id = meta["_id"].as_str().unwrap_or_default();
        let has_document = match name.as_str() {
            "index" | "create" | "update" => true,
            "delete" => false,
            _ => return Err(malformed()),
        };
        let document = if has_document { Some(lines.next().ok_or_else(malformed)?.1) } else { None };
        match document.filter(|_| name != "update") {
            Some(document) if !document.trim_ascii().is_empty() => {
                let document = document.strip_suffix(b"\r").unwrap_or(document);
                let native = [("elastic.index", index), ("elastic.id", id)]
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                bulk.told.push((document.to_vec(), Beside { native, ..Beside::default() }));
                let item = json!({ "_index": index, "_id": id, "status": 201, "result": "created" });
                bulk.items.push((name.clone(), item));
            }
            _ => {
                let reason = "records are never changed: only index and create with a document are taken";
                let error = json!({ "type": "illegal_argument_exception", "reason": reason });
                let item = json!({ "_index": index, "_id": id, "status": 400, "error": error });
                bulk.items.push((name.clone(), item));
            }
        }
    }
    Ok(bulk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_result() {
        let body = concat!(
            "{\"create\":{\"_index\":\"logs\"}}\n{\"message\":\"a\"}\n\n",
            "{\"delete\":{\"_id\":\"7\"}}\n{\"update\":{\"_id\":\"8\"}}\n{\"doc\":{}}\n{\"index\":{}}\nnot json\n"
        );
        let bulk = parse(body.as_bytes(), Some("default")).unwrap();
        let raws: Vec<_> = bulk.told.iter().map(|(raw, _)| raw.as_slice()).collect();
        assert_eq!(raws, [b"{\"message\":\"a\"}".as_slice(), b"not json"]);
        let statuses: Vec<_> = bulk.items.iter().map(|(_, item)| item["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [201, 400, 400, 201]);
        assert_eq!(bulk.items[3].1["_index"], "default");
        assert!(parse(b"{\"shrink\":{}}\n", None).is_err() && parse(b"nonsense", None).is_err());
        assert!(parse(b"{\"index\":{}}", None).is_err());
    }
}
