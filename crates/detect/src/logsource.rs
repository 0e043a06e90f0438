//! Which Sigma log sources does this event belong to?
//!
//! Sigma names a source by product, category and service. The mapping from Windows channels and event ids,
//! syslog programs and Zeek logs follows the Sigma specification's log source guide; mapping files state that of
//! their format. Sources that no decoder writes have no entry: their rules load and never match, and
//! [`Rules::without_source`](crate::Rules::without_source) names them.

use casemate_event::{Event, Format, LogSource, field};
use std::borrow::Cow;

/// The log sources of one event: any rule whose product, category and service are each among these, or
/// unstated, applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources<'a> {
    pub(crate) product: &'a str,
    pub(crate) categories: Cow<'a, [&'a str]>,
    pub(crate) services: Vec<String>,
}

/// Log sources of `event`, whose mapping file says `mapped`; `None` where Sigma has no name for them.
pub(crate) fn sources<'a>(event: &Event, mapped: Option<&'a LogSource>) -> Option<Sources<'a>> {
    match event.format {
        Format::Mapped(_) => mapped.map(|source| of_mapping(event, source)),
        Format::WindowsJson | Format::Evtx | Format::WindowsXml => Some(windows(event)),
        Format::Auditd => Some(auditd(event)),
        Format::SyslogRfc3164 | Format::SyslogRfc5424 | Format::Journald => {
            let is_audit_record = event.native.get("type").is_some() && event.native.get("serial").is_some();
            Some(if is_audit_record { auditd(event) } else { syslog(event) })
        }
        Format::ZeekTsv | Format::ZeekJson => Some(zeek(event)),
        Format::SuricataEve => Some(suricata(event)),
        Format::CloudTrail => {
            let services = vec!["cloudtrail".to_owned()];
            Some(Sources { product: "aws", services, ..Sources::default() })
        }
        _ => None,
    }
}

/// Whether some event can belong to a log source; parts that are empty are unstated.
pub(crate) fn is_written(product: &str, category: &str, service: &str) -> bool {
    WRITTEN.iter().any(|(own, categories, services)| {
        let has_service = match services {
            Services::Any => true,
            Services::Channels => WINDOWS_SERVICES.iter().any(|(name, _)| *name == service),
            Services::These(names) => names.contains(&service),
        };
        (product.is_empty() || product == *own)
            && (category.is_empty() || categories.iter().any(|names| names.contains(&category)))
            && (service.is_empty() || has_service)
    })
}

/// As [`is_written`], of events of a mapping file.
pub(crate) fn is_mapped(place: &LogSource, product: &str, category: &str, service: &str) -> bool {
    let is_among = |names: &[String], name: &str| name.is_empty() || names.iter().any(|own| own == name);
    (product.is_empty() || place.product == product)
        && is_among(&place.categories, category)
        && (is_among(&place.services, service) || !place.service_members.is_empty())
}

/// Services of a product.
enum Services {
    /// Programs and logs of any name.
    Any,
    /// Those of [`WINDOWS_SERVICES`].
    Channels,
    These(&'static [&'static str]),
}

/// All that [`sources`] may say without a mapping file: product, categories, services.
const WRITTEN: [(&str, &[&[&str]], Services); 5] = [
    ("windows", &[SYSMON_CATEGORIES, OTHER_WINDOWS_CATEGORIES], Services::Channels),
    ("linux", &[SYSMON_CATEGORIES], Services::Any),
    ("zeek", &[WEB_CATEGORIES], Services::Any),
    ("suricata", &[WEB_CATEGORIES], Services::Any),
    ("aws", &[], Services::These(&["cloudtrail"])),
];
const OTHER_WINDOWS_CATEGORIES: &[&str] = &[
    "ps_module",
    "ps_script",
    "ps_classic_start",
    "ps_classic_provider_start",
    "ps_classic_script",
    "antivirus",
];
const WEB_CATEGORIES: &[&str] = &["dns", "proxy", "webserver"];
const SYSMON_CATEGORIES: &[&str] = &[
    "clipboard_capture",
    "create_remote_thread",
    "create_stream_hash",
    "dns_query",
    "driver_load",
    "file_block_executable",
    "file_block_shredding",
    "file_change",
    "file_delete",
    "file_delete_detected",
    "file_event",
    "file_executable_detected",
    "image_load",
    "network_connection",
    "pipe_created",
    "process_access",
    "process_creation",
    "process_tampering",
    "process_termination",
    "raw_access_thread",
    "registry_add",
    "registry_delete",
    "registry_event",
    "registry_rename",
    "registry_set",
    "sysmon_error",
    "sysmon_status",
    "wmi_event",
];

fn of_mapping<'a>(event: &Event, source: &'a LogSource) -> Sources<'a> {
    let members = source.service_members.iter().filter_map(|member| event.native.get(member));
    let services = source.services.iter().cloned().chain(members.map(str::to_ascii_lowercase)).collect();
    let categories: Vec<&str> = source.categories.iter().map(String::as_str).collect();
    Sources { product: &source.product, categories: categories.into(), services }
}

fn windows<'a>(event: &Event) -> Sources<'a> {
    let channel = event.native.get("Channel").unwrap_or_default().to_ascii_lowercase();
    let id: u32 = event.native.get("EventID").and_then(|id| id.parse().ok()).unwrap_or_default();
    let services = WINDOWS_SERVICES
        .iter()
        .filter(|(_, name)| *name == channel)
        .map(|(service, _)| (*service).to_owned());
    let services = services.collect();
    let sysmon = channel.ends_with("sysmon/operational");
    let product = if channel.starts_with("linux-sysmon") { "linux" } else { "windows" };
    let categories: &'static [&'static str] = match id {
        _ if sysmon => sysmon_categories(id),
        4688 if channel == "security" => &["process_creation"],
        4657 if channel == "security" => match event.native.get("OperationType") {
            Some("%%1906" | "Registry value deleted") => &["registry_delete", "registry_event"],
            _ => &["registry_set", "registry_event"],
        },
        4103 if channel.contains("powershell") => &["ps_module"],
        4104 if channel.contains("powershell") => &["ps_script"],
        400 if channel == "windows powershell" => &["ps_classic_start"],
        600 if channel == "windows powershell" => &["ps_classic_provider_start"],
        800 if channel == "windows powershell" => &["ps_classic_script"],
        // Those that name a threat or a file.
        1006..=1012 | 1017..=1019 | 1115 | 1116 if channel == DEFENDER => &["antivirus"],
        _ => &[],
    };
    Sources { product, categories: categories.into(), services }
}

fn sysmon_categories(id: u32) -> &'static [&'static str] {
    match id {
        1 => &["process_creation"],
        2 => &["file_change"],
        3 => &["network_connection"],
        4 | 16 => &["sysmon_status"],
        5 => &["process_termination"],
        6 => &["driver_load"],
        7 => &["image_load"],
        8 => &["create_remote_thread"],
        9 => &["raw_access_thread"],
        10 => &["process_access"],
        11 => &["file_event"],
        // Which of the two it is, rules tell by EventType.
        12 => &["registry_add", "registry_delete", "registry_event"],
        13 => &["registry_set", "registry_event"],
        14 => &["registry_rename", "registry_event"],
        15 => &["create_stream_hash"],
        17 | 18 => &["pipe_created"],
        19..=21 => &["wmi_event"],
        22 => &["dns_query"],
        23 => &["file_delete"],
        26 => &["file_delete", "file_delete_detected"],
        24 => &["clipboard_capture"],
        25 => &["process_tampering"],
        27 => &["file_block_executable"],
        28 => &["file_block_shredding"],
        29 => &["file_executable_detected"],
        255 => &["sysmon_error"],
        _ => &[],
    }
}

fn syslog<'a>(event: &Event) -> Sources<'a> {
    let program = event.native.get("program").unwrap_or_default().to_ascii_lowercase();
    let program = program.rsplit('/').next().unwrap_or_default();
    let mut services = vec!["syslog".to_owned()];
    services.push(
        match program {
            "cron" | "crond" | "crontab" | "anacron" => "cron",
            "apache2" | "httpd" | "apache" => "apache",
            "clamd" | "freshclam" | "clamav" => "clamav",
            "guacd" => "guacamole",
            other => other,
        }
        .to_owned(),
    );
    if matches!(program, "sshd" | "sshd-session" | "sudo" | "su" | "login" | "polkitd" | "systemd-logind") {
        services.push("auth".to_owned());
    }
    if program == "sshd-session" {
        services.push("sshd".to_owned());
    }
    Sources { product: "linux", services, ..Sources::default() }
}

fn auditd<'a>(event: &Event) -> Sources<'a> {
    let kinds = event.native.get("type").unwrap_or_default();
    let categories: &'static [&'static str] =
        if kinds.lines().any(|kind| kind == "EXECVE") { &["process_creation"] } else { &[] };
    Sources { product: "linux", categories: categories.into(), services: vec!["auditd".to_owned()] }
}

fn zeek<'a>(event: &Event) -> Sources<'a> {
    // The log's name is the event code; as a column (`_path`) it is only in some JSON.
    let path =
        event.field(field::EVENT_CODE).or_else(|| event.native.get("_path")).map(str::to_ascii_lowercase);
    let categories: &'static [&'static str] = match path.as_deref() {
        Some("dns") => &["dns"],
        Some("http") => &["proxy", "webserver"],
        _ => &[],
    };
    Sources { product: "zeek", categories: categories.into(), services: path.into_iter().collect() }
}

fn suricata<'a>(event: &Event) -> Sources<'a> {
    let kind = event.native.get("event_type").unwrap_or_default().to_ascii_lowercase();
    let categories: &'static [&'static str] = match kind.as_str() {
        "dns" => &["dns"],
        "http" => &["proxy", "webserver"],
        _ => &[],
    };
    Sources { product: "suricata", categories: categories.into(), services: vec![kind] }
}

const DEFENDER: &str = "microsoft-windows-windows defender/operational";

/// Sigma service to Windows channel, in lower case.
const WINDOWS_SERVICES: [(&str, &str); 63] = [
    ("security", "security"),
    ("system", "system"),
    ("application", "application"),
    ("sysmon", "microsoft-windows-sysmon/operational"),
    ("sysmon", "linux-sysmon/operational"),
    ("powershell", "microsoft-windows-powershell/operational"),
    ("powershell", "powershellcore/operational"),
    ("powershell-classic", "windows powershell"),
    ("taskscheduler", "microsoft-windows-taskscheduler/operational"),
    ("wmi", "microsoft-windows-wmi-activity/operational"),
    ("dns-server", "dns server"),
    ("dns-server-audit", "microsoft-windows-dns-server/audit"),
    ("dns-server-analytic", "microsoft-windows-dns-server/analytical"),
    ("dns-client", "microsoft-windows-dns client events/operational"),
    ("dns-client", "microsoft-windows-dns-client/operational"),
    ("driver-framework", "microsoft-windows-driverframeworks-usermode/operational"),
    ("ntlm", "microsoft-windows-ntlm/operational"),
    ("dhcp", "microsoft-windows-dhcp-server/operational"),
    ("msexchange-management", "msexchange management"),
    ("printservice-admin", "microsoft-windows-printservice/admin"),
    ("printservice-operational", "microsoft-windows-printservice/operational"),
    ("applocker", "microsoft-windows-applocker/msi and script"),
    ("applocker", "microsoft-windows-applocker/exe and dll"),
    ("applocker", "microsoft-windows-applocker/packaged app-deployment"),
    ("applocker", "microsoft-windows-applocker/packaged app-execution"),
    ("smbclient-security", "microsoft-windows-smbclient/security"),
    ("smbclient-connectivity", "microsoft-windows-smbclient/connectivity"),
    ("smbserver-connectivity", "microsoft-windows-smbserver/connectivity"),
    (
        "terminalservices-localsessionmanager",
        "microsoft-windows-terminalservices-localsessionmanager/operational",
    ),
    ("windefend", DEFENDER),
    ("windefend", "microsoft-windows-windows defender/whc"),
    ("codeintegrity-operational", "microsoft-windows-codeintegrity/operational"),
    ("firewall-as", "microsoft-windows-windows firewall with advanced security/firewall"),
    ("bits-client", "microsoft-windows-bits-client/operational"),
    ("ldap", "microsoft-windows-ldap-client/debug"),
    ("ldap_debug", "microsoft-windows-ldap-client/debug"),
    ("lsa-server", "microsoft-windows-lsa/operational"),
    ("openssh", "openssh/operational"),
    ("shell-core", "microsoft-windows-shell-core/operational"),
    ("security-mitigations", "microsoft-windows-security-mitigations/kernel mode"),
    ("security-mitigations", "microsoft-windows-security-mitigations/user mode"),
    ("diagnosis-scripted", "microsoft-windows-diagnosis-scripted/operational"),
    ("appmodel-runtime", "microsoft-windows-appmodel-runtime/admin"),
    ("capi2", "microsoft-windows-capi2/operational"),
    (
        "certificateservicesclient-lifecycle-system",
        "microsoft-windows-certificateservicesclient-lifecycle-system/operational",
    ),
    ("application-experience", "microsoft-windows-application-experience/program-telemetry"),
    ("application-experience", "microsoft-windows-application-experience/program-compatibility-assistant"),
    ("bitlocker", "microsoft-windows-bitlocker/bitlocker management"),
    ("iis-configuration", "microsoft-iis-configuration/operational"),
    ("iis-configuration", "microsoft-iis-configuration/administrative"),
    ("appxdeployment-server", "microsoft-windows-appxdeploymentserver/operational"),
    ("appxpackaging-om", "microsoft-windows-appxpackaging/operational"),
    ("microsoft-servicebus-client", "microsoft-servicebus-client"),
    ("microsoft-servicebus-client", "microsoft-servicebus-client/operational"),
    ("vhdmp", "microsoft-windows-vhdmp/operational"),
    ("sense", "microsoft-windows-sense/operational"),
    ("hyper-v-worker", "microsoft-windows-hyper-v-worker-admin"),
    ("kernel-event-tracing", "microsoft-windows-kernel-eventtracing/admin"),
    ("kernel-shimengine", "microsoft-windows-kernel-shimengine/operational"),
    ("ntfs", "microsoft-windows-ntfs/operational"),
    ("winrm", "microsoft-windows-winrm/operational"),
    ("group-policy", "microsoft-windows-grouppolicy/operational"),
    ("rdp", "microsoft-windows-terminalservices-remoteconnectionmanager/operational"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::event;

    fn check(format: Format, native: &[(&str, &str)], expected: (&str, &[&str], &[&str])) {
        let event = event(format, native);
        let found = sources(&event, None).unwrap();
        let services: Vec<&str> = found.services.iter().map(String::as_str).collect();
        assert_eq!((found.product, &*found.categories, services.as_slice()), expected, "{native:?}");
    }

    #[test]
    fn what_events_say_is_listed() {
        for id in 0..300 {
            for category in sysmon_categories(id) {
                assert!(SYSMON_CATEGORIES.contains(category), "{category}");
            }
        }
        for (category, written) in [("image_load", true), ("file_access", false), ("ps_script", true)] {
            assert_eq!(is_written("windows", category, ""), written, "{category}");
        }
        assert!(is_written("", "antivirus", "") && is_written("", "", "cloudtrail"));
        assert!(is_written("windows", "", "windefend") && !is_written("windows", "", "okta"));
        assert!(is_written("linux", "", "anything") && !is_written("linux", "ps_script", ""));
        assert!(!is_written("okta", "", "cloudtrail") && !is_written("fortios", "", ""));
    }

    #[test]
    fn events_know_their_sources() {
        let sysmon = ("Channel", "Microsoft-Windows-Sysmon/Operational");
        let windows = Format::WindowsJson;
        check(windows, &[sysmon, ("EventID", "1")], ("windows", &["process_creation"], &["sysmon"]));
        check(
            windows,
            &[sysmon, ("EventID", "12"), ("EventType", "DeleteKey")],
            ("windows", &["registry_add", "registry_delete", "registry_event"], &["sysmon"]),
        );
        check(
            windows,
            &[("Channel", "Security"), ("EventID", "4688")],
            ("windows", &["process_creation"], &["security"]),
        );
        check(
            windows,
            &[("Channel", "Security"), ("EventID", "4657"), ("OperationType", "%%1905")],
            ("windows", &["registry_set", "registry_event"], &["security"]),
        );
        check(windows, &[("Channel", "Security"), ("EventID", "1")], ("windows", &[], &["security"]));
        check(
            Format::Evtx,
            &[("Channel", "Microsoft-Windows-PowerShell/Operational"), ("EventID", "4104")],
            ("windows", &["ps_script"], &["powershell"]),
        );
        check(windows, &[], ("windows", &[], &[]));
        check(Format::SyslogRfc5424, &[("program", "CRON")], ("linux", &[], &["syslog", "cron"]));
        check(
            Format::SyslogRfc3164,
            &[("program", "/usr/sbin/sshd")],
            ("linux", &[], &["syslog", "sshd", "auth"]),
        );
        check(Format::Auditd, &[("type", "EXECVE")], ("linux", &["process_creation"], &["auditd"]));
        check(Format::ZeekTsv, &[("_path", "smb_files")], ("zeek", &[], &["smb_files"]));
        check(Format::ZeekJson, &[("_path", "http")], ("zeek", &["proxy", "webserver"], &["http"]));
        check(Format::CloudTrail, &[], ("aws", &[], &["cloudtrail"]));
        assert_eq!(sources(&event(Format::Text, &[]), None), None);
    }

    #[test]
    fn mapping_files_say_their_sources() {
        let own = LogSource {
            product: "gate".to_owned(),
            categories: vec!["firewall".to_owned()],
            services: vec!["log".to_owned()],
            service_members: vec!["kind".to_owned()],
            ..LogSource::default()
        };
        let format = Format::Mapped(casemate_event::MappingName::new("gate").unwrap());
        let event = event(format, &[("kind", "Event")]);
        let found = sources(&event, Some(&own)).unwrap();
        assert_eq!((found.product, &*found.categories), ("gate", ["firewall"].as_slice()));
        assert_eq!(found.services, ["log", "event"]);
        assert_eq!(sources(&event, None), None);
        assert!(is_mapped(&own, "", "firewall", "anything") && !is_mapped(&own, "", "proxy", ""));
    }
}
