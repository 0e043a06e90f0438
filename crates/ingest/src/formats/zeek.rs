//! Zeek logs, as columns with a `#fields` header or as JSON.

use super::{Draft, SHOWN_CHARS};
use crate::json::Object;
use crate::text::clean;
use crate::time;
use casemate_event::{Class, Fields, Format, field};

/// Columns stated by the header lines seen last.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    separator: String,
    unset: String,
    empty: String,
    path: String,
    fields: Vec<String>,
    open: bool,
}

impl Columns {
    /// Whether the lines that follow are Zeek records.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Takes a header line; whether it was one.
    pub(crate) fn header(&mut self, line: &str) -> bool {
        if let Some(separator) = line.strip_prefix("#separator ") {
            *self = Self { separator: unescape(separator.trim_end()), open: true, ..Self::defaults() };
            return true;
        }
        if !self.open && line.starts_with("#fields\t") {
            *self = Self { open: true, ..Self::defaults() };
        }
        if !self.open {
            return false;
        }
        // Tools that make times anonymous leave a space after `#open` and `#close`.
        let parts = line.split_once(self.separator.as_str()).or_else(|| line.split_once(' '));
        let Some((name, value)) = parts else { return false };
        match name {
            "#fields" => self.fields = value.split(self.separator.as_str()).map(str::to_owned).collect(),
            "#unset_field" => self.unset = value.to_owned(),
            "#empty_field" => self.empty = value.to_owned(),
            "#path" => self.path = value.to_owned(),
            "#close" => *self = Self::default(),
            "#types" | "#open" | "#set_separator" => {}
            _ => return false,
        }
        true
    }

    fn defaults() -> Self {
        Self {
            separator: "\t".to_owned(),
            unset: "-".to_owned(),
            empty: "(empty)".to_owned(),
            ..Self::default()
        }
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// What is wrong with its columns, in words.
    pub(crate) fn record(&self, line: &str) -> Result<Draft, String> {
        let found = line.split(self.separator.as_str()).count();
        if found != self.fields.len() {
            let stated = self.fields.len();
            return Err(format!("{found} columns where the #fields header states {stated}"));
        }
        let mut native = Fields::default();
        for (name, value) in self.fields.iter().zip(line.split(self.separator.as_str())) {
            if value != self.unset && value != self.empty {
                native.set(name.as_str(), value);
            }
        }
        Ok(normalise(native, &self.path, Format::ZeekTsv))
    }
}

/// `\x09` as the character it stands for.
fn unescape(text: &str) -> String {
    let code = text.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex, 16).ok());
    match code {
        Some(code) => char::from(code).to_string(),
        None if text.is_empty() => "\t".to_owned(),
        None => text.to_owned(),
    }
}

/// Decodes a JSON object if it is a Zeek record.
pub(crate) fn decode_json(object: &Object<'_>) -> Option<Draft> {
    const MARKS: [&str; 16] = [
        "uid",
        "id.orig_h",
        "_path",
        "fuid",
        "fuids",
        "uids",
        "certificate.version",
        "@stream",
        "host_p",
        "ts_delta",
        "peer",
        "node",
        "is_orig",
        "mem",
        "compile_ts",
        "certStatus",
    ];
    let nested_id = || object.object("id").is_some_and(|id| id.has("orig_h"));
    let timed = object.text("ts").is_some() && (MARKS.iter().any(|mark| object.has(mark)) || nested_id());
    // Streams of Corelight sensors name themselves; some carry no time.
    let streamed = object.has("@stream") && object.has("@system");
    if !timed && !streamed {
        return None;
    }
    let native = object.flatten();
    let path = ["_path", "@stream", "path_name"].iter().find_map(|name| native.get(name)).map(str::to_owned);
    let path = path.unwrap_or_else(|| guess_path(&native).to_owned());
    Some(normalise(native, &path, Format::ZeekJson))
}

/// Name of the log that has such fields: JSON written without `_path` does not say.
fn guess_path(native: &Fields) -> &'static str {
    const MARKS: [(&str, &str); 43] = [
        ("request_subfunction_code", "modbus_detailed"),
        ("modbus_detailed_link_id", "modbus_detailed"),
        ("trip_control_code", "dnp3_control"),
        ("object_count", "dnp3_objects"),
        ("fc_request", "dnp3"),
        ("fc_reply", "dnp3"),
        ("rosctr_name", "s7comm"),
        ("opcode_name", "s7comm_plus"),
        ("szl_id_name", "s7comm_read_szl"),
        ("blocklength", "s7comm_upload_download"),
        ("cip_service", "cip"),
        ("enip_command", "enip"),
        ("io_data", "cip_io"),
        ("bvlc_function", "bacnet"),
        ("device_state", "bacnet_device_control"),
        ("pdu_service", "bacnet_property"),
        ("crc_transmitted", "genisys"),
        ("identifier_str", "opcua_binary"),
        ("qtype_name", "dns"),
        ("trans_id", "dns"),
        ("status_code", "http"),
        ("user_agent", "http"),
        ("uri", "http"),
        ("kex_alg", "ssh"),
        ("auth_success", "ssh"),
        ("cipher", "ssl"),
        ("server_name", "ssl"),
        ("conn_state", "conn"),
        ("request_type", "kerberos"),
        ("named_pipe", "dce_rpc"),
        ("security_protocol", "rdp"),
        ("cookie", "rdp"),
        ("share_type", "smb_mapping"),
        ("domainname", "ntlm"),
        ("note", "notice"),
        ("mailfrom", "smtp"),
        ("certificate.serial", "x509"),
        ("fuid", "files"),
        ("fuids", "files"),
        ("msg_types", "dhcp"),
        ("func", "modbus"),
        ("machine", "pe"),
        ("name", "weird"),
    ];
    if native.get("action").is_some_and(|action| action.starts_with("SMB::")) {
        return "smb_files";
    }
    MARKS.iter().find(|(name, _)| native.get(name).is_some()).map_or("", |(_, path)| path)
}

fn normalise(native: Fields, path: &str, format: Format) -> Draft {
    let mut draft = Draft::new(format);
    draft.native = native;
    let ts = draft.native("ts");
    draft.time = time::epoch(ts).or_else(|| time::iso(ts));
    draft.fields.set(field::PRODUCT, "Zeek");
    draft.fields.set(field::EVENT_CODE, path);
    draft.copy(field::SRC_IP, &["id.orig_h", "client_addr", "tx_hosts", "src"]);
    draft.copy(field::SRC_PORT, &["id.orig_p"]);
    draft.copy(field::DST_IP, &["id.resp_h", "server_addr", "rx_hosts", "dst"]);
    draft.copy(field::DST_PORT, &["id.resp_p"]);
    let shown = by_path(&mut draft, path);
    let mut line = format!("Zeek {path}").trim_end().to_owned();
    if draft.fields.get(field::ASSET_CHANGED) == Some("true") {
        // Rare among all the reading, and what matters.
        line.push(' ');
        line.push_str(&draft.fields.get(field::ACTIVITY).unwrap_or_default().to_lowercase());
    }
    if let Some(source) = draft.fields.get(field::SRC_IP) {
        line.push_str(&format!(" {source}"));
        if let Some(target) = draft.fields.get(field::DST_IP) {
            line.push_str(&format!(" to {target}"));
        }
        if let Some(port) = draft.fields.get(field::DST_PORT) {
            line.push_str(&format!(":{port}"));
        }
    }
    for name in shown {
        let value = draft.native(name);
        if !value.is_empty() {
            line.push_str(&format!(" {name}={}", clean(value, SHOWN_CHARS)));
        }
    }
    draft.message = line;
    draft.finished()
}

/// Normalises what is peculiar to one log; the columns worth showing.
fn by_path(draft: &mut Draft, path: &str) -> &'static [&'static str] {
    draft.class = Class::NetworkActivity;
    if let Some(shown) = super::zeek_ot::by_path(draft, path) {
        return shown;
    }
    match path {
        "conn" => {
            draft.set(field::ACTIVITY, "Traffic");
            draft.copy(field::PROTOCOL, &["service"]);
            &["proto", "service", "conn_state", "orig_bytes", "resp_bytes", "duration"]
        }
        "dns" => {
            draft.class = Class::DnsActivity;
            draft.set(field::ACTIVITY, "Query");
            draft.set(field::PROTOCOL, "dns");
            draft.copy(field::QUERY_HOSTNAME, &["query"]);
            draft.copy(field::STATUS_DETAIL, &["rcode_name"]);
            &["query", "qtype_name", "rcode_name", "answers"]
        }
        "http" => {
            draft.class = Class::HttpActivity;
            draft.copy(field::ACTIVITY, &["method"]);
            draft.set(field::PROTOCOL, "http");
            draft.copy(field::DST_HOSTNAME, &["host"]);
            draft.copy(field::USER_AGENT, &["user_agent"]);
            draft.copy(field::ACTOR_USER, &["username"]);
            let url = match (draft.native("host"), draft.native("uri")) {
                ("", uri) => uri.to_owned(),
                (host, uri) => format!("http://{host}{uri}"),
            };
            draft.fields.set(field::URL, url);
            &["method", "host", "uri", "status_code", "user_agent", "resp_mime_types"]
        }
        "ssl" => {
            draft.set(field::PROTOCOL, "tls");
            draft.copy(field::QUERY_HOSTNAME, &["server_name"]);
            &["version", "server_name", "subject", "issuer", "validation_status"]
        }
        "ssh" => {
            draft.class = Class::Authentication;
            draft.set(field::ACTIVITY, "Logon");
            draft.set(field::PROTOCOL, "ssh");
            outcome(draft, "auth_success");
            &["auth_success", "auth_attempts", "client", "server", "direction"]
        }
        "kerberos" => {
            draft.class = Class::Authentication;
            draft.set(field::ACTIVITY, "Logon");
            draft.set(field::PROTOCOL, "kerberos");
            let (user, domain) =
                draft.native("client").split_once('/').unwrap_or((draft.native("client"), ""));
            let (user, domain) = (user.to_owned(), domain.to_owned());
            draft.fields.set(field::USER, user);
            draft.fields.set(field::USER_DOMAIN, domain);
            draft.copy(field::STATUS_DETAIL, &["error_msg"]);
            outcome(draft, "success");
            &["request_type", "client", "service", "cipher", "success", "error_msg"]
        }
        "ntlm" => {
            draft.class = Class::Authentication;
            draft.set(field::ACTIVITY, "Logon");
            draft.set(field::PROTOCOL, "ntlm");
            draft.copy(field::USER, &["username"]);
            draft.copy(field::USER_DOMAIN, &["domainname"]);
            draft.copy(field::SRC_HOSTNAME, &["hostname"]);
            outcome(draft, "success");
            &["username", "hostname", "domainname", "success"]
        }
        "rdp" => {
            draft.set(field::PROTOCOL, "rdp");
            draft.copy(field::USER, &["cookie"]);
            draft.copy(field::SRC_HOSTNAME, &["client_name"]);
            &["cookie", "result", "security_protocol", "client_name", "client_build"]
        }
        "smb_files" => {
            draft.class = Class::FileSystemActivity;
            draft.set(field::PROTOCOL, "smb");
            draft.copy(field::ACTIVITY, &["action"]);
            let file = match (draft.native("path"), draft.native("name")) {
                ("", name) => name.to_owned(),
                (path, "") => path.to_owned(),
                (path, name) => format!("{}\\{name}", path.trim_end_matches('\\')),
            };
            draft.fields.set(field::FILE_PATH, file);
            &["action", "path", "name", "size"]
        }
        "smb_mapping" => {
            draft.class = Class::FileSystemActivity;
            draft.set(field::PROTOCOL, "smb");
            draft.set(field::ACTIVITY, "Open");
            draft.copy(field::FILE_PATH, &["path"]);
            &["path", "share_type"]
        }
        "dce_rpc" => {
            draft.set(field::PROTOCOL, "dce_rpc");
            draft.copy(field::API_OPERATION, &["operation"]);
            draft.copy(field::API_SERVICE, &["endpoint"]);
            &["endpoint", "operation", "named_pipe"]
        }
        "notice" => {
            draft.class = Class::DetectionFinding;
            draft.copy(field::FINDING_TITLE, &["note"]);
            // Zeek rates nothing; what every network shows by the hour is context.
            const ROUTINE: [&str; 6] = [
                "SSL::Invalid_",
                "SSL::Certificate_",
                "SSL::Weak_",
                "CaptureLoss::",
                "PacketFilter::",
                "Stats::",
            ];
            let note = draft.native("note");
            let is_routine = ROUTINE.iter().any(|start| note.starts_with(start));
            draft.set(field::SEVERITY, if is_routine { "Low" } else { "Medium" });
            &["note", "msg", "sub"]
        }
        "files" => {
            draft.class = Class::FileSystemActivity;
            draft.copy(field::PROTOCOL, &["source"]);
            draft.copy(field::FILE_PATH, &["filename"]);
            draft.copy(field::FILE_SHA256, &["sha256"]);
            &["source", "mime_type", "filename", "total_bytes", "sha256", "md5"]
        }
        "weird" => &["name", "addl"],
        "dhcp" => {
            draft.copy(field::SRC_HOSTNAME, &["host_name"]);
            &["host_name", "assigned_addr", "mac", "msg_types"]
        }
        "stats" | "capture_loss" | "packet_filter" | "loaded_scripts" | "reporter" | "known_hosts"
        | "software" | "pe" | "x509" => {
            draft.class = Class::BaseEvent;
            &[
                "name",
                "message",
                "percent_lost",
                "software_type",
                "certificate.subject",
                "machine",
                "subsystem",
            ]
        }
        other => {
            draft.set(field::PROTOCOL, other);
            draft.copy(field::API_OPERATION, &["function", "command", "operation"]);
            &["function", "command", "operation", "user", "username", "arg", "exception", "reply_code"]
        }
    }
}

fn outcome(draft: &mut Draft, name: &str) {
    let status = match draft.native(name) {
        "T" | "true" => "Success",
        "F" | "false" => "Failure",
        _ => "",
    };
    draft.set(field::STATUS, status);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let mut columns = Columns::default();
        assert!(!columns.header("#fields"));
        for line in
            ["#separator \\x09", "#unset_field\t-", "#path\tdns", "#fields\tts\tid.orig_h\tid.resp_h\tquery"]
        {
            assert!(columns.header(line), "{line}");
        }
        let draft = columns.record("1591367999.305988\t10.0.0.1\t-\tx.example.org").unwrap();
        assert_eq!(draft.message, "Zeek dns 10.0.0.1 query=x.example.org");
        assert_eq!((draft.class, draft.format), (Class::DnsActivity, Format::ZeekTsv));
        assert_eq!(draft.fields.get(field::QUERY_HOSTNAME), Some("x.example.org"));
        assert!(columns.record("1\t2").unwrap_err().contains("2 columns"));
        assert!(columns.header("#close\t2020-01-01-00-00-00"));
        assert!(!columns.is_open());
    }

    #[test]
    fn json_without_a_path() {
        let text = r#"{"ts":1.5,"uid":"C","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":22,"auth_success":false}"#;
        let draft = decode_json(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(draft.message, "Zeek ssh 10.0.0.1 to 10.0.0.2:22 auth_success=false");
        assert_eq!(draft.fields.get(field::STATUS), Some("Failure"));
        let other = serde_json::from_str(r#"{"ts":1.5,"msg":"an application"}"#).unwrap();
        assert!(decode_json(&other).is_none());
    }
}
