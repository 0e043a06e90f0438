//! What if a decoder of ours panics? Then that record alone is the worse for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `read` makes of a record, or why it failed. What it may leave half-changed is to mean nothing to other records.
pub(crate) fn caught<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let why = said(panic.as_ref());
        format!("a fault inside casemate while this was read: {why}; the log says where, please report it")
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason was given")
}
