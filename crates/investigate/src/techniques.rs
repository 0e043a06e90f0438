//! Which ATT&CK techniques does this look like?
//!
//! What the alert's rule names, what facts are signs of, what other rules say of events tied to the alert, and last
//! what the events themselves would be part of, were they an attack. Each adds to a technique's support, and the best
//! supported comes first.

use crate::facts::{Finding, Kind, Scene};
use crate::relate::Relation;
use crate::report::{Investigation, Technique};
use crate::view::View;
use casemate_event::{Alert, Class, Severity, field};
use std::collections::{BTreeMap, BTreeSet};

/// What the alert's own word for a technique is worth beside facts, in logits.
const ALERT: f64 = 1.2;
/// What the mere kind of an event is worth, and what it names: they decide only where nothing else speaks.
const KIND: f64 = 0.2;
const NAMED: f64 = 0.3;
/// Share of a fact's weight that its second reading has.
const SECOND: f64 = 0.8;
/// Sub-techniques of one technique that a rule may name before it names the technique.
const MAX_SIBLINGS: usize = 2;

/// Support from which a technique is more than a possibility.
const FIRM: f64 = 0.5;
/// Removing traces, which hides what else was done.
const TRACKS: &str = "T1070";
/// Techniques of preparing an attack elsewhere: what a rule about a tool says besides what the tool did.
const RESOURCES: [&str; 7] = ["T1583", "T1584", "T1585", "T1586", "T1587", "T1588", "T1608"];
const BEFOREHAND: f64 = 0.3;

/// What some facts may be a sign of besides the technique in their table.
const ALSO: [(Kind, &str); 25] = [
    (Kind::SensorScan, "T1046"),
    (Kind::WebErrors, "T1595.002"),
    (Kind::ManySignatures, "T1190"),
    (Kind::RemoteExecutionService, "T1543.003"),
    (Kind::ServiceRandomName, "T1543.003"),
    (Kind::ServiceOddImage, "T1569.002"),
    (Kind::ServiceRunsInterpreter, "T1569.002"),
    (Kind::ServiceControlPipe, "T1021.002"),
    (Kind::AdminShareUsed, "T1135"),
    (Kind::AdminShareExecutable, "T1570"),
    (Kind::AccountPersistence, "T1098"),
    (Kind::SensitiveGroupChanged, "T1078"),
    (Kind::ShortLivedAccount, "T1098"),
    (Kind::FailedLogonsThenSuccess, "T1078"),
    (Kind::TokenLogon, "T1550.002"),
    (Kind::ImpacketOutput, "T1021.002"),
    (Kind::ShellFromServer, "T1190"),
    (Kind::DirectorySwept, "T1069.002"),
    (Kind::DriverLoaded, "T1543.003"),
    (Kind::PrintDriverPlanted, "T1547.012"),
    (Kind::PrintDriverPlanted, "T1574"),
    (Kind::ForcedAuthentication, "T1557"),
    (Kind::HostsListed, "T1135"),
    (Kind::CloudTrustChanged, "T1098.001"),
    (Kind::CloudConsoleSession, "T1098.001"),
];

/// Techniques, the best supported first.
pub(crate) fn find(alert: &Alert, scene: &Scene<'_>, findings: &[Finding]) -> Vec<Technique> {
    let mut support = Support::default();
    support.add_all(&alert.techniques, ALERT, "alert");
    for finding in findings.iter().filter(|f| f.weight > 0.0 && f.relation < Relation::Near) {
        let entry = finding.kind.entry();
        if let Some(id) = entry.technique {
            support.add(id, finding.weight, entry.name);
        }
        for (_, id) in ALSO.iter().filter(|(kind, _)| *kind == finding.kind) {
            support.add(id, finding.weight * SECOND, entry.name);
        }
    }
    let mut seen = BTreeSet::new();
    for (relation, hits) in scene.relations.iter().zip(scene.detections) {
        for hit in hits.iter().filter(|_| *relation < Relation::Near) {
            if seen.insert(hit.rule.as_str()) {
                support.add_all(&hit.techniques, worth(hit.severity) * relation.factor(), &hit.title);
            }
        }
    }
    let mut kinds: BTreeMap<&str, f64> = BTreeMap::new();
    for (stored, relation) in scene.events.iter().zip(scene.relations) {
        // Words of an event without a class speak of that event alone.
        if stored.event.class == Class::BaseEvent && *relation != Relation::Alert {
            continue;
        }
        let view = View(&stored.event);
        let (ids, worth) = match by_name(view) {
            Some(ids) => (ids, NAMED),
            None => (of_code(view), KIND),
        };
        // The likeliest first.
        for (place, id) in ids.iter().enumerate() {
            let known = kinds.entry(id).or_default();
            *known = known.max(worth * relation.factor() / (1.0 + 0.2 * place as f64));
        }
    }
    kinds.retain(|_, weight| *weight > 0.0);
    kinds.into_iter().for_each(|(id, weight)| support.add(id, weight, "kind of event"));
    support.ranked()
}

/// Techniques of several alerts of one case, the best supported in all first.
pub fn techniques_of(cases: &[Investigation]) -> Vec<Technique> {
    let mut support = Support::default();
    for technique in cases.iter().flat_map(|case| &case.techniques) {
        support.add(&technique.id, technique.support, &technique.source);
    }
    support.ranked()
}

fn worth(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 1.2,
        Severity::High => 0.9,
        Severity::Medium => 0.6,
        Severity::Low => 0.3,
        Severity::Informational => 0.15,
    }
}

/// The techniques a rule names; many sub-techniques of one are that one.
fn general(ids: &[String]) -> BTreeSet<String> {
    let mut by_parent: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for id in ids {
        by_parent.entry(parent(id)).or_default().insert(id);
    }
    by_parent
        .into_iter()
        .flat_map(|(parent, ids)| {
            if ids.len() > MAX_SIBLINGS {
                vec![parent.to_owned()]
            } else {
                ids.into_iter().map(str::to_owned).collect()
            }
        })
        .collect()
}

fn parent(id: &str) -> &str {
    id.split_once('.').map_or(id, |(parent, _)| parent)
}

/// What speaks for each technique.
#[derive(Default)]
struct Support(BTreeMap<String, Backed>);

struct Backed {
    sum: f64,
    most: f64,
    source: String,
}

impl Support {
    fn add(&mut self, id: &str, weight: f64, source: &str) {
        let backed =
            self.0.entry(id.to_owned()).or_insert(Backed { sum: 0.0, most: 0.0, source: String::new() });
        backed.sum += weight;
        if weight > backed.most {
            (backed.most, backed.source) = (weight, source.to_owned());
        }
    }

    /// What a rule names; of many techniques none is named as firmly as one alone.
    fn add_all(&mut self, ids: &[String], weight: f64, source: &str) {
        let ids = general(ids);
        let each = weight / (ids.len().max(1) as f64).sqrt();
        for id in ids {
            let early = RESOURCES.contains(&parent(&id));
            self.add(&id, if early { each * BEFOREHAND } else { each }, source);
        }
    }

    /// Best first. What speaks for a technique at large speaks for the best supported way of it.
    fn ranked(mut self) -> Vec<Technique> {
        let broad: Vec<String> = self.0.keys().filter(|id| parent(id) == *id).cloned().collect();
        for id in broad {
            let best = self
                .0
                .iter()
                .filter(|(other, _)| **other != id && parent(other) == id)
                .max_by(|a, b| a.1.sum.total_cmp(&b.1.sum).then_with(|| b.0.cmp(a.0)))
                .map(|(best, _)| best.clone());
            if let Some(best) = best
                && let Some(broad) = self.0.remove(&id)
                && let Some(best) = self.0.get_mut(&best)
            {
                best.sum += broad.sum;
            }
        }
        let mut order: Vec<(String, Backed)> = self.0.into_iter().collect();
        // Covering tracks comes after what left them, where that is known.
        let rank = |(id, backed): &(String, Backed)| match parent(id) == TRACKS {
            true => 1,
            false if backed.sum >= FIRM => 0,
            false => 2,
        };
        order.sort_by(|a, b| {
            rank(a).cmp(&rank(b)).then_with(|| b.1.sum.total_cmp(&a.1.sum)).then_with(|| a.0.cmp(&b.0))
        });
        let technique =
            |(id, backed): (String, Backed)| Technique { id, source: backed.source, support: backed.sum };
        order.into_iter().map(technique).collect()
    }
}

/// Techniques under the words, in lower case, that call for them; the first row that has one counts.
type Words = &'static [(&'static [&'static str], &'static [&'static str])];

/// Pipes, by which one Windows host asks services of another.
const PIPES: Words = &[
    (&["svcctl", "psexe", "paexe", "remcom", "csexec"], &["T1569.002", "T1021.002"]),
    (&["atsvc"], &["T1053.005"]),
    (&["winreg"], &["T1112", "T1012"]),
    (&["spoolss"], &["T1187", "T1068"]),
    (&["efsrpc", "netdfs", "lsarpc"], &["T1187", "T1087"]),
    (&["samr"], &["T1087.002", "T1069.002"]),
    (&["srvsvc", "wkssvc"], &["T1087", "T1135", "T1049"]),
    (&["protected_storage"], &["T1555.004"]),
    (&["eventlog"], &["T1070.001"]),
    (&["drsuapi"], &["T1003.006"]),
];

/// Channels of Windows that are about one thing.
const CHANNELS: Words = &[
    (&["terminalservices", "remotedesktop", "rdpcorets"], &["T1021.001"]),
    (&["powershell"], &["T1059.001"]),
    (&["bits-client"], &["T1197"]),
    (&["wmi-activity"], &["T1047", "T1546.003"]),
    (&["taskscheduler"], &["T1053.005"]),
    (&["winrm"], &["T1021.006"]),
    (&["windows defender"], &["T1562.001", "T1204"]),
    (&["openssh"], &["T1021.004"]),
    (&["printservice"], &["T1068", "T1574", "T1547.012"]),
    (&["dns"], &["T1590.002", "T1071.004"]),
];

/// Registry keys and values.
const KEYS: Words = &[
    (&["\\windows defender", "\\windefend"], &["T1562.001"]),
    (&["\\wdigest"], &["T1112", "T1003.001"]),
    (&["\\terminal server", "\\terminal services"], &["T1021.001", "T1112"]),
    (&["\\lanmanserver\\shares"], &["T1021.002", "T1135"]),
    (&["\\control\\lsa"], &["T1547.005", "T1556.002", "T1112"]),
    (&["\\services\\"], &["T1543.003", "T1574.011"]),
    (&["\\clsid\\", "inprocserver32", "\\treatas"], &["T1546.015"]),
    (&["image file execution options", "silentprocessexit"], &["T1546.012"]),
    (&["\\sam\\"], &["T1098", "T1003.002"]),
    (&["\\currentversion\\run"], &["T1547.001"]),
    (&["\\winlogon"], &["T1547.004"]),
    (&["eventlog"], &["T1562.002"]),
    (&["\\environment", "\\shell\\open\\command"], &["T1548.002", "T1112"]),
];

/// Programs of Windows and Unix, by their names without ending.
const PROGRAMS: Words = &[
    (&["powershell", "pwsh"], &["T1059.001"]),
    (&["cmd"], &["T1059.003"]),
    (&["wscript", "cscript"], &["T1059.005"]),
    (&["python", "python3"], &["T1059.006"]),
    (&["sh", "bash", "dash", "zsh"], &["T1059.004"]),
    (&["sc"], &["T1543.003", "T1569.002"]),
    (&["schtasks", "at"], &["T1053.005"]),
    (&["reg"], &["T1112", "T1012"]),
    (&["net", "net1"], &["T1087", "T1069", "T1135"]),
    (&["wmic", "wmiprvse"], &["T1047"]),
    (&["psexesvc", "psexec"], &["T1569.002", "T1021.002"]),
    (&["winrshost", "wsmprovhost"], &["T1021.006"]),
    (&["wevtutil"], &["T1070.001"]),
    (&["netsh"], &["T1562.004", "T1016"]),
    (&["vssadmin", "wbadmin", "bcdedit"], &["T1490"]),
    (&["bitsadmin"], &["T1197"]),
    (&["certutil"], &["T1140", "T1105"]),
    (&["curl", "wget"], &["T1105"]),
    (&["mshta"], &["T1218.005"]),
    (&["regsvr32"], &["T1218.010"]),
    (&["rundll32"], &["T1218.011"]),
    (&["installutil"], &["T1218.004"]),
    (&["msiexec"], &["T1218.007"]),
    (&["cmstp"], &["T1218.003"]),
    (
        &["forfiles", "pcalua", "ftp", "conhost", "vshadow", "msxsl", "wuauclt", "desktopimgdownldr"],
        &["T1218", "T1202"],
    ),
    (&["whoami"], &["T1033"]),
    (&["tasklist"], &["T1057"]),
    (&["taskkill"], &["T1489"]),
    (&["taskmgr", "procdump", "rdrleakdiag"], &["T1003.001"]),
    (&["ntdsutil", "dsdbutil"], &["T1003.003"]),
    (&["nltest"], &["T1482"]),
    (&["ipconfig", "ifconfig", "route", "arp"], &["T1016"]),
    (&["netstat"], &["T1049"]),
    (&["crontab"], &["T1053.003"]),
    (&["w3wp", "httpd", "nginx"], &["T1505.003", "T1190"]),
    (&["spoolsv"], &["T1068", "T1187", "T1547.010"]),
    (&["eventvwr", "fodhelper", "sdclt", "computerdefaults"], &["T1548.002"]),
    (&["mstsc", "tscon"], &["T1021.001"]),
];

/// Ports that tell what is spoken.
const PORTS: Words = &[
    (&["445", "139"], &["T1021.002"]),
    (&["3389"], &["T1021.001"]),
    (&["5985", "5986"], &["T1021.006"]),
    (&["135"], &["T1047", "T1021.003"]),
    (&["22"], &["T1021.004"]),
    (&["88"], &["T1558"]),
    (&["389", "636", "3268"], &["T1087.002"]),
    (&["53"], &["T1071.004"]),
    (&["80", "443", "8080"], &["T1071.001"]),
];

fn in_text(words: Words, text: &str) -> Option<&'static [&'static str]> {
    let text = text.to_lowercase();
    words.iter().find(|(words, _)| words.iter().any(|word| text.contains(word))).map(|(_, ids)| *ids)
}

fn exactly(words: Words, text: &str) -> Option<&'static [&'static str]> {
    words.iter().find(|(words, _)| words.contains(&text)).map(|(_, ids)| *ids)
}

/// What an event would be part of, were it an attack, by what it names.
fn by_name(view: View<'_>) -> Option<&'static [&'static str]> {
    match view.0.class {
        Class::ProcessActivity if view.is_launch() => {
            exactly(PROGRAMS, view.process_name().trim_end_matches(".exe"))
        }
        Class::RegistryKeyActivity => view.0.field(field::REGISTRY_KEY).and_then(|key| in_text(KEYS, key)),
        Class::NetworkActivity => view.0.field(field::DST_PORT).and_then(|port| exactly(PORTS, port)),
        _ => {
            let pipe = view.native("PipeName").or_else(|| view.native("RelativeTargetName"));
            pipe.and_then(|pipe| in_text(PIPES, pipe))
        }
    }
}

/// By the codes of Windows' channels, then by class.
fn of_code(view: View<'_>) -> &'static [&'static str] {
    let channel = view.native("Channel").unwrap_or_default();
    let code = view.code();
    if view.is_sysmon() {
        return match code {
            "2" => &["T1070.006"],
            "3" => &["T1071", "T1021"],
            "6" => &["T1543.003", "T1068"],
            "7" => &["T1574.002", "T1055"],
            "8" | "10" | "25" => &["T1055", "T1003.001"],
            "11" => &["T1105"],
            "12" | "13" | "14" => &["T1112", "T1547.001"],
            "15" => &["T1564.004"],
            "17" | "18" => &["T1559", "T1055"],
            "19" | "20" | "21" => &["T1546.003"],
            "22" => &["T1071.004"],
            _ => &["T1059"],
        };
    }
    if let Some(ids) = in_text(CHANNELS, channel) {
        return ids;
    }
    match code {
        "4624" => match view.0.field(field::LOGON_TYPE) {
            Some("10" | "7") => &["T1021.001", "T1078"],
            Some("3") => &["T1021.002", "T1550.002", "T1078"],
            _ => &["T1078", "T1134"],
        },
        "4625" | "4776" | "4771" => &["T1110", "T1078"],
        "4648" => &["T1078", "T1134.002"],
        "4656" | "4663" | "4690" => &["T1003", "T1012"],
        "4657" => &["T1112"],
        "4661" | "4662" => &["T1087.002", "T1069.002", "T1003.006"],
        "4672" | "4673" | "4674" => &["T1134", "T1078"],
        "4697" | "7045" | "7009" | "7000" | "7036" => &["T1543.003", "T1569.002"],
        "4698" | "4699" | "4700" | "4701" | "4702" => &["T1053.005"],
        "4704" | "4705" | "4717" | "4718" => &["T1098", "T1134"],
        "4706" | "4707" | "4716" | "4865" | "4866" | "4867" => &["T1484.002"],
        "4719" => &["T1562.002"],
        "4720" | "4741" => &["T1136", "T1098"],
        "4722" | "4723" | "4724" | "4738" | "4742" | "4781" => &["T1098", "T1531"],
        "4725" | "4726" | "4740" => &["T1531"],
        "4728" | "4732" | "4756" | "4964" => &["T1098", "T1078"],
        "4768" | "4769" | "4770" => &["T1558", "T1550.003"],
        "4798" | "4799" => &["T1069", "T1087"],
        "5136" | "5137" | "5138" | "5139" | "5141" => &["T1222.001", "T1484", "T1098"],
        "5140" | "5142" | "5143" | "5144" | "5145" | "5168" => &["T1021.002", "T1135"],
        "5156" | "5157" => &["T1071", "T1046"],
        "6416" => &["T1200"],
        "1102" | "104" => &["T1070.001"],
        "33205" | "18456" => &["T1078", "T1110"],
        _ => match view.0.class {
            Class::ProcessActivity => &["T1059"],
            Class::ScriptActivity => &["T1059"],
            Class::Authentication => &["T1110", "T1078"],
            Class::AccountChange => &["T1098", "T1136"],
            Class::ScheduledJobActivity => &["T1053"],
            Class::WindowsServiceActivity => &["T1543.003", "T1569.002"],
            Class::RegistryKeyActivity => &["T1112"],
            Class::FileSystemActivity => &["T1105"],
            Class::ModuleActivity => &["T1574"],
            Class::NetworkActivity => &["T1046", "T1071"],
            Class::DnsActivity => &["T1071.004", "T1048.003"],
            Class::HttpActivity => &["T1190"],
            Class::ApiActivity => &["T1078.004", "T1580"],
            // Findings of other products, and what has no class but words.
            _ => of_finding(view),
        },
    }
}

/// By the words in another product's alert.
fn of_finding(view: View<'_>) -> &'static [&'static str] {
    const WORDS: Words = &[
        (&["high entropy in apache", "high entropy in http"], &["T1505.003", "T1059", "T1190"]),
        (&["dns"], &["T1048.003", "T1071.004"]),
        (&["scan", "recon", "probe"], &["T1046", "T1595"]),
        (&["service stop", "service exit", "stopped", "unavailable"], &["T1489"]),
        (&["sudo", "changed uid"], &["T1548.003"]),
        (&["cpu value", "cpu usage"], &["T1496", "T1110.002"]),
        (&["login", "logon", "authentication", "password"], &["T1110", "T1078"]),
        (&["web shell", "webshell"], &["T1505.003"]),
        (&["web", "http", "url"], &["T1190", "T1595.003"]),
        (&["ransom", "shadow cop", "backup"], &["T1490", "T1486"]),
        (&["phish"], &["T1566"]),
        (&["malware", "virus", "trojan"], &["T1204"]),
        (&["wmi"], &["T1047"]),
        (&["scheduled task"], &["T1053.005"]),
        (&["kerbero", "golden ticket"], &["T1558"]),
        (&["pass the hash", "pass-the-hash", "overpass"], &["T1550.002"]),
        (&["tamper", "turn off", "disabl"], &["T1562.001"]),
        (&["psexec", "remote service"], &["T1569.002", "T1021.002"]),
        (&["registry", "autostart", "persist"], &["T1547", "T1112"]),
        (&["travel", "anonymous", "unfamiliar"], &["T1078.004"]),
        (&["powershell", "script", "shell", "command"], &["T1059"]),
        (&["lateral"], &["T1021"]),
        (&["credential", "mimikatz", "lsass"], &["T1003"]),
        (&["service"], &["T1543"]),
    ];
    let title = view.0.field(field::FINDING_TITLE).unwrap_or(&view.0.message).replace('_', " ");
    in_text(WORDS, &title).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    fn ids(support: &[(&str, f64)]) -> Vec<String> {
        let mut all = Support::default();
        support.iter().for_each(|(id, weight)| all.add(id, *weight, "a fact"));
        all.ranked().into_iter().map(|technique| technique.id).collect()
    }

    #[test]
    fn what_speaks_for_a_technique_at_large_speaks_for_its_best_supported_way() {
        assert_eq!(
            ids(&[("T1059", 1.0), ("T1059.001", 0.5), ("T1059.003", 0.4), ("T1105", 1.2)]),
            ["T1059.001", "T1105", "T1059.003"]
        );
        assert_eq!(ids(&[("T1059", 1.0), ("T1105", 1.2)]), ["T1105", "T1059"]);
        // Covered tracks come after what was done, and before what merely may have been.
        assert_eq!(
            ids(&[("T1070.001", 3.0), ("T1105", 0.6), ("T1059", 0.2)]),
            ["T1105", "T1070.001", "T1059"]
        );
    }

    #[test]
    fn a_rule_that_names_many_ways_names_the_technique() {
        let rule = ["T1003.001", "T1003.002", "T1003.006", "T1078.002", "T1078"].map(str::to_owned);
        assert_eq!(general(&rule).into_iter().collect::<Vec<_>>(), ["T1003", "T1078", "T1078.002"]);
    }

    #[test]
    fn the_strongest_voice_is_named_and_voices_add_up() {
        let mut all = Support::default();
        all.add("T1046", 0.2, "kind of event");
        all.add("T1046", 0.9, "sensor_reports_scan");
        let ranked = all.ranked();
        assert_eq!(ranked[0].source, "sensor_reports_scan");
        assert!((ranked[0].support - 1.1).abs() < 1e-9);
    }

    #[test]
    fn kinds_of_events_and_words_of_findings_have_techniques() {
        let finding = |title: &str| {
            let found = event(Class::DetectionFinding, &[(field::FINDING_TITLE, title)]);
            of_code(View(&found)).first().copied()
        };
        assert_eq!(finding("ET SCAN Potential SSH Scan"), Some("T1046"));
        assert_eq!(finding("Suspicious DNS query length"), Some("T1048.003"));
        assert_eq!(finding("All is well"), None);
        let shown = |class, fields: &[(&str, &str)]| by_name(View(&event(class, fields)))?.first().copied();
        let launch =
            |path| shown(Class::ProcessActivity, &[(field::ACTIVITY, "Launch"), (field::PROCESS_PATH, path)]);
        assert_eq!(launch(r"C:\Windows\System32\sc.exe"), Some("T1543.003"));
        assert_eq!(launch(r"C:\Tools\scan.exe"), None);
        assert_eq!(shown(Class::NetworkActivity, &[(field::DST_PORT, "3389")]), Some("T1021.001"));
        let key = r"HKLM\System\CurrentControlSet\Services\x\ImagePath";
        assert_eq!(shown(Class::RegistryKeyActivity, &[(field::REGISTRY_KEY, key)]), Some("T1543.003"));
        let logon = event(Class::Authentication, &[(field::EVENT_CODE, "4624"), (field::LOGON_TYPE, "10")]);
        assert_eq!(of_code(View(&logon)).first(), Some(&"T1021.001"));
    }
}
