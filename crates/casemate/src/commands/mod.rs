//! One module per subcommand.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod cases;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod ingest;
pub(crate) mod investigate;
pub(crate) mod manual;
pub(crate) mod plan;
pub(crate) mod playbook;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod support;
