//! Who can have written the value of a field?
//!
//! One table for all that asks it: what [`structural`](crate::render::structural) leaves out, where text that
//! talks to its reader is looked for, and which fields the tests write into. Not on the list means
//! [`Writer::Anyone`]: a field that nobody has thought about is not trusted.

use casemate_event::field;

/// Who decides what a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writer {
    /// The system that recorded the event: numbers, codes, outcomes, addresses as seen on the wire.
    Recorder,
    /// Whoever runs the site or wrote the detection: names of its hosts, accounts that act, titles of rules.
    Site,
    /// Anybody who reaches a service or may start a program: text that proves nothing about itself.
    Anyone,
}

/// Normalised fields that are not [`Writer::Anyone`]'s.
const NORMALISED: [(&str, Writer); 28] = [
    (field::ACTIVITY, Writer::Recorder),
    (field::ACTOR_PROCESS_PID, Writer::Recorder),
    (field::ACTOR_PROCESS_UID, Writer::Recorder),
    // An account that acts exists. One that is only tried, or being created, stands in `user.name`.
    (field::ACTOR_USER, Writer::Site),
    (field::API_OPERATION, Writer::Recorder),
    (field::API_SERVICE, Writer::Recorder),
    (field::ASSET, Writer::Recorder),
    (field::ASSET_CHANGED, Writer::Recorder),
    (field::CLOCK_AHEAD, Writer::Recorder),
    (field::CLOUD_ACCOUNT, Writer::Recorder),
    (field::DEVICE_HOSTNAME, Writer::Site),
    (field::DEVICE_IP, Writer::Recorder),
    (field::DST_IP, Writer::Recorder),
    (field::DST_PORT, Writer::Recorder),
    (field::EVENT_CODE, Writer::Recorder),
    (field::FILE_SHA256, Writer::Recorder),
    (field::FINDING_TITLE, Writer::Site),
    (field::LOGON_TYPE, Writer::Recorder),
    (field::PARENT_PROCESS_PID, Writer::Recorder),
    (field::PARENT_PROCESS_UID, Writer::Recorder),
    (field::PROCESS_PID, Writer::Recorder),
    (field::PROCESS_SHA256, Writer::Recorder),
    (field::PRODUCT, Writer::Recorder),
    (field::PROTOCOL, Writer::Recorder),
    (field::SEVERITY, Writer::Recorder),
    (field::SRC_IP, Writer::Recorder),
    (field::SRC_PORT, Writer::Recorder),
    (field::STATUS, Writer::Recorder),
];

/// Vendors' fields that their systems fill in themselves, in lower case.
const VENDOR: [&str; 26] = [
    "accessmask",
    "channel",
    "computer",
    "eventid",
    "eventname",
    "eventsource",
    "eventtime",
    "grantedaccess",
    "ipport",
    "keywords",
    "level",
    "logonid",
    "logontype",
    "newprocessid",
    "opcode",
    "processid",
    "protocol",
    "provider_name",
    "recordnumber",
    "status",
    "subjectlogonid",
    "substatus",
    "task",
    "utctime",
    "version",
    "properties",
];

/// Who writes the normalised field `name`.
pub fn normalised(name: &str) -> Writer {
    NORMALISED.iter().find(|(known, _)| *known == name).map_or(Writer::Anyone, |(_, writer)| *writer)
}

/// Who writes the vendor's field `name`, whatever its case.
pub fn vendor(name: &str) -> Writer {
    let known = VENDOR.iter().any(|known| known.eq_ignore_ascii_case(name));
    if known { Writer::Recorder } else { Writer::Anyone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outsiders_write_is_theirs() {
        for name in [
            field::USER,
            field::USER_AGENT,
            field::URL,
            field::PROCESS_CMD_LINE,
            field::PARENT_PROCESS_CMD_LINE,
            field::SCRIPT,
            field::FILE_PATH,
            field::QUERY_HOSTNAME,
            field::SRC_HOSTNAME,
            field::SERVICE_NAME,
            field::REGISTRY_VALUE,
            field::STATUS_DETAIL,
            "a field of next year",
        ] {
            assert_eq!(normalised(name), Writer::Anyone, "{name}");
        }
        assert_eq!(vendor("GrantedAccess"), Writer::Recorder);
        assert_eq!(vendor("email.subject"), Writer::Anyone);
    }

    #[test]
    fn the_tables_name_fields_that_exist_once() {
        for (name, _) in NORMALISED {
            assert_eq!(field::known(name), Some(name));
        }
        assert!(
            NORMALISED.iter().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>().len() == 28
        );
    }
}
