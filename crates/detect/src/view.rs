//! How does a rule see an event? Vendor fields, under the names Sigma's generic categories expect.

use casemate_event::{Event, Format, LogSource};
use rsigma_eval::{Event as Matchable, EventValue};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// An event as rules read it.
///
/// A field is looked up as written, then under the name its vendor gives it (`Image` is `NewProcessName` in
/// Security 4688), then regardless of case, then among the normalised fields (`src_endpoint.ip`); a vendor's `New
/// Value` is `NewValue`. All values are text; rsigma
/// compares numbers numerically. A name that stands for several values, being a list or an object in the record,
/// is all of them.
pub(crate) struct View<'a> {
    event: &'a Event,
    aliases: &'static [(&'static str, &'static str)],
    /// What the mapping file of its format says.
    mapped: Option<&'a LogSource>,
    derived: Derived<'a>,
}

type Derived<'a> = Vec<(Cow<'static, str>, Cow<'a, str>)>;

/// Before the name of a field that is to be read as a time.
pub(crate) const TIME: &str = "\u{1}time ";

/// What the specification calls attributes of the envelope.
const SYSTEM: &[(&str, &str)] = &[
    ("Execution_ProcessID", "ExecutionProcessID"),
    ("Execution_ThreadID", "ExecutionThreadID"),
    ("Provider_Guid", "ProviderGuid"),
    ("Security_UserID", "UserID"),
];
const PROCESS_4688: &[(&str, &str)] = &[
    ("Image", "NewProcessName"),
    ("ParentImage", "ParentProcessName"),
    ("LogonId", "SubjectLogonId"),
    ("ProcessCommandLine", "CommandLine"),
];
const REGISTRY_4657: &[(&str, &str)] =
    &[("Image", "ProcessName"), ("LogonId", "SubjectLogonId"), ("Details", "NewValue")];
const ANTIVIRUS: &[(&str, &str)] = &[("Signature", "Threat Name"), ("Filename", "Path")];
const ZEEK_HTTP: &[(&str, &str)] = &[
    ("c-uri", "uri"),
    ("cs-uri", "uri"),
    ("cs-uri-query", "uri"),
    ("cs-uri-stem", "uri"),
    ("c-useragent", "user_agent"),
    ("cs-user-agent", "user_agent"),
    ("cs-method", "method"),
    ("cs-host", "host"),
    ("r-dns", "host"),
    ("sc-status", "status_code"),
    ("cs-referrer", "referrer"),
    ("cs-referer", "referrer"),
    ("dst_ip", "id.resp_h"),
    ("src_ip", "id.orig_h"),
];
const ZEEK_DNS: &[(&str, &str)] =
    &[("record_type", "qtype_name"), ("answer", "answers"), ("dst_ip", "id.resp_h"), ("src_ip", "id.orig_h")];
const EVE: &[(&str, &str)] = &[
    ("c-uri", "http.url"),
    ("cs-uri", "http.url"),
    ("cs-uri-query", "http.url"),
    ("cs-uri-stem", "http.url"),
    ("c-useragent", "http.http_user_agent"),
    ("cs-user-agent", "http.http_user_agent"),
    ("cs-method", "http.http_method"),
    ("cs-host", "http.hostname"),
    ("r-dns", "http.hostname"),
    ("sc-status", "http.status"),
    ("query", "dns.rrname"),
    ("record_type", "dns.rrtype"),
    ("dst_ip", "dest_ip"),
];

impl<'a> View<'a> {
    pub(crate) fn new(event: &'a Event, mapped: Option<&'a LogSource>) -> Self {
        let native = |name| event.native.get(name);
        let mut derived = Vec::new();
        if matches!(event.format, Format::WindowsJson | Format::Evtx | Format::WindowsXml) {
            derive_unspaced(event, &mut derived);
        }
        let aliases = match event.format {
            Format::WindowsJson | Format::Evtx | Format::WindowsXml if native("EventID") == Some("4688") => {
                derive_4688(event, &mut derived);
                PROCESS_4688
            }
            Format::WindowsJson | Format::Evtx | Format::WindowsXml if native("EventID") == Some("4657") => {
                derive_4657(event, &mut derived);
                REGISTRY_4657
            }
            Format::WindowsJson | Format::Evtx | Format::WindowsXml if native("Threat Name").is_some() => {
                ANTIVIRUS
            }
            Format::Auditd | Format::SyslogRfc3164 | Format::SyslogRfc5424
                if native("type").is_some_and(|kinds| kinds.lines().any(|kind| kind == "EXECVE")) =>
            {
                derive_execve(event, &mut derived);
                &[]
            }
            Format::ZeekTsv | Format::ZeekJson if native("uri").is_some() || native("method").is_some() => {
                ZEEK_HTTP
            }
            Format::ZeekTsv | Format::ZeekJson if native("query").is_some() => ZEEK_DNS,
            Format::SuricataEve => EVE,
            _ => &[],
        };
        Self { event, aliases, mapped, derived }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let native = &self.event.native;
        native
            .get(name)
            .or_else(|| self.derived.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value))
            .or_else(|| {
                let (_, vendor) = self.aliases.iter().chain(SYSTEM).find(|(sigma, _)| *sigma == name)?;
                native.get(vendor)
            })
            .or_else(|| native.get(self.mapped?.fields.get(name)?))
            .or_else(|| native.get_ignore_case(name))
            // What was read out of text has no field of the vendor.
            .or_else(|| self.event.fields.get(name))
    }

    /// A value, or all that the joined records of an audit event give for one name, a line each.
    fn one_or_all<'v>(&self, value: &'v str) -> EventValue<'v> {
        if self.event.format != Format::Auditd || !value.contains('\n') {
            return EventValue::Str(Cow::Borrowed(value));
        }
        // A value may hold line ends itself: it is there as a whole too.
        let all = std::iter::once(value).chain(value.lines());
        EventValue::Array(all.map(|value| EventValue::Str(Cow::Borrowed(value))).collect())
    }

    /// Every value of a list or an object in a nested record. Events have a value a name, with its place in a list
    /// as part of the name; rules leave that out.
    fn below(&self, path: &str) -> Option<EventValue<'_>> {
        if !matches!(self.event.format, Format::CloudTrail | Format::Mapped(_) | Format::SuricataEve) {
            return None;
        }
        let path = self.mapped.and_then(|mapped| mapped.fields.get(path)).map_or(path, String::as_str);
        let fields = self.event.native.iter().filter(|(name, _)| is_below(name, path));
        let values: Vec<_> = fields.map(|(_, value)| EventValue::Str(value.into())).collect();
        (!values.is_empty()).then_some(EventValue::Array(values))
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        // A record without fields is still words.
        let message = self.event.native.is_empty().then_some(self.event.message.as_str());
        self.event.native.iter().map(|(_, value)| value).chain(message)
    }
}

impl Matchable for View<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        match path.strip_prefix(TIME) {
            Some(name) => self.get(name).map(as_time),
            None => self.get(path).map(|value| self.one_or_all(value)).or_else(|| self.below(path)),
        }
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.values().any(pred)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.values().map(Cow::Borrowed).collect()
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.values().for_each(visit);
    }

    fn to_json(&self) -> Value {
        let fields = self.event.native.iter();
        Value::Object(fields.map(|(key, value)| (key.to_owned(), Value::from(value))).collect::<Map<_, _>>())
    }
}

/// Whether `name` is `path` or a member of it, places in lists left out.
fn is_below(name: &str, path: &str) -> bool {
    let is_place = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.split('.').filter(|part| !is_place(part));
    path.split('.').all(|wanted| parts.next().is_some_and(|part| part.eq_ignore_ascii_case(wanted)))
}

/// A time in RFC 3339, or seconds since 1970; without a zone it is UTC.
fn as_time(value: &str) -> EventValue<'_> {
    if let Ok(time) = value.parse::<jiff::Timestamp>() {
        return EventValue::Str(time.to_string().into());
    }
    if let Ok(time) = value.parse::<jiff::civil::DateTime>() {
        return EventValue::Str(format!("{time}Z").into());
    }
    value.parse().map_or(EventValue::Str(value.into()), EventValue::Int)
}

/// Names without the spaces that some providers (Defender) put in them.
fn derive_unspaced<'a>(event: &'a Event, derived: &mut Derived<'a>) {
    for (name, value) in event.native.iter().filter(|(name, _)| name.contains(' ')) {
        derived.push((name.replace(' ', "").into(), value.into()));
    }
}

/// Sysmon's `User` from what the Security log says of who acted.
fn derive_user(event: &Event, derived: &mut Derived<'_>) {
    let native = |name| event.native.get(name).unwrap_or_default();
    let user = if native("SubjectUserSid") == "S-1-5-18" {
        "NT AUTHORITY\\SYSTEM".to_owned()
    } else {
        format!("{}\\{}", native("SubjectDomainName"), native("SubjectUserName"))
    };
    derived.push(("User".into(), user.into()));
}

/// What Sysmon says of a changed registry value, from Security 4657: the value as part of the path, hives by
/// their short names, small numbers in its notation.
fn derive_4657(event: &Event, derived: &mut Derived<'_>) {
    const HIVES: [(&str, &str); 2] = [("\\REGISTRY\\MACHINE", "HKLM"), ("\\REGISTRY\\USER", "HKU")];
    let native = |name| event.native.get(name).unwrap_or_default();
    derive_user(event, derived);
    let key = native("ObjectName");
    let hive = HIVES.iter().find_map(|(long, short)| {
        let is_here = key.get(..long.len()).is_some_and(|start| start.eq_ignore_ascii_case(long));
        is_here.then(|| format!("{short}{}", &key[long.len()..]))
    });
    let target = format!("{}\\{}", hive.as_deref().unwrap_or(key), native("ObjectValueName"));
    derived.push(("TargetObject".into(), target.into()));
    if matches!(native("NewValueType"), "%%1876" | "REG_DWORD")
        && let Ok(number) = native("NewValue").parse::<u32>()
    {
        derived.push(("Details".into(), format!("DWORD (0x{number:08x})").into()));
    }
    let deleted = matches!(native("OperationType"), "%%1906" | "Registry value deleted");
    derived.push(("EventType".into(), if deleted { "DeleteValue" } else { "SetValue" }.into()));
}

/// Sysmon's `User` and `IntegrityLevel` from what Security 4688 says.
fn derive_4688(event: &Event, derived: &mut Derived<'_>) {
    let native = |name| event.native.get(name).unwrap_or_default();
    derive_user(event, derived);
    let integrity = match native("MandatoryLabel") {
        "S-1-16-4096" => "Low",
        "S-1-16-8192" => "Medium",
        "S-1-16-12288" => "High",
        "S-1-16-16384" => "System",
        _ => return,
    };
    derived.push(("IntegrityLevel".into(), integrity.into()));
}

/// A command line from the numbered arguments of an `EXECVE` record.
fn derive_execve(event: &Event, derived: &mut Derived<'_>) {
    const MOST_ARGUMENTS: usize = 256;
    let mut words = Vec::new();
    while words.len() < MOST_ARGUMENTS {
        let Some(word) = event.native.get(&format!("a{}", words.len())) else { break };
        words.push(word);
    }
    if let Some(program) = words.first() {
        derived.push(("Image".into(), (*program).to_owned().into()));
        derived.push(("CommandLine".into(), words.join(" ").into()));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use casemate_event::{Class, Fields, TemplateId, TimeQuality};
    use jiff::Timestamp;

    /// An event with nothing but a format and vendor fields.
    pub(crate) fn event(format: Format, native: &[(&str, &str)]) -> Event {
        Event {
            time: Timestamp::UNIX_EPOCH,
            time_quality: TimeQuality::Stated,
            format,
            class: Class::BaseEvent,
            source: String::new(),
            position: 1,
            message: String::new(),
            fields: Fields::default(),
            native: native.iter().copied().collect(),
            raw: Vec::new(),
            template: TemplateId(0),
            template_text: String::new(),
        }
    }

    fn check(format: Format, native: &[(&str, &str)], field: &str, expected: Option<&str>) {
        let event = event(format, native);
        assert_eq!(View::new(&event, None).get(field), expected, "{field} of {native:?}");
    }

    #[test]
    fn fields_are_found_under_sigma_names() {
        let security: &[(&str, &str)] = &[
            ("EventID", "4688"),
            ("NewProcessName", "C:\\a.exe"),
            ("ParentProcessName", "C:\\b.exe"),
            ("SubjectUserSid", "S-1-5-18"),
            ("MandatoryLabel", "S-1-16-16384"),
        ];
        check(Format::Evtx, security, "Image", Some("C:\\a.exe"));
        check(Format::Evtx, security, "ParentImage", Some("C:\\b.exe"));
        check(Format::Evtx, security, "User", Some("NT AUTHORITY\\SYSTEM"));
        check(Format::Evtx, security, "IntegrityLevel", Some("System"));
        check(Format::Evtx, security, "newprocessname", Some("C:\\a.exe"));
        check(Format::Evtx, security, "OriginalFileName", None);
        check(Format::Evtx, &[("EventID", "1"), ("NewProcessName", "x")], "Image", None);
        let execve: &[(&str, &str)] = &[("type", "EXECVE"), ("a0", "nc"), ("a1", "-e"), ("a2", "/bin/sh")];
        check(Format::Auditd, execve, "CommandLine", Some("nc -e /bin/sh"));
        check(Format::ZeekTsv, &[("uri", "/x")], "c-uri", Some("/x"));
        let registry: &[(&str, &str)] = &[
            ("EventID", "4657"),
            ("ObjectName", "\\REGISTRY\\MACHINE\\SOFTWARE\\X\\Run"),
            ("ObjectValueName", "evil"),
            ("ProcessName", "C:\\a.exe"),
            ("NewValueType", "%%1876"),
            ("NewValue", "1"),
            ("OperationType", "%%1904"),
        ];
        check(Format::Evtx, registry, "TargetObject", Some("HKLM\\SOFTWARE\\X\\Run\\evil"));
        check(Format::Evtx, registry, "Details", Some("DWORD (0x00000001)"));
        check(Format::Evtx, registry, "EventType", Some("SetValue"));
        check(Format::Evtx, registry, "Image", Some("C:\\a.exe"));
        let defender: &[(&str, &str)] = &[("EventID", "1116"), ("Threat Name", "X"), ("New Value", "y")];
        check(Format::Evtx, defender, "NewValue", Some("y"));
        check(Format::Evtx, defender, "Signature", Some("X"));
        check(Format::Text, defender, "NewValue", None);
    }
}
