//! What can one worker hold that needs this long for an alert? Queueing arithmetic, and a simulated day.

use serde::Serialize;

pub(crate) const DAY: f64 = 86_400.0;
/// Share of the time that may be spent: above it waiting grows quickly, and a day is never an average one.
pub(crate) const FULL: f64 = 0.8;
/// A tenth of the day's alerts comes within a quarter of an hour.
const BURST_SHARE: f64 = 0.1;
const BURST_SECONDS: f64 = 900.0;

/// What a day of so many alerts comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Forecast {
    pub(crate) alerts_per_day: u32,
    /// Share of the day spent on them; above 1 they pile up.
    pub(crate) utilisation: f64,
    /// Mean seconds until one is begun, were they to come evenly at random (Pollaczek–Khinchine); none above 1.
    pub(crate) mean_wait_seconds: Option<f64>,
    /// Seconds until 95 of 100 are begun that come in a burst; none above 1.
    pub(crate) burst_p95_wait_seconds: Option<f64>,
    /// Alerts a day at 80 % utilisation.
    pub(crate) most_alerts_per_day: u64,
}

/// What a day of `alerts` comes to where an alert takes one of these times, each as likely.
pub(crate) fn forecast(alerts: u32, seconds: &[f64]) -> Forecast {
    let n = seconds.len().max(1) as f64;
    let mean = seconds.iter().sum::<f64>() / n;
    let square = seconds.iter().map(|x| x * x).sum::<f64>() / n;
    let rate = f64::from(alerts) / DAY;
    let utilisation = rate * mean;
    let holds = utilisation < 1.0;
    let most = if mean > 0.0 { (FULL * DAY / mean).floor() } else { f64::from(u32::MAX) };
    Forecast {
        alerts_per_day: alerts,
        utilisation,
        mean_wait_seconds: holds.then(|| rate * square / (2.0 * (1.0 - utilisation))),
        burst_p95_wait_seconds: holds.then(|| burst(alerts, seconds)),
        most_alerts_per_day: most as u64,
    }
}

/// The 95th percentile of waiting among the alerts of a burst on an otherwise even day, served in order.
fn burst(alerts: u32, seconds: &[f64]) -> f64 {
    let mut random = Random(0x5ca1_ab1e);
    let in_burst = (f64::from(alerts) * BURST_SHARE).ceil() as u32;
    let noon = DAY / 2.0;
    let mut arrivals: Vec<(f64, bool)> = (in_burst..alerts).map(|_| (random.share() * DAY, false)).collect();
    arrivals.extend((0..in_burst).map(|_| (noon + random.share() * BURST_SECONDS, true)));
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free_at = 0.0_f64;
    let mut waits = Vec::with_capacity(in_burst as usize);
    for (at, is_burst) in arrivals {
        let begun = free_at.max(at);
        if is_burst {
            waits.push(begun - at);
        }
        let which = (random.share() * seconds.len() as f64) as usize;
        free_at = begun + seconds.get(which).copied().unwrap_or_default();
    }
    waits.sort_by(f64::total_cmp);
    waits.get((waits.len() * 95).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// SplitMix64, seeded: the same day every time.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Cores on which `alerts` a day would take 80 % of the time, if what the model computes spreads over cores with
/// this efficiency and the rest does not; none if no number is enough.
pub(crate) fn cores_needed(alerts: u32, cores: usize, model: f64, rest: f64, efficiency: f64) -> Option<u64> {
    let left = FULL * DAY / f64::from(alerts) - rest;
    if left <= 0.0 {
        return None;
    }
    let speedup = model / left;
    let now = cores as f64;
    let more = if speedup <= 1.0 { now } else { now * (1.0 + (speedup - 1.0) / efficiency) };
    Some(more.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilisation_is_time_spent() {
        let forecast = forecast(864, &[20.0, 40.0]);
        assert!((forecast.utilisation - 0.3).abs() < 1e-9);
        assert_eq!(forecast.most_alerts_per_day, 2304);
        // λ E[S²] / 2(1 − ρ) = 0.01 · 1000 / 1.4
        assert!((forecast.mean_wait_seconds.unwrap() - 10.0 / 1.4).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_fit_has_no_waiting_time() {
        let forecast = forecast(10_000, &[20.0]);
        assert!(forecast.utilisation > 2.0);
        assert_eq!((forecast.mean_wait_seconds, forecast.burst_p95_wait_seconds), (None, None));
    }

    /// 200 alerts of 20 s in 900 s: the last has 180 or so before it, of which 45 are done.
    #[test]
    fn a_burst_waits_for_what_is_before_it() {
        let wait = burst(2000, &[20.0]);
        assert!((2500.0..3500.0).contains(&wait), "{wait}");
        assert_eq!(wait.to_bits(), burst(2000, &[20.0]).to_bits());
        assert!(burst(10, &[0.01]) < 0.02);
    }

    #[test]
    fn cores_by_what_spreads() {
        assert_eq!(cores_needed(864, 2, 20.0, 1.0, 1.0), Some(2));
        // 40 s a day's share each: 79 s of model and 1 s of the rest in 40 s.
        assert_eq!(cores_needed(1728, 2, 78.0, 1.0, 1.0), Some(4));
        assert_eq!(cores_needed(1728, 2, 78.0, 41.0, 1.0), None);
    }
}
