//! What is an event, an entity, an alert, a case?
//!
//! Plain data with OCSF 1.6 attribute paths as field names (see [`field`]). No IO, no parsing of log
//! formats, no identifiers handed out: the store numbers events and alerts, this crate only names them.

mod alert;
mod batch;
mod case;
mod ecs;
mod entity;
mod event;
pub mod field;
mod fields;
mod format;
mod log_source;

pub use alert::{Alert, AlertId, AlertOrigin, Severity};
pub use batch::{Batch, QuarantineReason, Quarantined, SourceProgress};
pub use case::{Assigned, Case, CaseId, Closing, Disposition, Feedback, Member, Subject};
pub use ecs::{ECS_VERSION, ecs};
pub use entity::{Entity, EntityKind, ProcessRole, entities, process_of};
pub use event::{Class, Event, EventId, Stored, TemplateId, TimeQuality};
pub use fields::Fields;
pub use format::{Format, MappingName};
pub use log_source::LogSource;
