use super::*;
use crate::testing::event;
use std::collections::BTreeSet;

fn found(key: &str, data: &str) -> Vec<Kind> {
    let fields = [
        (field::DEVICE_HOSTNAME, "ws1"),
        (field::ACTIVITY, "Modify"),
        (field::REGISTRY_KEY, key),
        (field::REGISTRY_VALUE, data),
        (field::ACTOR_PROCESS_PATH, r"C:\Windows\System32\reg.exe"),
    ];
    let event = event(Class::RegistryKeyActivity, &fields);
    find(View(&event)).into_iter().map(|(kind, _)| kind).collect()
}

type Write = (&'static str, &'static str);

/// Key and data that establish the fact, and others near them that do not.
#[rustfmt::skip]
const EXAMPLES: [(Kind, Write, Write); 29] = [
    (Kind::AutostartWritten, (r"HKU\S-1-5-21\Software\Microsoft\Windows\CurrentVersion\Run\upd", r"c:\a.exe"), (r"HKU\S-1-5-21\Software\Microsoft\Windows\CurrentVersion\Explorer\a", "1")),
    (Kind::LogonHelperWritten, (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Winlogon\Shell", "explorer.exe, a.exe"), (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Winlogon\CachedLogonsCount", "10")),
    (Kind::AccessibilityHijack, (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\sethc.exe\Debugger", "cmd.exe"), (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Accessibility\Configuration", "magnifierpane")),
    (Kind::DebuggerHijack, (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\notepad.exe\Debugger", "a.exe"), (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\notepad.exe\MitigationOptions", "1")),
    (Kind::ComHijack, (r"HKU\S-1-5-21_Classes\CLSID\{0f87369f-a4e5-4cfc-bd3e-73e6154572dd}\InprocServer32\(Default)", r"C:\Users\ann\AppData\a.dll"), (r"HKLM\Software\Vendor\CLSID\{0f87369f-a4e5-4cfc-bd3e-73e6154572dd}\InprocServer32\(Default)", r"C:\Program Files\Vendor\a.dll")),
    (Kind::LoadedLibraryKey, (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Windows\AppInit_DLLs", r"c:\a.dll"), (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Windows\DeviceNotSelectedTimeout", "15")),
    (Kind::SecurityPackage, (r"HKLM\System\CurrentControlSet\Control\Lsa\Security Packages", "a"), (r"HKLM\System\CurrentControlSet\Control\Lsa\ProductType", "1")),
    (Kind::PrintMonitor, (r"HKLM\System\CurrentControlSet\Control\Print\Monitors\a\Driver", "a.dll"), (r"HKLM\System\CurrentControlSet\Control\Print\Printers\p1\Location", "hall")),
    (Kind::NetshHelper, (r"HKLM\Software\Microsoft\Netsh\a", "a.dll"), (r"HKLM\Software\Microsoft\Network\a", "a.dll")),
    (Kind::ScreensaverWritten, (r"HKCU\Control Panel\Desktop\SCRNSAVE.EXE", r"c:\a.scr"), (r"HKCU\Control Panel\Desktop\Wallpaper", r"c:\a.jpg")),
    (Kind::ShimInstalled, (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\AppCompatFlags\InstalledSDB\{1}\DatabasePath", "a.sdb"), (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\AppCompatFlags\Compatibility Assistant\Store\a", "1")),
    (Kind::OfficeStartup, (r"HKCU\Software\Microsoft\Office Test\Special\Perf\(Default)", "a.dll"), (r"HKCU\Software\Microsoft\Office\16.0\Word\Options\Zoom", "100")),
    (Kind::RegistryStoredCode, (r"HKCU\Software\a\b", "powershell -nop -enc AAAA"), (r"HKCU\Software\a\b", "a plain text")),
    (Kind::UacBypassRegistry, (r"HKCU\Software\Classes\ms-settings\shell\open\command\(Default)", "cmd.exe"), (r"HKCU\Software\Classes\.txt\OpenWithProgids\a", "")),
    (Kind::UacDisabled, (r"HKLM\Software\Microsoft\Windows\CurrentVersion\Policies\System\EnableLUA", "DWORD (0x00000000)"), (r"HKLM\Software\Microsoft\Windows\CurrentVersion\Policies\System\EnableLUA", "DWORD (0x00000001)")),
    (Kind::PlainTextCredentials, (r"HKLM\System\CurrentControlSet\Control\SecurityProviders\WDigest\UseLogonCredential", "DWORD (0x00000001)"), (r"HKLM\System\CurrentControlSet\Control\SecurityProviders\WDigest\UseLogonCredential", "DWORD (0x00000000)")),
    (Kind::RemoteDesktopEnabled, (r"HKLM\System\CurrentControlSet\Control\Terminal Server\fDenyTSConnections", "DWORD (0x00000000)"), (r"HKLM\System\CurrentControlSet\Control\Terminal Server\fDenyTSConnections", "DWORD (0x00000001)")),
    (Kind::SessionHijack, (r"HKLM\Software\Policies\Microsoft\Windows NT\Terminal Services\Shadow", "DWORD (0x00000004)"), (r"HKLM\Software\Policies\Microsoft\Windows NT\Terminal Services\MaxIdleTime", "DWORD (0x00000004)")),
    (Kind::PortForward, (r"HKLM\System\CurrentControlSet\Services\PortProxy\v4tov4\tcp\0.0.0.0/8080", "10.0.0.5/3389"), (r"HKLM\System\CurrentControlSet\Services\Tcpip\Parameters\Domain", "corp")),
    (Kind::ProtectionTampered, (r"HKLM\Software\Policies\Microsoft\Windows Defender\DisableAntiSpyware", "DWORD (0x00000001)"), (r"HKLM\Software\Policies\Microsoft\Windows Defender\DisableAntiSpyware", "DWORD (0x00000000)")),
    (Kind::FirewallTampered, (r"HKLM\System\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile\EnableFirewall", "DWORD (0x00000000)"), (r"HKLM\System\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile\EnableFirewall", "DWORD (0x00000001)")),
    (Kind::AuditTampered, (r"HKLM\Software\Policies\Microsoft\Windows\PowerShell\ScriptBlockLogging\EnableScriptBlockLogging", "DWORD (0x00000000)"), (r"HKLM\Software\Policies\Microsoft\Windows\PowerShell\ScriptBlockLogging\EnableScriptBlockLogging", "DWORD (0x00000001)")),
    (Kind::EtwTampered, (r"HKLM\Software\Microsoft\.NETFramework\ETWEnabled", "DWORD (0x00000000)"), (r"HKLM\Software\Microsoft\.NETFramework\InstallRoot", "c:")),
    (Kind::AmsiBypass, (r"HKCU\Software\Microsoft\Windows Script\Settings\AmsiEnable", "DWORD (0x00000000)"), (r"HKCU\Software\Microsoft\Windows Script\Settings\Timeout", "0")),
    (Kind::HiddenUser, (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\Winlogon\SpecialAccounts\UserList\bob", "DWORD (0x00000000)"), (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\ProfileList\bob", "0")),
    (Kind::FileHidden, (r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\Advanced\Hidden", "DWORD (0x00000002)"), (r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\Advanced\Hidden", "DWORD (0x00000001)")),
    (Kind::RootCertificate, (r"HKLM\Software\Microsoft\SystemCertificates\Root\Certificates\0123456789ABCDEF0123456789ABCDEF01234567\Blob", "binary data"), (r"HKLM\Software\Microsoft\SystemCertificates\CA\Certificates\0123456789ABCDEF0123456789ABCDEF01234567\Blob", "binary data")),
    (Kind::SafeMode, (r"HKLM\System\CurrentControlSet\Control\SafeBoot\Minimal\a\(Default)", "Service"), (r"HKLM\System\CurrentControlSet\Control\Session Manager\a", "Service")),
    (Kind::ServiceRunsInterpreter, (r"HKLM\System\CurrentControlSet\Services\a\ImagePath", "%COMSPEC% /c powershell"), (r"HKLM\System\CurrentControlSet\Services\a\ImagePath", r"c:\windows\system32\a.exe")),
];

#[test]
fn every_row_has_a_write_that_shows_it_and_one_that_does_not() {
    let mut shown = BTreeSet::from([Kind::ServiceChanged]);
    for (kind, yes, no) in &EXAMPLES {
        assert!(found(yes.0, yes.1).contains(kind), "{kind:?} should be found in {yes:?}");
        assert!(!found(no.0, no.1).contains(kind), "{kind:?} should not be found in {no:?}");
        shown.insert(*kind);
    }
    let odd = (r"HKLM\System\CurrentControlSet\Services\a\ImagePath", r"c:\users\public\a.exe");
    assert!(found(odd.0, odd.1).contains(&Kind::ServiceChanged));
    assert!(!found(odd.0, r"c:\windows\system32\a.exe").contains(&Kind::ServiceChanged));
    let rows: BTreeSet<Kind> = ROWS.iter().map(|row| row.kind).collect();
    let without: Vec<&Kind> = rows.difference(&shown).collect();
    assert!(without.is_empty(), "rows without an example: {without:?}");
}

#[test]
fn every_pattern_compiles() {
    for row in &ROWS {
        for pattern in [Some(&row.key), row.data.as_ref()].into_iter().flatten() {
            assert!(Regex::new(pattern.regex).is_ok(), "{:?}: {}", row.kind, pattern.regex);
        }
    }
}

#[test]
fn removing_a_key_is_no_writing_of_it() {
    let removed = |key: &str| {
        let fields = [(field::ACTIVITY, "Create"), (field::REGISTRY_KEY, key)];
        let mut event = event(Class::RegistryKeyActivity, &fields);
        event.native.set("EventType", "DeleteValue");
        find(View(&event)).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert!(removed(r"HKU\S-1\Software\Microsoft\Windows\CurrentVersion\Run\upd").is_empty());
    let traces = r"HKU\S-1\Software\Microsoft\Windows\CurrentVersion\Explorer\RunMRU\a";
    assert_eq!(removed(traces), [Kind::TracesRemoved]);
    assert!(found(traces, "notepad").is_empty());
}

#[test]
fn values_that_commands_write_are_values() {
    let check = |command: &str, expected: &[Kind]| {
        let kinds: Vec<Kind> =
            written_by(&command.to_lowercase()).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, expected, "{command}");
    };
    check(
        r"reg.exe add 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\WDigest' /v UseLogonCredential /t REG_DWORD /d 1 /f",
        &[Kind::PlainTextCredentials],
    );
    check(
        r"reg add HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\WDigest /v UseLogonCredential /t REG_DWORD /d 0 /f",
        &[],
    );
    check(
        r"Set-ItemProperty -Path 'HKLM:\SYSTEM\CurrentControlSet\Control\Lsa' -Name 'RunAsPPL' -Value 0",
        &[Kind::PlainTextCredentials],
    );
    check(
        r"New-ItemProperty HKLM:\SYSTEM\CurrentControlSet\Services\x -Name ImagePath -Value 'powershell -f a.ps1'; exit",
        &[Kind::ServiceChanged, Kind::ServiceRunsInterpreter],
    );
    check(
        r"reg query HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\WDigest /v UseLogonCredential",
        &[],
    );
    check(r"reg add HKCU\Software\Vendor /v Theme /d dark & reg add", &[]);
}
