//! Where does Sigma place the events of a format?

use serde::Deserialize;
use std::collections::BTreeMap;

/// Log source of a format in Sigma's words, as its mapping file states it: rules whose product, category and
/// service are each among these, or unstated, apply to its events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSource {
    /// Product, such as `fortigate`.
    pub product: String,
    /// Categories, such as `firewall`.
    pub categories: Vec<String>,
    /// Services, such as `auditlogs`.
    pub services: Vec<String>,
    /// Vendor fields whose value, in lower case, is a service too.
    pub service_members: Vec<String>,
    /// Vendor fields by the names that Sigma's rules give them, such as `dst_port` for `dstport`.
    pub fields: BTreeMap<String, String>,
}
