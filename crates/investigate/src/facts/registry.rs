//! Facts about registry values: what is written where decides what starts, loads or protects.

use super::{Kind, Pattern, quoted};
use crate::view::View;
use casemate_event::{Class, field};
use regex::Regex;
use std::sync::LazyLock;

struct Row {
    kind: Kind,
    says: &'static str,
    /// Over the key's path and value name, in lower case.
    key: Pattern,
    /// Over the data written, if that decides.
    data: Option<Pattern>,
}

const fn key(kind: Kind, says: &'static str, key: &'static str) -> Row {
    Row { kind, says, key: Pattern::new(key), data: None }
}

const fn value(kind: Kind, says: &'static str, key: &'static str, data: &'static str) -> Row {
    Row { kind, says, key: Pattern::new(key), data: Some(Pattern::new(data)) }
}

const OFF: &str = r"^(dword \()?(0x)?0+\)?$|^%%1800|^false$|^0$";
const ON: &str = r"^(dword \()?(0x)?0*[1-9a-f][0-9a-f]*\)?$|^true$";
/// Data that names a program or script outside the folders of installed programs.
const ODD_PROGRAM: &str = r"powershell|pwsh|mshta|wscript|cscript|rundll32|regsvr32|certutil|cmd(\.exe)?['\x22\s]+/|%comspec%|\\temp\\|\\users\\public\\|\\programdata\\|\\appdata\\|\\perflogs\\|javascript:|vbscript:|\.(vbs|js|hta|ps1|bat|scr)\b|https?://|\\\\[a-z0-9.]+\\";

#[rustfmt::skip]
static ROWS: [Row; 37] = [
    value(Kind::AutostartWritten, "starts a program with the system or a logon", r"\\currentversion\\(run|runonce|runonceex|runservices|runservicesonce|policies\\explorer\\run)\\|\\explorer\\(user )?shell folders\\(common )?startup|\\windows nt\\currentversion\\windows\\(load|run)$|\\currentversion\\terminal server\\install\\.*\\run", r"."),
    key(Kind::LogonHelperWritten, "changes what a logon starts", r"\\winlogon\\(shell|userinit|taskman|notify\\|system|gpextensions\\)|\\environment\\userinitmprlogonscript|\\windows\\system\\scripts\\|\\active setup\\installed components\\.*stubpath"),
    key(Kind::AccessibilityHijack, "puts something in place of an accessibility program", r"image file execution options\\(sethc|utilman|osk|magnify|narrator|displayswitch|atbroker)\.exe"),
    key(Kind::DebuggerHijack, "starts one program in place of another", r"image file execution options\\.*(debugger|globalflag|verifierdlls)$|\\silentprocessexit\\.*(monitorprocess|reportingmode)|\\aedebug\\(debugger|protected)"),
    value(Kind::ComHijack, "sends a component's callers to another library", r"(\\software\\classes|_classes|hku\\[^\\]+|hkcu\\software\\classes)\\.*clsid\\\{[0-9a-f-]+\}\\(inprocserver32|localserver32|treatas|inprochandler32|scriptleturl)", r"\\(temp|users|appdata|programdata|public|perflogs)\\|scrobj\.dll|https?:|\.(sct|dat|tmp|jpg|txt)$|\{[0-9a-f-]{36}\}|mscoree|^[^\\]+$"),
    key(Kind::LoadedLibraryKey, "loads a library into programs", r"\\windows\\(appinit_dlls|loadappinit_dlls)|session manager\\(appcertdlls|bootexecute|setupexecute|knowndlls|execute)|\\lsa\\(oslowlevel)|\\cor_(enable_profiling|profiler)|\\amsi\\providers\\|\\control\\nls\\|\\wow6432node\\microsoft\\windows nt\\currentversion\\windows\\appinit|\\serverlevelplugindll|\\environment\\(cor_|complus_)"),
    key(Kind::SecurityPackage, "adds a library that sees every logon", r"\\control\\lsa\\(security packages|authentication packages|osconfig\\security packages)|\\securityproviders\\securityproviders|\\lsaextensionconfig\\|\\control\\lsa\\notification packages|\\networkprovider\\(order|hworder)\\|\\networkprovider\\providerpath|\\services\\ntds\\(lsadbextpt|directoryserviceextpt)"),
    key(Kind::PrintMonitor, "adds a library that the print service loads", r"\\control\\print\\(monitors|environments|providers)\\.*\\(driver|name|dll)|\\print\\printers\\.*\\copyfiles"),
    key(Kind::NetshHelper, "adds a library that netsh loads", r"\\microsoft\\netsh\\[^\\]+$"),
    value(Kind::ScreensaverWritten, "sets the screen saver", r"\\desktop\\scrnsave\.exe", r"\.(scr|exe|dll|bat|cmd|vbs)"),
    key(Kind::ShimInstalled, "installs an application shim", r"\\appcompatflags\\(installedsdb|custom)\\"),
    key(Kind::OfficeStartup, "loads code with an office program", r"\\office test\\|\\outlook\\(security|webview|today|addins)\\.*(url|enableunsafe|manifest|loadbehavior)|\\(word|excel|powerpoint|access)\\(security\\(vbawarnings|accessvbom|trusted locations)|options\\open|addins\\)|\\vba\\vbe\\.*\\addins"),
    value(Kind::RegistryStoredCode, "keeps code in the registry", r".", r"frombase64string|iex\b|invoke-expression|powershell.*\s-e(nc)?\s|[a-z0-9+/]{400,}|tvqqaamaaaaeaaaa|javascript:.*activexobject"),
    key(Kind::UacBypassRegistry, "goes around the elevation prompt", r"\\(ms-settings|mscfile|exefile|folder|appx[0-9a-z]{20,}|launcher\.systemsettings)\\shell\\(open|runas)\\command|\\control panel\\desktop\\cmd|\\environment\\(windir|systemroot)$|\\app paths\\control\.exe|\\.*\\curver$|\\lua_(.*)bypass"),
    value(Kind::UacDisabled, "weakens the elevation prompt", r"\\policies\\system\\(enablelua|consentpromptbehavior(admin|user)|filteradministratortoken|promptonsecuredesktop|enableinstallerdetection|enableuiadesktoptoggle)$", OFF),
    value(Kind::UacDisabled, "lets administrators act remotely without a prompt", r"\\policies\\system\\(localaccounttokenfilterpolicy|enableuiadesktoptoggle)$", ON),
    value(Kind::PlainTextCredentials, "makes the system keep passwords where they can be read", r"\\wdigest\\uselogoncredential$|\\lsa\\(disablerestrictedadmin|disableloopbackcheck)$", ON),
    value(Kind::PlainTextCredentials, "takes protection from the local security authority", r"\\lsa\\(runasppl|runaspplboot|nolmhash|restrictanonymous|restrictanonymoussam|restrictsendingntlmtraffic|lsacfgflags)$|\\lsa\\lmcompatibilitylevel$|\\deviceguard\\(enablevirtualizationbasedsecurity|lsacfgflags)$", r"^(dword \()?(0x)?0*[0-2]?\)?$"),
    value(Kind::RemoteDesktopEnabled, "switches remote desktop on", r"\\terminal server\\(fdenytsconnections|fsingleSessionperuser|fsinglesessionperuser)$|\\rdp-tcp\\(userauthentication|securitylayer)$|\\terminal services\\(fdenytsconnections|userauthentication)$", OFF),
    key(Kind::SessionHijack, "lets a desktop be watched without consent", r"\\terminal services\\shadow$|\\terminal server\\allowremoterpc$"),
    key(Kind::RemoteDesktopEnabled, "changes how remote desktop listens", r"\\rdp-tcp\\(portnumber|initialprogram)$|\\services\\termservice\\parameters\\servicedll$"),
    key(Kind::PortForward, "forwards a port", r"\\portproxy\\v[46]tov[46]\\"),
    value(Kind::ProtectionTampered, "switches protection off", r"\\windows defender\\.*(disable\w+|passivemode)$|\\(windows defender security center)\\.*\\(disable|hide)\w*|\\smartscreen\w*$|\\currentversion\\policies\\attachments\\(savezoneinformation|scanwithantivirus)$|\\(mcafee|symantec|sophos|kaspersky)\\.*disable", ON),
    value(Kind::ProtectionTampered, "switches protection off", r"\\windows defender\\.*(tamperprotection|spynetreporting|submitsamplesconsent|mpenablepus|puaprotection|enablenetworkprotection|enablecontrolledfolderaccess)$|\\explorer\\smartscreenenabled$|\\policies\\microsoft\\windows\\system\\enablesmartscreen$|\\hvciscan|\\hypervisorenforcedcodeintegrity\\enabled$|\\ci\\config\\vulnerabledriverblocklistenable$", r"^(dword \()?(0x)?0+\)?$|^off$|^5$"),
    key(Kind::ProtectionTampered, "excludes something from protection", r"\\windows defender\\exclusions\\(paths|processes|extensions|ipaddresses)\\"),
    value(Kind::ProtectionTampered, "keeps a protective service from starting", r"\\services\\(windefend|wdfilter|wdnisdrv|wdnissvc|wdboot|sense|sysmon(64)?|sysmondrv|securityhealthservice|wscsvc|mpssvc|wuauserv|eventlog)\\start$", r"0*4\)?$"),
    value(Kind::FirewallTampered, "switches the firewall off", r"\\(firewallpolicy|windowsfirewall)\\\w*profile\\(enablefirewall|donotallowexceptions)$", OFF),
    value(Kind::AuditTampered, "weakens logging", r"\\eventlog\\[^\\]+\\(maxsize|retention|autobackuplogfiles|file|customsd|enabled)$|\\winevt\\channels\\.*\\(enabled|channelaccess)$|\\powershell\\(scriptblocklogging|modulelogging|transcription)\\enable\w+$|\\audit\\processcreationincludecmdline_enabled$|\\autologger\\.*\\(start|enabled)$|\\minint|\\lsa\\scenoapplylegacyauditpolicy$", OFF),
    key(Kind::AuditTampered, "stops logging from the next start on", r"\\control\\minint|\\eventlog\\[^\\]+\\(customsd|file)$|\\winevt\\channels\\.*\\channelaccess$"),
    value(Kind::EtwTampered, "switches event tracing off", r"\\etwenabled$|\\complus_etwenabled$|\\(autologger|wmi)\\.*\\(enabled|enableproperty)$|\\\.netframework\\etwenabled$", OFF),
    key(Kind::AmsiBypass, "changes who scans scripts", r"\\amsi\\(providers|amsienable)|\\windows script\\settings\\amsienable"),
    key(Kind::HiddenUser, "hides an account", r"\\specialaccounts\\userlist\\"),
    value(Kind::FileHidden, "hides files from users", r"\\explorer\\advanced\\(hidden|showsuperhidden)$|\\explorer\\advanced\\folder\\hidden\\showall\\checkedvalue", r"0*[02]\)?$"),
    key(Kind::RootCertificate, "installs a root certificate", r"\\systemcertificates\\(root|authroot)\\certificates\\[0-9a-f]{20,}"),
    key(Kind::SafeMode, "adds something to the start without protection", r"\\control\\safeboot\\(minimal|network)\\|\\safeboot\\option"),
    value(Kind::ServiceChanged, "changes what a service runs", r"\\services\\[^\\]+\\(imagepath|parameters\\servicedll|failurecommand)$", ODD_PROGRAM),
    value(Kind::ServiceRunsInterpreter, "makes a service run an interpreter", r"\\services\\[^\\]+\\imagepath$", r"powershell|pwsh|%comspec%|cmd(\.exe)?['\x22\s]+/|mshta|wscript|cscript|regsvr32"),
];

/// Keys whose removal says something.
#[rustfmt::skip]
static REMOVALS: [Row; 2] = [
    key(Kind::TracesRemoved, "that shows what was used was removed", r"\\explorer\\(runmru|recentdocs|typedpaths|comdlg32|userassist|wordwheelquery)|\\terminal server client\\(servers|default)"),
    key(Kind::ProtectionTampered, "that restricts or protects was removed", r"__pslockdownpolicy|\\safeboot\\|\\amsi\\providers\\|\\windows defender\\|\\services\\(windefend|sense|sysmon(64)?)$|\\winevt\\publishers\\"),
];

/// What a registry write or removal of this event establishes.
pub(super) fn find(view: View<'_>) -> Vec<(Kind, String)> {
    if view.0.class != Class::RegistryKeyActivity {
        return Vec::new();
    }
    let kind = view.native("EventType").unwrap_or_default().to_lowercase();
    let removed = view.activity().eq_ignore_ascii_case("delete") || kind.starts_with("delete");
    let Some(path) = key_of(view) else { return Vec::new() };
    let lower = path.to_lowercase();
    let data = view.0.field(field::REGISTRY_VALUE).unwrap_or_default().to_lowercase();
    // Installers of the system write the same keys; a name alone proves nothing, so only by whole path.
    let by = view.actor_path().unwrap_or_default().to_lowercase();
    if [r"c:\windows\servicing\trustedinstaller.exe", r"c:\windows\system32\poqexec.exe"]
        .contains(&by.as_str())
        || by.starts_with(r"c:\windows\winsxs\")
    {
        return Vec::new();
    }
    let rows = if removed { REMOVALS.as_slice() } else { ROWS.as_slice() };
    let with = if data.is_empty() { String::new() } else { format!(" = {}", quoted(&data)) };
    let mut found: Vec<(Kind, String)> = Vec::new();
    for row in rows.iter().filter(|row| row.matches(&lower, &data)) {
        if found.iter().all(|(kind, _)| *kind != row.kind) {
            let statement =
                format!("a registry value on {} {}: {}{with}", view.host(), row.says, quoted(&path));
            found.push((row.kind, statement));
        }
    }
    found
}

impl Row {
    fn matches(&self, key: &str, data: &str) -> bool {
        self.key.is_in(key) && self.data.as_ref().is_none_or(|pattern| pattern.is_in(data))
    }
}

/// Most writes of one text that are looked at.
const MAX_WRITES: usize = 16;

/// `reg add 'KEY' /v NAME … /d DATA`, in lower case.
static REG_ADD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\breg(?:\.exe)?['\s]+add\s+(?:'([^']+)'|(\S+))([^&|;\n]*)").ok());
/// `set-itemproperty …` and what else writes values, with all that belongs to it.
static SET_PROPERTY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(?:set|new)-itemproperty\s+([^;|\n]*)").ok());
static NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:/v|-n(?:a(?:me?)?)?)\s+(?:'([^']*)'|(\S+))").ok());
static DATA: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:/d|-v(?:a(?:l(?:ue?)?)?)?)\s+(?:'([^']*)'|(\S+))").ok());
static PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:-(?:literal)?path\s+)?(?:'((?:registry::|hk)[^']+)'|((?:registry::|hk)\S+))").ok()
});

/// What a command, in lower case, establishes by the registry values that it writes: the kind, and what such a value
/// does.
pub(super) fn written_by(command: &str) -> Vec<(Kind, &'static str)> {
    if !command.contains("reg") && !command.contains("itemproperty") {
        return Vec::new();
    }
    let mut found: Vec<(Kind, &'static str)> = Vec::new();
    for (key, data) in writes(command) {
        for row in ROWS.iter().filter(|row| row.matches(&key, &data)) {
            if found.iter().all(|(kind, _)| *kind != row.kind) {
                found.push((row.kind, row.says));
            }
        }
    }
    found
}

/// Paths of values, as registry events write them, with the data that a command writes there.
fn writes(command: &str) -> Vec<(String, String)> {
    let part = |regex: &'static LazyLock<Option<Regex>>, text: &str| -> Option<String> {
        let captures = regex.as_ref()?.captures(text)?;
        Some(captures.get(1).or_else(|| captures.get(2))?.as_str().to_owned())
    };
    let mut writes = Vec::new();
    for captures in REG_ADD.iter().flat_map(|regex| regex.captures_iter(command)).take(MAX_WRITES) {
        let Some(key) = captures.get(1).or_else(|| captures.get(2)) else { continue };
        let rest = captures.get(3).map_or("", |rest| rest.as_str());
        let name = part(&NAME, rest).unwrap_or_else(|| "(default)".to_owned());
        writes.push((format!("{}\\{name}", key.as_str()), part(&DATA, rest).unwrap_or_default()));
    }
    for captures in SET_PROPERTY.iter().flat_map(|regex| regex.captures_iter(command)).take(MAX_WRITES) {
        let rest = captures.get(1).map_or("", |rest| rest.as_str());
        let (Some(key), Some(name)) = (part(&PATH, rest), part(&NAME, rest)) else { continue };
        writes.push((format!("{key}\\{name}"), part(&DATA, rest).unwrap_or_default()));
    }
    writes
}

/// Path of the value: Security events name key and value apart.
fn key_of(view: View<'_>) -> Option<String> {
    let key = view.0.field(field::REGISTRY_KEY)?;
    Some(match view.native("ObjectValueName") {
        Some(name) if view.code() == "4657" => format!("{key}\\{name}"),
        _ => key.to_owned(),
    })
}

#[cfg(test)]
mod tests;
