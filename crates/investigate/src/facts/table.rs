//! Every fact there is, and what it is worth.
//!
//! Weights are logits: added up with the alert's severity they give the probability of an attack through the
//! logistic function. They were set on general grounds, by how often ordinary administration does the same,
//! and deliberately not fitted to any sample: 2 or more where it hardly ever does, about 1 where it
//! sometimes does, below 0.6 where it often does. Lowering facts rest on what the site wrote or did before,
//! never on what an event says about itself. An approval (−3.2) outweighs a high severity and one or two
//! ordinary indicators and not a credential dump with its tool: those two together stay open.

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    EncodedCommand,
    DownloadCradle,
    ReverseShell,
    LsassRead,
    CredentialDumpCommand,
    DumpFileWritten,
    DirectoryReplication,
    ShellFromDocument,
    ShellFromServer,
    ShellFromRemoteManagement,
    ProxyExecution,
    UnusualPath,
    RemoteThread,
    ServiceRunsInterpreter,
    RemoteExecutionService,
    JobRunsInterpreter,
    AutostartWritten,
    AccountPersistence,
    AdminShareExecutable,
    RemoteLogonThenService,
    FailedLogons,
    FailedLogonsThenSuccess,
    PasswordSpray,
    DiscoveryBurst,
    LogCleared,
    RecoveryRemoved,
    ProtectionTampered,
    InterpreterConnected,
    WebAttack,
    CloudLoggingStopped,
    CloudCredentialCreated,
    CloudDenials,
    SeveralHosts,
    FirstSeen,
    InstructionText,
    OtherDetections,
    RecursRegularly,
    ApprovedTool,
    ExpectedAdministrator,
    KnownScanner,
    InstalledParent,
}

/// One row of the table.
pub(crate) struct Entry {
    /// Name in reports.
    pub(crate) name: &'static str,
    /// Signed weight in logits.
    pub(crate) weight: f64,
    /// ATT&CK technique it is a sign of.
    pub(crate) technique: Option<&'static str>,
}

const fn row(name: &'static str, weight: f64, technique: &'static str) -> Entry {
    Entry { name, weight, technique: Some(technique) }
}

const fn bare(name: &'static str, weight: f64) -> Entry {
    Entry { name, weight, technique: None }
}

impl Kind {
    /// Name, weight and technique.
    pub(crate) const fn entry(self) -> Entry {
        match self {
            // Management agents encode commands too, to get quotes through.
            Self::EncodedCommand => row("encoded_command", 1.0, "T1027.010"),
            Self::DownloadCradle => row("download_and_run", 1.5, "T1059.001"),
            Self::ReverseShell => row("reverse_shell", 2.5, "T1059.004"),
            // Endpoint protection reads LSASS as well: its folders are left out before this is raised.
            Self::LsassRead => row("lsass_memory_read", 1.8, "T1003.001"),
            Self::CredentialDumpCommand => row("credential_dump_command", 2.3, "T1003"),
            Self::DumpFileWritten => row("memory_dump_written", 1.2, "T1003.001"),
            Self::DirectoryReplication => row("directory_replication_by_user", 2.3, "T1003.006"),
            Self::ShellFromDocument => row("shell_from_document_or_browser", 1.8, "T1204.002"),
            Self::ShellFromServer => row("shell_from_server_process", 1.8, "T1505.003"),
            // WinRM and WMI are also how configuration management works.
            Self::ShellFromRemoteManagement => row("shell_from_remote_management", 0.8, "T1021.006"),
            Self::ProxyExecution => row("system_binary_proxy_execution", 1.5, "T1218"),
            // Per-user installers live there too.
            Self::UnusualPath => row("program_in_writable_folder", 0.7, "T1204.002"),
            Self::RemoteThread => row("remote_thread", 1.3, "T1055"),
            Self::ServiceRunsInterpreter => row("service_runs_interpreter", 2.0, "T1543.003"),
            Self::RemoteExecutionService => row("remote_execution_service", 0.8, "T1569.002"),
            Self::JobRunsInterpreter => row("scheduled_job_runs_interpreter", 0.8, "T1053.005"),
            Self::AutostartWritten => row("autostart_written", 0.8, "T1547.001"),
            Self::AccountPersistence => row("account_created_or_promoted", 0.6, "T1136"),
            Self::AdminShareExecutable => row("executable_on_admin_share", 1.0, "T1021.002"),
            Self::RemoteLogonThenService => row("remote_logon_then_service_or_job", 1.2, "T1021.002"),
            // A stale password in a script fails for ever and harmlessly.
            Self::FailedLogons => row("many_failed_logons", 0.7, "T1110"),
            Self::FailedLogonsThenSuccess => row("failed_logons_then_success", 1.6, "T1110"),
            Self::PasswordSpray => row("password_spray", 1.4, "T1110.003"),
            Self::DiscoveryBurst => row("discovery_burst", 1.2, "T1087"),
            Self::LogCleared => row("log_cleared", 1.8, "T1070.001"),
            Self::RecoveryRemoved => row("recovery_removed", 2.3, "T1490"),
            Self::ProtectionTampered => row("protection_tampered", 1.8, "T1562.001"),
            Self::InterpreterConnected => row("interpreter_connected_out", 0.9, "T1071"),
            // An attempt: the internet sends these all day.
            Self::WebAttack => row("web_attack_pattern", 0.8, "T1190"),
            Self::CloudLoggingStopped => row("cloud_logging_stopped", 2.0, "T1562.008"),
            Self::CloudCredentialCreated => row("cloud_credential_created", 0.6, "T1098.001"),
            Self::CloudDenials => row("cloud_denials", 0.8, "T1580"),
            Self::SeveralHosts => bare("several_hosts", 0.4),
            Self::FirstSeen => bare("first_seen_here", 0.4),
            // No log has a reason to talk to its reader.
            Self::InstructionText => bare("instruction_like_text", 1.5),
            // Per distinct rule, by severity; see `context::detections_fact`.
            Self::OtherDetections => bare("other_detections", 0.0),
            // An attacker's beacon recurs as well, so this alone never closes an alert of high severity.
            Self::RecursRegularly => bare("recurs_on_earlier_days", -1.2),
            Self::ApprovedTool => bare("approved_tool", -3.2),
            Self::ExpectedAdministrator => bare("expected_administrator", -0.8),
            Self::KnownScanner => bare("known_scanner", -2.2),
            Self::InstalledParent => bare("parent_in_protected_folder", -0.5),
        }
    }

    /// Whether it rests on the site's own word or past, so that it can explain an alert as benign.
    pub(crate) fn explains(self) -> bool {
        matches!(
            self,
            Self::RecursRegularly | Self::ApprovedTool | Self::ExpectedAdministrator | Self::KnownScanner
        )
    }
}
