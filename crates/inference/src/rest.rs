//! Who has the cores while a person waits? Decoders stop for a moment when asked to, in the middle of a pass.
//!
//! A thread's priority alone does not give way to others: on few cores whatever computes beside them takes their caches and their
//! memory's time. It is asked for by whoever knows that a person waits, and bounded here: decoders always have two thirds of
//! the time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When the last rest ends, in nanoseconds since then.
static UNTIL: AtomicU64 = AtomicU64::new(0);
/// How much longer than they rested decoders go on before they rest again.
const WORK_PER_REST: u32 = 2;

/// Lets every decoder of this process rest for so long, from now on, unless the last rest is not long enough ago: then nothing
/// happens. Embedders go on.
pub fn rest(long: Duration) {
    let now = BEGAN.elapsed();
    let due = |until: u64| {
        let may_from = Duration::from_nanos(until).saturating_add(long.saturating_mul(WORK_PER_REST));
        let is_first = until == 0;
        (is_first || now >= may_from).then(|| nanoseconds(now.saturating_add(long)))
    };
    // Whoever else asked meanwhile asked for the same.
    let _ = UNTIL.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due);
}

/// Waits until the rest ends that was asked for, if one was.
pub(crate) fn wait() {
    let until = UNTIL.load(Ordering::Relaxed);
    if until > 0
        && let Some(left) = Duration::from_nanos(until).checked_sub(BEGAN.elapsed())
    {
        sleep(left);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;

    #[test]
    fn decoders_rest_when_asked_and_no_more_than_they_may() {
        let long = Duration::from_millis(500);
        let (decoder, embedder) = (Pool::new(2).that_rests(), Pool::new(2));
        let began = Instant::now();
        rest(long);
        embedder.run(&|_| {});
        assert!(began.elapsed() < long);
        decoder.run(&|_| {});
        assert!(began.elapsed() >= long);
        // It has just rested.
        let again = Instant::now();
        rest(long);
        decoder.run(&|_| {});
        assert!(again.elapsed() < long);
    }
}
