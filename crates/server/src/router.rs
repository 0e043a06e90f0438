//! Which path does what? One table, from which the router is built and which `/openapi.json` is held to.

use crate::admit::{Rule, admit};
use crate::guard::guard;
use crate::problem::Problem;
use crate::state::App;
use crate::{api, mcp, openapi, page};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One row of the table.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) rule: Rule,
    handler: MethodRouter<Arc<App>>,
}

fn on_get<H: Handler<T, Arc<App>>, T: 'static>(rule: Rule, path: &'static str, handler: H) -> Route {
    Route { method: "get", path, rule, handler: get(handler) }
}

fn on_post<H: Handler<T, Arc<App>>, T: 'static>(rule: Rule, path: &'static str, handler: H) -> Route {
    Route { method: "post", path, rule, handler: post(handler) }
}

fn on_put<H: Handler<T, Arc<App>>, T: 'static>(rule: Rule, path: &'static str, handler: H) -> Route {
    Route { method: "put", path, rule, handler: put(handler) }
}

/// Every route there is.
pub(crate) fn table() -> Vec<Route> {
    let mut table = named();
    table.extend(api::exports::PATHS.map(|path| on_get(Rule::EXPORT, path, api::exports::report)));
    table
}

/// Those with a handler of their own.
fn named() -> Vec<Route> {
    vec![
        on_post(Rule::INGEST, "/v1/ingest/{format}", api::ingest::ingest),
        on_post(Rule::INGEST, "/v1/logs", api::otlp::logs),
        on_get(Rule::OPEN, "/services/collector/health", api::hec::health),
        on_post(Rule::INGEST, "/services/collector", api::hec::events),
        on_post(Rule::INGEST, "/services/collector/event", api::hec::events),
        on_post(Rule::INGEST, "/services/collector/raw", api::hec::raw),
        on_post(Rule::INGEST, "/services/collector/ack", api::hec::ack),
        on_post(Rule::INGEST, "/_bulk", api::elastic::bulk),
        on_put(Rule::INGEST, "/_bulk", api::elastic::bulk),
        on_post(Rule::INGEST, "/{index}/_bulk", api::elastic::bulk_of),
        on_put(Rule::INGEST, "/{index}/_bulk", api::elastic::bulk_of),
        on_get(Rule::INGEST, "/_license", api::elastic::license),
        on_get(Rule::INGEST, "/_xpack", api::elastic::license),
        on_get(Rule::INGEST, "/_cluster/health", api::elastic::health),
        on_get(Rule::INGEST, "/_index_template/{name}", api::elastic::have),
        on_put(Rule::INGEST, "/_index_template/{name}", api::elastic::accept),
        on_get(Rule::INGEST, "/_template/{name}", api::elastic::have),
        on_put(Rule::INGEST, "/_template/{name}", api::elastic::accept),
        on_get(Rule::INGEST, "/_ilm/policy/{name}", api::elastic::have),
        on_put(Rule::INGEST, "/_ilm/policy/{name}", api::elastic::accept),
        on_get(Rule::INGEST, "/_data_stream/{name}", api::elastic::have),
        on_put(Rule::INGEST, "/_data_stream/{name}", api::elastic::accept),
        on_get(Rule::INGEST, "/_ingest/pipeline/{name}", api::elastic::have),
        on_put(Rule::INGEST, "/_ingest/pipeline/{name}", api::elastic::accept),
        on_get(Rule::LOOK, "/v1/events", api::events::list),
        on_get(Rule::LOOK, "/v1/events/tail", api::tail::tail),
        on_get(Rule::LOOK, "/v1/events/{id}", api::events::one),
        on_get(Rule::LOOK, "/v1/events/{id}/ancestors", api::events::ancestors),
        on_get(Rule::LOOK, "/v1/quarantine", api::quarantine::list),
        on_get(Rule::LOOK, "/v1/quarantine/{id}", api::quarantine::one),
        on_post(Rule::RETRY, "/v1/quarantine/retry", api::quarantine::retry),
        on_get(Rule::STATE, "/v1/sources", api::system::sources),
        on_get(Rule::LOOK, "/v1/search", api::events::search),
        on_get(Rule::LOOK, "/v1/suggest", api::suggest::suggest),
        on_get(Rule::LOOK, "/v1/aggregate", api::aggregate::aggregate),
        on_get(Rule::LOOK, "/v1/entities/{entity}", api::aggregate::entity),
        on_get(Rule::STATE, "/v1/alerts", api::alerts::list),
        on_post(Rule::INGEST, "/v1/alerts", api::alerts::create),
        on_get(Rule::LOOK, "/v1/alerts/{id}", api::alerts::one),
        on_post(Rule::DECIDE, "/v1/alerts/feedback", api::feedback::many),
        on_post(Rule::DECIDE, "/v1/alerts/{id}/feedback", api::feedback::alert),
        on_post(Rule::DECIDE, "/v1/alerts/{id}/close", api::cases::close_alert),
        on_post(Rule::DECIDE, "/v1/alerts/{id}/reopen", api::cases::reopen_alert),
        on_get(Rule::STATE, "/v1/cases", api::cases::list),
        on_get(Rule::LOOK, "/v1/cases/{id}", api::cases::one),
        on_post(Rule::DECIDE, "/v1/cases/{id}/feedback", api::feedback::case),
        on_post(Rule::DECIDE, "/v1/cases/{id}/close", api::cases::close),
        on_post(Rule::DECIDE, "/v1/cases/{id}/reopen", api::cases::reopen),
        on_get(Rule::LOOK, "/v1/cases/{id}/evidence", api::evidence::list),
        on_post(Rule::DECIDE, "/v1/cases/{id}/evidence", api::evidence::save),
        on_get(Rule::LOOK, "/v1/cases/{id}/evidence/{event}", api::evidence::one),
        on_post(Rule::DECIDE, "/v1/cases/{id}/evidence/{event}/remove", api::evidence::remove),
        on_post(Rule::QUESTION, "/v1/ask", api::ask::ask),
        on_get(Rule::AUDIT, "/v1/audit", api::audit::list),
        on_post(Rule::AUDIT, "/v1/audit/checkpoint", api::audit::checkpoint),
        on_get(Rule::STATE, "/v1/queue", api::system::queue),
        on_get(Rule::STATE, "/v1/system", api::about::system),
        on_get(Rule::STATE, "/v1/stream", api::live::stream),
        on_get(Rule::STATE, "/v1/investigations", api::investigations::list),
        on_post(Rule::ASK, "/v1/investigations", api::investigations::create),
        on_get(Rule::LOOK, "/v1/investigations/{id}", api::investigations::one),
        on_get(Rule::STATE, "/v1/investigations/{id}/stream", api::stream::stream),
        on_get(Rule::LOOK, "/v1/investigations/{id}/prompt", api::prompt::prompt),
        on_post(Rule::BACK_UP, "/v1/backups", api::system::back_up),
        on_post(Rule::TALK, "/mcp", mcp::post),
        on_get(Rule::STATE, "/v1/playbooks", api::playbooks::list),
        on_post(Rule::TRY, "/v1/playbooks/validate", api::playbooks::validate),
        on_get(Rule::LOOK, "/v1/playbooks/{name}", api::playbooks::one),
        on_post(Rule::TRY, "/v1/playbooks/try", api::tries::playbook),
        on_post(Rule::TRY, "/v1/rules/try", api::tries::rule),
        on_get(Rule::LOOK, "/v1/tries/{id}", api::tries::one),
        on_get(Rule::STATE, "/v1/tries/{id}/stream", api::stream::of_try),
        on_get(Rule::EXPORT, "/v1/tries/{id}/text", api::tries::text),
        on_post(Rule::ASK, "/v1/tries/{id}/stop", api::tries::stop),
        on_get(Rule::STATE, "/v1/rules", api::rules::list),
        on_post(Rule::TRY, "/v1/rules/validate", api::rules::validate),
        on_get(Rule::LOOK, "/v1/rules/{rule}", api::rules::one),
        on_get(Rule::STATE, "/v1/models", api::openai::models::list),
        on_get(Rule::STATE, "/v1/models/{model}", api::openai::models::one),
        on_post(Rule::MODEL, "/v1/chat/completions", api::openai::chat::create),
        on_post(Rule::MODEL, "/v1/completions", api::openai::completions::create),
        on_post(Rule::EMBED, "/v1/embeddings", api::openai::embeddings::create),
        on_get(Rule::OPEN, "/healthz", api::system::healthz),
        on_get(Rule::OPEN, "/readyz", api::system::readyz),
        on_get(Rule::STATE, "/metrics", api::system::metrics),
        on_get(Rule::OPEN, "/openapi.json", openapi::serve),
        on_get(Rule::GREET, "/", api::elastic::root),
        on_get(Rule::STATE, "/alerts/rows", page::queue::rows),
        on_get(Rule::LOOK, "/alerts/{id}", page::alert::page),
        on_post(Rule::ASK, "/alerts/{id}/investigate", page::alert::investigate),
        on_post(Rule::DECIDE, "/alerts/feedback", page::feedback::many),
        on_post(Rule::DECIDE, "/alerts/{id}/feedback", page::feedback::alert),
        on_post(Rule::DECIDE, "/alerts/{id}/close", page::case::close_alert),
        on_post(Rule::DECIDE, "/alerts/{id}/reopen", page::case::reopen_alert),
        on_get(Rule::STATE, "/cases", page::case::list),
        on_get(Rule::LOOK, "/cases/{id}", page::case::page),
        on_post(Rule::DECIDE, "/cases/{id}/feedback", page::feedback::case),
        on_post(Rule::DECIDE, "/cases/{id}/close", page::case::close),
        on_post(Rule::DECIDE, "/cases/{id}/reopen", page::case::reopen),
        on_get(Rule::LOOK, "/investigations/{id}", page::investigation::page),
        on_get(Rule::LOOK, "/investigations/{id}/prompt", page::prompt::page),
        on_get(Rule::LOOK, "/events/{id}", page::event::page),
        on_post(Rule::DECIDE, "/events/{id}/save", page::evidence::save),
        on_post(Rule::ASK, "/events/{id}/investigate", page::event::investigate),
        on_post(Rule::DECIDE, "/cases/{id}/evidence/{event}/remove", page::evidence::remove),
        on_get(Rule::LOOK, "/search", page::search::page),
        on_get(Rule::LOOK, "/search/tail", page::search::tail::tail),
        on_get(Rule::LOOK, "/entities/{kind}/{value}", page::entity::page),
        on_get(Rule::STATE, "/playbooks", page::knowledge::playbooks::list),
        on_get(Rule::LOOK, "/playbooks/{name}", page::knowledge::playbooks::page),
        on_get(Rule::STATE, "/rules", page::knowledge::rules::list),
        on_get(Rule::LOOK, "/rules/{rule}", page::knowledge::rules::page),
        on_get(Rule::STATE, "/models", page::knowledge::models::page),
        on_get(Rule::LOOK, "/drafts/playbook", page::knowledge::draft::playbook),
        on_post(Rule::TRY, "/drafts/playbook", page::knowledge::draft::check_playbook),
        on_get(Rule::LOOK, "/drafts/rule", page::knowledge::draft::rule),
        on_post(Rule::TRY, "/drafts/rule", page::knowledge::draft::check_rule),
        on_get(Rule::LOOK, "/tries/{id}", page::knowledge::tries::page),
        on_post(Rule::ASK, "/tries/{id}/stop", page::knowledge::tries::stop),
        on_get(Rule::LOOK, "/ask", page::ask::page),
        on_post(Rule::QUESTION, "/ask", page::ask::ask),
        on_get(Rule::STATE, "/system", page::system::page),
        on_get(Rule::GREET, "/v1/session", page::session::described_as_json),
        on_get(Rule::OPEN, "/login", page::session::form),
        on_post(Rule::OPEN, "/login", page::session::log_in),
        on_post(Rule::OPEN, "/logout", page::session::log_out),
        on_get(Rule::GREET, "/session", page::session::page),
        on_get(Rule::OPEN, "/assets/icon.svg", page::assets::icon),
    ]
}

/// The router over the table, with every request guarded and counted.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut by_path: BTreeMap<&'static str, MethodRouter<Arc<App>>> = BTreeMap::new();
    for route in table() {
        let own = route.handler.layer(from_fn_with_state((Arc::clone(&app), route.rule), admit));
        let handler = match by_path.remove(route.path) {
            Some(other) => other.merge(own),
            None => own,
        };
        by_path.insert(route.path, handler);
    }
    let mut router = Router::new();
    for (path, handler) in by_path {
        let allowed = allowed_methods(path);
        let handler = handler.fallback(move || async move { method_not_allowed(&allowed) });
        let count = from_fn_with_state((Arc::clone(&app), path), count);
        router = router.route(path, handler.layer(count));
    }
    router
        .fallback(not_found)
        // Handlers bound their own bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

fn allowed_methods(path: &str) -> String {
    let mut methods: Vec<&str> =
        table().iter().filter(|route| route.path == path).map(|route| route.method).collect();
    if methods.contains(&"get") {
        methods.push("head");
    }
    methods.join(", ").to_uppercase()
}

fn method_not_allowed(allowed: &str) -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address takes {allowed}"));
    match HeaderValue::from_str(allowed) {
        Ok(value) => problem.with_header(header::ALLOW, value).into_response(),
        Err(_) => problem.into_response(),
    }
}

async fn not_found(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::not_found(format!("there is nothing at {path:?}; /openapi.json lists what there is"))
}

async fn count(
    State((app, route)): State<(Arc<App>, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        _ => "OTHER",
    };
    let response = next.run(request).await;
    app.requests.count(method, route, response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_openapi_document_lists_exactly_these_routes() {
        let document = openapi::document();
        let mut documented = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for method in operations.as_object().into_iter().flatten().map(|(method, _)| method) {
                documented.insert((method.clone(), path.clone()));
            }
        }
        let routed: BTreeSet<(String, String)> =
            table().into_iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(documented, routed);
    }
}
