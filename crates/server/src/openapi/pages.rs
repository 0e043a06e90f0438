//! Which pages are there for people, and which forms do they send?

use super::operation::{EVENTS, JSON, Operation};
use super::parameters::{
    ABOUT_CASE, ABOUT_INVESTIGATION, ALERT_IDS, CASES, DRAFT_OF, FROM, NEXT, QUESTION, QUEUE, READING, RULES,
    SEARCH_PAGE, TAIL, TASK, TO,
};
use super::schema::{open, text};

pub(super) fn operations() -> Vec<Operation> {
    let (page, form, form_shown) = (Operation::html, Operation::form, Operation::form_shown);
    let icon = Operation::get("/assets/icon.svg", "The icon of the pages", "image/svg+xml", text());
    vec![
        page("/", "Page: alerts; to shippers that want JSON, the version of Elastic spoken (8.17)")
            .or("200", Some((JSON, open())))
            .takes(QUEUE),
        page("/alerts/rows", "Part of the page of alerts: the rows of some of them").takes(&[&ALERT_IDS]),
        page("/alerts/{id}", "Page: one alert and its events"),
        form("/alerts/{id}/investigate", "Form of the page: investigate, then show it"),
        form("/alerts/feedback", "Form of the page: decide about the alerts that are marked"),
        form("/alerts/{id}/feedback", "Form of the page: decide about an alert"),
        form("/cases/{id}/feedback", "Form of the page: decide about a case"),
        form("/alerts/{id}/close", "Form of the page: close an alert"),
        form("/alerts/{id}/reopen", "Form of the page: open an alert again"),
        page("/cases", "Page: cases").takes(CASES),
        page("/cases/{id}", "Page: one case and its alerts"),
        form("/cases/{id}/close", "Form of the page: close a case"),
        form("/cases/{id}/reopen", "Form of the page: open a case again"),
        page(
            "/investigations/{id}",
            "Page: one investigation, and a part of its time; of an alert without one, its page",
        )
        .or("303", None)
        .takes(&[&FROM, &TO]),
        page("/investigations/{id}/prompt", "Page: what the model was given").takes(&[&TASK, &READING]),
        page("/system", "Page: how the machine itself is doing"),
        page("/events/{id}", "Page: one event"),
        page("/playbooks", "Page: playbooks in use"),
        page("/playbooks/{name}", "Page: one playbook"),
        page("/rules", "Page: Sigma rules in use").takes(RULES),
        page("/rules/{rule}", "Page: one rule and what it raised"),
        page("/models", "Page: models and the learned head"),
        page("/drafts/playbook", "Page: a playbook to be edited").takes(&[&DRAFT_OF]),
        form_shown("/drafts/playbook", "Form: look at an edited playbook, try it, or keep it as a file")
            .or("200", Some(("text/plain", text())))
            .or("303", None),
        page("/tries/{id}", "Page: what came out of a try"),
        form("/tries/{id}/stop", "Form: end a try"),
        page("/drafts/rule", "Page: rules to be edited").takes(&[&DRAFT_OF]),
        form_shown("/drafts/rule", "Form: look at edited rules, try them, or keep them as a file")
            .or("200", Some(("text/plain", text())))
            .or("303", None),
        page("/ask", "Page: ask in plain words").takes(&[&QUESTION, &ABOUT_CASE, &ABOUT_INVESTIGATION]),
        form_shown("/ask", "Form of the page: the answer, shown"),
        page("/search", "Page: search; for one entity alone, its page").or("303", None).takes(SEARCH_PAGE),
        Operation::get("/search/tail", "Rows of the page as events arrive", EVENTS, text()).takes(TAIL),
        page("/entities/{kind}/{value}", "Page: everything about one entity"),
        form(
            "/events/{id}/investigate",
            "Form of the page: raise an alert about an event and investigate it",
        ),
        form("/events/{id}/save", "Form: save an event as evidence of a case"),
        form("/cases/{id}/evidence/{event}/remove", "Form: take a saved event back"),
        page("/login", "Page: log in; where nobody has to, the first page").or("303", None).takes(&[&NEXT]),
        form("/login", "Form: log in; sets a cookie"),
        form("/logout", "Form: log out"),
        page("/session", "Page: who is logged in, and logging out"),
        icon,
    ]
}
