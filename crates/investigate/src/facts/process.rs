//! Facts about programs: what was started, by what, from where, under which name.

use super::commands::Text;
use super::{Kind, Predicate, contains_any, pattern, quoted};
use crate::decode;
use crate::relate::INTERPRETERS;
use crate::view::{View, base_name};
use casemate_event::field;

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::EncodedCommand, encoded_command),
    (Kind::ObfuscatedScript, obfuscated_script),
    (Kind::ShellFromDocument, shell_from_document),
    (Kind::ShellFromServer, shell_from_server),
    (Kind::ShellFromDatabase, shell_from_database),
    (Kind::ShellFromRemoteManagement, shell_from_remote_management),
    (Kind::ProcessFromWmi, process_from_wmi),
    (Kind::ProcessFromRemoteShell, process_from_remote_shell),
    (Kind::ShellFromComServer, shell_from_com_server),
    (Kind::UnusualPath, unusual_path),
    (Kind::SystemNameElsewhere, system_name_elsewhere),
    (Kind::RenamedProgram, renamed_program),
    (Kind::DoubleExtension, double_extension),
    (Kind::UacBypassProcess, uac_bypass_process),
    (Kind::AccessibilityHijack, accessibility_program_started_shell),
    (Kind::SystemShell, system_shell),
    (Kind::InstalledParent, installed_parent),
];

const DOCUMENT_PROGRAMS: [&str; 17] = [
    "winword.exe",
    "excel.exe",
    "powerpnt.exe",
    "outlook.exe",
    "onenote.exe",
    "mspub.exe",
    "msaccess.exe",
    "visio.exe",
    "acrord32.exe",
    "acrobat.exe",
    "foxitreader.exe",
    "chrome.exe",
    "msedge.exe",
    "firefox.exe",
    "iexplore.exe",
    "eqnedt32.exe",
    "hh.exe",
];
const SERVER_PROGRAMS: [&str; 16] = [
    "w3wp.exe",
    "httpd.exe",
    "httpd",
    "apache2",
    "apache.exe",
    "nginx.exe",
    "nginx",
    "php-cgi.exe",
    "php-fpm",
    "php.exe",
    "tomcat.exe",
    "java.exe",
    "java",
    "umworkerprocess.exe",
    "node.exe",
    "ws_tomcatservice.exe",
];
const DATABASE_PROGRAMS: [&str; 6] =
    ["sqlservr.exe", "postgres.exe", "postgres", "mysqld.exe", "mysqld", "oracle.exe"];
const REMOTE_MANAGEMENT: [&str; 4] = ["wmiprvse.exe", "wsmprovhost.exe", "winrshost.exe", "mmc.exe"];
const SHELLS: [&str; 24] = [
    "cmd.exe",
    "powershell.exe",
    "pwsh.exe",
    "wscript.exe",
    "cscript.exe",
    "mshta.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "certutil.exe",
    "bitsadmin.exe",
    "msbuild.exe",
    "installutil.exe",
    "wmic.exe",
    "schtasks.exe",
    "net.exe",
    "whoami.exe",
    "sh",
    "bash",
    "dash",
    "python",
    "python3",
    "perl",
    "nc",
    "hh.exe",
];
/// Programs that elevate by themselves, and what they start when nobody abuses them.
const AUTO_ELEVATED: [(&str, &[&str]); 14] = [
    ("fodhelper.exe", &["systemsettings.exe"]),
    ("computerdefaults.exe", &["systemsettings.exe"]),
    ("eventvwr.exe", &["mmc.exe"]),
    ("compmgmtlauncher.exe", &["mmc.exe"]),
    ("sdclt.exe", &["control.exe", "sdclt.exe"]),
    ("slui.exe", &["slui.exe", "changepk.exe"]),
    ("changepk.exe", &["changepk.exe"]),
    ("wsreset.exe", &["conhost.exe"]),
    ("dccw.exe", &[]),
    ("sysprep.exe", &[]),
    ("cliconfg.exe", &[]),
    ("migwiz.exe", &[]),
    ("mcx2prov.exe", &[]),
    ("perfmon.exe", &["mmc.exe"]),
];
const ACCESSIBILITY: [&str; 7] = [
    "sethc.exe",
    "utilman.exe",
    "osk.exe",
    "magnify.exe",
    "narrator.exe",
    "displayswitch.exe",
    "atbroker.exe",
];
/// Folders any user may write to.
const WRITABLE_FOLDERS: [&str; 15] = [
    r"\users\public\",
    r"\windows\temp\",
    r"\appdata\local\temp\",
    r"\appdata\roaming\",
    r"\programdata\",
    r"\downloads\",
    r"\desktop\",
    r"\perflogs\",
    r"\$recycle.bin\",
    r"\windows\tasks\",
    r"\windows\debug\",
    r"\windows\tracing\",
    "/tmp/",
    "/var/tmp/",
    "/dev/shm/",
];
/// Folders only an administrator may write to.
const PROTECTED_FOLDERS: [&str; 4] =
    [r"c:\program files\", r"c:\program files (x86)\", r"c:\windows\ccm\", r"c:\windowsazure\"];
/// Programs of the system that run from its own folders only.
const SYSTEM_PROGRAMS: [&str; 22] = [
    "svchost.exe",
    "lsass.exe",
    "csrss.exe",
    "services.exe",
    "smss.exe",
    "wininit.exe",
    "winlogon.exe",
    "explorer.exe",
    "taskhost.exe",
    "taskhostw.exe",
    "spoolsv.exe",
    "conhost.exe",
    "dllhost.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "cmd.exe",
    "wmiprvse.exe",
    "lsm.exe",
    "runtimebroker.exe",
    "certutil.exe",
    "userinit.exe",
    "dwm.exe",
];
/// Programs that are renamed to pass unseen, by the name their authors compiled in, without extension.
const RENAMED_TO_HIDE: [&str; 24] = [
    "cmd",
    "powershell",
    "powershell_ise",
    "pwsh",
    "rundll32",
    "regsvr32",
    "mshta",
    "certutil",
    "cscript",
    "wscript",
    "wmic",
    "msbuild",
    "installutil",
    "regasm",
    "bitsadmin",
    "psexec",
    "psexesvc",
    "procdump",
    "net",
    "net1",
    "schtasks",
    "7z",
    "adfind",
    "rclone",
];

pub(super) fn is_writable_folder(lower_path: &str) -> bool {
    contains_any(lower_path, &WRITABLE_FOLDERS)
}

fn encoded_command(view: View<'_>) -> Option<String> {
    let text = Text::of(view)?;
    let decoded = decode::encoded_command(text.shown)?;
    Some(format!("an encoded command was run on {}; decoded it begins {}", view.host(), quoted(&decoded)))
}

/// Counts the marks that obfuscators leave: each occurs in honest scripts, several kinds together hardly do.
fn obfuscated_script(view: View<'_>) -> Option<String> {
    let text = Text::of(view)?;
    let lower = &text.lower;
    let count = |needle: &str| lower.matches(needle).count();
    let marks = [
        (
            "joined characters",
            count("[char]") + count("chr(") >= 5 || count("[char[]]") > 0 && lower.contains("join"),
        ),
        ("strings in pieces", count("'+'") >= 4 || count("' + '") >= 4),
        ("format operators", pattern(lower, r"(\{\d{1,2}\}){3,}.*'\s*-f\s*'")),
        (
            "exclusive or",
            contains_any(lower, &["-bxor", " xor "]) && contains_any(lower, &["[byte", "[char", "chr("]),
        ),
        ("escape marks", text.shown.matches(['^', '`']).count() >= 8 && text.shown.len() < 4000),
        (
            "packed code",
            contains_any(lower, &["frombase64string", "tobase64string"])
                && contains_any(lower, &["deflatestream", "gzipstream", "memorystream", "securestring"]),
        ),
        (
            "names put together",
            pattern(
                lower,
                r"\$(env:comspec\[|pshome\[|shellid\[|verbosepreference)|\.\(\s*'?(\{\d|'i'\+|'ie)|&\s*\(\s*'\s*\{\d|set-item\s+variable:|\[string\]::join\(|-join\s*\(|\.replace\('\S{1,12}',\s*'\S{0,3}'\).*\.replace\(",
            ),
        ),
        ("substrings of variables", count("%:~") >= 3 || count("!:~") >= 3),
        ("reversed text", pattern(lower, r"\[-1\.\.-|\[array\]::reverse|-split\s*''.*reverse|strreverse\(")),
        ("hexadecimal bytes", count("\\x") >= 12 || count(",0x") >= 40),
    ];
    let found: Vec<&str> = marks.iter().filter(|(_, found)| *found).map(|(name, _)| *name).collect();
    (found.len() >= 2).then(|| {
        format!(
            "a script or command on {} is obfuscated ({}): {}",
            view.host(),
            found.join(", "),
            quoted(text.shown)
        )
    })
}

fn shell_from_document(view: View<'_>) -> Option<String> {
    from_parent(view, &DOCUMENT_PROGRAMS, &SHELLS, "a document or browser program")
}

fn shell_from_server(view: View<'_>) -> Option<String> {
    from_parent(view, &SERVER_PROGRAMS, &SHELLS, "a server program")
}

fn shell_from_database(view: View<'_>) -> Option<String> {
    from_parent(view, &DATABASE_PROGRAMS, &SHELLS, "a database")
}

fn shell_from_remote_management(view: View<'_>) -> Option<String> {
    from_parent(view, &REMOTE_MANAGEMENT, &SHELLS, "a remote management host")
}

fn process_from_wmi(view: View<'_>) -> Option<String> {
    let process = view.process_name();
    let ordinary =
        matches!(process.as_str(), "werfault.exe" | "wmiprvse.exe" | "conhost.exe" | "" | "mofcomp.exe");
    (view.is_launch() && view.parent_name() == "wmiprvse.exe" && !ordinary)
        .then(|| format!("WMI started {process} on {}", view.host()))
}

/// What a remote shell runs besides shells, which count on their own.
fn process_from_remote_shell(view: View<'_>) -> Option<String> {
    let (process, parent) = (view.process_name(), view.parent_name());
    let ordinary =
        matches!(process.as_str(), "werfault.exe" | "conhost.exe" | "wsmprovhost.exe" | "csc.exe" | "");
    let remote = matches!(parent.as_str(), "wsmprovhost.exe" | "winrshost.exe");
    (view.is_launch() && remote && !ordinary && !SHELLS.contains(&process.as_str()))
        .then(|| format!("a remote shell started {process} on {}", view.host()))
}

/// A component server started by another host, or by a document, that starts a shell.
fn shell_from_com_server(view: View<'_>) -> Option<String> {
    let parent_line = view.0.field(field::PARENT_PROCESS_CMD_LINE).unwrap_or_default().to_lowercase();
    let server = view.parent_name() == "dllhost.exe" || parent_line.contains("-embedding");
    let wmi = view.parent_name() == "wmiprvse.exe";
    (view.is_launch() && server && !wmi && SHELLS.contains(&view.process_name().as_str())).then(|| {
        format!(
            "{}, a component server, started {} on {}",
            view.parent_name(),
            view.process_name(),
            view.host()
        )
    })
}

fn from_parent(view: View<'_>, parents: &[&str], children: &[&str], what: &str) -> Option<String> {
    let (process, parent) = (view.process_name(), view.parent_name());
    let found =
        view.is_launch() && parents.contains(&parent.as_str()) && children.contains(&process.as_str());
    found.then(|| format!("{parent}, {what}, started {process} on {}", view.host()))
}

fn unusual_path(view: View<'_>) -> Option<String> {
    let path = view.is_launch().then(|| view.process_path()).flatten()?;
    let lower = path.to_lowercase();
    // Endpoint protection runs from there, in folders only it may write to.
    let vendor = contains_any(&lower, &[r"\programdata\microsoft\windows defender\"]);
    let signed = view.native("Signed").is_some_and(|signed| signed.eq_ignore_ascii_case("true"));
    (!vendor && !signed && is_writable_folder(&lower)).then(|| {
        format!(
            "{} was started on {} from a folder that users may write to, with no signature recorded",
            quoted(path),
            view.host()
        )
    })
}

fn system_name_elsewhere(view: View<'_>) -> Option<String> {
    let path = view.is_launch().then(|| view.0.field(field::PROCESS_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let at_home = contains_any(&lower, &[r"\windows\", r"\systemroot\", r"%systemroot%", r"%windir%"])
        && !contains_any(&lower, &[r"\windows\temp\", r"\windows\tasks\", r"\windows\debug\", r"\windows \"]);
    (lower.contains(r":\") && !at_home && SYSTEM_PROGRAMS.contains(&base_name(&lower).as_str())).then(|| {
        format!("{} on {} has the name of a system program and lies elsewhere", quoted(path), view.host())
    })
}

fn renamed_program(view: View<'_>) -> Option<String> {
    let original = view.is_launch().then(|| view.native("OriginalFileName")).flatten()?;
    let stem = |name: &str| {
        let lower = name.to_lowercase();
        lower.split('.').next().unwrap_or_default().to_owned()
    };
    let (compiled, given) = (stem(original), stem(&view.process_name()));
    (RENAMED_TO_HIDE.contains(&compiled.as_str()) && !given.is_empty() && !given.starts_with(&compiled)).then(
        || format!("{} on {} is {} under another name", view.process_name(), view.host(), quoted(original)),
    )
}

fn double_extension(view: View<'_>) -> Option<String> {
    let path = if view.is_launch() {
        view.process_path()
    } else if view.is_file_write() {
        view.0.field(field::FILE_PATH)
    } else {
        None
    }?;
    pattern(
        &path.to_lowercase(),
        r"\.(pdf|docx?|xlsx?|pptx?|jpe?g|png|gif|txt|rtf|zip|mp4)\s*\.(exe|scr|com|pif|js|jse|vbs|vbe|bat|cmd|lnk|hta|ps1|iso)$",
    )
    .then(|| format!("{} on {} is a program under the name of a document", quoted(path), view.host()))
}

fn uac_bypass_process(view: View<'_>) -> Option<String> {
    if !view.is_launch() {
        return None;
    }
    let (process, parent) = (view.process_name(), view.parent_name());
    let elevated = AUTO_ELEVATED.iter().any(|(name, usual)| {
        *name == parent && !usual.contains(&process.as_str()) && process != "werfault.exe"
    });
    let parent_line = view.0.field(field::PARENT_PROCESS_CMD_LINE).unwrap_or_default().to_lowercase();
    let component = parent == "dllhost.exe"
        && contains_any(
            &parent_line,
            &[
                "3e5fc7f9-9a51-4367-9063-a120244fbec7",
                "d2e7041b-2927-42fb-8e9f-7ce93b6dc937",
                "e9495b87-d950-4ab5-87a5-ff6d70bf3e90",
                "ab8902b4-09ca-4bb6-b78d-a8f59079a8d5",
            ],
        );
    let look_alike = view.process_path().is_some_and(|path| path.to_lowercase().contains(r":\windows \"));
    (elevated || component || look_alike)
        .then(|| format!("{parent}, which elevates without asking, started {process} on {}", view.host()))
}

fn accessibility_program_started_shell(view: View<'_>) -> Option<String> {
    let (process, parent) = (view.process_name(), view.parent_name());
    let shell = matches!(
        process.as_str(),
        "cmd.exe" | "powershell.exe" | "pwsh.exe" | "taskmgr.exe" | "explorer.exe"
    );
    let from = ACCESSIBILITY.contains(&parent.as_str()) || (parent == "winlogon.exe" && process == "cmd.exe");
    // The program itself, replaced by a shell.
    let original = view.native("OriginalFileName").unwrap_or_default().to_lowercase();
    let replaced = ACCESSIBILITY.contains(&process.as_str())
        && matches!(original.as_str(), "cmd.exe" | "powershell.exe");
    (view.is_launch() && ((shell && from) || replaced))
        .then(|| format!("{parent} started {process} on {} before anybody logged on", view.host()))
}

/// A shell that runs as the system although a person, or a program that has no need of one, started it.
fn system_shell(view: View<'_>) -> Option<String> {
    if !view.is_launch() || !SHELLS.contains(&view.process_name().as_str()) {
        return None;
    }
    let user = view.user().unwrap_or_default();
    let parent_user = view.native("ParentUser").unwrap_or_default().to_lowercase();
    let gained = user == "system"
        && !parent_user.is_empty()
        && parent_user != "-"
        && !contains_any(&parent_user, &["system", "local service", "network service"]);
    let exploited =
        matches!(view.parent_name().as_str(), "spoolsv.exe" | "lsass.exe" | "csrss.exe" | "dns.exe")
            && !matches!(view.process_name().as_str(), "rundll32.exe" | "regsvr32.exe");
    (gained || exploited).then(|| {
        format!(
            "{} on {} runs as the system, started by {}",
            view.process_name(),
            view.host(),
            view.parent_name()
        )
    })
}

fn installed_parent(view: View<'_>) -> Option<String> {
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
