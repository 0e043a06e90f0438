//! Facts about alerts of other products: what kind of thing a sensor says it saw.
//!
//! A sensor's word is taken by its title, category and rating, as its vendor documents them; it raises and never
//! lowers.

use super::{Kind, Pattern, Predicate, contains_any, quoted};
use crate::view::View;
use casemate_event::{Class, field};

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::SensorMalware, |view| by_title(view, &MALWARE, "malware")),
    (Kind::SensorCommandControl, |view| by_title(view, &COMMAND_CONTROL, "command and control")),
    (Kind::SensorExploit, |view| by_title(view, &EXPLOIT, "an attack")),
    (Kind::SensorScan, |view| by_title(view, &SCAN, "a scan")),
    (Kind::SensorBruteForce, |view| by_title(view, &GUESSING, "guessing of passwords")),
    (Kind::SensorPrivilege, |view| by_title(view, &PRIVILEGE, "use of another's rights")),
    (Kind::SensorWebErrors, |view| by_title(view, &WEB_ERRORS, "requests that fail")),
];

static MALWARE: Pattern = Pattern::new(
    r"\b(malware|trojan|ransom\w*|backdoor|rootkit|cobalt ?strike|meterpreter|mimikatz|infostealer|stealer|worm|botnet|hacktool|webshell|web shell|cryptominer|coinminer|keylogger|dropper|virus|eicar)\b|\b(et (malware|trojan|mobile_malware|worm)|etpro malware)\b|trojan activity was detected|malware was (found|detected)|^(trojan|virtool|behavior|exploit|ransom|backdoor|pws|worm):",
);
static COMMAND_CONTROL: Pattern = Pattern::new(
    r"\bcommand and control\b|\bc2\b|\bcnc\b|\bc&c\b|beacon|dns tunnel|tor (exit|relay|traffic)|\bet (cnc|botcc|tor|compromised|ciarmy|drop)\b|suspicious (ja3|tls certificate|ssl cert)",
);
static EXPLOIT: Pattern = Pattern::new(
    r"\bet (exploit|web_server|web_specific_apps|attack_response|shellcode|sql|current_events|exploit_kit|phishing|netbios.*exploit)\b|\b(exploit|attack|injection|traversal|shellshock|log4j|log4shell|overflow|remote code|rce\b|code execution|xss|cross[- ]site)|web application attack|attempted (administrator|user) privilege gain|successful (administrator|user) privilege gain|executable code was detected|suspicious url access|cve-\d{4}-\d+|forbidden (file|directory)",
);
static SCAN: Pattern = Pattern::new(
    r"\bet scan\b|\b(port|host|network|vulnerability) ?(scan|sweep|probe)|\bnmap\b|\bscan\b|reconnaissance|information leak|network scan|insecure connection attempt|\bmasscan\b|attempted information leak|nikto|sqlmap|\bprobe\b",
);
static GUESSING: Pattern = Pattern::new(
    r"brute[- ]?force|multiple (failed|authentication failures)|multiple authentication|password (spray|guess)|authentication failures|failed logins? in a|login attempt|maximum authentication attempts|attempted login|possible attack on the ssh|non-existent user",
);
static PRIVILEGE: Pattern = Pattern::new(
    r"successful sudo to root|first time user executed sudo|changed uid|user successfully changed|privilege escalat|new user_cmd parameter|su session opened|unauthori[sz]ed (access|change)|integrity checksum changed|new user added|group added",
);
static WEB_ERRORS: Pattern = Pattern::new(
    r"web server (400|500) error|multiple web server \d+ error|multiple common web|same source ip|new status code in|new request method|new characters in apache access request|high entropy in apache access request",
);

/// What a sensor calls what it saw, in lower case: an alert's title and category.
pub(super) fn title(view: View<'_>) -> Option<String> {
    let title = view
        .0
        .field(field::FINDING_TITLE)
        .or_else(|| {
            [
                "rule.description",
                "alert.signature",
                "signature",
                "threat_name",
                "AlertName",
                "alert_name",
                "Title",
            ]
            .iter()
            .find_map(|name| view.native(name))
        })
        // Alert lists in columns: a name, and beside it which product gave it.
        .or_else(|| {
            view.native("name")
                .filter(|name| contains_any(name, &["Wazuh:", "Suricata:", "AMiner:", "Snort:", "OSSEC:"]))
        })?;
    let finding = view.0.class == Class::DetectionFinding
        || view.native("rule.level").is_some()
        || view.native("name").is_some()
        || view.native("alert.signature").is_some()
        || view.native("AlertName").is_some();
    if !finding {
        return None;
    }
    let category = ["alert.category", "category", "classification", "Category"]
        .iter()
        .find_map(|name| view.native(name))
        .unwrap_or_default();
    Some(format!("{title} {category}").to_lowercase())
}

fn by_title(view: View<'_>, pattern: &Pattern, what: &str) -> Option<String> {
    let title = title(view)?;
    // Notes on protocols and policies are not findings, whatever words they contain.
    let note = contains_any(
        &title,
        &[
            "suricata: alert - suricata ",
            "et info ",
            "et policy ",
            "et games ",
            "et user_agents apt",
            "generic protocol command decode",
        ],
    ) && !title.contains("et scan");
    let on = if view.host().is_empty() { view.source_ip().unwrap_or_default() } else { view.host() };
    (!note && pattern.is_in(&title)).then(|| format!("a sensor reports {what} at {on}: {}", quoted(&title)))
}

/// Whether a title, as [`title`] gives it, names an attack rather than housekeeping.
pub(super) fn is_attack(title: &str) -> bool {
    !contains_any(
        title,
        &["suricata: alert - suricata ", "et info ", "et policy ", "generic protocol command decode"],
    ) && [&MALWARE, &COMMAND_CONTROL, &EXPLOIT, &SCAN, &GUESSING, &WEB_ERRORS]
        .iter()
        .any(|pattern| pattern.is_in(title))
}
