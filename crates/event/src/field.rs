//! Names of normalised fields: OCSF 1.6 attribute paths, joined with dots.
//!
//! Only what a decoder can state for certain is normalised; everything else stays under its vendor's name
//! in [`Event::native`](crate::Event::native).

/// Host the event was recorded on.
pub const DEVICE_HOSTNAME: &str = "device.hostname";
/// Address of the host the event was recorded on.
pub const DEVICE_IP: &str = "device.ip";

/// User who acted.
pub const ACTOR_USER: &str = "actor.user.name";
/// Security identifier of the user who acted.
pub const ACTOR_USER_UID: &str = "actor.user.uid";
/// Path of the process that acted on the object of the event (opened a file, a socket, another process).
pub const ACTOR_PROCESS_PATH: &str = "actor.process.file.path";
/// Base name of [`ACTOR_PROCESS_PATH`].
pub const ACTOR_PROCESS_NAME: &str = "actor.process.name";
/// Command line of the process that acted.
pub const ACTOR_PROCESS_CMD_LINE: &str = "actor.process.cmd_line";
/// Process id of the process that acted.
pub const ACTOR_PROCESS_PID: &str = "actor.process.pid";
/// Unique id of the process that acted.
pub const ACTOR_PROCESS_UID: &str = "actor.process.uid";

/// User acted upon: who logged on, whose account changed.
pub const USER: &str = "user.name";
/// Domain of [`USER`].
pub const USER_DOMAIN: &str = "user.domain";

/// Path of the process that was started, stopped or accessed.
pub const PROCESS_PATH: &str = "process.file.path";
/// Base name of [`PROCESS_PATH`].
pub const PROCESS_NAME: &str = "process.name";
/// Command line of the process that was started.
pub const PROCESS_CMD_LINE: &str = "process.cmd_line";
/// Process id of the process that was started, stopped or accessed.
pub const PROCESS_PID: &str = "process.pid";
/// Unique id of the process (Sysmon's `ProcessGuid`), stable over pid reuse.
pub const PROCESS_UID: &str = "process.uid";
/// SHA-256 of the process image.
pub const PROCESS_SHA256: &str = "process.file.hashes.sha256";
/// Path of the parent of the started process.
pub const PARENT_PROCESS_PATH: &str = "process.parent_process.file.path";
/// Base name of [`PARENT_PROCESS_PATH`].
pub const PARENT_PROCESS_NAME: &str = "process.parent_process.name";
/// Command line of the parent of the started process.
pub const PARENT_PROCESS_CMD_LINE: &str = "process.parent_process.cmd_line";
/// Process id of the parent of the started process.
pub const PARENT_PROCESS_PID: &str = "process.parent_process.pid";
/// Unique id of the parent of the started process.
pub const PARENT_PROCESS_UID: &str = "process.parent_process.uid";

/// Full path of the file acted upon.
pub const FILE_PATH: &str = "file.path";
/// SHA-256 of the file acted upon.
pub const FILE_SHA256: &str = "file.hashes.sha256";
/// Path of the module (driver, library) loaded.
pub const MODULE_PATH: &str = "module.file.path";
/// Registry key acted upon.
pub const REGISTRY_KEY: &str = "reg_key.path";
/// Registry value name and data written.
pub const REGISTRY_VALUE: &str = "reg_value.data";
/// Service created or changed.
pub const SERVICE_NAME: &str = "service.name";
/// Scheduled job created or changed.
pub const JOB_NAME: &str = "job.name";
/// Text of a script block or command that an interpreter ran.
pub const SCRIPT: &str = "script.script_content";

/// Address the connection or logon came from.
pub const SRC_IP: &str = "src_endpoint.ip";
/// Port the connection came from.
pub const SRC_PORT: &str = "src_endpoint.port";
/// Name of the host the connection or logon came from.
pub const SRC_HOSTNAME: &str = "src_endpoint.hostname";
/// Address the connection went to.
pub const DST_IP: &str = "dst_endpoint.ip";
/// Port the connection went to.
pub const DST_PORT: &str = "dst_endpoint.port";
/// Name of the host the connection went to.
pub const DST_HOSTNAME: &str = "dst_endpoint.hostname";
/// Name asked for in a DNS query or TLS handshake.
pub const QUERY_HOSTNAME: &str = "query.hostname";
/// URL requested.
pub const URL: &str = "http_request.url.url_string";
/// User agent of an HTTP or API request.
pub const USER_AGENT: &str = "http_request.user_agent";
/// Application protocol (`ssh`, `smb`, `modbus` …).
pub const PROTOCOL: &str = "connection_info.protocol_name";

/// API operation called.
pub const API_OPERATION: &str = "api.operation";
/// Service whose API was called.
pub const API_SERVICE: &str = "api.service.name";
/// Cloud account acted in.
pub const CLOUD_ACCOUNT: &str = "cloud.account.uid";

/// What was done, in a word or two (`Launch`, `Logon`, `Open`, `Create` …).
pub const ACTIVITY: &str = "activity_name";
/// `Success` or `Failure`.
pub const STATUS: &str = "status";
/// Why it failed, as the source said.
pub const STATUS_DETAIL: &str = "status_detail";
/// `Informational`, `Low`, `Medium`, `High` or `Critical`, as the source rates it.
pub const SEVERITY: &str = "severity";
/// Windows logon type as a number (2 interactive, 3 network, 10 remote interactive …).
pub const LOGON_TYPE: &str = "logon_type_id";
/// ATT&CK techniques that the source names for its finding, as ids, in any list or tags.
pub const FINDING_ATTACKS: &str = "finding_info.attacks";
/// Address at which the source shows its finding.
pub const FINDING_LINK: &str = "finding_info.src_url";
/// By which the source knows its finding: sent again or changed, it is the same.
pub const FINDING_UID: &str = "finding_info.uid";
/// Title of the finding, in events that are alerts of another product.
pub const FINDING_TITLE: &str = "finding_info.title";
/// Id of the source's own event type (Windows event id, Suricata signature id).
pub const EVENT_CODE: &str = "metadata.event_code";
/// Product or log channel that wrote the event.
pub const PRODUCT: &str = "metadata.product.name";

/// Seconds by which the stated time lies after the time of arrival, where a clock or an assumed zone must be wrong.
/// OCSF 1.6 has no attribute for it.
pub const CLOCK_AHEAD: &str = "metadata.clock_ahead";

/// Industrial device asked or told: its address, and behind a slash its station or unit where it is known.
/// OCSF 1.6 has no attribute for it.
pub const ASSET: &str = "ot.asset";
/// Whether the operation changes what the device does or holds: `true` or `false`. OCSF 1.6 has no attribute for
/// it.
pub const ASSET_CHANGED: &str = "ot.changes";

/// All names, in order.
pub const ALL: [&str; 57] = [
    ACTIVITY,
    ACTOR_PROCESS_CMD_LINE,
    ACTOR_PROCESS_PATH,
    ACTOR_PROCESS_NAME,
    ACTOR_PROCESS_PID,
    ACTOR_PROCESS_UID,
    ACTOR_USER,
    ACTOR_USER_UID,
    API_OPERATION,
    API_SERVICE,
    CLOUD_ACCOUNT,
    PROTOCOL,
    DEVICE_HOSTNAME,
    DEVICE_IP,
    DST_HOSTNAME,
    DST_IP,
    DST_PORT,
    FILE_SHA256,
    FILE_PATH,
    FINDING_ATTACKS,
    FINDING_LINK,
    FINDING_TITLE,
    FINDING_UID,
    URL,
    USER_AGENT,
    JOB_NAME,
    LOGON_TYPE,
    CLOCK_AHEAD,
    EVENT_CODE,
    PRODUCT,
    MODULE_PATH,
    ASSET,
    ASSET_CHANGED,
    PROCESS_CMD_LINE,
    PROCESS_SHA256,
    PROCESS_PATH,
    PROCESS_NAME,
    PARENT_PROCESS_CMD_LINE,
    PARENT_PROCESS_PATH,
    PARENT_PROCESS_NAME,
    PARENT_PROCESS_PID,
    PARENT_PROCESS_UID,
    PROCESS_PID,
    PROCESS_UID,
    QUERY_HOSTNAME,
    REGISTRY_KEY,
    REGISTRY_VALUE,
    SCRIPT,
    SERVICE_NAME,
    SEVERITY,
    SRC_HOSTNAME,
    SRC_IP,
    SRC_PORT,
    STATUS,
    STATUS_DETAIL,
    USER_DOMAIN,
    USER,
];

/// The constant that reads `name`, so that the name need not be copied.
pub fn known(name: &str) -> Option<&'static str> {
    ALL.binary_search(&name).ok().map(|place| ALL[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order() {
        assert!(ALL.is_sorted());
        assert_eq!(known("user.name"), Some(USER));
        assert_eq!(known("user"), None);
    }
}
