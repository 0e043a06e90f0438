//! AWS CloudTrail records.

use super::Draft;
use crate::json::Object;
use crate::text::push_clean;
use crate::time;
use casemate_event::{Class, Format, field};

/// Request parameters shown in the message.
const SHOWN_PARAMETERS: usize = 3;

/// Decodes a JSON object if it is a CloudTrail record (or an EventBridge event around one).
pub(crate) fn decode(object: &Object<'_>) -> Option<Draft> {
    let object = object.object("detail").filter(|inner| inner.has("eventName")).unwrap_or(object);
    let operation = object.text("eventName")?.into_owned();
    let service = object.text("eventSource")?.into_owned();
    if !object.has("userIdentity") && !object.has("eventVersion") {
        return None;
    }
    let mut draft = Draft::new(Format::CloudTrail);
    draft.class = Class::ApiActivity;
    draft.time = object.text("eventTime").and_then(|text| time::iso(&text));
    draft.native = object.flatten();
    draft.fields.set(field::PRODUCT, "CloudTrail");
    draft.fields.set(field::API_OPERATION, operation.as_str());
    draft.fields.set(field::API_SERVICE, service.as_str());
    draft.fields.set(field::EVENT_CODE, operation.as_str());
    draft.fields.set(field::ACTIVITY, operation.as_str());
    draft.copy(field::SRC_IP, &["sourceIPAddress"]);
    if draft.fields.get(field::SRC_IP).is_none() {
        // Calls of AWS services name the service instead of an address.
        draft.copy(field::SRC_HOSTNAME, &["sourceIPAddress"]);
    }
    draft.copy(field::USER_AGENT, &["userAgent"]);
    draft.copy(field::CLOUD_ACCOUNT, &["recipientAccountId", "userIdentity.accountId"]);
    draft.copy(field::ACTOR_USER_UID, &["userIdentity.arn", "userIdentity.principalId"]);
    let user = actor(&draft);
    draft.fields.set(field::ACTOR_USER, user.as_str());
    let mut failure = draft.native("errorCode").to_owned();
    if operation == "ConsoleLogin" {
        draft.class = Class::Authentication;
        draft.fields.set(field::USER, user.as_str());
        if draft.native("responseElements.ConsoleLogin") == "Failure" {
            failure = draft.native("errorMessage").to_owned();
            if failure.is_empty() {
                failure.push_str("ConsoleLogin failure");
            }
        }
    }
    draft.set(field::STATUS, if failure.is_empty() { "Success" } else { "Failure" });
    draft.message = message(&draft, &service, &operation, &user, &failure);
    draft.fields.set(field::STATUS_DETAIL, failure);
    Some(draft.finished())
}

/// Who called: the user, the role that a session was issued for, or the service.
fn actor(draft: &Draft) -> String {
    const NAMES: [&str; 3] = [
        "userIdentity.userName",
        "userIdentity.sessionContext.sessionIssuer.userName",
        "userIdentity.invokedBy",
    ];
    if draft.native("userIdentity.type") == "Root" {
        return "root".to_owned();
    }
    if let Some(name) = NAMES.iter().find_map(|name| draft.native.get(name)) {
        return name.to_owned();
    }
    let arn = draft.native("userIdentity.arn");
    arn.rsplit('/').next().unwrap_or(arn).to_owned()
}

fn message(draft: &Draft, service: &str, operation: &str, user: &str, failure: &str) -> String {
    let mut line = String::from("CloudTrail ");
    push_clean(&mut line, service.strip_suffix(".amazonaws.com").unwrap_or(service), 80);
    line.push(' ');
    push_clean(&mut line, operation, 80);
    let parts = [
        (" by ", user),
        (" from ", draft.native("sourceIPAddress")),
        (" region ", draft.native("awsRegion")),
        (" error ", failure),
    ];
    for (before, value) in parts {
        if !value.is_empty() {
            line.push_str(before);
            push_clean(&mut line, value, 100);
        }
    }
    let parameters = draft.native.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("requestParameters.")?;
        Some((name.rsplit('.').next().unwrap_or(name), value))
    });
    for (name, value) in parameters.take(SHOWN_PARAMETERS) {
        line.push(' ');
        push_clean(&mut line, name, 40);
        line.push('=');
        push_clean(&mut line, value, 60);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls() {
        let text = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":"ann","arn":"arn:aws:iam::1:user/ann"},
            "eventTime":"2023-07-10T11:42:18Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"us-east-1",
            "sourceIPAddress":"10.0.0.9","userAgent":"aws-cli","errorCode":"AccessDenied","requestParameters":{"userName":"bob"}}"#;
        let draft = decode(&serde_json::from_str(text).unwrap()).unwrap();
        let message =
            "CloudTrail iam CreateUser by ann from 10.0.0.9 region us-east-1 error AccessDenied userName=bob";
        assert_eq!(draft.message, message);
        assert_eq!(draft.fields.get(field::STATUS), Some("Failure"));
        assert_eq!(draft.native.get("userIdentity.type"), Some("IAMUser"));
    }

    #[test]
    fn roles_and_root() {
        let role = r#"{"eventVersion":"1","eventName":"X","eventSource":"s","userIdentity":{"sessionContext":{"sessionIssuer":{"userName":"r"}}}}"#;
        let draft = decode(&serde_json::from_str(role).unwrap()).unwrap();
        assert_eq!(draft.fields.get(field::ACTOR_USER), Some("r"));
        let root = r#"{"eventVersion":"1","eventName":"ConsoleLogin","eventSource":"s","userIdentity":{"type":"Root"},"responseElements":{"ConsoleLogin":"Failure"}}"#;
        let draft = decode(&serde_json::from_str(root).unwrap()).unwrap();
        assert_eq!((draft.class, draft.fields.get(field::USER)), (Class::Authentication, Some("root")));
        assert_eq!(draft.fields.get(field::STATUS), Some("Failure"));
    }
}
