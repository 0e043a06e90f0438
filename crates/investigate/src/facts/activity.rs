//! Facts about everything but command lines: access, injection, persistence, logons, network, cloud.

use super::{contains_any, pattern, quoted};
use crate::relate::INTERPRETERS;
use crate::view::View;
use casemate_event::{Class, field};
use std::net::IpAddr;

/// Right to read another process's memory (`PROCESS_VM_READ`).
const VM_READ: u32 = 0x0010;
/// Rights LSASS's own neighbours and Windows Error Reporting use; full paths, because anybody can choose a name.
const LSASS_READERS: [&str; 9] = [
    r"c:\windows\system32\csrss.exe",
    r"c:\windows\system32\wininit.exe",
    r"c:\windows\system32\winlogon.exe",
    r"c:\windows\system32\services.exe",
    r"c:\windows\system32\lsass.exe",
    r"c:\windows\system32\svchost.exe",
    r"c:\windows\system32\wbem\wmiprvse.exe",
    r"c:\windows\system32\lsaiso.exe",
    r"c:\windows\system32\mrt.exe",
];
const PROTECTION_FOLDERS: [&str; 2] =
    [r"c:\programdata\microsoft\windows defender\", r"c:\program files\windows defender\"];
/// Rights that make a copy of the directory: `DS-Replication-Get-Changes` and `-All`, and the filtered set.
const REPLICATION_RIGHTS: [&str; 3] = [
    "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2",
    "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
    "89e95b76-444d-4c62-991a-0facbeda640c",
];

pub(super) fn lsass_read(view: View<'_>) -> Option<String> {
    let target = view.process_name();
    let object = view.native("ObjectName").unwrap_or_default().to_lowercase();
    let aims_at_lsass = (target == "lsass.exe" && !view.is_launch()) || object.ends_with("\\lsass.exe");
    let mask = view.access_mask().filter(|mask| mask & VM_READ != 0)?;
    let reader =
        view.actor_path().or_else(|| view.native("SourceImage")).or_else(|| view.native("ProcessName"))?;
    let lower = reader.to_lowercase();
    let expected = LSASS_READERS.contains(&lower.as_str())
        || (PROTECTION_FOLDERS.iter().any(|folder| lower.starts_with(folder)) && !lower.contains(r"\.."));
    (aims_at_lsass && !expected).then(|| {
        format!(
            "{} on {} opened lsass.exe with the right to read its memory (0x{mask:x})",
            quoted(reader),
            view.host()
        )
    })
}

pub(super) fn dump_file_written(view: View<'_>) -> Option<String> {
    let path = view.is_file_write().then(|| view.0.field(field::FILE_PATH)).flatten()?;
    let lower = path.to_lowercase();
    let dump = pattern(&lower, r"\.(dmp|mdmp|dump)$|lsass[^\\]*\.(zip|bin|tmp|txt)$|\\ntds\.dit$");
    let reporting =
        contains_any(&lower, &[r"\windows\livekernelreports\", r"\microsoft\windows\wer\", r"\crashdumps\"]);
    (dump && !reporting).then(|| {
        format!("a memory dump or credential store was written on {}: {}", view.host(), quoted(path))
    })
}

pub(super) fn directory_replication(view: View<'_>) -> Option<String> {
    let properties = view.native("Properties").unwrap_or_default().to_lowercase();
    let user = view.person()?;
    (view.code() == "4662" && contains_any(&properties, &REPLICATION_RIGHTS))
        .then(|| format!("{user} used the right to replicate the directory, which domain controllers use"))
}

pub(super) fn remote_thread(view: View<'_>) -> Option<String> {
    let (source, target) = (view.actor_name(), view.process_name());
    let ordinary =
        matches!(source.as_str(), "csrss.exe" | "wininit.exe" | "winlogon.exe" | "services.exe" | "");
    (view.is_injection() && !ordinary && source != target)
        .then(|| format!("{source} on {} started a thread inside {target}", view.host()))
}

pub(super) fn service_runs_interpreter(view: View<'_>) -> Option<String> {
    let command = view.job_command();
    (view.0.class == Class::WindowsServiceActivity && view.is_job_change() && runs_interpreter(command))
        .then(|| format!("a service on {} was set to run {}", view.host(), quoted(command)))
}

pub(super) fn remote_execution_service(view: View<'_>) -> Option<String> {
    let name = view.0.field(field::SERVICE_NAME).unwrap_or_default().to_lowercase();
    let process = if view.is_launch() { view.process_name() } else { String::new() };
    let found = contains_any(&name, &["psexesvc", "paexec", "remcom", "csexec", "winexesvc"])
        || contains_any(&process, &["psexesvc", "paexec", "remcomsvc", "winexesvc"]);
    found.then(|| format!("a remote execution service ran on {}", view.host()))
}

pub(super) fn job_runs_interpreter(view: View<'_>) -> Option<String> {
    let command = view.job_command();
    let event =
        view.0.class == Class::ScheduledJobActivity && view.is_job_change() && runs_interpreter(command);
    let text = view.command().to_lowercase();
    let created = view.is_launch()
        && contains_any(&text, &["schtasks", "crontab", "register-scheduledtask"])
        && contains_any(&text, &["/create", "crontab -", "register-scheduledtask"])
        && runs_interpreter(view.command());
    (event || created)
        .then(|| format!("a scheduled job on {} runs an interpreter: {}", view.host(), quoted(command)))
}

fn runs_interpreter(command: &str) -> bool {
    pattern(
        &command.to_lowercase(),
        r"powershell|pwsh|%comspec%|cmd(\.exe)?['\x22\s]+/|mshta|wscript|cscript|rundll32|regsvr32|certutil|/bin/(ba)?sh|python|\\users\\public\\|\\temp\\|/tmp/|/dev/shm/",
    )
}

pub(super) fn autostart_written(view: View<'_>) -> Option<String> {
    let key = view.0.field(field::REGISTRY_KEY).unwrap_or_default().to_lowercase();
    let file = view.0.field(field::FILE_PATH).unwrap_or_default().to_lowercase();
    let registry = view.0.class == Class::RegistryKeyActivity
        && pattern(
            &key,
            r"\\currentversion\\(run|runonce|runservices)(\\|$)|\\winlogon\\(shell|userinit)|image file execution options\\.*\\debugger",
        );
    let startup = view.is_file_write()
        && pattern(
            &file,
            r"\\start menu\\programs\\startup\\|/etc/cron\.|/\.ssh/authorized_keys$|/etc/systemd/system/",
        );
    let what = if registry { key } else { file };
    (registry || startup)
        .then(|| format!("an autostart entry was written on {}: {}", view.host(), quoted(&what)))
}

pub(super) fn account_persistence(view: View<'_>) -> Option<String> {
    let event = view.0.class == Class::AccountChange
        && ["create", "add to group"].iter().any(|change| view.activity().eq_ignore_ascii_case(change));
    let command = view.is_launch()
        && pattern(
            &view.command().to_lowercase(),
            r"net1?(\.exe)?['\s].*(user|localgroup|group)\s.*/add|useradd\s|usermod\s.*(sudo|wheel)",
        );
    (event || command).then(|| format!("an account was created or given rights on {}", view.host()))
}

pub(super) fn admin_share_executable(view: View<'_>) -> Option<String> {
    let share = view.native("ShareName").unwrap_or_default().to_lowercase();
    let target =
        view.native("RelativeTargetName").or_else(|| view.0.field(field::FILE_PATH)).unwrap_or_default();
    let share_hit = share.ends_with("admin$") || share.ends_with("c$");
    (share_hit && pattern(&target.to_lowercase(), r"\.(exe|dll|bat|ps1|vbs|sys)$"))
        .then(|| format!("{} was reached over an administrative share of {}", quoted(target), view.host()))
}

pub(super) fn interpreter_connected(view: View<'_>) -> Option<String> {
    if view.0.class != Class::NetworkActivity {
        return None;
    }
    let mut name = view.actor_name();
    if name.is_empty() {
        name = view.process_name();
    }
    let address = view.0.field(field::DST_IP)?;
    let ip: IpAddr = address.parse().ok()?;
    (INTERPRETERS.contains(&name.as_str()) && is_global(ip))
        .then(|| format!("{name} on {} connected to the outside address {address}", view.host()))
}

fn is_global(ip: IpAddr) -> bool {
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

pub(super) fn cloud_logging_stopped(view: View<'_>) -> Option<String> {
    let operation = cloud_operation(view)?;
    matches!(
        operation,
        "StopLogging"
            | "DeleteTrail"
            | "UpdateTrail"
            | "PutEventSelectors"
            | "DeleteFlowLogs"
            | "DeleteDetector"
            | "DisableSecurityHub"
            | "DeleteConfigurationRecorder"
            | "StopConfigurationRecorder"
    )
    .then(|| format!("the cloud operation {operation} stops or narrows logging"))
}

pub(super) fn cloud_credential_created(view: View<'_>) -> Option<String> {
    let operation = cloud_operation(view)?;
    matches!(
        operation,
        "CreateAccessKey"
            | "CreateLoginProfile"
            | "UpdateLoginProfile"
            | "CreateUser"
            | "AttachUserPolicy"
            | "PutUserPolicy"
            | "AddUserToGroup"
            | "UpdateAssumeRolePolicy"
            | "GetPasswordData"
            | "DeactivateMFADevice"
    )
    .then(|| format!("the cloud operation {operation} creates or widens credentials"))
}

fn cloud_operation(view: View<'_>) -> Option<&str> {
    let denied = view.0.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"));
    view.0.field(field::API_OPERATION).filter(|_| view.0.class == Class::ApiActivity && !denied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    #[test]
    fn lsass_readers_are_known_by_their_whole_path() {
        let check = |source: &str, mask: &str, expected| {
            let mut event = event(
                Class::ProcessActivity,
                &[
                    (field::ACTIVITY, "Open"),
                    (field::ACTOR_PROCESS_PATH, source),
                    (field::PROCESS_PATH, r"C:\Windows\System32\lsass.exe"),
                ],
            );
            event.native.set("GrantedAccess", mask);
            assert_eq!(lsass_read(View(&event)).is_some(), expected, "{source} {mask}");
        };
        check(r"C:\Users\Public\x.exe", "0x1010", true);
        check(r"C:\Users\Public\x.exe", "0x1000", false);
        check(r"C:\Windows\System32\csrss.exe", "0x1fffff", false);
        check(r"C:\Temp\csrss.exe", "0x1fffff", true);
        check(r"C:\Windows\System32\rundll32.exe", "0x1fffff", true);
        check(r"C:\Program Files\..\Temp\x.exe", "0x1410", true);
    }

    #[test]
    fn outside_is_outside() {
        let check = |ip: &str, expected| assert_eq!(is_global(ip.parse().unwrap()), expected, "{ip}");
        check("203.0.113.9", true);
        check("10.1.2.3", false);
        check("::ffff:192.168.1.1", false);
        check("fe80::1", false);
        check("2606:4700::1111", true);
    }
}
