//! Was the same thing investigated before, so that its verdict may be used again?
//!
//! Only if nothing differs that the verdict rested on: the rule, the severity, the playbook, the model and the site
//! file; every fact with its weight; every line of evidence as it was shown, without its time, and the signature of
//! its event; what is known of the site, its counts by their order of magnitude; every feature a head may have looked
//! at. A benign verdict is used again on the same host only. One
//! that raises is also used for another host of the same role: that costs an attacker nothing he wants.
//!
//! What a person has decided otherwise since is not used again, nor what rests on the same facts as what they disputed.

use crate::exemplar::SimilarCase;
use crate::facts::Finding;
use crate::hash::sha256_hex;
use crate::playbook::Playbook;
use crate::report::{Evidence, Investigation, Verdict};
use crate::retrieve::{Candidates, signature};
use crate::view::View;
use crate::{Error, Feature, Site};
use casemate_event::{Alert, AlertOrigin, Disposition, EventId, Stored};
use casemate_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Everything a verdict rests on.
pub(crate) struct Ground<'a> {
    pub(crate) alert: &'a Alert,
    pub(crate) found: &'a Candidates,
    pub(crate) findings: &'a [Finding],
    pub(crate) features: &'a [Feature],
    pub(crate) evidence: &'a [Evidence],
    pub(crate) playbook: &'a Playbook,
    /// Hashes of the files that judge.
    pub(crate) judges: &'a [&'a str],
    pub(crate) site: &'a Site,
    pub(crate) site_sha256: &'a str,
}

/// Hashes of what the verdict rests on: on this host, and on any host of its role.
pub(crate) fn rests_on(ground: &Ground<'_>) -> [String; 2] {
    [sha256_hex(ground.text(None).as_bytes()), {
        let host = ground.found.subjects.first().map(|stored| View(&stored.event).host());
        sha256_hex(ground.text(Some(host.unwrap_or_default().as_str())).as_bytes())
    }]
}

/// The earlier investigation whose verdict may be used for what rests on these.
pub(crate) fn earlier(
    store: &Store,
    alert: &Alert,
    rests_on: &[String; 2],
    similar: &[SimilarCase],
) -> Result<Option<Investigation>, Error> {
    for (hash, any_host) in rests_on.iter().zip([false, true]) {
        let Some(id) = store.verified(hash)?.filter(|id| *id != alert.id) else { continue };
        let Some(json) = store.investigation(id)? else { continue };
        let earlier: Investigation = match serde_json::from_slice(&json) {
            Ok(earlier) => earlier,
            Err(error) => {
                tracing::warn!(alert = %id, %error, "a stored investigation cannot be read and is not used again");
                continue;
            }
        };
        let raises = matches!(earlier.verdict, Verdict::Malicious | Verdict::Suspicious);
        if stands(store, similar, &earlier)? && earlier.reused_from.is_none() && (raises || !any_host) {
            return Ok(Some(earlier));
        }
    }
    Ok(None)
}

/// Whether nobody decided otherwise: about the alert itself, or about one of `similar` that its verdict was used for, or
/// that the same rule raised and of which the same facts hold.
fn stands(store: &Store, similar: &[SimilarCase], earlier: &Investigation) -> Result<bool, Error> {
    let is_against = |truth: Disposition| match truth {
        Disposition::Malicious => !matches!(earlier.verdict, Verdict::Malicious | Verdict::Suspicious),
        Disposition::Benign => earlier.verdict != Verdict::Benign,
    };
    let own = store.alert_states(&[earlier.id])?.pop().and_then(|state| state.decided());
    if own.is_some_and(|closing| is_against(closing.verdict)) {
        return Ok(false);
    }
    let facts = |case: &Investigation| -> BTreeSet<String> {
        case.facts.iter().map(|fact| fact.name.clone()).collect()
    };
    for other in similar.iter().filter(|other| is_against(other.verdict)) {
        let Some(json) = store.investigation(other.alert)? else { continue };
        // One that cannot be read was made by another version, whose verdicts are not used again either.
        let Ok(case) = serde_json::from_slice::<Investigation>(&json) else { continue };
        if case.reused_from == Some(earlier.id) || other.same_rule && facts(&case) == facts(earlier) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Ground<'_> {
    /// Everything in writing; `host` is written as its role.
    fn text(&self, host: Option<&str>) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let value = value.to_lowercase();
            let value = match host.filter(|host| host.len() > 2) {
                Some(host) => value.replace(host, &self.role(host)),
                None => value,
            };
            // Lengths, so that no value can pass for another line.
            text.push_str(&format!("{name} {} {value}\n", value.len()));
        };
        line("version", env!("CARGO_PKG_VERSION"));
        match &self.alert.origin {
            AlertOrigin::Rule(id) => line("rule", id),
            AlertOrigin::Product(name) => line("product", &format!("{name:?} {:?}", self.alert.title)),
        }
        line("severity", self.alert.severity.name());
        line("events", &self.alert.event_count.ilog2_or_zero().to_string());
        let mut techniques = self.alert.techniques.clone();
        techniques.sort();
        line("techniques", &techniques.join(" "));
        line("playbook", &self.playbook.sha256);
        line("judges", &self.judges.join(" "));
        // The site file names hosts: as a number none of them is replaced in it.
        line("site", self.site_sha256);
        for finding in self.findings {
            // The weight says what the numbers of a statement are worth; days and counts in it go on changing.
            let statement = masked(&finding.statement);
            let Finding { kind, weight, relation, .. } = finding;
            line("fact", &format!("{} {:x} {relation:?} {statement}", kind.entry().name, weight.to_bits()));
        }
        for (label, text) in self.found.context.lines() {
            line("context", &format!("{label} {}", masked(text)));
        }
        for Feature { name, value } in self.features {
            // Rules that match nearby are told exactly; counts and closeness by their order of magnitude.
            let value = if name.starts_with("rules_") { *value } else { (value * 2.0).round() };
            line("feature", &format!("{name} {:x}", value.to_bits()));
        }
        let events: BTreeMap<EventId, &Stored> =
            self.found.events.iter().map(|stored| (stored.id, stored)).collect();
        for item in self.evidence {
            let shown = item.line.split_once(' ').map_or(item.line.as_str(), |(_, rest)| rest);
            line("line", &format!("{shown} {} {}", item.why, item.count.ilog2_or_zero()));
            if let Some(stored) = events.get(&item.event) {
                line("event", &format!("{:?}", signature(stored)));
            }
        }
        text
    }

    /// What takes the place of a host's name.
    fn role(&self, host: &str) -> String {
        match self.site.asset(host) {
            Some(asset) => format!("<host {:?} {}>", asset.role, asset.critical),
            None => "<host>".to_owned(),
        }
    }
}

/// Numbers by how many digits they have.
fn masked(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

trait Magnitude {
    fn ilog2_or_zero(&self) -> u32;
}

impl Magnitude for u64 {
    fn ilog2_or_zero(&self) -> u32 {
        self.checked_ilog2().unwrap_or_default()
    }
}
