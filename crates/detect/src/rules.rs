//! Which rules are there, and which of them match this event?

use crate::logsource::{Sources, sources};
use crate::view::View;
use crate::{Error, Result, Rule, dash};
use casemate_event::Event;
use rsigma_eval::{CompiledRule, Engine, compile_rule};
use rsigma_parser::{LogSource, SigmaRule, parse_sigma_yaml};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// A rule file that is larger than any rule a person wrote.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Folders deeper than this are a loop of links.
const MAX_DEPTH: usize = 32;

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
    rules: Vec<Rule>,
    by_id: HashMap<String, usize>,
    /// By `product/category/service`, each empty where the rules do not say.
    groups: HashMap<String, Engine>,
}

/// Group that rules of `source` belong to; `None` where it says nothing.
fn group_of(source: &LogSource) -> Option<String> {
    let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_lowercase();
    let (product, category, service) =
        (lower(&source.product), lower(&source.category), lower(&source.service));
    let group = format!("{product}/{category}/{service}");
    (group != "//").then_some(group)
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
        let mut loader = Loader::default();
        for dir in dirs {
            let mut files = Vec::new();
            collect_files(dir, 0, &mut files).map_err(|source| Error::Read { path: dir.clone(), source })?;
            files.sort();
            for file in &files {
                loader.read_file(file);
            }
        }
        let (rules, problems) = loader.finish();
        tracing::info!(rules = rules.len(), problems = problems.len(), "loaded detection rules");
        Ok((rules, problems))
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

    /// Every rule that `event` matches, whatever its severity (see [`ALERT_LEVEL`](crate::ALERT_LEVEL)), in
    /// the order the rules were read.
    pub fn matches(&self, event: &Event) -> Vec<&Rule> {
        let Some(sources) = sources(event) else { return Vec::new() };
        let view = View::new(event);
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
    fn for_each_group(&self, sources: &Sources, mut visit: impl FnMut(&Engine)) {
        let mut group = String::with_capacity(64);
        for product in ["", sources.product] {
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

/// Rules on their way from files to groups.
#[derive(Default)]
struct Loader {
    rules: Vec<Rule>,
    by_id: HashMap<String, usize>,
    compiled: BTreeMap<String, Vec<CompiledRule>>,
    problems: Vec<Problem>,
}

impl Loader {
    fn read_file(&mut self, path: &Path) {
        let text = match read_rule_text(path) {
            Ok(text) => text,
            Err(reason) => return self.report(path, reason),
        };
        let collection = match parse_sigma_yaml(&text) {
            Ok(collection) => collection,
            Err(error) => return self.report(path, error.to_string()),
        };
        for error in &collection.errors {
            self.report(path, error.clone());
        }
        for correlation in &collection.correlations {
            self.report(
                path,
                format!("correlation rule {:?}: correlation is not supported yet", correlation.title),
            );
        }
        for filter in &collection.filters {
            self.report(path, format!("filter {:?}: filters are not supported yet", filter.title));
        }
        for rule in collection.rules {
            if let Err(reason) = self.add(rule, path) {
                self.report(path, reason);
            }
        }
    }

    fn report(&mut self, path: &Path, reason: String) {
        tracing::debug!(path = %path.display(), reason, "rule left out");
        self.problems.push(Problem { path: path.to_path_buf(), reason });
    }

    fn add(&mut self, mut sigma: SigmaRule, path: &Path) -> std::result::Result<(), String> {
        let rule = Rule::new(&sigma, path);
        if let Some(first) = self.by_id.get(&rule.id).and_then(|&index| self.rules.get(index)) {
            return Err(format!(
                "rule id {} is already loaded from {}; give one of them another id",
                rule.id,
                first.path.display()
            ));
        }
        // Such a rule would match records of every kind.
        let Some(group) = group_of(&sigma.logsource) else {
            return Err(format!(
                "rule {:?} names no log source; state product, category or service",
                rule.title
            ));
        };
        for detection in sigma.detection.named.values_mut() {
            dash::expand(detection).map_err(|reason| format!("rule {:?}: {reason}", rule.title))?;
        }
        let mut compiled = compile_rule(&sigma).map_err(|error| format!("rule {:?}: {error}", rule.title))?;
        let index = self.rules.len();
        compiled.id = Some(index.to_string());
        // Copied into every match otherwise; the rule itself holds them.
        compiled.title = String::new();
        compiled.tags = Vec::new();
        self.compiled.entry(group).or_default().push(compiled);
        self.by_id.insert(rule.id.clone(), index);
        self.rules.push(rule);
        Ok(())
    }

    fn finish(self) -> (Rules, Vec<Problem>) {
        let groups = self.compiled.into_iter().map(|(group, compiled)| {
            let mut engine = Engine::new();
            engine.extend_compiled_rules(compiled);
            (group, engine)
        });
        let groups = groups.collect();
        (Rules { rules: self.rules, by_id: self.by_id, groups }, self.problems)
    }
}

fn read_rule_text(path: &Path) -> std::result::Result<String, String> {
    let bytes = fs_err::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(format!("{bytes} bytes is no rule file (limit {MAX_FILE_BYTES})"));
    }
    fs_err::read_to_string(path).map_err(|error| error.to_string())
}

fn collect_files(path: &Path, depth: usize, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !fs_err::metadata(path)?.is_dir() {
        out.push(path.to_path_buf());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Ok(());
    }
    for entry in fs_err::read_dir(path)? {
        let path = entry?.path();
        let is_rule = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        if is_rule || path.is_dir() {
            collect_files(&path, depth + 1, out)?;
        }
    }
    Ok(())
}
