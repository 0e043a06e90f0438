//! Facts about services, jobs, files, shares and logs: what was set up, written or reached.

use super::commands::Text;
use super::process::is_writable_folder;
use super::{Kind, Predicate, contains_any, pattern, quoted};
use crate::relate::INTERPRETERS;
use crate::view::View;
use casemate_event::{Class, field};
use std::net::IpAddr;

pub(super) const FACTS: &[(Kind, Predicate)] = &[
    (Kind::ServiceRunsInterpreter, service_runs_interpreter),
    (Kind::ServiceOddImage, service_odd_image),
    (Kind::ServiceRandomName, service_random_name),
    (Kind::RemoteExecutionService, remote_execution_service),
    (Kind::JobRunsInterpreter, job_runs_interpreter),
    (Kind::JobCreatedByCommand, job_changed),
    (Kind::WmiSubscription, wmi_subscription),
    (Kind::AutostartWritten, startup_file),
    (Kind::OfficeStartup, office_startup_file),
    (Kind::ProfileScriptWritten, profile_script),
    (Kind::WebshellWritten, web_script_written),
    (Kind::CronWritten, cron_file),
    (Kind::SystemdUnitWritten, |view| {
        written(
            view,
            r"^/(etc|usr/lib|lib)/systemd/(system|user)/\S+\.(service|timer)$|^/etc/(init\.d/|rc\.local)",
            "a system service was written",
        )
    }),
    (Kind::SshKeyAdded, |view| {
        written(
            view,
            r"/\.ssh/authorized_keys2?$|administrators_authorized_keys$",
            "a file of keys that open a shell was written",
        )
    }),
    (Kind::PasswdFileChanged, |view| {
        written(view, r"^/etc/(passwd|shadow|group|gshadow)[-+]?$", "a file of accounts was written")
    }),
    (Kind::SudoersChanged, |view| {
        written(view, r"^/etc/sudoers(\.d/\S+|\.tmp)?$", "the file that says who may become root was written")
    }),
    (Kind::PreloadSet, |view| {
        written(
            view,
            r"^/etc/ld\.so\.(preload|conf)",
            "a file that loads libraries into every program was written",
        )
    }),
    (Kind::ShellProfileWritten, |view| {
        written(
            view,
            r"/\.(bashrc|bash_profile|profile|zshrc|bash_logout)$|^/etc/(profile|bash\.bashrc)|^/etc/profile\.d/",
            "a shell's start file was written",
        )
    }),
    (Kind::AdminShareExecutable, admin_share_executable),
    (Kind::ServiceControlPipe, |view| pipe(view, &["svcctl"], "the service control manager")),
    (Kind::TaskPipe, |view| pipe(view, &["atsvc"], "the task scheduler")),
    (Kind::RegistryPipe, |view| pipe(view, &["winreg"], "the registry")),
    (Kind::AccountPipe, |view| {
        pipe(view, &["samr", "lsarpc", "srvsvc", "wkssvc", "netlogon"], "the account or share service")
    }),
    (Kind::RemoteShellSession, |view| {
        let channel = view.native("Channel").unwrap_or_default().to_lowercase();
        (channel.contains("windows-winrm") && matches!(view.code(), "91" | "169" | "142" | "6"))
            .then(|| format!("a remote shell was opened on or from {}", view.host()))
    }),
    (Kind::ShareChanged, |view| {
        let name = view.native("ShareName").unwrap_or_default();
        (matches!(view.code(), "5142" | "5143") && view.person().is_some()).then(|| {
            format!(
                "{} made or changed the share {} on {}",
                view.person().unwrap_or_default(),
                quoted(name),
                view.host()
            )
        })
    }),
    (Kind::DnsPlugin, |view| {
        let channel = view.native("Channel").unwrap_or_default().to_lowercase();
        (channel.contains("dns server") && matches!(view.code(), "770" | "771" | "150")).then(|| {
            format!(
                "the DNS server on {} loaded or tried a plug-in: {}",
                view.host(),
                quoted(&view.0.message)
            )
        })
    }),
    (Kind::ForcedAuthentication, coercion_pipe),
    (Kind::ImpacketOutput, remote_output_file),
    (Kind::LogCleared, log_cleared),
    (Kind::AuditTampered, audit_changed),
    (Kind::ProtectionTampered, protection_event),
    (Kind::FileTimeChanged, file_time_changed),
    (Kind::AlternateStream, stream_written),
    (Kind::InterpreterConnected, interpreter_connected),
    (Kind::BitsTransfer, bits_transfer),
    (Kind::ShellFromDatabase, database_procedure),
];

fn service_runs_interpreter(view: View<'_>) -> Option<String> {
    let command = view.job_command();
    (view.0.class == Class::WindowsServiceActivity && view.is_job_change() && runs_interpreter(command))
        .then(|| format!("a service on {} was set to run {}", view.host(), quoted(command)))
}

/// A new service whose program lies where users may write, on another host, or at the root of a system folder.
fn service_odd_image(view: View<'_>) -> Option<String> {
    let command = view.job_command();
    let lower = command.to_lowercase();
    let vendor = contains_any(&lower, &[r"\programdata\microsoft\windows defender\"]);
    let odd = is_writable_folder(&lower)
        || lower.starts_with(r"\\")
        || contains_any(&lower, &[r"\\127.0.0.1\", r"\users\", r"\admin$\"])
        || pattern(
            &lower,
            r"^['\x22]?(%systemroot%|c:\\windows|\\systemroot)\\[a-z]{8}\.exe|^['\x22]?c:\\[a-z0-9_]{1,20}\.exe",
        );
    (view.0.class == Class::WindowsServiceActivity
        && view.is_job_change()
        && odd
        && !vendor
        && !runs_interpreter(command))
    .then(|| format!("a service on {} was set to run {} from an unusual place", view.host(), quoted(command)))
}

/// Remote execution tools make up service names: letters without vowels between them, or mixed case without sense.
fn service_random_name(view: View<'_>) -> Option<String> {
    let name = view.0.field(field::SERVICE_NAME)?;
    let letters: Vec<char> = name.chars().collect();
    let plain = letters.iter().all(char::is_ascii_alphabetic);
    let changes = letters
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .count();
    let vowels = letters.iter().filter(|c| "aeiouyAEIOUY".contains(**c)).count();
    let upper = letters.iter().filter(|c| c.is_ascii_uppercase()).count();
    let lowercase = letters.len() - upper;
    let jumbled = plain
        && (4..=20).contains(&letters.len())
        && ((changes >= 3 && lowercase > 2 && name.len() < 17 && vowels * 3 <= letters.len() + 3)
            || (letters.len() >= 8 && vowels == 0)
            || (letters.len() >= 12 && lowercase == 0)
            || (letters.len() == 4 && (1..4).contains(&upper) && changes >= 1)
            || (letters.len() == 8 && upper == 8 && vowels < 3));
    let number = pattern(&name.to_lowercase(), r"^[0-9a-f]{6,8}$|^btobto$|^krbscm$");
    (view.0.class == Class::WindowsServiceActivity
        && matches!(view.code(), "7045" | "4697")
        && (jumbled || number))
        .then(|| {
            format!(
                "the service {} on {} has a name like those that tools make up",
                quoted(name),
                view.host()
            )
        })
}

fn remote_execution_service(view: View<'_>) -> Option<String> {
    let name = view.0.field(field::SERVICE_NAME).unwrap_or_default().to_lowercase();
    let process = if view.is_launch() { view.process_name() } else { String::new() };
    let file = if view.is_file_write() {
        crate::view::base_name(view.0.field(field::FILE_PATH).unwrap_or_default())
    } else {
        String::new()
    };
    let known =
        ["psexesvc", "psexec service", "paexec", "remcom", "csexec", "winexesvc", "xcmdsvc", "remoteservice"];
    let found = [&name, &process, &file].iter().any(|text| contains_any(text, &known));
    found.then(|| format!("a remote execution service ran on {}", view.host()))
}

fn job_runs_interpreter(view: View<'_>) -> Option<String> {
    let command = view.job_command();
    let event = view.0.class == Class::ScheduledJobActivity
        && view.is_job_change()
        && runs_interpreter(&task_action(command));
    let text = view.command().to_lowercase();
    let created = view.is_launch()
        && contains_any(&text, &["schtasks", "crontab", "register-scheduledtask"])
        && contains_any(&text, &["/create", "crontab -", "register-scheduledtask"])
        && runs_interpreter(view.command());
    (event || created).then(|| {
        format!("a scheduled job on {} runs an interpreter: {}", view.host(), quoted(&task_action(command)))
    })
}

/// What a task runs, out of its description in XML; the text itself if it is none.
fn task_action(text: &str) -> String {
    let part = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once("</").map(|(value, _)| value.trim().to_owned())
    };
    match (part("Command"), part("Arguments")) {
        (Some(command), Some(arguments)) => format!("{command} {arguments}"),
        (Some(command), None) => command,
        _ => text.to_owned(),
    }
}

/// A person's new task, as opposed to the system's own.
fn job_changed(view: View<'_>) -> Option<String> {
    let name = view.0.field(field::JOB_NAME)?;
    let own = name.to_lowercase().starts_with(r"\microsoft\");
    (view.0.class == Class::ScheduledJobActivity
        && matches!(view.code(), "4698" | "106")
        && view.person().is_some()
        && !own)
        .then(|| {
            format!(
                "{} created the scheduled task {} on {}",
                view.person().unwrap_or_default(),
                quoted(name),
                view.host()
            )
        })
}

fn runs_interpreter(command: &str) -> bool {
    pattern(
        &command.to_lowercase(),
        r"powershell|pwsh|%comspec%|cmd(\.exe)?['\x22\s]+/|mshta|wscript|cscript|rundll32|regsvr32|certutil|/bin/(ba)?sh|python|\\users\\public\\|\\temp\\|/tmp/|/dev/shm/",
    )
}

fn wmi_subscription(view: View<'_>) -> Option<String> {
    let sysmon = view.is_sysmon() && matches!(view.code(), "19" | "20" | "21");
    let text = format!(
        "{} {}",
        view.native("PossibleCause").unwrap_or_default(),
        view.native("CONSUMER").unwrap_or_default()
    )
    .to_lowercase();
    let own = contains_any(&text, &["scm event log consumer", "bvtconsumer"])
        || view.native("Name").is_some_and(|name| name.contains("SCM Event Log"));
    let activity = view.code() == "5861"
        && view.native("Channel").is_some_and(|channel| channel.to_lowercase().contains("wmi-activity"));
    ((sysmon || activity) && !own).then(|| {
        let what = ["Destination", "Query", "Consumer", "PossibleCause"]
            .iter()
            .find_map(|name| view.native(name))
            .unwrap_or_default();
        format!("a WMI subscription was made on {}: {}", view.host(), quoted(what))
    })
}

/// A file written whose path matches.
fn written(view: View<'_>, regex: &'static str, says: &str) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    // The audit daemon lists every path a call touched; only creation, or an open for writing, counts.
    let audit = view.native("nametype");
    if audit.is_some_and(|kind| !matches!(kind, "CREATE" | "NORMAL" | "DELETE")) {
        return None;
    }
    let read = audit == Some("NORMAL") && !opened_for_writing(view);
    (!read && pattern(path, regex)).then(|| format!("{says} on {}: {}", view.host(), quoted(path)))
}

/// `O_WRONLY` or `O_RDWR` in the flags of open or openat, or a call that changes a file.
fn opened_for_writing(view: View<'_>) -> bool {
    let flags = |name: &str| {
        view.native(name).and_then(|value| u64::from_str_radix(value, 16).ok()).unwrap_or_default()
    };
    match view.native("syscall").unwrap_or_default() {
        "2" | "open" => flags("a1") & 3 != 0,
        "257" | "openat" => flags("a2") & 3 != 0,
        "82" | "rename" | "90" | "chmod" | "91" | "92" | "chown" | "264" | "renameat" | "316" | "268"
        | "fchmodat" | "87" | "263" => true,
        _ => false,
    }
}

fn startup_file(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    (pattern(
        &lower,
        r"\\start menu\\programs\\startup\\\S|/\.config/autostart/|/library/launch(agents|daemons)/",
    ) && !lower.ends_with("desktop.ini"))
    .then(|| format!("an autostart entry was written on {}: {}", view.host(), quoted(path)))
}

fn office_startup_file(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let by = view.actor_name();
    let office = matches!(by.as_str(), "winword.exe" | "excel.exe" | "powerpnt.exe" | "outlook.exe");
    (pattern(&path.to_lowercase(), r"\\microsoft\\(word\\startup|excel\\xlstart|addins)\\\S+\.(wll|xll|dotm|xlam|xla|ppam|dll)$|\\outlook\\vbaproject\.otm$|\\templates\\normal\.dotm$") && !office)
        .then(|| format!("{by} on {} wrote what an office program loads: {}", view.host(), quoted(path)))
}

fn profile_script(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    pattern(&path.to_lowercase(), r"\\(windows)?powershell\\(v1\.0\\)?(microsoft\.\w+_)?profile\.ps1$").then(
        || format!("a script that every PowerShell runs was written on {}: {}", view.host(), quoted(path)),
    )
}

fn web_script_written(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let script = pattern(&lower, r"\.(aspx?|ashx|asmx|cer|php\d?|phtml|jspx?|cfm|war)$");
    let place = contains_any(
        &lower,
        &[
            r"\inetpub\wwwroot\",
            r"\frontend\httpproxy\",
            r"\htdocs\",
            r"\webapps\",
            "/var/www/",
            "/usr/share/nginx/",
            "/htdocs/",
            r"\web server extensions\",
            r"\aspnet_client\",
        ],
    );
    let installer = matches!(
        view.actor_name().as_str(),
        "msiexec.exe" | "exsetupui.exe" | "exsetup.exe" | "tiworker.exe" | "apt" | "dpkg" | "git.exe" | "git"
    );
    (script && place && !installer).then(|| {
        format!(
            "{} on {} wrote a script that the web server runs: {}",
            view.actor_name(),
            view.host(),
            quoted(path)
        )
    })
}

fn cron_file(view: View<'_>) -> Option<String> {
    let replaced = view.0.class == Class::ScheduledJobActivity
        && view.activity().eq_ignore_ascii_case("update")
        && view.native("Channel").is_none()
        && pattern(&view.0.message.to_lowercase(), r"\) (replace|end edit) \(");
    written(view, r"^/etc/cron|^/var/spool/cron/", "a file of jobs was written").or_else(|| {
        replaced.then(|| {
            format!("{} replaced a table of jobs on {}", view.user().unwrap_or_default(), view.host())
        })
    })
}

fn admin_share_executable(view: View<'_>) -> Option<String> {
    let share = view.native("ShareName").unwrap_or_default().to_lowercase();
    let file =
        view.native("RelativeTargetName").or_else(|| view.0.field(field::FILE_PATH)).unwrap_or_default();
    let share_hit = pattern(&share, r"(admin|[a-z])\$$") && !share.ends_with("ipc$");
    (share_hit && pattern(&file.to_lowercase(), r"\.(exe|dll|bat|cmd|ps1|vbs|js|sys|scr|msi|hta|tmp)$"))
        .then(|| format!("{} was reached over an administrative share of {}", quoted(file), view.host()))
}

/// A pipe of a remote interface, opened over the network by a person.
fn pipe(view: View<'_>, names: &[&str], what: &str) -> Option<String> {
    let share = view.native("ShareName")?.to_lowercase();
    let name = view.native("RelativeTargetName")?.to_lowercase();
    (view.code() == "5145"
        && share.ends_with("ipc$")
        && names.contains(&name.as_str())
        && view.person().is_some())
    .then(|| {
        format!(
            "{} reached {what} of {} over the network from {}",
            view.person().unwrap_or_default(),
            view.host(),
            view.source_ip().unwrap_or_default()
        )
    })
}

/// Interfaces through which a host is made to log on elsewhere.
fn coercion_pipe(view: View<'_>) -> Option<String> {
    let name = view.native("RelativeTargetName")?.to_lowercase();
    let anonymous =
        view.0.field(field::ACTOR_USER).is_some_and(|user| user.eq_ignore_ascii_case("anonymous logon"));
    let hit = matches!(name.as_str(), "efsrpc" | "fssagentrpc" | "netdfs")
        || matches!(name.as_str(), "lsarpc" | "samr" | "netlogon" | "spoolss") && anonymous
        || name == "spoolss" && view.person().is_some();
    (view.code() == "5145" && hit).then(|| {
        format!(
            "the interface {name} of {} was reached over the network, which can make it log on elsewhere",
            view.host()
        )
    })
}

/// Files in which remote execution tools keep what a command said.
fn remote_output_file(view: View<'_>) -> Option<String> {
    let share = view.native("ShareName").unwrap_or_default().to_lowercase();
    let file = view.native("RelativeTargetName").or_else(|| view.0.field(field::FILE_PATH))?.to_lowercase();
    let shared = share.ends_with("admin$") || share.ends_with("c$");
    let output = pattern(&file, r"(^|\\)(__\d{9,}(\.\d+)?|__output|[a-z]{8}\.tmp)$")
        && (shared || file.starts_with(r"c:\windows\") && !file.contains(r"\temp\"));
    (output && (shared || file.contains("__"))).then(|| {
        format!("{} on {} is named like the output of a remote execution tool", quoted(&file), view.host())
    })
}

fn log_cleared(view: View<'_>) -> Option<String> {
    let channel = view.native("Channel").unwrap_or_default().to_lowercase();
    let provider =
        view.native("Provider_Name").or_else(|| view.native("SourceName")).unwrap_or_default().to_lowercase();
    let event = (view.code() == "1102" && (channel == "security" || provider.contains("eventlog")))
        || (view.code() == "104" && (channel == "system" || provider.contains("eventlog")));
    event.then(|| format!("logs were cleared on {}", view.host()))
}

fn audit_changed(view: View<'_>) -> Option<String> {
    let changes = view.native("AuditPolicyChanges").unwrap_or_default().to_lowercase();
    let policy = view.code() == "4719"
        && contains_any(&changes, &["%%8448", "%%8450", "removed"])
        && view.person().is_some();
    policy.then(|| format!("{} removed auditing on {}", view.person().unwrap_or_default(), view.host()))
}

fn protection_event(view: View<'_>) -> Option<String> {
    let channel = view.native("Channel").unwrap_or_default().to_lowercase();
    let defender = channel.contains("windows defender")
        && matches!(view.code(), "5001" | "5010" | "5012" | "5101" | "1127");
    let changed = channel.contains("windows defender")
        && view.code() == "5007"
        && view.native("New Value").is_some_and(|value| {
            let value = value.to_lowercase();
            contains_any(
                &value,
                &[
                    r"\exclusions\",
                    "disablerealtimemonitoring = 0x1",
                    "disableantispyware = 0x1",
                    "disableioavprotection = 0x1",
                ],
            )
        });
    let sysmon = view.is_sysmon()
        && (view.code() == "255"
            || view.code() == "4"
                && view.native("State").is_some_and(|state| state.eq_ignore_ascii_case("stopped")));
    (defender || changed || sysmon).then(|| {
        format!("protection or monitoring was weakened on {}: {}", view.host(), quoted(&view.0.message))
    })
}

fn file_time_changed(view: View<'_>) -> Option<String> {
    if !(view.is_sysmon() && view.code() == "2") {
        return None;
    }
    let by = view.actor_path().unwrap_or_default().to_lowercase();
    let usual = contains_any(
        &by,
        &[
            r"c:\windows\system32\",
            r"c:\program files",
            r"\onedrive",
            r"\chrome",
            r"\firefox",
            r"\teams",
            r"\update",
            r"\explorer.exe",
            r"\7z",
            r"\winrar",
            "setup",
            "install",
        ],
    ) && !contains_any(&by, &["powershell", "cmd.exe", "rundll32"]);
    let file = view.0.field(field::FILE_PATH).unwrap_or_default();
    (!usual).then(|| format!("{} on {} set back the time of {}", quoted(&by), view.host(), quoted(file)))
}

fn stream_written(view: View<'_>) -> Option<String> {
    let path = (view.is_sysmon() && view.code() == "15").then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let usual = contains_any(
        &lower,
        &[
            ":zone.identifier",
            ":smartscreen",
            ":favicon",
            ":com.dropbox",
            ":afp_",
            "com.apple",
            ":wofcompresseddata",
            ":oecustomproperty",
        ],
    );
    (!usual && lower.matches(':').count() >= 2)
        .then(|| format!("an alternate stream was written on {}: {}", view.host(), quoted(path)))
}

fn interpreter_connected(view: View<'_>) -> Option<String> {
    if view.0.class != Class::NetworkActivity {
        return None;
    }
    let mut name = view.actor_name();
    if name.is_empty() {
        name = view.process_name();
    }
    let address = view.0.field(field::DST_IP)?;
    let ip: IpAddr = address.parse().ok()?;
    let odd = matches!(
        name.as_str(),
        "notepad.exe"
            | "certutil.exe"
            | "msbuild.exe"
            | "installutil.exe"
            | "regasm.exe"
            | "cmstp.exe"
            | "control.exe"
            | "winword.exe"
            | "excel.exe"
            | "eqnedt32.exe"
            | "hh.exe"
            | "odbcconf.exe"
    );
    ((INTERPRETERS.contains(&name.as_str()) || odd) && is_global(ip))
        .then(|| format!("{name} on {} connected to the outside address {address}", view.host()))
}

pub(super) fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]))
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(v4) => is_global(IpAddr::V4(v4)),
            None => {
                let first = ip.segments()[0];
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || first & 0xfe00 == 0xfc00
                    || first & 0xffc0 == 0xfe80)
            }
        },
    }
}

/// A transfer of the background service from outside the vendors' own hosts.
fn bits_transfer(view: View<'_>) -> Option<String> {
    let url = view.0.field(field::URL)?;
    let channel = view.native("Channel").unwrap_or_default().to_lowercase();
    let lower = url.to_lowercase();
    let usual = pattern(
        &lower,
        r"https?://[^/]*\.(microsoft|windowsupdate|msedge|live|office|google|googleapis|gvt1|mozilla|adobe|azureedge)\.(com|net|org)(:\d+)?/|^https?://(g\.live|officecdn)",
    );
    (channel.contains("bits-client") && matches!(view.code(), "59" | "60" | "61") && !usual)
        .then(|| format!("a background transfer on {} took {}", view.host(), quoted(url)))
}

/// `xp_cmdshell` and its like, as the database logs that it was switched on.
fn database_procedure(view: View<'_>) -> Option<String> {
    let product = view.0.field(field::PRODUCT).unwrap_or_default().to_lowercase();
    let lower = view.0.message.to_lowercase();
    let data = view.native("Data").unwrap_or_default().to_lowercase();
    let found = contains_any(
        &format!("{lower} {data}"),
        &["xp_cmdshell", "ole automation procedures", "sp_oacreate"],
    );
    let database = product.contains("mssql")
        || view.native("Provider_Name").is_some_and(|name| name.to_lowercase().contains("mssql"))
        || view.code() == "15457"
        || view.code() == "33205";
    (found && database && Text::of(view).is_none()).then(|| {
        format!("the database on {} was told to run programs: {}", view.host(), quoted(&view.0.message))
    })
}
