//! Which rules are there, and which of them match this event?

use crate::correlation::Correlation;
use crate::expand::Placeholders;
use crate::logsource::{Sources, is_mapped, sources};
use crate::view::View;
use crate::{Correlator, Result, Rule, load};
use casemate_event::{Event, Format, LogSource};
use rsigma_eval::Engine;
use rsigma_parser::FilterRule;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A rule, or a file of rules, that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Loaded rules, ready to match.
///
/// Rules are grouped by log source, each group with its own candidate index, so the cost of an event grows
/// with the rules of its own sources that share a rare value with it, not with all rules.
#[derive(Default)]
pub struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) by_id: HashMap<String, usize>,
    /// By `product/category/service`, each empty where the rules do not say.
    pub(crate) groups: HashMap<String, Engine>,
    /// Correlation rules, after those that they refer to.
    pub(crate) correlations: Vec<Correlation>,
    /// Product, category and service of rules that no event belongs to without a mapping file.
    pub(crate) unwritten: Vec<(usize, [String; 3])>,
    /// SHA-256 over the files.
    pub(crate) sha256: String,
    /// Lists and filters of the site, which hold for rules that are tried as well.
    pub(crate) placeholders: Arc<Placeholders>,
    pub(crate) filters: Vec<(PathBuf, FilterRule)>,
    /// What mapping files say of their formats.
    pub(crate) log_sources: HashMap<Format, LogSource>,
}

impl Rules {
    /// Reads every `*.yml` and `*.yaml` file under `dirs` (a file may be named as well).
    ///
    /// A file or rule that cannot be used is reported and left out; so is a rule whose id is already loaded,
    /// so of two directories the first named wins.
    ///
    /// # Errors
    /// [`Error::Read`] if one of `dirs` cannot be read.
    pub fn load(dirs: &[PathBuf]) -> Result<(Self, Vec<Problem>)> {
        load::load(dirs)
    }

    /// Says where the events of formats belong that mapping files define; without it no rule matches them.
    pub fn set_log_sources(&mut self, sources: impl IntoIterator<Item = (Format, LogSource)>) {
        self.log_sources = sources.into_iter().collect();
    }

    pub(crate) fn log_source(&self, format: Format) -> Option<&LogSource> {
        self.log_sources.get(&format)
    }

    /// SHA-256 over the files that were read, in lower-case hex: the same for the same files, wherever they lie.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Number of rules loaded.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether no rule is loaded.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// All rules, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rule with this id.
    pub fn get(&self, rule_id: &str) -> Option<&Rule> {
        self.by_id.get(rule_id).and_then(|&index| self.rules.get(index))
    }

    /// Rules that can never match, because no decoder here writes events of their log source (an EDR product's,
    /// say).
    pub fn without_source(&self) -> impl Iterator<Item = &Rule> {
        let idle = self.unwritten.iter().filter(|(_, [product, category, service])| {
            !self.log_sources.values().any(|place| is_mapped(place, product, category, service))
        });
        idle.filter_map(|(index, _)| self.rules.get(*index))
    }

    /// What the correlation rules have seen: nothing yet.
    pub fn correlator(&self) -> Correlator {
        Correlator::new(self)
    }

    /// Every rule that `event` matches, whatever its severity (see [`ALERT_LEVEL`](crate::ALERT_LEVEL)), in
    /// the order the rules were read.
    pub fn matches(&self, event: &Event) -> Vec<&Rule> {
        let mapped = self.log_source(event.format);
        let Some(sources) = sources(event, mapped) else { return Vec::new() };
        let view = View::new(event, mapped);
        let mut found: Vec<usize> = Vec::new();
        self.for_each_group(&sources, |engine| {
            // Compiled rules carry their index as id.
            let matched = engine.evaluate(&view).into_iter();
            found.extend(matched.filter_map(|result| result.header.rule_id?.parse::<usize>().ok()));
        });
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|index| self.rules.get(index)).collect()
    }

    /// Calls `visit` with every group whose product, category and service are among `sources` or unstated.
    fn for_each_group(&self, sources: &Sources<'_>, mut visit: impl FnMut(&Engine)) {
        let mut group = String::with_capacity(64);
        let product = Some(sources.product).filter(|product| !product.is_empty());
        for product in std::iter::once("").chain(product) {
            for category in std::iter::once("").chain(sources.categories.iter().copied()) {
                for service in std::iter::once("").chain(sources.services.iter().map(String::as_str)) {
                    group.clear();
                    for part in [product, "/", category, "/", service] {
                        group.push_str(part);
                    }
                    if let Some(engine) = self.groups.get(&group) {
                        visit(engine);
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("rules", &self.rules.len()).field("groups", &self.groups.len()).finish()
    }
}
