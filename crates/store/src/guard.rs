//! How is a library kept from taking the process down over a damaged file?

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `open`, which reads files that may be damaged, and turns a panic in it into `None`.
///
/// redb asserts on some kinds of damage, and where overflow checks are compiled in, arithmetic on
/// damaged lengths panics. What `open` was making is dropped with the panic, so nothing broken is seen.
pub(crate) fn guarded<T>(open: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(open)).ok()
}
