//! Windows events as JSON, whoever shipped them: flat (NXLog, as in OTRF Security-Datasets), nested
//! (`Event.System`, as evtx tools print them), or winlogbeat's.
//!
//! The shapes are in `windows_shapes`, what an event means is in the table of `windows_map`; here the one is
//! put to the other.

use super::windows_map::{Meaning, Provider, meaning};
use super::windows_shapes::{WindowsEvent, flat, nested, winlogbeat};
use super::{Draft, SHOWN_CHARS, normal};
use crate::json::{Json, Object};
use crate::text::{base_name, push_clean};
use casemate_event::{Class, Format, field};

/// Names that shippers and the event's envelope add, as opposed to the event's own data.
const ENVELOPE: [&str; 40] = [
    "@timestamp",
    "AccountName",
    "AccountType",
    "ActivityID",
    "Category",
    "Channel",
    "Computer",
    "Correlation",
    "Domain",
    "ERROR_EVT_UNRESOLVED",
    "EventID",
    "EventRecordID",
    "EventTime",
    "EventType",
    "EventTypeOrignal",
    "ExecutionProcessID",
    "ExecutionThreadID",
    "Hostname",
    "Keywords",
    "Level",
    "Message",
    "Opcode",
    "OpcodeValue",
    "ProviderGuid",
    "Provider_Name",
    "Qualifiers",
    "RecordNumber",
    "RelatedActivityID",
    "RuleName",
    "Severity",
    "SeverityValue",
    "SourceName",
    "Task",
    "ThreadID",
    "TimeCreated",
    "UserID",
    "UtcTime",
    "Version",
    "winlog",
    "xmlns",
];

/// Decodes a JSON object if it is a Windows event.
pub(crate) fn decode(object: &Object<'_>) -> Option<Draft> {
    if let Some(Json::Text(body)) = object.get("body")
        && body.starts_with("{\"Event\"")
        && let Ok(inner) = serde_json::from_str::<Object<'_>>(body)
        && let Some(event) = nested(&inner)
    {
        return Some(normalise(event, Format::WindowsJson));
    }
    let event = nested(object).or_else(|| winlogbeat(object)).or_else(|| flat(object))?;
    Some(normalise(event, Format::WindowsJson))
}

/// Decodes an EVTX record that was rendered as JSON.
pub(crate) fn decode_evtx(object: &Object<'_>) -> Option<Draft> {
    nested(object).map(|event| normalise(event, Format::Evtx))
}

/// Decodes an event as XML.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn decode_xml(text: &str) -> Result<Draft, String> {
    super::windows_xml::decode(text).map(|event| normalise(event, Format::WindowsXml))
}

fn normalise(event: WindowsEvent, format: Format) -> Draft {
    let mut draft = Draft::new(format);
    draft.time = event.time;
    draft.native = event.native;
    let provider = Provider::of(draft.native("Provider_Name"), draft.native("Channel"));
    unpack_text(&mut draft, provider, event.id, &event.message);
    draft.fields.set(field::EVENT_CODE, event.id.to_string());
    draft.copy(field::PRODUCT, &["Channel", "Provider_Name"]);
    draft.copy(field::DEVICE_HOSTNAME, &["Computer"]);
    match meaning(provider, event.id) {
        Some(meaning) => apply(&mut draft, meaning),
        None => unlisted(&mut draft, provider, event.id, event.message),
    }
    draft.finished()
}

/// Fields that some events only have inside a text of theirs.
fn unpack_text(draft: &mut Draft, provider: Provider, id: u32, message: &str) {
    let mut found: Vec<(String, String)> = Vec::new();
    match (provider, id) {
        (Provider::PowerShellClassic, _) => {
            if draft.native.get("Data").is_none() {
                draft.native.set("Data", message);
            }
            for line in draft.native("Data").lines() {
                if let Some((key, value)) = line.trim().split_once('=')
                    && !key.is_empty()
                    && key.len() < 32
                    && key.bytes().all(|b| b.is_ascii_alphanumeric())
                {
                    found.push((key.to_owned(), value.trim().to_owned()));
                }
            }
        }
        (Provider::WmiActivity, _) => {
            for part in message.split("; ") {
                if let Some((key, value)) = part.split_once(" = ")
                    && key.bytes().all(|b| b.is_ascii_alphanumeric())
                {
                    found.push((key.to_owned(), value.trim().to_owned()));
                }
            }
        }
        (Provider::Security | Provider::System, 104 | 1102) => {
            let account = message.lines().find_map(|line| line.trim().strip_prefix("Account Name:"));
            found.extend(account.map(|account| ("SubjectUserName".to_owned(), account.trim().to_owned())));
        }
        _ => {}
    }
    for (key, value) in found {
        if draft.native.get(&key).is_none() {
            draft.native.set(key, value);
        }
    }
}

fn apply(draft: &mut Draft, meaning: &Meaning) {
    draft.class = meaning.class;
    let (activity, status) = meaning.activity.split_once('/').unwrap_or((meaning.activity, ""));
    draft.set(field::ACTIVITY, activity);
    draft.set(field::STATUS, status);
    for &(name, native) in meaning.fields {
        if let Some(value) = draft.native.get(native) {
            let value = normal(name, value);
            draft.fields.set(name, value);
        }
    }
    let mut line = format!("{} {} {}", meaning.provider.label(), meaning.id, meaning.label);
    draft.fixed = line.len();
    for &(before, name) in meaning.line {
        let (shown, value) = match name.strip_prefix('@') {
            Some(name) => (base_name(draft.native(name)), draft.native(name)),
            None => (draft.native(name), draft.native(name)),
        };
        if value.is_empty() {
            continue;
        }
        line.push_str(if before.is_empty() { " " } else { before });
        push_clean(&mut line, shown, SHOWN_CHARS);
    }
    refine(draft, meaning, &mut line);
    draft.message = line;
}

/// What the table cannot say.
fn refine(draft: &mut Draft, meaning: &Meaning, line: &mut String) {
    let id = meaning.id;
    match meaning.provider {
        Provider::Sysmon => {
            if let Some(sha256) =
                sha256_of(draft.native("Hashes")).or_else(|| sha256_of(draft.native("Hash")))
            {
                let name = if id == 1 { field::PROCESS_SHA256 } else { field::FILE_SHA256 };
                draft.fields.set(name, sha256);
            }
            if matches!(id, 17 | 18) {
                draft.copy(field::FILE_PATH, &["PipeName"]);
            }
            if id == 12 && draft.native("EventType").starts_with("Delete") {
                draft.set(field::ACTIVITY, "Delete");
            }
        }
        Provider::Security => refine_security(draft, id, line),
        Provider::PowerShell => {
            draft.copy(field::ACTOR_USER, &["AccountName"]);
            draft.copy(field::ACTOR_USER_UID, &["UserID"]);
            let user = draft.native("ContextInfo").lines().find_map(|l| l.trim().strip_prefix("User = "));
            if let Some(user) = user.map(|user| normal(field::ACTOR_USER, user)) {
                draft.fields.set(field::ACTOR_USER, user);
            }
        }
        Provider::PowerShellClassic => {
            draft.copy(field::ACTOR_USER, &["UserId"]);
        }
        _ => {}
    }
    if let Some(domain) = draft.fields.get(field::USER).and(draft.native("TargetUser").split_once('\\')) {
        let domain = domain.0.to_owned();
        draft.fields.set(field::USER_DOMAIN, domain);
    }
}

fn refine_security(draft: &mut Draft, id: u32, line: &mut String) {
    match id {
        4656 | 4660 | 4661 | 4663 | 4670 => {
            let (class, name) = match draft.native("ObjectType") {
                "File" => (Class::FileSystemActivity, field::FILE_PATH),
                "Key" => (Class::RegistryKeyActivity, field::REGISTRY_KEY),
                "Process" => (Class::ProcessActivity, field::PROCESS_PATH),
                _ => return,
            };
            draft.class = class;
            draft.copy(name, &["ObjectName"]);
        }
        4768..=4771 | 4776 => {
            let succeeded = matches!(draft.native("Status"), "0x0" | "0" | "0x00000000");
            draft.set(field::STATUS, if succeeded { "Success" } else { "Failure" });
        }
        5140 | 5145 => {
            let path = match draft.native("RelativeTargetName") {
                "" => draft.native("ShareName").to_owned(),
                file => format!("{}\\{file}", draft.native("ShareName")),
            };
            draft.fields.set(field::FILE_PATH, path);
        }
        4728 | 4729 | 4732 | 4733 | 4756 | 4757 => {
            // A distinguished name: CN=Alice,CN=Users,DC=example,DC=org
            if let Some(rest) = draft
                .native("MemberName")
                .strip_prefix("CN=")
                .or_else(|| draft.native("MemberName").strip_prefix("cn="))
            {
                let name = rest.split(',').next().unwrap_or(rest).to_owned();
                draft.fields.set(field::USER, name);
            }
        }
        4698 | 4702 => {
            let content = draft.native.get("TaskContent").or_else(|| draft.native.get("TaskContentNew"));
            if let Some(command) = content.and_then(|content| element(content, "Command")) {
                let arguments = content.and_then(|content| element(content, "Arguments")).unwrap_or_default();
                let command = format!("{command} {arguments}").trim().to_owned();
                line.push_str(" runs ");
                push_clean(line, &command, SHOWN_CHARS);
                draft.fields.set(field::PROCESS_CMD_LINE, command);
            }
        }
        _ => {}
    }
}

/// Text of the first element `name` of an XML text.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn sha256_of(hashes: &str) -> Option<String> {
    let hash = hashes.split(',').find_map(|hash| hash.trim().strip_prefix("SHA256="))?;
    Some(hash.to_ascii_lowercase())
}

/// An event that the table does not list: the usual fields, and a line from its text or its data.
fn unlisted(draft: &mut Draft, provider: Provider, id: u32, message: String) {
    const SHOWN_PAIRS: usize = 5;
    draft.copy(field::ACTOR_USER, &["SubjectUserName", "User"]);
    draft.copy(field::ACTOR_USER_UID, &["SubjectUserSid"]);
    draft.copy(field::USER, &["TargetUserName"]);
    draft.copy(field::SRC_IP, &["IpAddress"]);
    draft.copy(field::ACTOR_PROCESS_PATH, &["Image", "ProcessName"]);
    let mut line = match provider.label() {
        "" => short_channel(draft).to_owned(),
        label => label.to_owned(),
    };
    line.push_str(&format!(" {id}:"));
    draft.fixed = line.len();
    let first_line = message.lines().find(|line| !line.trim().is_empty());
    if let Some(first_line) = first_line {
        line.push(' ');
        push_clean(&mut line, first_line, SHOWN_CHARS);
    } else {
        let own = draft.native.iter().filter(|(name, _)| !ENVELOPE.contains(name));
        for (name, value) in own.take(SHOWN_PAIRS) {
            line.push(' ');
            push_clean(&mut line, name, 40);
            line.push('=');
            push_clean(&mut line, value, 80);
        }
    }
    draft.message = line;
    draft.native.set("Message", message);
}

fn short_channel(draft: &Draft) -> &str {
    let name = match draft.native("Channel") {
        "" => draft.native("Provider_Name"),
        channel => channel,
    };
    let name = name.strip_prefix("Microsoft-Windows-").unwrap_or(name);
    let name = name.split('/').next().unwrap_or(name);
    if name.is_empty() { "Windows" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, time: &str, message: &str, fields: &[(&str, &str)]) {
        let object: Object<'_> = serde_json::from_str(json).unwrap();
        let draft = decode(&object).unwrap();
        assert_eq!(draft.message, message);
        assert_eq!(draft.time.unwrap().0.to_string(), time);
        for &(name, value) in fields {
            assert_eq!(draft.fields.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn three_shapes_say_the_same() {
        let message =
            "Sysmon 1 process create: cmd /c whoami image cmd.exe parent explorer.exe user LAB\\ann";
        let time = "2020-06-10T02:50:54.631Z";
        let fields = [
            (field::PROCESS_NAME, "cmd.exe"),
            (field::PARENT_PROCESS_NAME, "explorer.exe"),
            (field::ACTOR_USER, "ann"),
            (field::DEVICE_HOSTNAME, "WS5.lab.test"),
            (field::PROCESS_PID, "77"),
            (field::PROCESS_SHA256, "ab"),
        ];
        let data = r#""UtcTime":"2020-06-10 02:50:54.631","Image":"C:\\W\\cmd.exe","CommandLine":"cmd /c whoami",
            "ParentImage":"C:\\W\\explorer.exe","User":"LAB\\ann","ProcessId":"77","Hashes":"MD5=1,SHA256=AB""#;
        let flat = format!(
            r#"{{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"WS5.lab.test",
            "SourceName":"Microsoft-Windows-Sysmon","@timestamp":"2020-06-10T02:50:56.537Z",{data}}}"#
        );
        check(&flat, time, message, &fields);
        let nested = format!(
            r##"{{"Event":{{"System":{{"Provider":{{"#attributes":{{"Name":"Microsoft-Windows-Sysmon"}}}},"EventID":{{"#text":1}},
            "TimeCreated":{{"#attributes":{{"SystemTime":"2020-06-10T02:50:55Z"}}}},"Channel":"Microsoft-Windows-Sysmon/Operational",
            "Computer":"WS5.lab.test"}},"EventData":{{{data}}}}}}}"##
        );
        check(&nested, time, message, &fields);
        let winlogbeat = format!(
            r#"{{"@timestamp":"2020-06-10T02:50:56.537Z","winlog":{{"event_id":"1","channel":"Microsoft-Windows-Sysmon/Operational",
            "provider_name":"Microsoft-Windows-Sysmon","computer_name":"WS5.lab.test","event_data":{{{data}}}}}}}"#
        );
        check(&winlogbeat, time, message, &fields);
    }

    #[test]
    fn the_zone_of_a_shipped_time_is_recovered() {
        check(
            r#"{"EventID":4634,"Channel":"Security","EventTime":"2020-06-09 22:51:03","EventReceivedTime":"2020-06-09 22:51:05",
            "@timestamp":"2020-06-10T02:51:05.645Z","TargetUserName":"ann","LogonType":3}"#,
            "2020-06-10T02:51:03Z",
            "Security 4634 logoff: ann type 3",
            &[(field::USER, "ann"), (field::LOGON_TYPE, "3")],
        );
    }

    #[test]
    fn text_only_events_are_unpacked() {
        check(
            r#"{"EventID":5858,"Channel":"Microsoft-Windows-WMI-Activity/Operational","EventTime":"2020-09-21T19:19:14Z",
            "Message":"Id = {0F}; ClientMachine = DC1; User = NT AUTHORITY\\SYSTEM; Operation = Start X; ResultCode = 0x1"}"#,
            "2020-09-21T19:19:14Z",
            "WMI-Activity 5858 WMI operation failed: Start X by NT AUTHORITY\\SYSTEM from DC1 result 0x1",
            &[(field::SRC_HOSTNAME, "DC1"), (field::STATUS, "Failure")],
        );
    }
}
