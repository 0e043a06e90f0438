//! The baseline as numbers: always the same names in the same order, for a head to be fitted on.
//!
//! Counts are `ln(1 + n)`, events of a day on average, rates `ln` of a ratio with one added on either side, shares
//! between 0 and 1. What is not known is 0, and the flag `…_known` beside it says so. How long the logs reach back is
//! no feature: that says when an alert was raised and nothing about it.

use super::{Aspect, Baseline, MIN_RATE_HOURS, Support, Usual};

impl Aspect {
    /// Names of its features: known, events, share of days, never seen.
    const fn features(self) -> [&'static str; 4] {
        match self {
            Self::Template => ["template_known", "template_events", "template_days", "template_new"],
            Self::Program => ["program_known", "program_events", "program_days", "program_new"],
            Self::ParentChild => {
                ["parent_child_known", "parent_child_events", "parent_child_days", "parent_child_new"]
            }
            Self::Service => ["service_known", "service_events", "service_days", "service_new"],
            Self::Job => ["job_known", "job_events", "job_days", "job_new"],
            Self::LogonPath => ["logon_path_known", "logon_path_events", "logon_path_days", "logon_path_new"],
            Self::AccountOnHost => [
                "account_on_host_known",
                "account_on_host_events",
                "account_on_host_days",
                "account_on_host_new",
            ],
            Self::SourceOnHost => {
                ["source_on_host_known", "source_on_host_events", "source_on_host_days", "source_on_host_new"]
            }
            Self::Destination => {
                ["destination_known", "destination_events", "destination_days", "destination_new"]
            }
            Self::UserAgent => ["user_agent_known", "user_agent_events", "user_agent_days", "user_agent_new"],
            Self::CloudOperation => [
                "cloud_operation_known",
                "cloud_operation_events",
                "cloud_operation_days",
                "cloud_operation_new",
            ],
            Self::Signature => ["signature_known", "signature_events", "signature_days", "signature_new"],
            Self::SignatureOnHost => [
                "signature_on_host_known",
                "signature_on_host_events",
                "signature_on_host_days",
                "signature_on_host_new",
            ],
            Self::DeviceOperation => [
                "device_operation_known",
                "device_operation_events",
                "device_operation_days",
                "device_operation_new",
            ],
        }
    }
}

impl Baseline {
    /// The baseline as named numbers, in an order that never changes.
    pub(crate) fn features(&self) -> Vec<(&'static str, f64)> {
        let mut features = Vec::new();
        for aspect in Aspect::ALL {
            features.extend(self.of_aspect(aspect));
        }
        features.extend(self.over_aspects());
        features.extend(self.rates());
        features.extend(self.of_kinds());
        features.extend(self.of_hours());
        features
    }

    /// Of one aspect, its rarest value.
    fn of_aspect(&self, aspect: Aspect) -> [(&'static str, f64); 4] {
        let [known, events, days, new] = aspect.features();
        let rarest = self
            .of(aspect)
            .filter(|usual| usual.support.is_enough())
            .min_by_key(|usual| (usual.days, usual.events));
        let Some(usual) = rarest else { return [(known, 0.0), (events, 0.0), (days, 0.0), (new, 0.0)] };
        [(known, 1.0), (events, events_a_day(usual)), (days, day_share(usual)), (new, flag(usual.is_new()))]
    }

    fn over_aspects(&self) -> [(&'static str, f64); 4] {
        let known: Vec<&Usual> = self.usual.iter().filter(|usual| usual.support.is_enough()).collect();
        let new = known.iter().filter(|usual| usual.is_new()).count() as f64;
        let hosts = known.iter().filter(|usual| !usual.on_host).map(|usual| usual.hosts).min();
        [
            ("usual_known", flag(!known.is_empty())),
            ("new_share", new / (known.len() as f64).max(1.0)),
            ("rarest_days", known.iter().map(|usual| day_share(usual)).reduce(f64::min).unwrap_or_default()),
            ("fewest_hosts", log(hosts.unwrap_or_default())),
        ]
    }

    /// How fast it comes now against before: of findings by signature, of other events by template.
    fn rates(&self) -> [(&'static str, f64); 7] {
        let rate = self.rated().map(|usual| {
            let now = log(usual.now);
            (now, now - log(usual.busiest), now - log(usual.typical))
        });
        let (now, busiest, typical) = rate.unwrap_or_default();
        let surge = |support: Support| {
            if support.hours >= MIN_RATE_HOURS { log(support.now) - log(support.busiest) } else { 0.0 }
        };
        [
            ("rate_known", flag(rate.is_some())),
            ("rate_now", now),
            ("rate_to_busiest", busiest),
            ("rate_to_typical", typical),
            ("surge_known", flag(self.site.hours >= MIN_RATE_HOURS)),
            ("surge_host", surge(self.host)),
            ("surge_site", surge(self.site)),
        ]
    }

    fn of_kinds(&self) -> [(&'static str, f64); 8] {
        let kinds = &self.kinds;
        let findings = flag(kinds.findings.kinds > 0 && self.site.is_enough());
        let host = flag(kinds.host.kinds > 0 && self.host.is_enough());
        let share = |new: u64, kinds: u64| new as f64 / (kinds as f64).max(1.0);
        let before = kinds.findings_before;
        [
            ("finding_kinds_known", findings),
            ("finding_kinds", findings * log(kinds.findings.kinds)),
            ("finding_kinds_new", findings * log(kinds.findings.new)),
            ("finding_kinds_before_known", flag(before.is_some())),
            ("finding_kinds_to_before", before.map_or(0.0, |before| log(kinds.findings.kinds) - log(before))),
            ("host_kinds_known", host),
            ("host_kinds_new", host * log(kinds.host.new)),
            ("host_kinds_new_share", host * share(kinds.host.new, kinds.host.kinds)),
        ]
    }

    fn of_hours(&self) -> [(&'static str, f64); 3] {
        let hours = self.hours.as_ref().filter(|hours| hours.is_enough());
        let share = hours.map_or(0.0, |hours| hours.days_at_this_hour as f64 / hours.days as f64);
        [
            ("hours_known", flag(hours.is_some())),
            ("hours_share", share.min(1.0)),
            ("hours_outside", flag(hours.is_some_and(|hours| hours.days_at_this_hour == 0))),
        ]
    }
}

impl Baseline {
    /// What its rate is told from: of findings the signature, of other events the template; of several the one that
    /// comes fastest against its past.
    pub(crate) fn rated(&self) -> Option<&Usual> {
        let fastest = |aspect| {
            let rated = self.of(aspect).filter(|usual| usual.has_rate());
            rated.max_by(|a, b| {
                let ratio = |usual: &Usual| log(usual.now) - log(usual.busiest);
                ratio(a).total_cmp(&ratio(b)).then(a.now.cmp(&b.now))
            })
        };
        fastest(Aspect::Signature).or_else(|| fastest(Aspect::Template))
    }
}

fn log(count: u64) -> f64 {
    (count as f64).ln_1p()
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn events_a_day(usual: &Usual) -> f64 {
    (usual.events as f64 / (usual.support.days as f64).max(1.0)).ln_1p()
}

/// On which share of the days with comparable logs it was seen.
fn day_share(usual: &Usual) -> f64 {
    (usual.days as f64 / (usual.support.days as f64).max(1.0)).min(1.0)
}
