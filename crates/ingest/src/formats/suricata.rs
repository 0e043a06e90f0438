//! Suricata EVE records.

use super::{Draft, SHOWN_CHARS};
use crate::json::Object;
use crate::text::clean;
use crate::time;
use casemate_event::{Class, Format, field};

/// Decodes a JSON object if it is an EVE record, or one that AWS Network Firewall wrapped.
pub(crate) fn decode(object: &Object<'_>) -> Option<Draft> {
    let object = object.object("event").filter(|inner| inner.has("event_type")).unwrap_or(object);
    let kind = object.text("event_type")?.into_owned();
    const MARKS: [&str; 7] = ["flow_id", "src_ip", "stats", "alert", "pcap_filename", "in_iface", "engine"];
    if !object.has("timestamp") || !MARKS.iter().any(|mark| object.has(mark)) {
        return None;
    }
    let mut draft = Draft::new(Format::SuricataEve);
    draft.time = object.text("timestamp").and_then(|text| time::iso(&text));
    draft.native = object.flatten();
    draft.fields.set(field::PRODUCT, "Suricata");
    draft.fields.set(field::EVENT_CODE, kind.as_str());
    draft.copy(field::SRC_IP, &["src_ip"]);
    draft.copy(field::SRC_PORT, &["src_port"]);
    draft.copy(field::DST_IP, &["dest_ip"]);
    draft.copy(field::DST_PORT, &["dest_port"]);
    draft.copy(field::DEVICE_HOSTNAME, &["host"]);
    draft.copy(field::PROTOCOL, &["app_proto"]);
    add_layers(&mut draft);
    let shown = by_kind(&mut draft, &kind);
    let mut line = format!("Suricata {kind}");
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
            let short = name.rsplit('.').next().unwrap_or(name);
            line.push_str(&format!(" {short}={}", clean(value, SHOWN_CHARS)));
        }
    }
    draft.message = line;
    Some(draft.finished())
}

/// Application layers that any record may carry, alerts too.
fn add_layers(draft: &mut Draft) {
    draft.copy(field::QUERY_HOSTNAME, &["dns.rrname", "dns.query.rrname", "dns.queries.rrname", "tls.sni"]);
    draft.copy(field::DST_HOSTNAME, &["http.hostname"]);
    draft.copy(field::USER_AGENT, &["http.http_user_agent"]);
    draft.copy(field::FILE_PATH, &["fileinfo.filename", "smb.filename"]);
    draft.copy(field::FILE_SHA256, &["fileinfo.sha256"]);
    let url = match (draft.native("http.hostname"), draft.native("http.url")) {
        (_, "") => String::new(),
        ("", url) => url.to_owned(),
        (host, url) => format!("http://{host}{url}"),
    };
    draft.fields.set(field::URL, url);
}

fn by_kind(draft: &mut Draft, kind: &str) -> &'static [&'static str] {
    draft.class = Class::NetworkActivity;
    match kind {
        "alert" => {
            draft.class = Class::DetectionFinding;
            draft.copy(field::FINDING_TITLE, &["alert.signature"]);
            draft.copy(field::EVENT_CODE, &["alert.signature_id"]);
            draft.copy(field::ACTIVITY, &["alert.action"]);
            draft.copy(field::FINDING_ATTACKS, &["alert.metadata.mitre_technique_id"]);
            let severity = rated(draft.native("alert.severity"));
            draft.set(field::SEVERITY, severity);
            &["alert.signature", "alert.category", "alert.severity", "alert.action", "app_proto"]
        }
        "dns" => {
            draft.class = Class::DnsActivity;
            draft.set(field::ACTIVITY, "Query");
            draft.copy(field::STATUS_DETAIL, &["dns.rcode"]);
            &["dns.rrname", "dns.rrtype", "dns.queries.rrname", "dns.rcode"]
        }
        "http" => {
            draft.class = Class::HttpActivity;
            draft.copy(field::ACTIVITY, &["http.http_method"]);
            &["http.http_method", "http.hostname", "http.url", "http.status", "http.http_user_agent"]
        }
        "tls" => &["tls.sni", "tls.subject", "tls.issuerdn", "tls.version"],
        "ssh" => &["ssh.client.software_version", "ssh.server.software_version"],
        "smb" => {
            draft.class = Class::FileSystemActivity;
            &["smb.command", "smb.filename", "smb.share", "smb.status"]
        }
        "krb5" => {
            draft.class = Class::Authentication;
            draft.copy(field::USER, &["krb5.cname"]);
            &["krb5.msg_type", "krb5.cname", "krb5.sname", "krb5.error_code"]
        }
        "fileinfo" => {
            draft.class = Class::FileSystemActivity;
            &["fileinfo.filename", "fileinfo.size", "fileinfo.sha256", "app_proto"]
        }
        "flow" | "netflow" => {
            draft.set(field::ACTIVITY, "Traffic");
            &["proto", "app_proto", "flow.state", "flow.bytes_toserver", "flow.bytes_toclient"]
        }
        "stats" => {
            draft.class = Class::BaseEvent;
            &["stats.uptime"]
        }
        _ => &["proto", "app_proto", "anomaly.event"],
    }
}

/// Suricata's and Snort's priorities: 1 is the worst.
pub(crate) fn rated(priority: &str) -> &'static str {
    match priority {
        "1" => "High",
        "2" => "Medium",
        "3" => "Low",
        "4" => "Informational",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_findings() {
        let text = r#"{"timestamp":"2020-01-02T03:04:05.678901+0200","flow_id":1,"event_type":"alert","src_ip":"10.0.0.1","src_port":5,
            "dest_ip":"10.0.0.2","dest_port":80,"alert":{"signature":"ET X","signature_id":7,"severity":1},"http":{"hostname":"h","url":"/u"}}"#;
        let draft = decode(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(draft.class, Class::DetectionFinding);
        assert_eq!(draft.message, "Suricata alert 10.0.0.1 to 10.0.0.2:80 signature=ET X severity=1");
        assert_eq!(draft.time.unwrap().0.to_string(), "2020-01-02T01:04:05.678901Z");
        assert_eq!(draft.fields.get(field::EVENT_CODE), Some("7"));
        assert_eq!(draft.fields.get(field::URL), Some("http://h/u"));
    }

    #[test]
    fn other_events_are_not_suricata() {
        let other =
            serde_json::from_str(r#"{"event_type":"login","timestamp":"2020-01-02T03:04:05Z"}"#).unwrap();
        assert!(decode(&other).is_none());
    }
}
