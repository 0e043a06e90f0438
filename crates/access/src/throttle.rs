//! Who has guessed too often, and how long must they wait?
//!
//! Failures are counted by source address and by account. Past a few free ones each doubles the wait. An account waits
//! half a minute at most, so that nobody is locked out by others guessing; an address waits up to a quarter of an
//! hour. Memory is bounded: the longest quiet goes first.

use jiff::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most addresses, and most accounts, that are remembered.
const MAX_REMEMBERED: usize = 4096;
/// After so long without a failure one is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

const BY_SOURCE: Rule = Rule { free: 10, longest: Duration::from_secs(15 * 60) };
const BY_ACCOUNT: Rule = Rule { free: 5, longest: Duration::from_secs(30) };

#[derive(Clone, Copy)]
struct Rule {
    /// Failures that cost no wait.
    free: u32,
    longest: Duration,
}

impl Rule {
    /// One second after the first failure that is not free, twice as long with each more.
    fn wait(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free + 1) {
            None => Duration::ZERO,
            Some(more) => Duration::from_secs(1 << more.min(20)).min(self.longest),
        }
    }
}

/// Counts of failures, and the waits that follow.
#[derive(Debug, Default)]
pub struct Throttle {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    sources: HashMap<String, Failures>,
    accounts: HashMap<String, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// How much of the wait is left. A clock that jumped back ends it rather than stretching it.
    fn left(self, rule: Rule, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.last))
            .map_or(Duration::ZERO, |since| rule.wait(self.count).saturating_sub(since))
    }

    fn is_forgotten(self, now: Timestamp) -> bool {
        Duration::try_from(now.duration_since(self.last)).map_or(true, |since| since > FORGET_AFTER)
    }
}

impl Throttle {
    /// Counts an attempt as a failure before it is looked at, so that many at once gain nothing; [`Throttle::succeeded`]
    /// takes it back. `Err` is the time to wait, and nothing is counted then.
    ///
    /// `source` is the address of the other end (an IPv6 one counts as its /64), `account` the name it claims, where
    /// names can be guessed for.
    ///
    /// # Errors
    /// How long to wait, at least a millisecond.
    pub fn attempt(&self, source: &str, account: Option<&str>, now: Timestamp) -> Result<(), Duration> {
        let source = network_of(source);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |table: &HashMap<String, Failures>, key: &str, rule| {
            table.get(key).map_or(Duration::ZERO, |failures| failures.left(rule, now))
        };
        let by_account =
            account.map_or(Duration::ZERO, |account| left(&tables.accounts, account, BY_ACCOUNT));
        let wait = left(&tables.sources, &source, BY_SOURCE).max(by_account);
        if !wait.is_zero() {
            return Err(wait.max(Duration::from_millis(1)));
        }
        count(&mut tables.sources, &source, now);
        if let Some(account) = account {
            count(&mut tables.accounts, account, now);
        }
        Ok(())
    }

    /// The account proved who it is: its failures and those of the address are forgotten.
    pub fn succeeded(&self, source: &str, account: Option<&str>) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.sources.remove(&network_of(source));
        account.map(|account| tables.accounts.remove(account));
    }
}

fn count(table: &mut HashMap<String, Failures>, key: &str, now: Timestamp) {
    if !table.contains_key(key) && table.len() >= MAX_REMEMBERED {
        table.retain(|_, failures| !failures.is_forgotten(now));
        if table.len() >= MAX_REMEMBERED
            && let Some(quiet) =
                table.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone())
        {
            table.remove(&quiet);
        }
    }
    let failures = table.entry(key.to_owned()).or_insert(Failures { count: 0, last: now });
    if failures.is_forgotten(now) {
        failures.count = 0;
    }
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
}

/// What one machine can easily change of its address is left out: of IPv6 the last 64 bits. Bounded in length.
fn network_of(source: &str) -> String {
    match source.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("{network}/64")
        }
        Ok(address) => address.to_string(),
        Err(_) => source.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn an_account_waits_twice_as_long_each_time() {
        let throttle = Throttle::default();
        for machine in 0..=BY_ACCOUNT.free {
            throttle.attempt(&format!("10.0.0.{machine}"), Some("ann"), at(0)).unwrap();
        }
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let wait = throttle.attempt("10.0.1.1", Some("ann"), at(now)).unwrap_err();
            assert_eq!(wait, Duration::from_secs(expected));
            now += i64::try_from(expected).unwrap();
            throttle.attempt("10.0.1.2", Some("ann"), at(now)).unwrap();
        }
        throttle.attempt("10.0.1.3", Some("bob"), at(now)).unwrap();
        throttle.succeeded("10.0.1.1", Some("ann"));
        throttle.attempt("10.0.1.1", Some("ann"), at(now)).unwrap();
    }

    #[test]
    fn an_address_waits_for_all_accounts() {
        let throttle = Throttle::default();
        for user in 0..=BY_SOURCE.free {
            throttle.attempt("2001:db8::1", Some(&format!("user{user}")), at(0)).unwrap();
        }
        assert_eq!(throttle.attempt("2001:db8::ffff:2", Some("other"), at(0)), Err(Duration::from_secs(1)));
        throttle.attempt("2001:db8:0:1::1", Some("other"), at(0)).unwrap();
        assert_eq!(network_of("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn failures_are_forgotten_and_a_clock_that_jumps_back_locks_nobody_out() {
        let throttle = Throttle::default();
        for _ in 0..=BY_ACCOUNT.free {
            throttle.attempt("a", Some("ann"), at(10_000)).unwrap();
        }
        throttle.attempt("b", Some("ann"), at(10_000)).unwrap_err();
        throttle.attempt("b", Some("ann"), at(0)).unwrap();
        throttle.attempt("b", Some("ann"), at(0)).unwrap();
        throttle.attempt("b", Some("ann"), at(20_000)).unwrap();
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for index in 0..3 * MAX_REMEMBERED {
            let second = i64::try_from(index).unwrap();
            throttle.attempt(&format!("{index}"), Some(&format!("user{index}")), at(second)).unwrap();
        }
        let tables = throttle.tables.lock().unwrap();
        assert!(tables.sources.len() <= MAX_REMEMBERED && tables.accounts.len() <= MAX_REMEMBERED);
        assert!(tables.sources.contains_key(&format!("{}", 3 * MAX_REMEMBERED - 1)));
    }
}
