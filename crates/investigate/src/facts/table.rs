//! Every fact there is, what it is worth, and the technique it is a sign of: one row each.
//!
//! Weights are logits: added up with the alert's severity they give the probability of an attack through the
//! logistic function. They were set on general grounds, by how often ordinary administration does the same,
//! and deliberately not fitted to any sample: 2 or more where it hardly ever does, about 1 where it
//! sometimes does, below 0.6 where it often does. Lowering facts rest on what the site wrote or did before,
//! never on what an event says about itself. An approval (−3.2) outweighs a high severity and one or two
//! ordinary indicators and not a credential dump with its tool: those two together stay open.
//!
//! Names are kept once used: reports, playbooks and fitted heads refer to them.

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Name in reports and in a playbook's `predicate`.
    pub(crate) name: &'static str,
    /// Signed weight in logits; above zero it raises.
    pub(crate) weight: f64,
    /// ATT&CK technique it is a sign of.
    pub(crate) technique: Option<&'static str>,
}

const fn technique(given: &[&'static str]) -> Option<&'static str> {
    match given {
        [first, ..] => Some(*first),
        [] => None,
    }
}

macro_rules! facts {
    ($($kind:ident = $name:literal, $weight:expr $(, $technique:literal)?;)*) => {
        /// What a fact is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind { $($kind),* }

        impl Kind {
            /// Every kind, in the order of the table.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Name, weight and technique.
            pub(crate) const fn entry(self) -> Entry {
                match self {
                    $(Self::$kind => Entry {
                        name: $name, weight: $weight, technique: technique(&[$($technique)?]),
                    },)*
                }
            }
        }
    };
}

facts! {
    // Commands and scripts. Management agents encode commands too, to get quotes through.
    EncodedCommand = "encoded_command", 1.0, "T1027.010";
    DownloadCradle = "download_and_run", 1.5, "T1059.001";
    ReverseShell = "reverse_shell", 2.5, "T1059.004";
    HiddenPowerShell = "hidden_or_unrestricted_powershell", 0.4, "T1059.001";
    ObfuscatedScript = "obfuscated_script", 1.3, "T1027";
    ReflectiveLoad = "reflective_code_load", 1.8, "T1620";
    OffensiveToolkit = "offensive_toolkit_named", 2.2, "T1059.001";
    AmsiBypass = "script_scanning_bypassed", 2.3, "T1562.001";
    EtwTampered = "event_tracing_tampered", 2.0, "T1562.006";
    ScriptFromUserFolder = "script_host_runs_user_file", 0.8, "T1059.005";
    DecodedFile = "file_decoded_by_system_tool", 1.3, "T1140";
    ToolDownload = "system_tool_downloads", 1.4, "T1105";
    BitsTransfer = "bits_transfer_command", 1.2, "T1197";
    MshtaAbuse = "mshta_runs_script", 1.8, "T1218.005";
    Regsvr32Abuse = "regsvr32_runs_script", 1.9, "T1218.010";
    Rundll32Abuse = "rundll32_runs_unusual_export", 1.5, "T1218.011";
    InstallUtilAbuse = "installutil_runs_code", 1.6, "T1218.004";
    RegasmAbuse = "regasm_runs_code", 1.4, "T1218.009";
    MsbuildAbuse = "build_tool_runs_code", 1.4, "T1127.001";
    MsiexecAbuse = "msiexec_remote_package", 1.5, "T1218.007";
    CmstpAbuse = "cmstp_installs_profile", 1.6, "T1218.003";
    OdbcconfAbuse = "odbcconf_registers_library", 1.7, "T1218.008";
    HelpAbuse = "html_help_runs_code", 1.3, "T1218.001";
    ControlPanelAbuse = "control_panel_item_from_user_folder", 1.4, "T1218.002";
    ScriptletWmic = "wmic_stylesheet_script", 1.8, "T1220";
    IndirectExecution = "indirect_command_execution", 1.3, "T1202";
    ScriptProxy = "signed_script_runs_code", 1.5, "T1216";
    ProxyExecution = "system_binary_proxy_execution", 1.5, "T1218";
    ShellFromDocument = "shell_from_document_or_browser", 1.8, "T1204.002";
    ShellFromServer = "shell_from_server_process", 1.8, "T1505.003";
    ShellFromDatabase = "shell_from_database", 2.0, "T1505.001";
    // WinRM and WMI are also how configuration management works.
    ShellFromRemoteManagement = "shell_from_remote_management", 0.8, "T1021.006";
    ProcessFromWmi = "process_from_wmi", 0.7, "T1047";
    ProcessFromRemoteShell = "process_from_remote_shell", 0.8, "T1021.006";
    ShellFromComServer = "shell_from_com_server", 1.3, "T1021.003";
    // Per-user installers live there too.
    UnusualPath = "program_in_writable_folder", 0.7, "T1204.002";
    SystemNameElsewhere = "system_program_name_elsewhere", 1.8, "T1036.005";
    RenamedProgram = "renamed_program", 1.4, "T1036.003";
    DoubleExtension = "double_extension", 1.8, "T1036.007";
    InterpreterConnected = "interpreter_connected_out", 0.9, "T1071";

    // Credential access. Endpoint protection reads LSASS as well: its folders are left out before this is raised.
    LsassRead = "lsass_memory_read", 1.8, "T1003.001";
    CredentialDumpCommand = "credential_dump_command", 2.3, "T1003.001";
    DumpFileWritten = "memory_dump_written", 1.2, "T1003.001";
    UnsignedLsassModule = "unusual_module_in_lsass", 1.8, "T1547.008";
    HiveSaved = "registry_hive_copied", 2.2, "T1003.002";
    LsaSecretsRead = "lsa_secrets_read", 1.5, "T1003.004";
    DirectoryDatabaseCopied = "directory_database_copied", 2.2, "T1003.003";
    DirectoryReplication = "directory_replication_by_user", 2.3, "T1003.006";
    BackupKeyRead = "domain_backup_key_read", 2.0, "T1555.004";
    VaultListed = "credential_vault_listed", 1.0, "T1555.004";
    BrowserStoreRead = "browser_credentials_read", 1.3, "T1555.003";
    CredentialFilesSearched = "credential_files_searched", 1.2, "T1552.001";
    PrivateKeyRead = "private_keys_read", 1.0, "T1552.004";
    GroupPolicyPassword = "group_policy_password_searched", 1.8, "T1552.006";
    LocalPasswordRead = "managed_local_password_read", 1.0, "T1555";
    Kerberoast = "service_ticket_weak_encryption", 0.9, "T1558.003";
    KerberoastSweep = "many_service_tickets", 1.6, "T1558.003";
    KerberosToolCommand = "kerberos_attack_command", 2.1, "T1558";
    PreauthDisabled = "ticket_without_preauthentication", 1.3, "T1558.004";
    CertificateRequest = "certificate_abuse", 1.3, "T1649";
    ShadowFileRead = "password_hash_file_read", 1.8, "T1003.008";
    PasswordFilterWritten = "password_capture_installed", 1.8, "T1556.002";
    Keylogging = "input_captured", 1.8, "T1056.001";
    ForcedAuthentication = "authentication_coerced", 1.2, "T1187";
    NtlmRelayTool = "name_poisoning_tool", 2.0, "T1557.001";
    // A stale password in a script fails for ever and harmlessly.
    FailedLogons = "many_failed_logons", 0.7, "T1110";
    FailedLogonsThenSuccess = "failed_logons_then_success", 1.6, "T1110";
    PasswordSpray = "password_spray", 1.4, "T1110.003";
    PasswordGuessTool = "password_guessing_tool", 2.0, "T1110";

    // Injection and privileges.
    RemoteThread = "remote_thread", 1.3, "T1055";
    ProcessTampered = "process_image_tampered", 1.5, "T1055.012";
    UnknownCallTrace = "opened_from_unbacked_memory", 1.2, "T1055";
    DebuggerAttached = "process_opened_for_injection", 0.6, "T1055";
    ManagedCodeInOddProcess = "managed_code_in_odd_process", 1.1, "T1055";
    SideLoading = "library_side_loaded", 1.2, "T1574.002";
    SystemLibraryPlanted = "library_planted_in_system_folder", 1.5, "T1574.001";
    DriverLoaded = "unusual_driver_loaded", 1.3, "T1068";
    PrintDriverPlanted = "print_driver_planted", 1.8, "T1068";
    PipeImpersonation = "pipe_impersonation_command", 2.1, "T1134.001";
    ToolPipe = "pipe_of_attack_tool", 1.9, "T1559";
    TokenLogon = "logon_with_other_credentials", 1.0, "T1134.002";
    TokenPrivilege = "powerful_privilege_enabled", 0.6, "T1134";
    PrivilegeTool = "privilege_escalation_tool", 2.0, "T1134.001";
    SystemShell = "shell_gained_system", 1.2, "T1134.001";
    UacBypassRegistry = "uac_bypass_registry", 2.1, "T1548.002";
    UacBypassProcess = "uac_bypass_process", 1.8, "T1548.002";
    UacDisabled = "uac_weakened", 1.3, "T1548.002";
    SudoToRoot = "root_command_by_sudo", 0.2, "T1548.003";
    SudoDenied = "sudo_denied", 0.8, "T1548.003";
    SudoersChanged = "sudoers_changed", 1.4, "T1548.003";
    SetuidSet = "setuid_bit_set", 1.3, "T1548.001";
    AccountSwitched = "account_switched", 0.5, "T1548.003";
    ExploitCommand = "local_exploit_command", 1.8, "T1068";

    // Accounts and directory.
    AccountPersistence = "account_created_or_promoted", 0.6, "T1136";
    SensitiveGroupChanged = "sensitive_group_changed", 1.0, "T1098";
    ComputerAccountCreated = "computer_account_created_by_user", 0.9, "T1136.002";
    ShortLivedAccount = "account_created_then_deleted", 1.6, "T1136";
    SidHistory = "sid_history_changed", 2.2, "T1134.005";
    ShadowCredentials = "key_credential_written", 2.0, "T1556";
    DelegationChanged = "delegation_changed", 1.7, "T1134";
    SpnWritten = "service_name_written_on_account", 1.0, "T1558.003";
    WeakAccountFlag = "account_protection_removed", 1.4, "T1098";
    GroupPolicyChanged = "group_policy_changed", 0.9, "T1484.001";
    DirectoryAclChanged = "directory_permissions_changed", 1.2, "T1222.001";
    RogueController = "rogue_domain_controller", 2.2, "T1207";
    RestorePasswordSet = "restore_mode_password_set", 1.8, "T1098";
    AccountImpersonatesHost = "account_renamed_like_a_host", 1.9, "T1068";
    PasswordReset = "password_reset_by_other", 0.5, "T1098";
    AccountLocked = "account_locked_or_removed", 0.4, "T1531";
    UserRightAssigned = "user_right_assigned", 0.9, "T1098";

    // Lateral movement.
    RemoteExecutionService = "remote_execution_service", 1.0, "T1569.002";
    RemoteServiceCommand = "service_started_on_other_host", 1.3, "T1569.002";
    RemoteWmiCommand = "wmi_command_on_other_host", 1.3, "T1047";
    RemoteShellCommand = "remote_shell_command", 0.8, "T1021.006";
    RemoteTaskCommand = "task_created_on_other_host", 1.3, "T1053.005";
    AdminShareExecutable = "executable_on_admin_share", 1.0, "T1021.002";
    AdminShareUsed = "admin_share_used", 0.4, "T1021.002";
    ImpacketOutput = "remote_command_output_share", 2.2, "T1047";
    ServiceControlPipe = "service_control_over_network", 0.7, "T1569.002";
    TaskPipe = "task_scheduler_over_network", 0.8, "T1053.005";
    RegistryPipe = "registry_over_network", 0.5, "T1112";
    AccountPipe = "account_service_over_network", 0.3, "T1087.002";
    RemoteShellSession = "remote_shell_session", 0.4, "T1021.006";
    ShareChanged = "share_created_or_changed", 0.7, "T1021.002";
    RemoteDesktopLibrary = "remote_desktop_library_in_odd_process", 1.3, "T1021.001";
    RemoteLogonThenService = "remote_logon_then_service_or_job", 1.2, "T1021.002";
    PassTheHash = "logon_like_pass_the_hash", 1.2, "T1550.002";
    PassTheTicket = "ticket_injected", 1.9, "T1550.003";
    ExplicitCredentials = "explicit_credentials_from_tool", 0.6, "T1078";
    SessionHijack = "session_hijacked", 2.1, "T1563.002";
    RemoteDesktopEnabled = "remote_desktop_enabled", 1.2, "T1021.001";
    RemoteDesktopTunnel = "remote_desktop_tunnelled", 1.7, "T1572";
    RemoteDesktopLogon = "remote_desktop_logon", 0.3, "T1021.001";
    PortForward = "port_forwarded", 1.5, "T1090.001";
    RemoteAccessTool = "remote_access_software", 0.8, "T1219";
    ToolCopiedOverShare = "file_copied_to_other_host", 1.0, "T1570";
    SeveralHosts = "several_hosts", 0.4;

    // Persistence.
    ServiceRunsInterpreter = "service_runs_interpreter", 2.0, "T1543.003";
    ServiceOddImage = "service_with_unusual_image", 1.2, "T1543.003";
    ServiceRandomName = "service_with_random_name", 1.0, "T1569.002";
    ServiceChanged = "service_configuration_changed", 0.9, "T1543.003";
    JobRunsInterpreter = "scheduled_job_runs_interpreter", 0.8, "T1053.005";
    JobCreatedByCommand = "scheduled_job_created_by_command", 0.6, "T1053.005";
    AutostartWritten = "autostart_written", 0.8, "T1547.001";
    LogonHelperWritten = "logon_helper_written", 1.3, "T1547.004";
    DebuggerHijack = "debugger_hijack_written", 1.6, "T1546.012";
    AccessibilityHijack = "accessibility_program_replaced", 2.0, "T1546.008";
    ComHijack = "com_registration_hijacked", 1.1, "T1546.015";
    LoadedLibraryKey = "library_load_key_written", 1.5, "T1546.010";
    SecurityPackage = "security_package_registered", 1.9, "T1547.005";
    PrintMonitor = "print_monitor_registered", 1.4, "T1547.010";
    DnsPlugin = "dns_server_plugin_loaded", 1.4, "T1574.002";
    NetshHelper = "netsh_helper_registered", 1.6, "T1546.007";
    ScreensaverWritten = "screensaver_written", 1.1, "T1546.002";
    ShimInstalled = "application_shim_installed", 1.3, "T1546.011";
    WmiSubscription = "wmi_subscription_created", 1.6, "T1546.003";
    OfficeStartup = "office_startup_written", 1.5, "T1137";
    ProfileScriptWritten = "profile_script_written", 1.0, "T1546.013";
    RegistryStoredCode = "code_stored_in_registry", 1.5, "T1112";
    WebshellWritten = "script_written_to_web_folder", 1.6, "T1505.003";
    MailboxTransport = "server_component_installed", 1.6, "T1505.002";
    CronWritten = "cron_changed", 0.9, "T1053.003";
    SystemdUnitWritten = "systemd_unit_written", 0.9, "T1543.002";
    SshKeyAdded = "ssh_key_added", 1.3, "T1098.004";
    PasswdFileChanged = "account_file_changed", 1.2, "T1136.001";
    ShellProfileWritten = "shell_profile_written", 0.8, "T1546.004";
    PreloadSet = "library_preload_set", 1.7, "T1574.006";
    KernelModule = "kernel_module_loaded", 0.8, "T1547.006";

    // Defence evasion.
    LogCleared = "log_cleared", 1.8, "T1070.001";
    HistoryCleared = "command_history_cleared", 1.3, "T1070.003";
    ProtectionTampered = "protection_tampered", 1.8, "T1562.001";
    FirewallTampered = "firewall_opened", 1.1, "T1562.004";
    AuditTampered = "auditing_weakened", 1.5, "T1562.002";
    PlainTextCredentials = "plain_text_credentials_enabled", 2.1, "T1112";
    FileTimeChanged = "file_time_changed", 0.8, "T1070.006";
    FileHidden = "file_hidden", 0.9, "T1564.001";
    AlternateStream = "alternate_stream_used", 1.0, "T1564.004";
    PermissionsWeakened = "permissions_weakened", 0.8, "T1222";
    SecureDelete = "file_wiped", 1.2, "T1070.004";
    HiddenUser = "account_hidden", 1.9, "T1564.002";
    RootCertificate = "root_certificate_installed", 1.2, "T1553.004";
    SafeMode = "safe_mode_boot_set", 1.8, "T1562.009";
    SelfDeletion = "program_deletes_itself", 1.2, "T1070.004";
    TracesRemoved = "usage_traces_removed", 1.1, "T1070";

    // Discovery: each alone says little.
    WhoAmI = "discovery_of_current_user", 0.3, "T1033";
    AccountsListed = "discovery_of_accounts", 0.3, "T1087";
    GroupsListed = "discovery_of_groups", 0.3, "T1069";
    SystemListed = "discovery_of_system", 0.3, "T1082";
    NetworkListed = "discovery_of_network_settings", 0.3, "T1016";
    ConnectionsListed = "discovery_of_connections", 0.3, "T1049";
    HostsListed = "discovery_of_hosts", 0.4, "T1018";
    SharesListed = "discovery_of_shares", 0.4, "T1135";
    ProcessesListed = "discovery_of_processes", 0.3, "T1057";
    PolicyListed = "discovery_of_password_policy", 0.5, "T1201";
    TrustsListed = "discovery_of_domain_trusts", 0.8, "T1482";
    SoftwareListed = "discovery_of_software", 0.3, "T1518";
    ProtectionListed = "discovery_of_protection", 0.7, "T1518.001";
    RegistryQueried = "discovery_in_registry", 0.3, "T1012";
    GroupEnumerated = "group_members_listed_by_tool", 0.4, "T1069.001";
    DirectoryReconTool = "directory_recon_tool", 2.0, "T1087.002";
    DirectorySwept = "directory_objects_swept", 0.9, "T1087.002";
    NetworkScanTool = "network_scan_tool", 1.5, "T1046";
    PortScan = "many_ports_or_hosts_contacted", 1.2, "T1046";
    NetworkSniffing = "traffic_captured", 1.0, "T1040";
    DiscoveryBurst = "discovery_burst", 1.2, "T1087";

    // Collection, exfiltration, impact.
    ArchiveWithPassword = "archive_with_password", 1.2, "T1560.001";
    ScreenCaptured = "screen_captured", 1.3, "T1113";
    AudioCaptured = "audio_captured", 1.3, "T1123";
    ClipboardRead = "clipboard_read", 0.8, "T1115";
    MailCollected = "mailbox_collected", 1.3, "T1114";
    CloudCopyTool = "copied_to_cloud_storage", 1.6, "T1567.002";
    UploadCommand = "file_uploaded_by_command", 1.2, "T1048.003";
    DnsTunnel = "data_in_dns_names", 1.4, "T1048.003";
    RecoveryRemoved = "recovery_removed", 2.3, "T1490";
    ServicesStopped = "many_services_stopped", 1.3, "T1489";
    ServiceStopCommand = "service_stopped_by_command", 0.5, "T1489";
    FilesEncrypted = "many_files_rewritten", 1.8, "T1486";
    DiskWiped = "disk_overwritten", 2.2, "T1561";
    ForcedShutdown = "host_shut_down", 0.5, "T1529";
    Mining = "coin_mining", 2.0, "T1496";

    // Web and network sensors. An attempt: the internet sends these all day.
    WebAttack = "web_attack_pattern", 0.8, "T1190";
    WebTraversal = "web_path_traversal", 0.9, "T1190";
    WebInjection = "web_sql_injection", 0.9, "T1190";
    WebScript = "web_cross_site_scripting", 0.6, "T1189";
    WebCommand = "web_command_injection", 1.4, "T1190";
    WebAttackAnswered = "web_attack_answered_with_success", 1.2, "T1190";
    WebshellRequest = "webshell_request", 1.7, "T1505.003";
    ScannerAgent = "scanner_user_agent", 0.9, "T1595.002";
    SensitivePath = "sensitive_path_requested", 0.8, "T1595.003";
    WebErrors = "many_web_errors_from_one_source", 1.1, "T1595.003";
    WebLoginBurst = "many_web_logins", 1.1, "T1110";
    SensorExploit = "sensor_reports_attack", 1.3, "T1190";
    SensorMalware = "sensor_reports_malware", 1.9, "T1204";
    SensorCommandControl = "sensor_reports_command_and_control", 1.6, "T1071";
    SensorScan = "sensor_reports_scan", 0.9, "T1595";
    SensorBruteForce = "sensor_reports_password_guessing", 0.8, "T1110";
    SensorPrivilege = "sensor_reports_privilege_use", 0.7, "T1548.003";
    SensorWebErrors = "sensor_reports_web_errors", 0.6, "T1595.003";
    ManySignatures = "many_signatures_on_one_target", 1.3, "T1595.002";
    AlertBurst = "alert_burst", 0.7;
    BlockedTraffic = "many_connections_refused", 0.7, "T1046";

    // Cloud.
    CloudLoggingStopped = "cloud_logging_stopped", 2.0, "T1562.008";
    CloudDetectionStopped = "cloud_detection_stopped", 1.9, "T1562.001";
    CloudFirewallOpened = "cloud_firewall_opened", 1.1, "T1562.007";
    CloudCredentialCreated = "cloud_credential_created", 0.9, "T1098.001";
    CloudAccountCreated = "cloud_account_created", 0.7, "T1136.003";
    CloudPolicyWidened = "cloud_policy_widened", 0.9, "T1098.003";
    CloudTrustChanged = "cloud_role_trust_changed", 1.4, "T1098.003";
    CloudMfaRemoved = "cloud_mfa_removed", 1.4, "T1556.006";
    CloudRoot = "cloud_root_used", 0.8, "T1078.004";
    CloudLoginNoMfa = "cloud_login_without_mfa", 0.6, "T1078.004";
    CloudSecretsRead = "cloud_secrets_read", 1.0, "T1555.006";
    CloudParametersRead = "cloud_parameters_read", 0.9, "T1552";
    CloudInstancePassword = "cloud_instance_password_read", 1.2, "T1552";
    CloudSnapshotShared = "cloud_snapshot_shared", 1.9, "T1537";
    CloudBucketOpened = "cloud_bucket_opened", 1.4, "T1530";
    CloudCommandRun = "cloud_command_on_instance", 1.2, "T1651";
    CloudUserData = "cloud_start_script_changed", 1.6, "T1651";
    CloudFunctionChanged = "cloud_function_changed", 0.9, "T1648";
    CloudOrganisationLeft = "cloud_organisation_left", 2.2, "T1666";
    CloudInstanceCredential = "cloud_instance_credential_elsewhere", 1.7, "T1552.005";
    CloudConsoleSession = "cloud_console_from_api_session", 1.2, "T1550";
    CloudEnumeration = "cloud_enumeration_burst", 0.9, "T1580";
    CloudDenials = "cloud_denials", 0.8, "T1580";
    CloudRegionOdd = "cloud_resources_in_bulk", 1.0, "T1578.002";
    CloudDestroyed = "cloud_data_destroyed", 1.2, "T1485";
    CloudMailSent = "cloud_mail_quota_probed", 0.9, "T1580";
    CloudSshKey = "cloud_instance_key_pushed", 1.2, "T1021.004";

    // Identities (Entra ID, Okta, Microsoft 365).
    ConsentGranted = "application_consent_granted", 1.1, "T1528";
    AppCredentialAdded = "application_credential_added", 1.4, "T1098.001";
    DirectoryRoleAdded = "directory_role_added", 0.9, "T1098.003";
    FederationChanged = "federation_changed", 1.8, "T1484.002";
    AccessPolicyChanged = "access_policy_changed", 1.1, "T1556.009";
    MfaChanged = "mfa_changed", 0.8, "T1556.006";
    MfaFatigue = "mfa_prompts_denied", 1.3, "T1621";
    RiskySignIn = "sign_in_rated_risky", 1.2, "T1078.004";
    LegacySignIn = "legacy_protocol_sign_in", 0.7, "T1078.004";
    DeviceCodeSignIn = "device_code_sign_in", 0.9, "T1528";
    MailForwarding = "mail_forwarding_set", 1.6, "T1114.003";
    MailboxPermission = "mailbox_permission_added", 1.0, "T1098.002";
    AuditDisabled = "identity_audit_disabled", 1.9, "T1562.008";
    GuestInvited = "guest_invited", 0.4, "T1136.003";

    // Industrial control.
    OtWrite = "ot_value_written", 0.5, "T0855";
    OtControl = "ot_device_commanded", 0.8, "T0855";
    OtStop = "ot_device_stopped", 2.0, "T0816";
    OtProgram = "ot_program_changed", 1.8, "T0843";
    OtFirmware = "ot_firmware_changed", 2.0, "T0857";
    OtScan = "ot_devices_scanned", 1.2, "T0846";
    OtNewMaster = "ot_several_masters", 1.0, "T0848";
    OtRefused = "ot_requests_refused", 0.8, "T0846";
    OtModeChanged = "ot_mode_or_clock_changed", 1.2, "T0858";
    OtBurst = "ot_many_writes", 1.0, "T0806";

    // Honeypot: nobody has business there.
    HoneypotLogin = "honeypot_entered", 1.5, "T1078";
    HoneypotCommand = "honeypot_command", 1.6, "T1059.004";
    HoneypotDownload = "honeypot_download", 2.2, "T1105";

    // What the site knows.
    FirstSeen = "first_seen_here", 0.4;
    // No log has a reason to talk to its reader.
    InstructionText = "instruction_like_text", 1.5;
    // Per distinct rule, by severity; see `detections`.
    OtherDetections = "other_detections", 0.0;
    // An attacker's beacon recurs as well, so this alone never closes an alert of high severity.
    RecursRegularly = "recurs_on_earlier_days", -1.2;
    ApprovedTool = "approved_tool", -3.2;
    ExpectedAdministrator = "expected_administrator", -0.8;
    KnownScanner = "known_scanner", -2.2;
    InstalledParent = "parent_in_protected_folder", -0.5;
    // What is new is mostly new software or new people; together at most `usual::MAX_NEW`.
    FirstSeenProcess = "first_seen_process", 0.4;
    RareParentChild = "rare_parent_child", 0.5;
    FirstSeenJob = "first_seen_service_or_job", 0.5;
    NewLogonPath = "new_logon_path", 0.6;
    NewDestination = "new_destination", 0.4;
    NewUserAgent = "new_user_agent", 0.2;
    NewCloudOperation = "new_cloud_operation", 0.4;
    NewSignature = "new_signature", 0.6;
    // Controllers are asked the same things all their lives.
    NewDeviceOperation = "new_device_operation", 0.8;
    OutsideWorkingHours = "outside_working_hours", 0.4;
    // A scanner, a crawler or a broken client does the same.
    SignatureBurst = "signature_burst", 0.9;
    NewSignatureKinds = "new_signature_kinds_in_window", 0.9;
    CommonHere = "common_here", -0.3;
    // As with recurrence: an intruder's beacon keeps its rate, too.
    RoutineRepeat = "routine_repeat", -1.0;
    ExpectedServiceAccount = "expected_service_account", -0.6;
    // Somebody else's eyes were on it, before.
    ChangeTicketCovers = "change_ticket_covers", -2.6;
    // Host, account and time are what a thief of the account has as well.
    ChangeTicketOpen = "change_ticket_open", -0.6;
    MaintenanceWindow = "maintenance_window", -0.3;
}

impl Kind {
    /// Whether it rests on the site's own word or past, so that it can explain an alert as benign.
    pub(crate) fn explains(self) -> bool {
        matches!(
            self,
            Self::RecursRegularly
                | Self::RoutineRepeat
                | Self::ApprovedTool
                | Self::ChangeTicketCovers
                | Self::ExpectedAdministrator
                | Self::KnownScanner
        )
    }
}
