//! Facts that a command line or script establishes by itself: one row per fact, over its text in lower case.
//!
//! The text is what a process was started with, a script block, what a service, job or WMI consumer runs, or
//! what was typed into a honeypot, together with what it encodes. The caret, the backtick and double quotes
//! are taken out or replaced first: they are how words are broken up.

use super::{Kind, Pattern, quoted, registry};
use crate::decode;
use crate::view::View;
use casemate_event::{Class, field};

/// Most characters of a text looked at.
const MAX_CHARS: usize = 128 * 1024;

struct Row {
    kind: Kind,
    /// What the command does, after "a command on HOST".
    says: &'static str,
    pattern: Pattern,
    /// What the text must not match.
    unless: Option<Pattern>,
}

const fn row(kind: Kind, says: &'static str, pattern: &'static str) -> Row {
    Row { kind, says, pattern: Pattern::new(pattern), unless: None }
}

const fn but(kind: Kind, says: &'static str, pattern: &'static str, unless: &'static str) -> Row {
    Row { kind, says, pattern: Pattern::new(pattern), unless: Some(Pattern::new(unless)) }
}

#[rustfmt::skip]
static ROWS: [Row; 114] = [
    // Running code.
    row(Kind::DownloadCradle, "fetches and runs code",
        r"(downloadstring|downloadfile|downloaddata|net\.webclient|invoke-webrequest|invoke-restmethod|\biwr\b|\birm\b|openread\(|msxml2\.xmlhttp).*(\biex\b|invoke-expression|invoke-command|start-process|frombase64string|\bsaps\b|\[scriptblock\]|\.\s*\()|(\biex\b|invoke-expression).*(downloadstring|downloaddata|net\.webclient|\biwr\b|\birm\b|invoke-webrequest|invoke-restmethod|msxml2\.xmlhttp)|\b(curl|wget|fetch|lwp-download)\b[^|;&]*(https?://|ftp://|[0-9]{1,3}\.[0-9]{1,3}\.)[^|;&]*(\|\s*(sudo\s+)?(ba|da|z|k)?sh\b|\|\s*(python|perl)|(;|&&)\s*(sudo\s+)?((ba|da)?sh\s|chmod\s+(\+x|[0-7]*7)|\./))|downloadfile\(.*(;|\n)\s*(start|&|invoke|saps)"),
    row(Kind::ReverseShell, "opens a shell to a network peer",
        r"/dev/(tcp|udp)/[0-9a-z]|\b(nc|ncat|netcat)(\.exe)?\s[^|;]*-[a-z]*[ec]\s*['/]?(/bin/|cmd|powershell|sh\b|bash)|\bbash\s+-i\b.*>&|mkfifo\s.*\|\s*(nc|ncat|netcat|telnet)\b|system\.net\.sockets\.tcpclient|socat\s.*exec:|socket\.socket\(.*(subprocess|pty\.spawn|os\.dup2)|use socket;.*exec\(|fsockopen\(.*(exec|proc_open)|invoke-powershelltcp|powercat\b.*-e\b|telnet\s.*\|\s*/bin/(ba)?sh"),
    row(Kind::HiddenPowerShell, "starts PowerShell hidden or without its restrictions",
        r"(powershell|pwsh)(\.exe)?['\s].*\s[-/](w|wi|win|wind|windo|windows?|windowst?y?l?e?)\s+(hid|h\b|1\b)|(powershell|pwsh)(\.exe)?['\s].*\s[-/](ep|ex|exec?|executionpolicy)\s+'?(bypass|unrestricted)"),
    row(Kind::ReflectiveLoad, "loads code into memory without a file",
        r"\[?(system\.)?reflection\.assembly\]?::load\(|\.assembly\]::load\(|virtualalloc.*(createthread|marshal|getdelegateforfunctionpointer)|getdelegateforfunctionpointer|invoke-(reflectivepeinjection|shellcode|dllinjection|psinject|processhollow)|definedynamicassembly|\[runtime\.interopservices\.marshal\]::copy\(|writeprocessmemory|ntqueueapcthread|queueuserapc|createremotethread|memfd_create"),
    row(Kind::OffensiveToolkit, "names an offensive toolkit",
        r"invoke-(mimikatz|empire|psempire|ninjacopy|tokenmanipulation|credentialinjection|wmievent|portscan|smbexec|wmiexec|thehash|allchecks|inveigh|runas|mimikittenz|phant0m|dcom|wscriptbypassuac|eventvwrbypass|bypassuac|kerberoast|userhunter|stealthuserhunter|sharefinder|aclscanner|gpppassword|psexec\b|psremoting\b|confusedoffice|poshrat|sharploader|rubeus|sharphound|bloodhound)|powersploit|nishang|empire\.agent|cobaltstrike|meterpreter|metasploit|\bimpacket|crackmapexec|\bcme\s+(smb|winrm|ldap|mssql)|evil-winrm|sliver-(client|server)|covenant\.exe|mimikatz|sharpup\b|seatbelt\.exe|winpeas|linpeas|\blinenum|pupy\b.*\.py|koadic|powerup\.ps1|privesccheck|invoke-atomictest|\bsafetykatz|sharpkatz"),
    row(Kind::AmsiBypass, "switches script scanning off",
        r"amsiutils|amsiinitfailed|amsiscanbuffer|amsicontext|amsi\.dll.*(patch|virtualprotect|copy)|scriptblocklogging.*(enablescriptblocklogging|setvalue).*(0|false)|cachedgrouppolicysettings|\\amsi\\providers"),
    row(Kind::EtwTampered, "stops event tracing",
        r"etweventwrite|logman(\.exe)?['\s]+(stop|delete)\s|set-etwtraceprovider|remove-etwtraceprovider|wevtutil(\.exe)?['\s]+(sl|set-log)\s.*/e(nabled)?:f|pseetwlogprovider|m_enabled.*nonpublic|system\.management\.automation\.tracing"),
    row(Kind::ScriptFromUserFolder, "runs a script from a user's folder with a script host",
        r"(wscript|cscript)(\.exe)?['\s].*(\\users\\|\\temp\\|\\programdata\\|%temp%|%appdata%|\\downloads\\|\\public\\)[^|]*\.(vbs|vbe|js|jse|wsf|wsh|hta|txt|dat|jpg)"),
    row(Kind::DecodedFile, "decodes a file with a system tool",
        r"certutil(\.exe)?['\s].*[-/](decode|decodehex)\b|\bbase64\s+(-d|--decode|-di)\b.*(\||>)|openssl\s+enc\s.*-d\b.*>|xxd\s+-r\b.*>|python\d?\s.*b64decode.*exec"),
    row(Kind::ToolDownload, "downloads with a tool not made for it",
        r"certutil(\.exe)?['\s].*[-/](urlcache|verifyctl|url)\b.*(http|ftp|\\\\)|certutil(\.exe)?['\s].*(http|ftp).*[-/](urlcache|verifyctl)|esentutl(\.exe)?['\s].*/y\s+\\\\|(expand|extrac32|print|replace|findstr|makecab)(\.exe)?['\s].*\\\\[^\\\s]+\\[^\s]*webdav|desktopimgdownldr(\.exe)?['\s].*lockscreenurl|(mpcmdrun)(\.exe)?['\s].*-downloadfile|(ieexec|imewdbld|configsecuritypolicy|datasvcutil|presentationhost|cmdl32|hh)(\.exe)?['\s]+'?https?://|squirrel(\.exe)?['\s].*--(download|update)\s|appinstaller(\.exe)?['\s].*ms-appinstaller|xwizard(\.exe)?['\s].*runwizard.*http"),
    row(Kind::BitsTransfer, "starts a background transfer",
        r"bitsadmin(\.exe)?['\s].*/(transfer|addfile|setnotifycmdline|create|resume)\b|start-bitstransfer\b"),
    row(Kind::MshtaAbuse, "runs a script with mshta",
        r"mshta(\.exe)?['\s]+.*(https?:|javascript:|vbscript:|about:|\\\\[a-z0-9.]+\\|ftp:|\.(jpg|png|txt|dat|sct)\b)|mshta(\.exe)?['\s]+.*(\\temp\\|\\appdata\\|\\public\\|\\programdata\\).*\.hta|runhtmlapplication"),
    row(Kind::Regsvr32Abuse, "runs a script or remote library with regsvr32",
        r"regsvr32(\.exe)?['\s].*(/i:\s*'?(https?:|ftp:|\\\\|[a-z]:\\|\S+\.sct)|scrobj(\.dll)?|\\\\[a-z0-9.]+\\\S+\.dll|\\(temp|appdata|public|programdata|downloads)\\|\.(jpg|png|txt|dat|ocx1|tmp)\b)"),
    but(Kind::Rundll32Abuse, "calls an unusual export with rundll32",
        r"rundll32(\.exe)?['\s].*(javascript:|vbscript:|\\temp\\|\\users\\public\\|\\programdata\\|\\appdata\\(local|roaming)\\[^,]*\.(dll|dat|tmp|txt|jpg)|url\.dll['\s]*,\s*'?(openurl|fileprotocolhandler)|ieadvpack(\.dll)?['\s]*,\s*launchinfsection|advpack(\.dll)?['\s]*,\s*(launchinfsection|registerocx)|setupapi(\.dll)?['\s]*,\s*installhinfsection|pcwutl(\.dll)?['\s]*,\s*launchapplication|zipfldr(\.dll)?['\s]*,\s*routethecall|shell32(\.dll)?['\s]*,\s*(shellexec_rundll|control_rundll\s+\S*(temp|users|programdata))|shdocvw(\.dll)?['\s]*,\s*openurl|mshtml(\.dll)?['\s]*,\s*(runhtmlapplication|printhtml)|syssetup(\.dll)?['\s]*,\s*setupinfobjectinstallaction|dfshim(\.dll)?['\s]*,\s*shopenverbapplication|davclnt(\.dll)?['\s]*,\s*davsetcookie|desk(\.cpl)?['\s]*,\s*installscreensaver|\.(jpg|png|txt|log|dat|bmp)['\s]*,|,\s*#?-?[0-9]{1,3}\s*$|\\\\[a-z0-9.]+\\\S+\.dll|-sta\s*\{)",
        r"rundll32(\.exe)?['\s]+'?(c:\\windows\\(system32|syswow64)\\|%systemroot%\\system32\\)?(shell32|printui|inetcpl|sysdm|mmsys|user32|themecpl|input|devices|edgehtml|invagent|appxdeploymentextensions|startupscan|dsquery|cryptext|aclui|winethc|pla|wininet|srrstr|generaltel|aepdu|aeinvent)\.(dll|cpl)"),
    row(Kind::InstallUtilAbuse, "runs a program's code with InstallUtil",
        r"installutil(\.exe)?['\s].*(/u(ninstall)?\b|/logfile=|/logtoconsole=false|\\temp\\|\\users\\|\\programdata\\)"),
    row(Kind::RegasmAbuse, "runs a library's code with RegAsm or RegSvcs",
        r"reg(asm|svcs)(\.exe)?['\s].*(/u\b|\\temp\\|\\users\\|\\programdata\\|\\public\\)"),
    row(Kind::MsbuildAbuse, "runs code with a developer's tool",
        r"msbuild(\.exe)?['\s].*(\\temp\\|\\users\\|\\programdata\\|\\public\\|\\desktop\\|\.(xml|txt|jpg|dat)\b)|\b(csi|rcsi|dnx|te|tracker|cdb|windbg|fsi|fsianycpu|vsjitdebugger|vsiisexelauncher|remote|wfc|microsoft\.workflow\.compiler)\.exe['\s].*(\\temp\\|\\users\\|\\public\\|\.(csx|wds|xml|txt|xoml)\b)|csc(\.exe)?['\s].*/(out|target):\S*(\\temp\\|\\users\\public\\|\\programdata\\)"),
    row(Kind::MsiexecAbuse, "installs a package from the network or a user's folder silently",
        r"msiexec(\.exe)?['\s].*(https?:|\\\\[a-z0-9.]+\\)|msiexec(\.exe)?['\s].*[-/](y|z)\s+'?[a-z]:\\|msiexec(\.exe)?['\s].*/q.*(\\temp\\|\\users\\public\\|\\programdata\\)\S*\.(msi|jpg|png|txt|dat)"),
    row(Kind::CmstpAbuse, "installs a connection profile with cmstp",
        r"cmstp(\.exe)?['\s].*/(s|ni|ns|au)\b|cmstp(\.exe)?['\s].*\.inf"),
    row(Kind::OdbcconfAbuse, "registers a library with odbcconf",
        r"odbcconf(\.exe)?['\s].*([-/]a\s*'?\s*\{\s*regsvr|regsvr\s|[-/]f\s+\S+\.rsp)"),
    row(Kind::HelpAbuse, "runs code through HTML help",
        r"\bhh(\.exe)?['\s]+.*(https?:|ms-its:.*::|\\(temp|downloads|appdata|public|programdata)\\.*\.chm)"),
    row(Kind::ControlPanelAbuse, "opens a control panel item from a user's folder",
        r"control(\.exe)?['\s]+.*(\\(temp|appdata|public|programdata|downloads|desktop|users)\\|:\S+\.dll).*|control_rundll(asuser)?\s+'?\S*\\(temp|appdata|public|programdata|downloads|desktop)\\"),
    row(Kind::ScriptletWmic, "runs a stylesheet's script with wmic or msxsl",
        r"wmic(\.exe)?['\s].*[-/]format:\s*'?(https?:|\\\\|\S+\.xsl|\S+[\\/])|\bmsxsl(\.exe)?['\s]+\S+\s+\S+"),
    row(Kind::IndirectExecution, "runs a command through another system program",
        r"forfiles(\.exe)?['\s].*/c\s|pcalua(\.exe)?['\s].*-a\s|\bftp(\.exe)?['\s]+.*-s:|scriptrunner(\.exe)?['\s].*-appvscript|conhost(\.exe)?['\s]+(--headless\s+)?'?(cmd|powershell|mshta|rundll32|[a-z]:\\users)|\bbash(\.exe)?['\s]+-c\s+'?.*\.exe|\bwsl(\.exe)?['\s].*(-e|--exec|-u root)\s|stordiag(\.exe)?['\s]*$|waitfor(\.exe)?['\s].*&&.*powershell|runscripthelper(\.exe)?['\s]+surfacecheck|explorer(\.exe)?['\s]+/root,'?[a-z]:.*\.exe|\bworkfolders\.exe\s*$|openwith(\.exe)?['\s]+/c\s|ttdinject(\.exe)?['\s]+.*/launch|tttracer(\.exe)?['\s].*\.exe|sqlps(\.exe)?['\s]+.*-(c|enc)|atbroker(\.exe)?['\s]+/start|fsutil\s+behavior\s+set\s+symlinkevaluation"),
    row(Kind::ScriptProxy, "runs code through a signed script",
        r"pubprn(\.vbs)?['\s].*script:|syncappvpublishingserver(\.exe|\.vbs)?['\s].*(;|iex|downloadstring|start-process)|cl_(invocation|mutexverifiers|loadassembly)(\.ps1)?|winrm(\.vbs)?['\s].*-format:(pretty|text).*|manage-bde(\.wsf)?['\s]|utilityfunctions\.ps1|regsnapin|pester(\.bat)?\s.*;"),
    row(Kind::ProxyExecution, "lets a system program run other code",
        r"verclsid(\.exe)?['\s].*/s\s.*/c\s|mavinject(32)?(\.exe)?['\s].*/injectrunning|msdt(\.exe)?['\s].*(it_browseforfile|/af\s|pcwdiagnostic.*\$\()|ms-msdt:|infdefaultinstall(\.exe)?['\s]|xwizard(\.exe)?['\s]+runwizard|rasautou(\.exe)?['\s].*-d\s.*-p\s|register-cimprovider(\.exe)?['\s].*-path|diskshadow(\.exe)?['\s].*[-/]s\s|wuauclt(\.exe)?['\s].*/runhandlercomserver|wuauclt(\.exe)?['\s].*/updatedeploymentprovider|dllhost(\.exe)?['\s]+/processid:.*\\temp\\|gpscript(\.exe)?['\s]+/(logon|startup)|electron.*--gpu-launcher|teams(\.exe)?['\s].*--(processstart|gpu-launcher)|update(\.exe)?['\s]+--processstart\s.*(cmd|powershell|rundll32)|dotnet(\.exe)?['\s].*\\temp\\\S+\.dll|wab(mig)?(\.exe)?['\s]+.*\\temp\\|eudcedit|winword(\.exe)?['\s].*/l\s+\S+\.(dll|wll)|mmc(\.exe)?['\s].*\\(temp|users)\\.*\.msc|setupcl|bginfo(\.exe)?['\s].*/nolicprompt|devtoolslauncher(\.exe)?['\s]+launchfordeploy"),
    // Credentials.
    row(Kind::CredentialDumpCommand, "extracts credentials from memory",
        r"comsvcs(\.dll)?[ ,#']+.*(minidump|#?\+?24)|procdump\S*\s.*lsass|sekurlsa|lsadump::|invoke-mimikatz|privilege::debug|token::elevate|createdump\S*\s.*(lsass|-u\s)|out-minidump|get-process\s+lsass.*(dump|minidump)|nanodump|rdrleakdiag(\.exe)?['\s].*/memdmp|sqldumper(\.exe)?['\s]+[0-9]+\s+0\s+0x01100|dumpert|pypykatz|lsassy|\bgsecdump|pwdump|fgdump|lazagne|procdump\S*\s+.*-ma\s+[0-9]+|avdump(\.exe)?['\s].*--pid|minidumpwritedump|tttracer(\.exe)?['\s].*-dumpfull.*-attach|adplus(\.exe)?['\s].*-crash.*lsass|dump64(\.exe)?['\s]|xordump|\bwce(\.exe)?\s+-[wslo]"),
    row(Kind::HiveSaved, "copies the registry hives that hold password hashes",
        r"reg(\.exe)?['\s]+(save|export)\s+['\\]*hk(lm|ey_local_machine)\\(sam|security|system)\b|(copy|esentutl|xcopy|robocopy|move|copy-item|\bcp\b).*\\config\\(sam|security|system)\b|harddiskvolumeshadowcopy\d+.*\\(sam|security)\b|lsadump::(sam|secrets|cache)|invoke-powerdump|get-passhashes|secretsdump|\.save\('?hklm\\sam"),
    row(Kind::LsaSecretsRead, "reads the secrets of the local security authority",
        r"\\policy\\secrets|lsadump::secrets|psexec\S*\s.*-s.*reg.*hklm\\security|invoke-lsasecrets|get-lsasecret|lsa_?secrets|dpapi::|sharpdpapi|masterkey.*(rpc|/in:)"),
    row(Kind::DirectoryDatabaseCopied, "copies the directory database",
        r"ntdsutil(\.exe)?.*(ifm|ac\s+i\s+ntds|activate instance ntds|create full|snapshot)|(copy|esentutl|xcopy|robocopy|move|copy-item|invoke-ninjacopy).*ntds\.dit|harddiskvolumeshadowcopy\d+.*ntds|vssadmin(\.exe)?['\s]+create\s+shadow|wmic(\.exe)?['\s].*shadowcopy\s+call\s+create|win32_shadowcopy.*create|diskshadow.*(add volume|create)|dsdbutil|mklink\s+/[dj]\s.*harddiskvolumeshadowcopy"),
    row(Kind::VaultListed, "lists stored credentials",
        r"vaultcmd(\.exe)?['\s]+/list|cmdkey(\.exe)?['\s]+/(l|list)\b|rundll32(\.exe)?['\s].*keymgr(\.dll)?['\s]*,\s*krshowkeymgr|vault::(list|cred)|passwordvault.*retrieveall|get-storedcredential|security\s+(dump-keychain|find-(generic|internet)-password)"),
    row(Kind::BrowserStoreRead, "reads the passwords a browser keeps",
        r"(copy|type|cat|cp|esentutl|xcopy|copy-item|get-content|tar|zip|sqlite3)\b.*(\\login data|/login data|logins\.json|key[34]\.db|cookies\.sqlite|\\local state)|webbrowserpassview|chromepass|sharpchrom|sharpweb|invoke-(browserdata|chromedump)|get-chrome(dump|creds)|mimikittenz|browserpasswords|firefox_decrypt"),
    row(Kind::CredentialFilesSearched, "searches files for credentials",
        r"findstr(\.exe)?['\s].*(passw|pwd|cred|secret|cpassword|vnc)|(select-string|sls)\s.*(passw|pwd|cred|secret)|(grep|egrep|rg|ag)\s[^|]*-[a-z]*[ri][a-z]*\s[^|]*(passw|secret|api_?key|aws_access|private key)|(dir|where|get-childitem|gci|ls)(\.exe)?['\s].*\*(pass|cred|vnc|unattend|\.kdbx|\.ppk|web\.config)|(type|cat|get-content|more)\s.*(unattend\.xml|sysprep\.(xml|inf)|\.aws[\\/]credentials|web\.config|wp-config\.php|\.pgpass|\.netrc|\.git-credentials|consolehost_history|\.bash_history|accesstokens\.json|\.kube[\\/]config|\.docker[\\/]config)|reg(\.exe)?['\s]+query.*(/f\s+passw|winlogon|putty\\sessions|\\vnc|realvnc|tightvnc|defaultpassword|/v\s+password)|appcmd(\.exe)?['\s].*list\s.*/(text|config):?(\*|process)|snaffler|sessiongopher|get-(unattendedinstallfile|webconfig|applicationhost|sitelistpassword|registryautologon)"),
    row(Kind::PrivateKeyRead, "looks for private keys",
        r"(find|locate|dir|ls|cat|cp|scp|tar|get-childitem|gci|type|copy|where)(\.exe)?['\s].*(id_(rsa|dsa|ecdsa|ed25519)\b|\.pem\b|\.ppk\b|\.pfx\b|\.p12\b|/\.ssh/)|crypto::(certificates|capi|cng|keys)|certutil(\.exe)?['\s].*-exportpfx|export-pfxcertificate"),
    row(Kind::GroupPolicyPassword, "searches group policy for passwords",
        r"findstr(\.exe)?['\s].*cpassword|get-gpppassword|sysvol.*(groups|services|scheduledtasks|datasources|printers|drives)\.xml|gpp-decrypt"),
    row(Kind::LocalPasswordRead, "reads managed local passwords",
        r"ms-mcs-admpwd|mslaps-|get-laps(adpassword|password)|get-admpwdpassword|lapstoolkit|find-lapsdelegatedgroups"),
    row(Kind::KerberosToolCommand, "attacks Kerberos",
        r"\brubeus|kerberoast|asreproast|asktgt|asktgs|s4u\b.*(/impersonateuser|/ticket)|kerberos::(ptt|golden|list|tgt|ptc)|invoke-kerberoast|getuserspns|getnpusers|kerbrute|setspn(\.exe)?['\s].*-q\s+\*/\*|setspn(\.exe)?['\s]+-t\s.*-q|add-type\s+-assemblyname\s+system\.identitymodel.*kerberosrequestorsecuritytoken|kerberosrequestorsecuritytoken|ticketer\.py|/ptt\b|mimikatz.*ptt|dcshadow|misc::skeleton"),
    row(Kind::CertificateRequest, "abuses certificate services",
        r"\bcertify(\.exe)?\s+(find|request|cas)|certipy\b|certutil(\.exe)?['\s].*-(template|tcainfo|dstemplate|adtemplate)\b|certreq(\.exe)?['\s].*(-submit|-new).*(san|attrib)|certreq(\.exe)?['\s].*-post.*https?:|pkinit|forgecert|passthecert|whisker"),
    row(Kind::ShadowFileRead, "reads the file of password hashes",
        r"\b(cat|cp|less|more|head|tail|vi|vim|nano|grep|awk|dd|scp|tar|base64|xxd|strings)\b\s[^|;]*/etc/(shadow|gshadow|security/passwd|master\.passwd)\b|\bunshadow\b|\bjohn\s+\S+|hashcat\b"),
    row(Kind::PasswordFilterWritten, "installs something that captures passwords",
        r"\\control\\lsa.*notification packages|memssp|mimilib|\bskeleton\b.*key|pam_unix\.so.*(cp|mv)|networkprovider.*providerpath|\\control\\networkprovider\\order"),
    row(Kind::Keylogging, "captures keystrokes",
        r"get-keystrokes|getasynckeystate|setwindowshookex|keylog|logkeys\b|xinput\s+test|capturekeys|keyscan_start"),
    row(Kind::ForcedAuthentication, "makes a host authenticate elsewhere",
        r"petitpotam|printerbug|spoolsample|dementor\.py|dfscoerce|shadowcoerce|coercer\b|efspotato|remotepotato|ms-?rprn|getspoolstatus"),
    row(Kind::NtlmRelayTool, "poisons names or relays logons",
        r"\binveigh|responder\.py|\bresponder\s+-i|ntlmrelayx|smbrelayx|mitm6|krbrelay|\bettercap|bettercap|arpspoof"),
    row(Kind::PasswordGuessTool, "guesses passwords",
        r"\bhydra\s+-|\bmedusa\s+-|\bncrack\b|patator\b|crowbar\b|domainpasswordspray|invoke-(spray|passwordspray|bruteforce|smbautobrute|localpasswordspray)|kerbrute\s+(passwordspray|bruteuser|userenum)|net1?(\.exe)?['\s]+use\s.*(ipc\$|\\\\).*for\s+/[fl]|for\s+/[fl].*net1?(\.exe)?['\s]+use\s|john\s+--wordlist"),
    // Privileges.
    row(Kind::PipeImpersonation, "feeds a named pipe, as impersonation does",
        r"cmd(\.exe)?['\s]+/c\s+'?\s*echo\s+\S+\s*>\s*\\\\\.\\pipe\\|echo\s+\w+\s*>\s*\\\\\.\\pipe\\|rundll32(\.exe)?\s+\S+,a\s+/p:|createnamedpipe.*impersonatenamedpipeclient|impersonatenamedpipeclient"),
    row(Kind::PrivilegeTool, "runs a privilege escalation tool",
        r"juicypotato|rottenpotato|sweetpotato|printspoofer|godpotato|roguepotato|badpotato|hotpotato|lonelypotato|invoke-(tokenmanipulation|privesc|allchecks|bypassuac|eventvwrbypass|printnightmare|nightmare|psuacme)|get-system\b|\bgetsystem\b|incognito|enable-duplicatetoken|uacme|akagi(32|64)|sharpup|tokenvator|nsudo|advancedrun(\.exe)?['\s].*/runas|psexec\S*\s.*\s-[a-z]*s[a-z]*\s+-?.*(cmd|powershell)|sudo\s+-u#-1|pwnkit|pkexec\s+.*(gconv|exploit)"),
    row(Kind::UacBypassProcess, "goes around the elevation prompt",
        r"ms-settings\\shell\\open\\command|mscfile\\shell\\open\\command|exefile\\shell\\(open|runas)\\command|\\environment['\s].*windir|folder\\shell\\open\\command|delegateexecute|app paths\\control\.exe|silentcleanup|wusa(\.exe)?['\s].*/extract:|cmlua(util)?\.dll|3e5fc7f9-9a51-4367-9063-a120244fbec7|compmgmtlauncher|pkgmgr(\.exe)?['\s].*/n:"),
    row(Kind::UacDisabled, "weakens the elevation prompt",
        r"policies\\system.*(enablelua|consentpromptbehavioradmin|localaccounttokenfilterpolicy|filteradministratortoken|promptonsecuredesktop)"),
    row(Kind::SudoersChanged, "changes who may become root",
        r"(>>?|tee\s(-a\s)?|vi[m]?\s|nano\s|sed\s+-i.*|echo\s.*>+)\s*/etc/sudoers|/etc/sudoers\.d/|visudo\b|nopasswd:\s*all|usermod\s.*-[a-z]*g[a-z]*\s+\S*(sudo|wheel|root|admin)|adduser\s+\S+\s+(sudo|wheel)|gpasswd\s+-a\s+\S+\s+(sudo|wheel|docker)"),
    row(Kind::SetuidSet, "sets or looks for the setuid bit",
        r"chmod\s+(-r\s+)?([0-7]?[4-7][0-7]{3}|[ugoa]*\+[rwx]*s)\b|find\s+/.*-perm\s+[-/+]?(u=s|g=s|[0-7]?[4-6]000)|setcap\s+cap_"),
    row(Kind::ExploitCommand, "runs a local exploit",
        r"\b(dirtycow|dirtypipe|dirty_sock|overlayfs|pwnkit|cve-20[0-9]{2}-[0-9]+|baron_?samedit|sudoedit\s+-s\s+.*\\\\)|/exploit(\.py|\.sh|\.c|\s)|gcc\s.*(exploit|dirty|cve)|invoke-nightmare|ms1[0-9]-0[0-9]{2}|zerologon|nopac|sam-?the-?admin|eternalblue"),
    // Moving.
    row(Kind::RemoteServiceCommand, "controls services or runs programs on another host",
        r"\bsc(\.exe)?['\s]+\\\\\S+\s+(create|start|config|stop|qc|sdset)|psexec(64)?(\.exe)?['\s].*\\\\\S+|\\\\[a-z0-9.\-]+\s+-(u|accepteula|s|d|c|h)\b.*(cmd|powershell|\.exe)|paexec(\.exe)?['\s]+\\\\|\bremcom(\.exe)?['\s]+\\\\|\bwinexe\s|psexec\.py|smbexec|csexec|invoke-psexec|reg(\.exe)?['\s]+(add|query)\s+'?\\\\\S+\\hk"),
    row(Kind::RemoteWmiCommand, "runs a command on another host through WMI",
        r"wmic(\.exe)?['\s].*/node:\s*'?\S+.*(process|call|create|service|product)|invoke-wmimethod\s.*-computer|invoke-cimmethod\s.*-computer|(win32_process|wmiclass).*(\\\\\S+\\root|-computername)|wmiexec|invoke-wmicommand|gwmi\s.*-computername|get-wmiobject\s.*-computername|\[wmiclass\]'?\\\\"),
    row(Kind::RemoteShellCommand, "opens a remote shell",
        r"\bwinrs(\.exe)?['\s].*[-/]r(emote)?:|invoke-command\s.*-computername|enter-pssession|new-pssession|\bicm\s+-cn|evil-winrm|winrm(\.cmd|\.vbs)?['\s]+(invoke|i)\s.*-r(emote)?:|enable-psremoting|winrm(\.cmd)?['\s]+(quickconfig|qc|set)\b|gettypefromprogid\(.*,|gettypefromclsid\(.*,|mmc20\.application|shellwindows|shellbrowserwindow|excel\.application.*(ddeinitiate|registerxll)"),
    row(Kind::RemoteTaskCommand, "schedules a task on another host",
        r"schtasks(\.exe)?['\s].*/s\s+'?\S+.*/(create|run|tn)|schtasks(\.exe)?['\s].*/(create|run|change)\s.*/s\s+|\bat(\.exe)?['\s]+\\\\\S+|atexec|new-scheduledtask.*-cimsession|register-scheduledtask.*-cimsession"),
    row(Kind::AdminShareUsed, "connects to an administrative share",
        r"net1?(\.exe)?['\s]+use\s.*\\\\\S+\\(admin|ipc|[a-z])\$|new-psdrive\s.*\\\\\S+\\(admin|[a-z])\$|smbclient\s.*(admin|ipc|[a-z])\$|new-smbmapping\s.*\$"),
    row(Kind::ImpacketOutput, "writes its output where remote execution tools fetch it",
        r"\\\\(127\.0\.0\.1|localhost)\\(admin|c)\$\\(__\d|temp\\|windows\\temp|__output)|1>\s*\\\\127\.0\.0\.1\\|2>&1.*\\\\127\.0\.0\.1\\admin\$|%comspec%\s+/q\s+/c\s+echo.*\^?>\s*\\\\|cmd(\.exe)?\s+/q\s+/c\s.*1>\s*\\\\|\\__output\b|execute\.bat.*%comspec%"),
    row(Kind::ToolCopiedOverShare, "copies a file to another host",
        r"(copy|xcopy|robocopy|copy-item|move|cp)(\.exe)?['\s].*\s'?\\\\[a-z0-9.\-]+\\([a-z]|admin)\$|\bscp\s[^|]*\S+\s+\S+@\S+:|pscp(\.exe)?['\s]|\brsync\s.*\S+@\S+:"),
    row(Kind::PassTheTicket, "injects a ticket or hash into a session",
        r"kerberos::ptt|sekurlsa::pth|/ptt\b|rubeus\S*\s+(ptt|asktgt.*ptt|renew)|invoke-thehash|pth-(winexe|smbclient|wmic)|overpass|-hashes\s+[0-9a-f:]{32,}"),
    row(Kind::SessionHijack, "takes over a desktop session",
        r"\btscon(\.exe)?['\s]+.*[0-9]+.*/dest:|tscon(\.exe)?['\s]+[0-9]+|mstsc(\.exe)?['\s].*/shadow:|terminal services.*shadow['\s].*[124]"),
    row(Kind::RemoteDesktopEnabled, "switches remote desktop on",
        r"fdenytsconnections['\s].*(0x0|/d\s+'?0|-value\s+0|\b0\b)|set-itemproperty.*terminal server.*fdenyts|rdtoggle|termservice.*(start|auto)|wmic.*rdtoggle.*setallowtsconnections|userauthentication['\s].*/d\s+'?0|\\rdp-tcp.*(portnumber|userauthentication)|group='?remote desktop'?.*(enable=yes|new enable)|termsrv\.dll|disablerestrictedadmin"),
    row(Kind::RemoteDesktopTunnel, "tunnels traffic through another connection",
        r"\b(plink|ssh|putty|klink)(\.exe)?['\s].*-[a-z]*[rl]\s*'?\S*\d+:\S+:\d+|\b(ngrok|chisel|frpc|iox|ligolo|revsocks|rpivot|regeorg|cloudflared|localtonet|bore|gost|stunnel|socat)(\.exe)?['\s].*(tcp|client|server|http|tunnel|-c\s|-l\s|listen|connect)|\bssh\s.*-d\s*\d{2,5}\b|dnscat|iodine\b|ptunnel|icmpsh|3proxy"),
    row(Kind::PortForward, "forwards a port",
        r"netsh(\.exe)?['\s]+.*portproxy\s+(add|set)|iptables\s.*(-j\s+dnat|redirect|masquerade)|portproxy\\v4tov4|net\.ipv4\.ip_forward\s*=\s*1|invoke-socksproxy"),
    row(Kind::RemoteAccessTool, "installs or runs remote access software",
        r"\b(anydesk|teamviewer|screenconnect|atera|splashtop|rustdesk|ammyy|netsupport|client32|dwagent|supremo|ultraviewer|aeroadmin|radmin|tightvnc|winvnc|tvnserver|meshagent|tacticalrmm|simplehelp|logmein|action1|zohoassist|connectwisecontrol)[a-z0-9_\-.]*(\.exe|\.msi)?['\s].*(install|silent|--start|set-password|-run|-service|/s\b|-quiet|/q)"),
    // Staying.
    row(Kind::ShareChanged, "shares a folder or changes who may use it",
        r"\bnet1?(\.exe)?['\s]+share\s+\S+(=|\s.*/(grant|delete))|new-smbshare\b|grant-smbshareaccess\b"),
    row(Kind::ServiceChanged, "creates a service or changes what it runs",
        r"\bsc(\.exe)?['\s]+(\\\\\S+\s+)?(create|config)\s.*binpath=|new-service\s.*-binarypathname|set-service\s.*-binarypath|services\\\S+.*/v\s+(imagepath|servicedll|failurecommand)|\bsc(\.exe)?['\s]+(failure|sdset)\s|instsrv(\.exe)?|srvany|nssm(\.exe)?['\s]+install|win32_service.*(create|change)"),
    row(Kind::JobCreatedByCommand, "creates a scheduled job",
        r"schtasks(\.exe)?['\s].*/create\b|register-scheduledtask|new-scheduledtask|\bat(\.exe)?['\s]+\d+:\d+|schtasks(\.exe)?['\s].*/change\s.*/tr|schedule\.service.*registertask"),
    row(Kind::AutostartWritten, "writes an autostart entry",
        r"(reg(\.exe)?['\s]+add|set-itemproperty|new-itemproperty|sp\s|reg(\.exe)?['\s]+import)\s.*\\currentversion\\(run|runonce|runservices|explorer\\(user )?shell folders|policies\\explorer\\run)|(copy|move|copy-item|>)\s.*\\start menu\\programs\\startup\\"),
    row(Kind::WmiSubscription, "creates a WMI subscription",
        r"__eventfilter|commandlineeventconsumer|activescripteventconsumer|__filtertoconsumerbinding|register-wmievent|mofcomp(\.exe)?['\s]+\S+|set-wmiinstance.*subscription"),
    row(Kind::AccessibilityHijack, "replaces an accessibility program",
        r"(copy|move|takeown|icacls|xcopy|ren|copy-item|reg(\.exe)?['\s]+add).*(sethc|utilman|osk|magnify|narrator|displayswitch|atbroker)\.exe"),
    row(Kind::DebuggerHijack, "registers a debugger for a program",
        r"image file execution options\\\S+.*(debugger|globalflag|verifierdlls)|silentprocessexit\\"),
    row(Kind::NetshHelper, "adds a network shell helper", r"netsh(\.exe)?['\s]+add\s+helper\s"),
    row(Kind::ShimInstalled, "installs an application shim", r"sdbinst(\.exe)?['\s].*\.sdb"),
    row(Kind::AccountPersistence, "creates an account or adds it to a group",
        r"net1?(\.exe)?['\s]+(user|localgroup|group)\s.*/add\b|new-localuser|add-localgroupmember|add-adgroupmember|new-aduser|\buseradd\s|\badduser\s+\S|usermod\s.*-[a-z]*g\s|dscl\s+\.\s+-create|net1?(\.exe)?['\s]+user\s.*/active:yes|\b(echo|printf)\b.*:0:0:.*>>\s*/etc/passwd|samba-tool\s+user\s+(add|create)"),
    row(Kind::PasswordReset, "sets an account's password",
        r"net1?(\.exe)?['\s]+user\s+\S+\s+[^/\s]\S*\s*(/domain)?\s*$|set-(ad|local)(account|user)\s*password|set-adaccountpassword|\bpasswd\s+[a-z]\S*|chpasswd\b"),
    row(Kind::CronWritten, "changes what cron runs",
        r"\bcrontab\s+(-[a-z]*\s+\S+\s+)?(-\s*$|-e\b|-r\b|[a-z/.])|\|\s*crontab\b|>+\s*/etc/cron|(tee|cp|mv|install|vi|nano)\s.*/etc/cron|/var/spool/cron|systemd-run\s.*--on-calendar"),
    row(Kind::SystemdUnitWritten, "writes or enables a system service",
        r"(>+|tee\s|cp\s.*|mv\s.*|vi\s|nano\s)\s*(/etc|/usr/lib|/lib|~/\.config)/systemd/\S+\.(service|timer)|systemctl\s+(enable|link)\s|update-rc\.d\s|chkconfig\s+\S+\s+on|>+\s*/etc/(rc\.local|init\.d/)"),
    row(Kind::SshKeyAdded, "adds a key that opens a shell",
        r"(>+|tee\s(-a\s)?|cp\s.*|mv\s.*|vi\s|nano\s)\s*\S*authorized_keys|ssh-copy-id\s|ssh-rsa\s+aaaa.*authorized_keys|administrators_authorized_keys"),
    row(Kind::ShellProfileWritten, "writes a shell's start file",
        r"(>+|tee\s(-a\s)?|sed\s+-i.*)\s*\S*(\.bashrc|\.bash_profile|\.profile|\.zshrc|/etc/profile(\.d/\S+)?|/etc/bash\.bashrc|\.bash_logout)\b|(>+|add-content|set-content|out-file)\s.*(\$profile|profile\.ps1)"),
    row(Kind::PreloadSet, "sets a library to be loaded into every program",
        r"ld_preload=|/etc/ld\.so\.preload|ld_library_path=\S*(/tmp|/dev/shm)|dyld_insert_libraries"),
    row(Kind::KernelModule, "loads a kernel module", r"\b(insmod|modprobe|kextload)\s+\S+|/etc/modules-load\.d/"),
    row(Kind::WebshellWritten, "writes a script into a web server's folder",
        r"(>+|copy\s.*|move\s.*|set-content\s.*|out-file\s.*|tee\s|wget\s.*-o\s*|curl\s.*-o\s*)\s*'?\S*(\\inetpub\\wwwroot|/var/www/|\\htdocs\\|/usr/share/nginx|\\owa\\auth|\\aspnet_client)\S*\.(aspx?|ashx|asmx|php\d?|jspx?|cfm)"),
    row(Kind::MailboxTransport, "installs a server component",
        r"install-transportagent|enable-transportagent|appcmd(\.exe)?['\s].*install\s+module|gacutil(\.exe)?['\s].*/i\s|new-webmanagedmodule|new-webglobalmodule|sp_addextendedproc|xp_cmdshell|sp_configure.*(xp_cmdshell|ole automation|clr enabled)"),
    // Hiding.
    row(Kind::LogCleared, "clears logs",
        r"wevtutil(\.exe)?['\s]+(cl|clear-log)\s|clear-eventlog|remove-eventlog|limit-eventlog|\brm\s[^|;]*/var/log/|truncate\s.*/var/log/|(cat\s+/dev/null|echo\s*('')?|:)\s*>+\s*/var/log/|shred\s.*/var/log|journalctl\s.*--vacuum|eventlog.*cleareventlog|fsutil(\.exe)?['\s]+usn\s+deletejournal|nteventlogfile.*cleareventlog"),
    row(Kind::HistoryCleared, "clears the history of commands",
        r"history\s+-c|\bunset\s+histfile|histsize=0|histfile=/dev/null|set\s+\+o\s+history|rm\s.*\.(bash|zsh|sh)_history|(>|ln\s+-sf\s+/dev/null)\s*\S*\.(bash|zsh)_history|clear-history|remove-item.*(consolehost_history|historysavepath)|del\s.*consolehost_history|historysavestyle\s+savenothing"),
    row(Kind::ProtectionTampered, "weakens protection",
        r"(set|add)-mppreference.*(-disable|-exclusion|-(low|moderate|high|severe|unknown)threat|-mapsreporting|-submitsamples|-(puaprotection|enablecontrolledfolderaccess|enablenetworkprotection)\s+'?(disable|0|\$false|auditmode))|\b(sc|net)1?(\.exe)?['\s]+(stop|delete|config|pause)\s+['\s]*(windefend|sense|sysmon|sysmon64|wscsvc|mssecflt|wdnissvc|wuauserv|mpssvc|carbonblack|csfalcon|cbdefense|sophos|mcafee|symantec|msmpsvc|auditd|securityhealthservice)|(stop|remove|set)-service\s.*(windefend|sense|sysmon|wscsvc|mpssvc)|setenforce\s+0|selinux=disabled|systemctl\s+(stop|disable|mask)\s+(--now\s+)?(auditd|rsyslog|falcon|syslog|apparmor|firewalld|ufw|osquery|wazuh|ossec|clamav|mdatp|sysmon)|service\s+(auditd|rsyslog|iptables|apparmor|falcon-sensor|clamav)\s+stop|fltmc(\.exe)?['\s]+unload|sysmon(64)?(\.exe)?['\s]+[-/]u\b|mpcmdrun(\.exe)?['\s].*-removedefinitions|disableantispyware|disablerealtimemonitoring|disableioavprotection|disablebehaviormonitoring|windows defender\\(features|real-time protection|exclusions|spynet)|tamperprotection|uninstall-windowsfeature.*defender|disable-windowsoptionalfeature.*defender|dism(\.exe)?['\s].*(disable-feature|/remove).*defender|taskkill(\.exe)?['\s].*(msmpeng|sysmon|mssense|csfalcon|cb\.exe|savservice|avp\.exe|ekrn|xagt)|(pkill|kill(all)?)\s.*(auditd|rsyslog|falcon|clamd|wazuh)|wmic(\.exe)?['\s].*product.*(antivirus|eset|sophos|mcafee|kaspersky|symantec).*uninstall|bcdedit(\.exe)?['\s].*(testsigning\s+on|nointegritychecks|disable_integrity)|safedllsearchmode|vulnerabledriverblocklist"),
    row(Kind::FirewallTampered, "opens the firewall",
        r"netsh(\.exe)?['\s].*(allprofiles|currentprofile|publicprofile|domainprofile|privateprofile|opmode)\s+(state\s+off|mode=disable|disable)|netsh(\.exe)?['\s]+firewall\s+(set\s+opmode\s+(mode=)?disable|add\s+(portopening|allowedprogram))|netsh(\.exe)?['\s]+advfirewall\s+firewall\s+(add\s+rule|set\s+rule).*(action=allow|enable=yes)|set-netfirewallprofile.*-enabled\s+'?(false|\$false)|new-netfirewallrule.*allow|disable-netfirewallrule|enablefirewall['\s].*(0x0|/d\s+'?0)|\biptables\s+(-f|--flush|-x|-p\s+input\s+accept)|ufw\s+(disable|reset)|nft\s+flush\s+ruleset|systemctl\s+(stop|disable)\s+(firewalld|ufw|iptables)"),
    row(Kind::AuditTampered, "weakens auditing",
        r"auditpol(\.exe)?['\s].*(/clear|/remove|/success:disable|/failure:disable|/restore)|auditctl\s+(-e\s*0|-d\b)|\b(sc|net)1?(\.exe)?['\s]+(stop|config|delete)\s+['\s]*eventlog|stop-service\s.*eventlog|minint\b|wevtutil(\.exe)?['\s]+(sl|set-log)\s|eventlog\\(security|system|application)['\s].*(maxsize|file|retention|/d)|invoke-phant0m|set-adminauditlogconfig|processcreationincludecmdline_enabled['\s].*/d\s+'?0|(lsa|scenoapplylegacyauditpolicy).*/d\s+'?0|/etc/audit/(audit\.rules|auditd\.conf)|set-logproperties|diagtrack.*disabled"),
    row(Kind::PlainTextCredentials, "makes the system keep passwords in plain text",
        r"uselogoncredential|wdigest.*(/d\s+'?1|-value\s+1)|lmcompatibilitylevel['\s].*/d\s+'?[012]\b|nolmhash.*/d\s+'?0|tokenleakdetectdelaysecs|disablerestrictedadmin['\s].*0|runasppl['\s].*(/d\s+'?0|-value\s+0)|reversible.*encrypt"),
    row(Kind::FileTimeChanged, "changes a file's times",
        r"\.(lastwritetime|creationtime|lastaccesstime)(utc)?\s*=|\btouch\s+.*-(t|d|r|acmr)\b|timestomp|setfiletime|nirsoft.*changetime|invoke-timestomp|set-macattribute"),
    row(Kind::FileHidden, "hides a file", r"attrib(\.exe)?['\s].*\+[rs]*h|\.attributes\s*=.*hidden|showsuperhidden['\s].*/d\s+'?0|\bmkdir\s.*/\.[a-z.]+\s*$|\bchflags\s+hidden"),
    row(Kind::AlternateStream, "keeps data in an alternate stream",
        r"(type|echo|copy|expand|extrac32|findstr|esentutl|makecab|print|regedit|certutil)\b.*(>|\s)\s*'?[a-z]:\\[^\s:]+\.[a-z0-9]{1,5}:[a-z0-9_.]+|(set|add|get)-content\s.*-stream\s|:zone\.identifier.*(remove|unblock|del)|unblock-file|streams(64)?(\.exe)?['\s].*-d|wscript(\.exe)?['\s].*\.\w+:\w+\.(vbs|js)"),
    row(Kind::PermissionsWeakened, "weakens permissions",
        r"icacls(\.exe)?['\s].*(/grant|/setowner|/remove:d)|cacls(\.exe)?['\s].*/[gpe]\s|takeown(\.exe)?['\s].*/f|\battrib(\.exe)?['\s]+-[rsh]|subinacl(\.exe)?['\s].*/(grant|setowner)|set-acl\s|\bchmod\s+(-r\s+)?(0?777|a\+rwx|\+x)\b|chattr\s+-[ia]|\bchown\s+root"),
    row(Kind::SecureDelete, "wipes files or free space",
        r"\bsdelete(64)?(\.exe)?['\s]|cipher(\.exe)?['\s].*/w:|\bshred\s+-|\bsrm\s|\bwipe\s+-|remove-item\s.*-recurse.*(-force)?.*\\(users|windows\\temp)|del(ete)?\s+/[fsq].*/[fsq].*\\(users|windows\\prefetch|.*\.evtx)|rm\s+-[rf]{2}\s+(/\S*|~)\S*$|del\s.*prefetch"),
    row(Kind::SelfDeletion, "deletes the program that ran it",
        r"(ping|timeout|choice|waitfor)(\.exe)?['\s].*(127\.0\.0\.1|localhost|/t|-n).*[&>]+.*\bdel(ete)?\b.*\.(exe|dll|bat|ps1|vbs)|\brm\s+(-f\s+)?(\$0|'\$0')"),
    row(Kind::HiddenUser, "hides an account", r"specialaccounts\\userlist|dontdisplaylastusername.*/d\s+'?1|net1?(\.exe)?['\s]+user\s+\S+\$\s.*/add|hide500users|ishidden\s+1"),
    row(Kind::SafeMode, "makes the host start without its protection", r"bcdedit(\.exe)?['\s].*safeboot|bootcfg(\.exe)?['\s].*safeboot|\\control\\safeboot\\(minimal|network)\\"),
    row(Kind::RootCertificate, "installs a root certificate", r"certutil(\.exe)?['\s].*-addstore\s.*root|import-certificate\s.*\\root|certmgr(\.exe)?['\s].*/add\s.*root|update-ca-(certificates|trust)|security\s+add-trusted-cert"),
    // Looking around.
    row(Kind::DirectoryReconTool, "collects the directory with a tool made for it",
        r"\bsharphound|bloodhound|\bpowerview|invoke-(userhunter|aclscanner|sharefinder|enumeratelocaladmin|mapdomaintrust|domainpasswordspray)|get-(netuser|netcomputer|netgroup|netdomain|netforest|netsession|netloggedon|netlocalgroup|domainuser|domaincomputer|domaingroup|domaintrust|domaincontroller|objectacl|domainobjectacl|netgpo|domaingpo|netfileserver|netou)\b|find-(localadminaccess|domainuserlocation|interestingdomainacl|domainshare|interestingfile)|adfind(\.exe)?['\s]|adrecon|pingcastle|ldapdomaindump|windapsearch|ldapsearch\s.*(objectclass|samaccount)|dsquery(\.exe)?['\s]+(\*|user|group|computer)|csvde(\.exe)?['\s].*-f|ldifde(\.exe)?['\s].*-f|\[adsisearcher\]|directoryservices\.directorysearcher|--collectionmethods?|net(\.exe)?\s+group\s+'?domain controllers"),
    row(Kind::NetworkScanTool, "scans the network",
        r"\b(nmap|masscan|zmap|rustscan|angry\s?ip|advanced_(ip|port)_scanner\S*|softperfect|netscan|nbtscan|unicornscan|arp-scan|hping3?|naabu|fping)(\.exe)?['\s]+\S|invoke-(portscan|arpscan|pingsweep)|test-netconnection\s.*-port|for\s+/l\s.*\bping\b|\bfor\s.*\bin\b.*\bdo\b.*\b(ping\s+-c|nc\s+-z)|1\.\.25[45].*(ping|test-connection|tcpclient)|\bnc\s+-[a-z]*z[a-z]*\s|\b(gobuster|dirb|dirbuster|feroxbuster|ffuf|wpscan|nikto|sqlmap|wfuzz)\s+\S|tcpclient.*(connect|beginconnect).*\b(port|1\.\.)"),
    row(Kind::NetworkSniffing, "captures traffic",
        r"\b(tcpdump|tshark|windump|dumpcap|rawcap|ngrep|dsniff|ettercap)(\.exe)?['\s]+-|pktmon(\.exe)?['\s]+start|netsh(\.exe)?['\s]+trace\s+start|new-neteventsession"),
    // Taking and breaking.
    row(Kind::ArchiveWithPassword, "packs files behind a password",
        r"\b(win)?rar(\.exe)?['\s]+a\s.*-(hp|p)\S+|\b7z[ar]?(\.exe)?['\s]+a\s.*-p\S+|\bzip\s+.*(-p\s*\S+|--password|-er?\s)|openssl\s+enc\s.*-(aes|k\s|pass)|gpg\s+(-c|--symmetric)\s|\btar\s.*\|\s*(openssl|gpg)|\bmakecab(\.exe)?['\s]"),
    row(Kind::ScreenCaptured, "captures the screen", r"copyfromscreen|get-screenshot|get-timedscreenshot|psr(\.exe)?['\s].*/start|\bscrot\b|import\s+-window\s+root|screencapture\s+-|xwd\s+-root|nircmd.*savescreenshot"),
    row(Kind::AudioCaptured, "records sound or pictures of the user", r"get-microphoneaudio|soundrecorder(\.exe)?['\s].*/file|\barecord\s|invoke-webcam|webcamavi|windowsaudiodevice-powershell-cmdlet|\bmcisendstring"),
    row(Kind::ClipboardRead, "reads the clipboard", r"get-clipboard|\[windows\.clipboard\]|clipboard\]::gettext|\bxclip\s.*-o\b|\bpbpaste\b|xsel\s.*-o"),
    row(Kind::MailCollected, "collects mail", r"new-mailboxexportrequest|search-mailbox|get-inboxrule|invoke-(globalmailsearch|selfsearch)|\.getdefaultfolder\(|outlook\.application.*(folders|getnamespace)|get-mailboxexport|(copy|xcopy|tar|zip|7z).*\.(pst|ost)\b"),
    row(Kind::CloudCopyTool, "copies files to storage on the internet", r"\brclone(\.exe)?['\s].*(copy|sync|move|config|--config|remote:|mega|pcloud)|megacmd|mega-(put|login)|megatools|\bfreefilesync|aws\s+s3\s+(cp|sync|mv)\s.*s3://|gsutil\s+(-m\s+)?(cp|rsync)\s.*gs://|azcopy(\.exe)?['\s]+(copy|cp|sync)|curl\s.*(api\.telegram|discord(app)?\.com/api|transfer\.sh|file\.io|gofile|pastebin|anonfiles|temp\.sh|webhook\.site)|dropbox_uploader|invoke-restmethod.*(dropbox|graph\.microsoft|googleapis|telegram|discord)"),
    row(Kind::UploadCommand, "sends a file out", r"\bcurl\s.*(-t\s|--upload-file|-f\s+\S*=?@|--data(-binary)?\s+'?@|-d\s+'?@)|wget\s.*--post-file|uploadfile\(|uploadstring\(|uploaddata\(|invoke-(restmethod|webrequest)\s.*-infile|invoke-(restmethod|webrequest)\s.*-method\s+'?(post|put).*(get-content|readallbytes)|\bftp(\.exe)?['\s]+-[a-z]*\s|\bftp\s.*\bput\b|winscp(\.exe|\.com)?['\s].*/(command|script)|certreq(\.exe)?['\s].*-post|send-mailmessage\s.*-attach|\bnc\s.*<\s*\S+|tftp\s.*(-p\b|put)|invoke-(exfil|dnsexfiltrator|egresscheck)|(dig|nslookup)\s.*\$\(|pscp\s"),
    row(Kind::RecoveryRemoved, "removes the means of recovery",
        r"vssadmin(\.exe)?['\s]+(delete|resize)\s+shadow|wmic(\.exe)?['\s].*shadowcopy.*delete|wbadmin(\.exe)?['\s]+(delete|disable)|bcdedit(\.exe)?['\s].*(recoveryenabled\s+'?no|ignoreallfailures)|win32_shadowcopy.*(delete|remove-wmi|remove-cim)|diskshadow.*delete\s+shadows|delete\s+shadows\s+(all|/all)|reagentc(\.exe)?['\s].*/disable|disablesr['\s].*/d\s+'?1|disable-computerrestore|schtasks.*systemrestore\\sr.*/disable|srtasks.*disable"),
    row(Kind::ServiceStopCommand, "stops a service or ends a program",
        r"\b(net1?|sc)(\.exe)?['\s]+stop\s+\S|stop-service\s|taskkill(\.exe)?['\s].*/im\s|set-service\s.*disabled|\bsc(\.exe)?['\s]+config\s.*start=\s*disabled|systemctl\s+(stop|disable|mask)\s|stop-process\s.*-name|killall\s|pkill\s"),
    row(Kind::DiskWiped, "overwrites a disk", r"\bdd\s+.*if=/dev/(zero|u?random).*of=/dev/(sd|hd|nvme|vd|mapper)|format(\.com|\.exe)?['\s]+[a-z]:.*/(y|q)|clear-disk\s|diskpart.*clean|mkfs(\.\w+)?\s+.*/dev/|wipefs\s+-a|rm\s+-rf\s+(--no-preserve-root\s+)?/(\s|\*|$)|\\\\\.\\physicaldrive\d.*(write|of=)"),
    row(Kind::ForcedShutdown, "shuts the host down", r"shutdown(\.exe)?['\s].*[-/][rsp]\b|(stop|restart)-computer\b|\b(poweroff|halt|reboot|init\s+[06])\b|wmic(\.exe)?['\s].*os\s.*(reboot|shutdown)"),
    row(Kind::AccountLocked, "disables, removes or locks out accounts", r"net1?(\.exe)?['\s]+user\s+\S+\s.*/(delete|active:no)|(disable|remove)-(localuser|aduser|adaccount)|\buserdel\s|passwd\s+-l\s|usermod\s+-l\s|logoff(\.exe)?['\s]+\d"),
    row(Kind::Mining, "mines coins", r"\bxmrig|stratum\+(tcp|ssl)|minerd\b|cpuminer|--donate-level|cryptonight|nicehash|\bxmr-stak|kdevtmpfsi|kinsing|monero(ocean)?\b|-o\s+pool\.|--coin[=\s]"),
];

/// What a command of this event establishes.
pub(super) fn find(view: View<'_>) -> Vec<(Kind, String)> {
    let Some(text) = Text::of(view) else { return Vec::new() };
    // A module that names its commands runs none of them.
    if text.lower.starts_with("set-alias ") {
        return Vec::new();
    }
    let host = view.host();
    let host = if host.is_empty() { String::new() } else { format!(" on {host}") };
    let own = ROWS.iter().filter(|row| row.matches(&text.lower)).map(|row| {
        let statement = format!("a command{host} {}: {}", row.says, quoted(text.shown));
        (row.kind, statement)
    });
    let values = registry::written_by(&text.lower).into_iter().map(|(kind, says)| {
        let statement =
            format!("a command{host} writes a registry value that {says}: {}", quoted(text.shown));
        (kind, statement)
    });
    own.chain(values).collect()
}

impl Row {
    /// Whether the text as a whole shows it, or one of its lines does, or what stands before a comment: what is
    /// written beside a command neither ends it nor excuses it.
    fn matches(&self, text: &str) -> bool {
        let shows = |part: &str| {
            self.pattern.is_in(part) && !self.unless.as_ref().is_some_and(|unless| unless.is_in(part))
        };
        shows(text)
            || (text.contains(['\n', '#']) && text.split('\n').flat_map(|line| line.split(" # ")).any(shows))
    }
}

/// A command as logged, and as it is searched.
pub(super) struct Text<'a> {
    pub(super) shown: &'a str,
    pub(super) lower: String,
}

impl<'a> Text<'a> {
    /// The command of an event, if it has one that ran or will run.
    pub(super) fn of(view: View<'a>) -> Option<Self> {
        let shown = command_of(view);
        if shown.is_empty() {
            return None;
        }
        let mut lower: String =
            shown.chars().take(MAX_CHARS).collect::<String>().to_lowercase().replace('"', "'");
        lower.retain(|c| !matches!(c, '^' | '`'));
        for layer in decode::layers(shown) {
            lower.push(' ');
            lower.push_str(&layer.to_lowercase().replace('"', "'"));
        }
        Some(Self { shown, lower })
    }
}

fn command_of(view: View<'_>) -> &str {
    let ended = view.activity().eq_ignore_ascii_case("terminate");
    let event = view.0;
    let command = match event.class {
        _ if ended => "",
        Class::ProcessActivity if view.is_launch() => {
            event.field(field::PROCESS_CMD_LINE).unwrap_or_default()
        }
        Class::ScriptActivity | Class::ScheduledJobActivity | Class::WindowsServiceActivity => view.command(),
        Class::ProcessActivity if event.field(field::EVENT_CODE) == Some("PROCTITLE") => view.command(),
        _ => "",
    };
    if !command.is_empty() {
        return command;
    }
    if view.is_job_change() {
        return view.job_command();
    }
    // A WMI consumer, and what was typed into a honeypot.
    let consumer = (view.is_sysmon() && view.code() == "20").then(|| view.native("Destination")).flatten();
    consumer.or_else(|| view.honeypot_input()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
