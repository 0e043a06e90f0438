//! What do other programs get? One module per kind of thing; JSON in, JSON out.

pub(crate) mod aggregate;
pub(crate) mod alerts;
pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod cases;
pub(crate) mod elastic;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod exports;
pub(crate) mod feedback;
pub(crate) mod framed;
pub(crate) mod hec;
pub(crate) mod ingest;
pub(crate) mod investigations;
pub(crate) mod once;
pub(crate) mod openai;
pub(crate) mod otlp;
pub(crate) mod playbooks;
pub(crate) mod quarantine;
pub(crate) mod rules;
pub(crate) mod stream;
pub(crate) mod suggest;
pub(crate) mod system;
pub(crate) mod tail;
pub(crate) mod tries;
