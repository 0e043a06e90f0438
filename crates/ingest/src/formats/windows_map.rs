//! What do Windows events mean? A table: provider and event id to class, normalised fields and the parts of
//! a readable line.
//!
//! Sources: the Sysmon schema (`sysmon -s`), Microsoft's "Appendix L: Events to Monitor" and the manifests
//! of the providers. Events that are not listed keep their vendor fields and get a generic line.

use casemate_event::{Class, field as f};

/// Who writes an event, as far as the table tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Sysmon,
    Security,
    PowerShell,
    PowerShellClassic,
    System,
    TaskScheduler,
    WmiActivity,
    Defender,
    RemoteDesktop,
    Bits,
    Other,
}

impl Provider {
    /// Tells the provider from its name and channel.
    pub(crate) fn of(name: &str, channel: &str) -> Self {
        let either = |prefix: &str| starts_with(channel, prefix) || starts_with(name, prefix);
        if either("Microsoft-Windows-Sysmon") {
            Self::Sysmon
        } else if channel.eq_ignore_ascii_case("Security") || either("Microsoft-Windows-Security-Auditing") {
            Self::Security
        } else if either("Microsoft-Windows-PowerShell") || either("PowerShellCore") {
            Self::PowerShell
        } else if channel == "Windows PowerShell" || name == "PowerShell" {
            Self::PowerShellClassic
        } else if either("Microsoft-Windows-TaskScheduler") {
            Self::TaskScheduler
        } else if either("Microsoft-Windows-WMI-Activity") {
            Self::WmiActivity
        } else if either("Microsoft-Windows-Windows Defender") {
            Self::Defender
        } else if either("Microsoft-Windows-TerminalServices") {
            Self::RemoteDesktop
        } else if either("Microsoft-Windows-Bits-Client") {
            Self::Bits
        } else if channel.eq_ignore_ascii_case("System") || name == "Service Control Manager" {
            Self::System
        } else {
            Self::Other
        }
    }

    /// Name in messages.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Sysmon => "Sysmon",
            Self::Security => "Security",
            Self::PowerShell | Self::PowerShellClassic => "PowerShell",
            Self::System => "System",
            Self::TaskScheduler => "TaskScheduler",
            Self::WmiActivity => "WMI-Activity",
            Self::Defender => "Defender",
            Self::RemoteDesktop => "RemoteDesktop",
            Self::Bits => "BITS",
            Self::Other => "",
        }
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Meaning of one kind of event.
pub(crate) struct Meaning {
    pub(crate) provider: Provider,
    pub(crate) id: u32,
    pub(crate) class: Class,
    /// Activity and status, as `Activity` or `Activity/Status`.
    pub(crate) activity: &'static str,
    /// What happened, in the message.
    pub(crate) label: &'static str,
    /// Normalised field and the vendor field it is taken from.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// Parts of the message after the label: text before, vendor field. Parts whose field is absent are left
    /// out. A field name that starts with `@` is shown as the base name of its path.
    pub(crate) line: &'static [(&'static str, &'static str)],
}

/// Meaning of an event, if it is known.
pub(crate) fn meaning(provider: Provider, id: u32) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|meaning| meaning.id == id && meaning.provider == provider)
}

type Pairs = &'static [(&'static str, &'static str)];

const fn m(
    provider: Provider,
    id: u32,
    class: Class,
    activity: &'static str,
    label: &'static str,
    fields: Pairs,
    line: Pairs,
) -> Meaning {
    Meaning { provider, id, class, activity, label, fields, line }
}

use Class::{
    AccountChange, Authentication, BaseEvent, DetectionFinding, DnsActivity, FileSystemActivity,
    ModuleActivity, NetworkActivity, ProcessActivity, RegistryKeyActivity, ScheduledJobActivity,
    ScriptActivity, WindowsServiceActivity,
};
use Provider as P;

const SUBJECT: Pairs = &[(f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid")];
const SUBJECT_PROCESS: Pairs = &[
    (f::ACTOR_USER, "SubjectUserName"),
    (f::ACTOR_USER_UID, "SubjectUserSid"),
    (f::ACTOR_PROCESS_PATH, "ProcessName"),
    (f::ACTOR_PROCESS_PID, "ProcessId"),
];
const ACCOUNT: Pairs = &[
    (f::ACTOR_USER, "SubjectUserName"),
    (f::ACTOR_USER_UID, "SubjectUserSid"),
    (f::USER, "TargetUserName"),
    (f::USER_DOMAIN, "TargetDomainName"),
];
const ACCOUNT_LINE: Pairs = &[("", "TargetUserName"), (" by ", "SubjectUserName")];
const MEMBER: Pairs = &[
    (f::ACTOR_USER, "SubjectUserName"),
    (f::ACTOR_USER_UID, "SubjectUserSid"),
    (f::USER, "MemberName"),
    (f::USER_DOMAIN, "TargetDomainName"),
];
const MEMBER_LINE: Pairs =
    &[("", "MemberName"), (" ", "MemberSid"), (" group ", "TargetUserName"), (" by ", "SubjectUserName")];
const LOGON: Pairs = &[
    (f::USER, "TargetUserName"),
    (f::USER_DOMAIN, "TargetDomainName"),
    (f::ACTOR_USER, "SubjectUserName"),
    (f::ACTOR_USER_UID, "SubjectUserSid"),
    (f::ACTOR_PROCESS_PATH, "ProcessName"),
    (f::SRC_IP, "IpAddress"),
    (f::SRC_PORT, "IpPort"),
    (f::SRC_HOSTNAME, "WorkstationName"),
    (f::LOGON_TYPE, "LogonType"),
    (f::PROTOCOL, "AuthenticationPackageName"),
];
const KERBEROS: Pairs = &[
    (f::USER, "TargetUserName"),
    (f::USER_DOMAIN, "TargetDomainName"),
    (f::SRC_IP, "IpAddress"),
    (f::SRC_PORT, "IpPort"),
    (f::STATUS_DETAIL, "Status"),
];
const KERBEROS_LINE: Pairs = &[
    ("", "TargetUserName"),
    (" service ", "ServiceName"),
    (" from ", "IpAddress"),
    (" encryption ", "TicketEncryptionType"),
    (" status ", "Status"),
];
const TASK: Pairs =
    &[(f::JOB_NAME, "TaskName"), (f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid")];
const TASK_LINE: Pairs = &[("", "TaskName"), (" by ", "SubjectUserName")];
const OBJECT_LINE: Pairs = &[
    ("", "ObjectType"),
    (" ", "ObjectName"),
    (" access ", "AccessMask"),
    (" by ", "@ProcessName"),
    (" user ", "SubjectUserName"),
];
const SHARE: Pairs = &[
    (f::ACTOR_USER, "SubjectUserName"),
    (f::ACTOR_USER_UID, "SubjectUserSid"),
    (f::SRC_IP, "IpAddress"),
    (f::SRC_PORT, "IpPort"),
];
const FLOW: Pairs = &[
    (f::ACTOR_PROCESS_PATH, "Application"),
    (f::ACTOR_PROCESS_PID, "ProcessID"),
    (f::SRC_IP, "SourceAddress"),
    (f::SRC_PORT, "SourcePort"),
    (f::DST_IP, "DestAddress"),
    (f::DST_PORT, "DestPort"),
];
const FLOW_LINE: Pairs = &[
    ("", "@Application"),
    (" ", "SourceAddress"),
    (":", "SourcePort"),
    (" to ", "DestAddress"),
    (":", "DestPort"),
];
const LAUNCH: Pairs = &[
    (f::PROCESS_PATH, "Image"),
    (f::PROCESS_CMD_LINE, "CommandLine"),
    (f::PROCESS_PID, "ProcessId"),
    (f::PROCESS_UID, "ProcessGuid"),
    (f::PARENT_PROCESS_PATH, "ParentImage"),
    (f::PARENT_PROCESS_CMD_LINE, "ParentCommandLine"),
    (f::PARENT_PROCESS_PID, "ParentProcessId"),
    (f::PARENT_PROCESS_UID, "ParentProcessGuid"),
    (f::ACTOR_USER, "User"),
];
const IMAGE: Pairs = &[
    (f::ACTOR_PROCESS_PATH, "Image"),
    (f::ACTOR_PROCESS_PID, "ProcessId"),
    (f::ACTOR_PROCESS_UID, "ProcessGuid"),
    (f::ACTOR_USER, "User"),
];
const IMAGE_FILE: Pairs = &[
    (f::ACTOR_PROCESS_PATH, "Image"),
    (f::ACTOR_PROCESS_PID, "ProcessId"),
    (f::ACTOR_PROCESS_UID, "ProcessGuid"),
    (f::ACTOR_USER, "User"),
    (f::FILE_PATH, "TargetFilename"),
];
const IMAGE_FILE_LINE: Pairs = &[("", "TargetFilename"), (" by ", "@Image")];
const IMAGE_KEY: Pairs = &[
    (f::ACTOR_PROCESS_PATH, "Image"),
    (f::ACTOR_PROCESS_PID, "ProcessId"),
    (f::ACTOR_PROCESS_UID, "ProcessGuid"),
    (f::ACTOR_USER, "User"),
    (f::REGISTRY_KEY, "TargetObject"),
    (f::REGISTRY_VALUE, "Details"),
];
const BETWEEN: Pairs = &[
    (f::ACTOR_PROCESS_PATH, "SourceImage"),
    (f::ACTOR_PROCESS_PID, "SourceProcessId"),
    // Sysmon 8 and 10 write it differently.
    (f::ACTOR_PROCESS_UID, "SourceProcessGuid"),
    (f::ACTOR_PROCESS_UID, "SourceProcessGUID"),
    (f::ACTOR_USER, "SourceUser"),
    (f::PROCESS_PATH, "TargetImage"),
    (f::PROCESS_PID, "TargetProcessId"),
    (f::PROCESS_UID, "TargetProcessGuid"),
    (f::PROCESS_UID, "TargetProcessGUID"),
    (f::USER, "TargetUser"),
];
const DEFENDER: Pairs = &[
    (f::FINDING_TITLE, "Threat Name"),
    (f::ACTOR_PROCESS_PATH, "Process Name"),
    (f::ACTOR_USER, "Detection User"),
    (f::FILE_PATH, "Path"),
];
const DEFENDER_LINE: Pairs = &[
    ("", "Threat Name"),
    (" in ", "Path"),
    (" process ", "@Process Name"),
    (" action ", "Action Name"),
    (" user ", "Detection User"),
];
const WMI: Pairs =
    &[(f::ACTOR_USER, "User"), (f::SRC_HOSTNAME, "ClientMachine"), (f::ACTOR_PROCESS_PID, "ClientProcessId")];
const REMOTE_SESSION: Pairs = &[(f::USER, "User"), (f::SRC_IP, "Address")];
const REMOTE_SESSION_LINE: Pairs = &[("", "User"), (" from ", "Address"), (" session ", "SessionID")];

#[rustfmt::skip]
const MEANINGS: &[Meaning] = &[
    // Sysmon.
    m(P::Sysmon, 1, ProcessActivity, "Launch", "process create:", LAUNCH, &[("", "CommandLine"), (" image ", "@Image"), (" parent ", "@ParentImage"), (" user ", "User")]),
    m(P::Sysmon, 2, FileSystemActivity, "Set Attributes", "file time changed:", IMAGE_FILE, IMAGE_FILE_LINE),
    m(P::Sysmon, 3, NetworkActivity, "Open", "network connection:",
        &[(f::ACTOR_PROCESS_PATH, "Image"), (f::ACTOR_PROCESS_PID, "ProcessId"), (f::ACTOR_PROCESS_UID, "ProcessGuid"), (f::ACTOR_USER, "User"),
          (f::SRC_IP, "SourceIp"), (f::SRC_PORT, "SourcePort"), (f::SRC_HOSTNAME, "SourceHostname"),
          (f::DST_IP, "DestinationIp"), (f::DST_PORT, "DestinationPort"), (f::DST_HOSTNAME, "DestinationHostname"), (f::PROTOCOL, "DestinationPortName")],
        &[("", "@Image"), (" ", "Protocol"), (" ", "SourceIp"), (":", "SourcePort"), (" to ", "DestinationIp"), (":", "DestinationPort"), (" ", "DestinationHostname"), (" user ", "User")]),
    m(P::Sysmon, 4, BaseEvent, "Service State", "service state:", &[], &[("", "State")]),
    m(P::Sysmon, 5, ProcessActivity, "Terminate", "process end:",
        &[(f::PROCESS_PATH, "Image"), (f::PROCESS_PID, "ProcessId"), (f::PROCESS_UID, "ProcessGuid"), (f::ACTOR_USER, "User")], &[("", "Image")]),
    m(P::Sysmon, 6, ModuleActivity, "Load", "driver load:", &[(f::MODULE_PATH, "ImageLoaded")], &[("", "ImageLoaded"), (" signature ", "Signature"), (" ", "SignatureStatus")]),
    m(P::Sysmon, 7, ModuleActivity, "Load", "module load:",
        &[(f::MODULE_PATH, "ImageLoaded"), (f::ACTOR_PROCESS_PATH, "Image"), (f::ACTOR_PROCESS_PID, "ProcessId"), (f::ACTOR_PROCESS_UID, "ProcessGuid"), (f::ACTOR_USER, "User")],
        &[("", "ImageLoaded"), (" by ", "@Image"), (" signature ", "SignatureStatus")]),
    m(P::Sysmon, 8, ProcessActivity, "Inject", "remote thread:", BETWEEN, &[("", "@SourceImage"), (" into ", "@TargetImage"), (" start ", "StartModule"), (" ", "StartFunction")]),
    m(P::Sysmon, 9, BaseEvent, "Read", "raw disk read:", IMAGE, &[("", "@Image"), (" of ", "Device")]),
    m(P::Sysmon, 10, ProcessActivity, "Open", "process access:", BETWEEN, &[("", "SourceImage"), (" opened ", "@TargetImage"), (" access ", "GrantedAccess")]),
    m(P::Sysmon, 11, FileSystemActivity, "Create", "file create:", IMAGE_FILE, IMAGE_FILE_LINE),
    m(P::Sysmon, 12, RegistryKeyActivity, "Create", "registry key:", IMAGE_KEY, &[("", "EventType"), (" ", "TargetObject"), (" by ", "@Image")]),
    m(P::Sysmon, 13, RegistryKeyActivity, "Modify", "registry value set:", IMAGE_KEY, &[("", "TargetObject"), (" = ", "Details"), (" by ", "@Image")]),
    m(P::Sysmon, 14, RegistryKeyActivity, "Rename", "registry rename:", IMAGE_KEY, &[("", "TargetObject"), (" to ", "NewName"), (" by ", "@Image")]),
    m(P::Sysmon, 15, FileSystemActivity, "Create", "file stream create:", IMAGE_FILE, IMAGE_FILE_LINE),
    m(P::Sysmon, 16, BaseEvent, "Configuration", "configuration changed:", &[], &[("", "Configuration")]),
    m(P::Sysmon, 17, FileSystemActivity, "Create", "pipe create:", IMAGE, &[("", "PipeName"), (" by ", "@Image")]),
    m(P::Sysmon, 18, FileSystemActivity, "Open", "pipe connect:", IMAGE, &[("", "PipeName"), (" by ", "@Image")]),
    m(P::Sysmon, 19, BaseEvent, "Create", "WMI filter:", &[(f::ACTOR_USER, "User")], &[("", "Operation"), (" ", "Name"), (" query ", "Query"), (" user ", "User")]),
    m(P::Sysmon, 20, BaseEvent, "Create", "WMI consumer:", &[(f::ACTOR_USER, "User")], &[("", "Operation"), (" ", "Name"), (" ", "Type"), (" ", "Destination"), (" user ", "User")]),
    m(P::Sysmon, 21, BaseEvent, "Create", "WMI binding:", &[(f::ACTOR_USER, "User")], &[("", "Operation"), (" ", "Consumer"), (" ", "Filter"), (" user ", "User")]),
    m(P::Sysmon, 22, DnsActivity, "Query", "DNS query:",
        &[(f::ACTOR_PROCESS_PATH, "Image"), (f::ACTOR_PROCESS_PID, "ProcessId"), (f::ACTOR_PROCESS_UID, "ProcessGuid"), (f::ACTOR_USER, "User"), (f::QUERY_HOSTNAME, "QueryName"), (f::STATUS_DETAIL, "QueryStatus")],
        &[("", "QueryName"), (" by ", "@Image"), (" results ", "QueryResults")]),
    m(P::Sysmon, 23, FileSystemActivity, "Delete", "file delete:", IMAGE_FILE, IMAGE_FILE_LINE),
    m(P::Sysmon, 24, BaseEvent, "Clipboard", "clipboard change:", IMAGE, &[("", "@Image"), (" ", "ClientInfo")]),
    m(P::Sysmon, 25, ProcessActivity, "Inject", "process tampering:", &[(f::PROCESS_PATH, "Image"), (f::PROCESS_PID, "ProcessId"), (f::PROCESS_UID, "ProcessGuid"), (f::ACTOR_USER, "User")], &[("", "Image"), (" ", "Type")]),
    m(P::Sysmon, 26, FileSystemActivity, "Delete", "file delete:", IMAGE_FILE, IMAGE_FILE_LINE),
    m(P::Sysmon, 29, FileSystemActivity, "Create", "executable file create:", IMAGE_FILE, IMAGE_FILE_LINE),
    // Security: logons.
    m(P::Security, 4624, Authentication, "Logon/Success", "logon:", LOGON,
        &[("", "TargetUserName"), (" type ", "LogonType"), (" from ", "IpAddress"), (" ", "WorkstationName"), (" package ", "AuthenticationPackageName"), (" process ", "@ProcessName")]),
    m(P::Security, 4625, Authentication, "Logon/Failure", "logon failed:",
        &[(f::USER, "TargetUserName"), (f::USER_DOMAIN, "TargetDomainName"), (f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid"), (f::ACTOR_PROCESS_PATH, "ProcessName"),
          (f::SRC_IP, "IpAddress"), (f::SRC_PORT, "IpPort"), (f::SRC_HOSTNAME, "WorkstationName"), (f::LOGON_TYPE, "LogonType"), (f::PROTOCOL, "AuthenticationPackageName"), (f::STATUS_DETAIL, "SubStatus")],
        &[("", "TargetUserName"), (" type ", "LogonType"), (" from ", "IpAddress"), (" ", "WorkstationName"), (" status ", "SubStatus")]),
    m(P::Security, 4627, Authentication, "Other", "group membership at logon:", &[(f::USER, "TargetUserName"), (f::USER_DOMAIN, "TargetDomainName"), (f::ACTOR_USER, "SubjectUserName"), (f::LOGON_TYPE, "LogonType")], &[("", "TargetUserName"), (" type ", "LogonType")]),
    m(P::Security, 4634, Authentication, "Logoff/Success", "logoff:", &[(f::USER, "TargetUserName"), (f::USER_DOMAIN, "TargetDomainName"), (f::LOGON_TYPE, "LogonType")], &[("", "TargetUserName"), (" type ", "LogonType")]),
    m(P::Security, 4647, Authentication, "Logoff/Success", "logoff by user:", &[(f::USER, "TargetUserName"), (f::USER_DOMAIN, "TargetDomainName")], &[("", "TargetUserName")]),
    m(P::Security, 4648, Authentication, "Logon", "logon with explicit credentials:",
        &[(f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid"), (f::USER, "TargetUserName"), (f::USER_DOMAIN, "TargetDomainName"), (f::DST_HOSTNAME, "TargetServerName"),
          (f::ACTOR_PROCESS_PATH, "ProcessName"), (f::ACTOR_PROCESS_PID, "ProcessId"), (f::SRC_IP, "IpAddress"), (f::SRC_PORT, "IpPort")],
        &[("", "SubjectUserName"), (" as ", "TargetUserName"), (" on ", "TargetServerName"), (" process ", "@ProcessName"), (" from ", "IpAddress")]),
    m(P::Security, 4672, Authentication, "Privileges", "special privileges assigned:", &[(f::USER, "SubjectUserName"), (f::USER_DOMAIN, "SubjectDomainName")], &[("", "SubjectUserName"), (" ", "PrivilegeList")]),
    m(P::Security, 4776, Authentication, "Logon", "NTLM credential validation:", &[(f::USER, "TargetUserName"), (f::SRC_HOSTNAME, "Workstation"), (f::STATUS_DETAIL, "Status")], &[("", "TargetUserName"), (" from ", "Workstation"), (" status ", "Status")]),
    m(P::Security, 4768, Authentication, "Authentication Ticket", "Kerberos TGT request:", KERBEROS, KERBEROS_LINE),
    m(P::Security, 4769, Authentication, "Service Ticket Request", "Kerberos service ticket:", KERBEROS, KERBEROS_LINE),
    m(P::Security, 4770, Authentication, "Service Ticket Renew", "Kerberos ticket renewed:", KERBEROS, KERBEROS_LINE),
    m(P::Security, 4771, Authentication, "Preauth/Failure", "Kerberos pre-authentication failed:", KERBEROS, KERBEROS_LINE),
    m(P::Security, 4778, Authentication, "Logon", "session reconnected:", &[(f::USER, "AccountName"), (f::SRC_HOSTNAME, "ClientName"), (f::SRC_IP, "ClientAddress")], &[("", "AccountName"), (" from ", "ClientName"), (" ", "ClientAddress")]),
    m(P::Security, 4779, Authentication, "Logoff", "session disconnected:", &[(f::USER, "AccountName"), (f::SRC_HOSTNAME, "ClientName"), (f::SRC_IP, "ClientAddress")], &[("", "AccountName"), (" from ", "ClientName"), (" ", "ClientAddress")]),
    // Security: processes, objects, privileges.
    m(P::Security, 4688, ProcessActivity, "Launch", "process create:",
        &[(f::PROCESS_PATH, "NewProcessName"), (f::PROCESS_CMD_LINE, "CommandLine"), (f::PROCESS_PID, "NewProcessId"), (f::PARENT_PROCESS_PATH, "ParentProcessName"), (f::PARENT_PROCESS_PID, "ProcessId"),
          (f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid"), (f::USER, "TargetUserName")],
        &[("", "CommandLine"), (" image ", "@NewProcessName"), (" parent ", "@ParentProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4689, ProcessActivity, "Terminate", "process end:", &[(f::PROCESS_PATH, "ProcessName"), (f::PROCESS_PID, "ProcessId"), (f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid")], &[("", "ProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4656, BaseEvent, "Open", "handle requested:", SUBJECT_PROCESS, OBJECT_LINE),
    m(P::Security, 4658, BaseEvent, "Close", "handle closed:", SUBJECT_PROCESS, &[("", "@ProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4657, RegistryKeyActivity, "Modify", "registry value changed:",
        &[(f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid"), (f::ACTOR_PROCESS_PATH, "ProcessName"), (f::ACTOR_PROCESS_PID, "ProcessId"), (f::REGISTRY_KEY, "ObjectName"), (f::REGISTRY_VALUE, "NewValue")],
        &[("", "ObjectName"), ("\\", "ObjectValueName"), (" = ", "NewValue"), (" by ", "@ProcessName")]),
    m(P::Security, 4660, BaseEvent, "Delete", "object deleted:", SUBJECT_PROCESS, OBJECT_LINE),
    m(P::Security, 4661, BaseEvent, "Open", "directory handle requested:", SUBJECT_PROCESS, OBJECT_LINE),
    m(P::Security, 4662, BaseEvent, "Access", "directory object accessed:", SUBJECT, &[("", "ObjectType"), (" ", "ObjectName"), (" properties ", "Properties"), (" user ", "SubjectUserName")]),
    m(P::Security, 4663, BaseEvent, "Access", "object accessed:", SUBJECT_PROCESS, OBJECT_LINE),
    m(P::Security, 4670, BaseEvent, "Set Security", "permissions changed:", SUBJECT_PROCESS, OBJECT_LINE),
    m(P::Security, 4673, BaseEvent, "Use Privilege", "privileged service called:", SUBJECT_PROCESS, &[("", "PrivilegeList"), (" service ", "Service"), (" by ", "@ProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4674, BaseEvent, "Use Privilege", "privileged object operation:", SUBJECT_PROCESS, &[("", "PrivilegeList"), (" ", "ObjectName"), (" by ", "@ProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4690, BaseEvent, "Duplicate", "handle duplicated", SUBJECT, &[(" user ", "SubjectUserName")]),
    m(P::Security, 4703, BaseEvent, "Adjust Privileges", "token right adjusted:", SUBJECT_PROCESS, &[("", "@ProcessName"), (" enabled ", "EnabledPrivilegeList"), (" user ", "SubjectUserName")]),
    m(P::Security, 4697, WindowsServiceActivity, "Create", "service installed:",
        &[(f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_USER_UID, "SubjectUserSid"), (f::SERVICE_NAME, "ServiceName"), (f::PROCESS_CMD_LINE, "ServiceFileName")],
        &[("", "ServiceName"), (" runs ", "ServiceFileName"), (" as ", "ServiceAccount"), (" by ", "SubjectUserName")]),
    m(P::Security, 4698, ScheduledJobActivity, "Create", "scheduled task created:", TASK, TASK_LINE),
    m(P::Security, 4699, ScheduledJobActivity, "Delete", "scheduled task deleted:", TASK, TASK_LINE),
    m(P::Security, 4700, ScheduledJobActivity, "Enable", "scheduled task enabled:", TASK, TASK_LINE),
    m(P::Security, 4701, ScheduledJobActivity, "Disable", "scheduled task disabled:", TASK, TASK_LINE),
    m(P::Security, 4702, ScheduledJobActivity, "Update", "scheduled task updated:", TASK, TASK_LINE),
    // Security: accounts and groups.
    m(P::Security, 4720, AccountChange, "Create", "account created:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4722, AccountChange, "Enable", "account enabled:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4723, AccountChange, "Password Change", "password change tried:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4724, AccountChange, "Password Reset", "password reset tried:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4725, AccountChange, "Disable", "account disabled:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4726, AccountChange, "Delete", "account deleted:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4738, AccountChange, "Update", "account changed:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4740, AccountChange, "Lock", "account locked out:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4741, AccountChange, "Create", "computer account created:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4742, AccountChange, "Update", "computer account changed:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4767, AccountChange, "Unlock", "account unlocked:", ACCOUNT, ACCOUNT_LINE),
    m(P::Security, 4781, AccountChange, "Rename", "account renamed:", &[(f::ACTOR_USER, "SubjectUserName"), (f::USER, "NewTargetUserName")], &[("", "OldTargetUserName"), (" to ", "NewTargetUserName"), (" by ", "SubjectUserName")]),
    m(P::Security, 4727, AccountChange, "Create", "global group created:", SUBJECT, ACCOUNT_LINE),
    m(P::Security, 4728, AccountChange, "Add to Group", "member added to global group:", MEMBER, MEMBER_LINE),
    m(P::Security, 4729, AccountChange, "Remove from Group", "member removed from global group:", MEMBER, MEMBER_LINE),
    m(P::Security, 4732, AccountChange, "Add to Group", "member added to local group:", MEMBER, MEMBER_LINE),
    m(P::Security, 4733, AccountChange, "Remove from Group", "member removed from local group:", MEMBER, MEMBER_LINE),
    m(P::Security, 4756, AccountChange, "Add to Group", "member added to universal group:", MEMBER, MEMBER_LINE),
    m(P::Security, 4757, AccountChange, "Remove from Group", "member removed from universal group:", MEMBER, MEMBER_LINE),
    m(P::Security, 4798, AccountChange, "Enumerate", "user's groups listed:", &[(f::ACTOR_USER, "SubjectUserName"), (f::USER, "TargetUserName"), (f::ACTOR_PROCESS_PATH, "CallerProcessName")], &[("", "TargetUserName"), (" by ", "@CallerProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4799, AccountChange, "Enumerate", "group members listed:", &[(f::ACTOR_USER, "SubjectUserName"), (f::ACTOR_PROCESS_PATH, "CallerProcessName")], &[("", "TargetUserName"), (" by ", "@CallerProcessName"), (" user ", "SubjectUserName")]),
    m(P::Security, 4719, BaseEvent, "Policy", "audit policy changed:", SUBJECT, &[("", "SubcategoryGuid"), (" ", "AuditPolicyChanges"), (" by ", "SubjectUserName")]),
    m(P::Security, 5136, BaseEvent, "Update", "directory object changed:", SUBJECT, &[("", "ObjectDN"), (" ", "AttributeLDAPDisplayName"), (" = ", "AttributeValue"), (" by ", "SubjectUserName")]),
    // Security: shares and network.
    m(P::Security, 5140, FileSystemActivity, "Open", "share accessed:", SHARE, &[("", "ShareName"), (" from ", "IpAddress"), (" user ", "SubjectUserName")]),
    m(P::Security, 5145, FileSystemActivity, "Open", "share file accessed:", SHARE, &[("", "ShareName"), ("\\", "RelativeTargetName"), (" access ", "AccessMask"), (" from ", "IpAddress"), (" user ", "SubjectUserName")]),
    m(P::Security, 5156, NetworkActivity, "Open/Success", "connection allowed:", FLOW, FLOW_LINE),
    m(P::Security, 5157, NetworkActivity, "Open/Failure", "connection blocked:", FLOW, FLOW_LINE),
    m(P::Security, 5158, NetworkActivity, "Bind", "port bound:", FLOW, &[("", "@Application"), (" port ", "SourcePort")]),
    m(P::Security, 1102, BaseEvent, "Clear", "audit log cleared", SUBJECT, &[(" by ", "SubjectUserName")]),
    // System.
    m(P::System, 7045, WindowsServiceActivity, "Create", "service installed:", &[(f::SERVICE_NAME, "ServiceName"), (f::PROCESS_CMD_LINE, "ImagePath")], &[("", "ServiceName"), (" runs ", "ImagePath"), (" as ", "AccountName"), (" start ", "StartType")]),
    m(P::System, 7036, WindowsServiceActivity, "State", "service state:", &[(f::SERVICE_NAME, "param1")], &[("", "param1"), (" ", "param2")]),
    m(P::System, 7040, WindowsServiceActivity, "Update", "service start type:", &[(f::SERVICE_NAME, "param1")], &[("", "param1"), (" from ", "param2"), (" to ", "param3")]),
    m(P::System, 7034, WindowsServiceActivity, "Stop", "service ended unexpectedly:", &[(f::SERVICE_NAME, "param1")], &[("", "param1")]),
    m(P::System, 104, BaseEvent, "Clear", "event log cleared:", &[(f::ACTOR_USER, "SubjectUserName")], &[("", "Channel"), (" by ", "SubjectUserName")]),
    // PowerShell.
    m(P::PowerShell, 4103, ScriptActivity, "Execute", "pipeline:", &[(f::SCRIPT, "Payload")], &[("", "Payload")]),
    m(P::PowerShell, 4104, ScriptActivity, "Execute", "script block:", &[(f::SCRIPT, "ScriptBlockText"), (f::FILE_PATH, "Path")], &[("", "ScriptBlockText"), (" path ", "Path")]),
    m(P::PowerShell, 4105, ScriptActivity, "Start", "script block started", &[], &[]),
    m(P::PowerShell, 4106, ScriptActivity, "Stop", "script block ended", &[], &[]),
    m(P::PowerShellClassic, 400, ScriptActivity, "Start", "engine started:", &[(f::ACTOR_PROCESS_CMD_LINE, "HostApplication")], &[("", "HostApplication"), (" version ", "EngineVersion")]),
    m(P::PowerShellClassic, 403, ScriptActivity, "Stop", "engine stopped:", &[(f::ACTOR_PROCESS_CMD_LINE, "HostApplication")], &[("", "HostApplication"), (" version ", "EngineVersion")]),
    m(P::PowerShellClassic, 600, ScriptActivity, "Start", "provider started:", &[(f::ACTOR_PROCESS_CMD_LINE, "HostApplication")], &[("", "ProviderName"), (" ", "HostApplication")]),
    m(P::PowerShellClassic, 800, ScriptActivity, "Execute", "pipeline:", &[(f::ACTOR_PROCESS_CMD_LINE, "HostApplication"), (f::SCRIPT, "CommandLine")], &[("", "CommandLine"), (" host ", "HostApplication")]),
    // Task Scheduler, WMI, Defender, Remote Desktop, BITS.
    m(P::TaskScheduler, 106, ScheduledJobActivity, "Create", "task registered:", &[(f::JOB_NAME, "TaskName"), (f::ACTOR_USER, "UserContext")], &[("", "TaskName"), (" by ", "UserContext")]),
    m(P::TaskScheduler, 129, ScheduledJobActivity, "Start", "task process created:", &[(f::JOB_NAME, "TaskName"), (f::PROCESS_PATH, "Path"), (f::PROCESS_PID, "ProcessID")], &[("", "TaskName"), (" runs ", "Path")]),
    m(P::TaskScheduler, 140, ScheduledJobActivity, "Update", "task updated:", &[(f::JOB_NAME, "TaskName"), (f::ACTOR_USER, "UserName")], &[("", "TaskName"), (" by ", "UserName")]),
    m(P::TaskScheduler, 141, ScheduledJobActivity, "Delete", "task deleted:", &[(f::JOB_NAME, "TaskName"), (f::ACTOR_USER, "UserName")], &[("", "TaskName"), (" by ", "UserName")]),
    m(P::TaskScheduler, 200, ScheduledJobActivity, "Start", "task action started:", &[(f::JOB_NAME, "TaskName"), (f::PROCESS_PATH, "ActionName")], &[("", "TaskName"), (" runs ", "ActionName")]),
    m(P::TaskScheduler, 201, ScheduledJobActivity, "Stop", "task action completed:", &[(f::JOB_NAME, "TaskName"), (f::PROCESS_PATH, "ActionName")], &[("", "TaskName"), (" ran ", "ActionName"), (" result ", "ResultCode")]),
    m(P::WmiActivity, 5857, BaseEvent, "Load", "WMI provider started:", &[(f::MODULE_PATH, "ProviderPath")], &[("", "ProviderName"), (" ", "ProviderPath"), (" in ", "HostProcess")]),
    m(P::WmiActivity, 5858, BaseEvent, "Query/Failure", "WMI operation failed:", WMI, &[("", "Operation"), (" by ", "User"), (" from ", "ClientMachine"), (" result ", "ResultCode")]),
    m(P::WmiActivity, 5859, BaseEvent, "Create", "WMI event filter:", WMI, &[("", "Query"), (" namespace ", "NamespaceName"), (" user ", "User")]),
    m(P::WmiActivity, 5860, BaseEvent, "Create", "WMI temporary subscription:", WMI, &[("", "Query"), (" namespace ", "NamespaceName"), (" user ", "User")]),
    m(P::WmiActivity, 5861, BaseEvent, "Create", "WMI permanent subscription:", WMI, &[("", "ESS"), (" consumer ", "CONSUMER"), (" ", "PossibleCause")]),
    m(P::Defender, 1116, DetectionFinding, "Create", "malware found:", DEFENDER, DEFENDER_LINE),
    m(P::Defender, 1117, DetectionFinding, "Update", "malware acted on:", DEFENDER, DEFENDER_LINE),
    m(P::Defender, 1118, DetectionFinding, "Update", "malware action failed:", DEFENDER, DEFENDER_LINE),
    m(P::Defender, 1121, DetectionFinding, "Create", "attack surface rule blocked:", &[(f::ACTOR_PROCESS_PATH, "Process Name"), (f::FILE_PATH, "Path"), (f::ACTOR_USER, "User"), (f::FINDING_TITLE, "ID")], &[("", "ID"), (" ", "Path"), (" process ", "@Process Name"), (" user ", "User")]),
    m(P::Defender, 5001, BaseEvent, "Disable", "real-time protection disabled", &[], &[]),
    m(P::Defender, 5007, BaseEvent, "Configuration", "configuration changed:", &[], &[("", "New Value"), (" was ", "Old Value")]),
    m(P::RemoteDesktop, 21, Authentication, "Logon/Success", "session logon:", REMOTE_SESSION, REMOTE_SESSION_LINE),
    m(P::RemoteDesktop, 24, Authentication, "Logoff", "session disconnected:", REMOTE_SESSION, REMOTE_SESSION_LINE),
    m(P::RemoteDesktop, 25, Authentication, "Logon/Success", "session reconnected:", REMOTE_SESSION, REMOTE_SESSION_LINE),
    m(P::RemoteDesktop, 1149, Authentication, "Logon/Success", "connection authenticated:", &[(f::USER, "Param1"), (f::USER_DOMAIN, "Param2"), (f::SRC_IP, "Param3")], &[("", "Param1"), (" domain ", "Param2"), (" from ", "Param3")]),
    m(P::Bits, 3, BaseEvent, "Create", "transfer job created:", &[(f::JOB_NAME, "jobTitle"), (f::ACTOR_USER, "jobOwner"), (f::ACTOR_PROCESS_PATH, "processPath")], &[("", "jobTitle"), (" by ", "@processPath"), (" user ", "jobOwner")]),
    m(P::Bits, 59, BaseEvent, "Start", "transfer started:", &[(f::JOB_NAME, "name"), (f::URL, "url")], &[("", "name"), (" ", "url")]),
];
