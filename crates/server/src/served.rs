//! How long do alerts wait, and how long does an investigation take? Of the latest ones, in memory.

use crate::queue::Next;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// Investigations remembered.
const KEPT: usize = 256;

/// Seconds of the latest investigations.
#[derive(Debug, Default)]
pub(crate) struct Served {
    took: VecDeque<f64>,
    waited: VecDeque<f64>,
}

/// Seconds in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) p95: f64,
}

/// How long the latest investigations took, and those not asked for waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Times {
    pub(crate) seconds_per_alert: Spread,
    pub(crate) seconds_waited: Spread,
}

impl Served {
    /// Takes in an investigation that has just ended.
    pub(crate) fn add(&mut self, next: &Next, took: Duration) {
        push(&mut self.took, took.as_secs_f64());
        if let Some(waiting) = &next.waiting {
            let since = Timestamp::now().duration_since(waiting.raised).as_secs_f64();
            push(&mut self.waited, (since - took.as_secs_f64()).max(0.0));
        }
    }

    pub(crate) fn times(&self) -> Times {
        Times { seconds_per_alert: spread(&self.took), seconds_waited: spread(&self.waited) }
    }
}

fn push(kept: &mut VecDeque<f64>, seconds: f64) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(seconds);
}

fn spread(seconds: &VecDeque<f64>) -> Spread {
    let mut sorted: Vec<f64> = seconds.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    if count == 0 {
        return Spread::default();
    }
    let mean = sorted.iter().sum::<f64>() / count as f64;
    Spread {
        count,
        mean: to_milliseconds(mean),
        p95: to_milliseconds(sorted[(count * 95).div_ceil(100) - 1]),
    }
}

fn to_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_of_the_latest() {
        let mut kept = VecDeque::new();
        assert_eq!(spread(&kept), Spread::default());
        for n in 1..=100 {
            push(&mut kept, f64::from(n));
        }
        assert_eq!(spread(&kept), Spread { count: 100, mean: 50.5, p95: 95.0 });
        for _ in 0..KEPT {
            push(&mut kept, 2.0);
        }
        assert_eq!(spread(&kept), Spread { count: KEPT, mean: 2.0, p95: 2.0 });
    }
}
