//! How do rule files become rules? Read and compiled on all cores, in an order that does not depend on them.

use crate::correlation::{self, Correlation};
use crate::expand::Placeholders;
use crate::{Error, Problem, Result, Rule, Rules, dash, filter, logsource, strings};
use rayon::prelude::*;
use rsigma_eval::{CompiledRule, Engine, compile_rule};
use rsigma_parser::{CorrelationRule, FilterRule, LogSource, SigmaCollection, SigmaRule, parse_sigma_yaml};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A rule file that is larger than any rule a person wrote.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Folders deeper than this are a loop of links.
const MAX_DEPTH: usize = 32;

/// See [`Rules::load`].
pub(crate) fn load(dirs: &[PathBuf]) -> Result<(Rules, Vec<Problem>)> {
    let mut files = Vec::new();
    for dir in dirs {
        let mut found = Vec::new();
        collect_files(dir, 0, &mut found).map_err(|source| Error::Read { path: dir.clone(), source })?;
        found.sort();
        files.extend(found);
    }
    let (lists, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| Placeholders::is_list(path));
    let (mut loader, mut placeholders) = (Loader::default(), Placeholders::default());
    let mut hashes = Vec::with_capacity(lists.len() + files.len());
    for path in &lists {
        let read = read_text(path).and_then(|text| {
            hashes.push(Sha256::digest(&text));
            placeholders.read(&text)
        });
        if let Err(reason) = read {
            loader.report(path, reason);
        }
    }
    loader.placeholders = Arc::new(placeholders);
    let read: Vec<_> = files.par_iter().map(|path| read_file(path)).collect();
    for (path, read) in files.iter().zip(read) {
        match read {
            Ok((text, collection)) => {
                hashes.push(Sha256::digest(&*text));
                loader.take(path, &text, collection);
            }
            Err(reason) => loader.report(path, reason),
        }
    }
    let (mut rules, problems) = loader.finish();
    // In order of content, wherever the files lie.
    hashes.sort_unstable();
    rules.sha256 = Sha256::digest(hashes.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    tracing::info!(rules = rules.len(), problems = problems.len(), "loaded detection rules");
    Ok((rules, problems))
}

/// Rules on their way from files to groups.
#[derive(Default)]
pub(crate) struct Loader {
    rules: Vec<(PathBuf, SigmaRule)>,
    correlations: Vec<(PathBuf, CorrelationRule)>,
    pub(crate) filters: Vec<(PathBuf, FilterRule)>,
    /// Files by their paths.
    texts: HashMap<PathBuf, Arc<str>>,
    /// Rule ids seen, and where.
    seen: HashMap<String, PathBuf>,
    placeholders: Arc<Placeholders>,
    problems: Vec<Problem>,
}

impl Loader {
    /// One whose rules may use these lists.
    pub(crate) fn with(placeholders: Arc<Placeholders>) -> Self {
        Self { placeholders, ..Self::default() }
    }

    pub(crate) fn report(&mut self, path: &Path, reason: String) {
        tracing::debug!(path = %path.display(), reason, "rule left out");
        self.problems.push(Problem { path: path.to_path_buf(), reason });
    }

    /// Takes the rules of one file, except those whose id is taken.
    pub(crate) fn take(&mut self, path: &Path, text: &Arc<str>, collection: SigmaCollection) {
        self.texts.insert(path.to_owned(), Arc::clone(text));
        for error in collection.errors {
            self.report(path, error);
        }
        for rule in collection.rules {
            if self.is_new(path, rule.id.as_ref().unwrap_or(&rule.title)) {
                self.rules.push((path.to_owned(), rule));
            }
        }
        for rule in collection.correlations {
            if self.is_new(path, rule.id.as_ref().unwrap_or(&rule.title)) {
                self.correlations.push((path.to_owned(), rule));
            }
        }
        self.filters.extend(collection.filters.into_iter().map(|filter| (path.to_owned(), filter)));
    }

    fn is_new(&mut self, path: &Path, id: &str) -> bool {
        if let Some(first) = self.seen.get(id) {
            let first = first.display();
            let reason = format!("rule id {id} is already loaded from {first}; give one of them another id");
            self.report(path, reason);
            return false;
        }
        self.seen.insert(id.to_owned(), path.to_owned());
        true
    }

    pub(crate) fn finish(mut self) -> (Rules, Vec<Problem>) {
        let filters = std::mem::take(&mut self.filters);
        for (path, filter) in &filters {
            let rules = self.rules.iter_mut().map(|(_, rule)| rule);
            if let Err(reason) = filter::apply(filter, rules) {
                self.report(path, reason);
            }
        }
        let (placeholders, texts) = (&self.placeholders, &self.texts);
        let compiled: Vec<_> = std::mem::take(&mut self.rules)
            .into_par_iter()
            .map(|(path, sigma)| {
                let text = texts.get(&path).cloned().unwrap_or_default();
                let rule = Rule { text, ..Rule::new(&sigma, &path) };
                let compiled =
                    compile(sigma, placeholders).map_err(|reason| format!("rule {:?}: {reason}", rule.title));
                (path, rule, compiled)
            })
            .collect();

        let placeholders = Arc::clone(&self.placeholders);
        let mut rules = Rules { placeholders, filters, ..Rules::default() };
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut groups: BTreeMap<String, Vec<CompiledRule>> = BTreeMap::new();
        for (path, rule, compiled) in compiled {
            let (name, group, mut compiled) = match compiled {
                Ok(compiled) => compiled,
                Err(reason) => {
                    self.report(&path, reason);
                    continue;
                }
            };
            let index = rules.rules.len();
            compiled.id = Some(index.to_string());
            let parts: [&str; 3] = std::array::from_fn(|at| group.split('/').nth(at).unwrap_or_default());
            let [product, category, service] = parts;
            if !logsource::is_written(product, category, service) {
                rules.unwritten.push((index, parts.map(str::to_owned)));
            }
            groups.entry(group).or_default().push(compiled);
            names.extend(name.map(|name| (name, index)));
            rules.by_id.insert(rule.id.clone(), index);
            rules.rules.push(rule);
        }
        let groups: Vec<_> = groups.into_iter().collect();
        let engines = groups.into_par_iter().with_max_len(1).map(|(group, compiled)| {
            let mut engine = Engine::new();
            engine.extend_compiled_rules(compiled);
            (group, engine)
        });
        rules.groups = engines.collect();
        self.correlate(&mut rules, names);
        (rules, self.problems)
    }

    /// Adds the correlation rules, each after those that it refers to.
    fn correlate(&mut self, rules: &mut Rules, mut names: HashMap<String, usize>) {
        let mut waiting = std::mem::take(&mut self.correlations);
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for (path, sigma) in waiting {
                let find = |name: &String| rules.by_id.get(name).or_else(|| names.get(name)).copied();
                if !sigma.rules.iter().all(|name| find(name).is_some()) {
                    later.push((path, sigma));
                    continue;
                }
                let references = sigma.rules.iter().filter_map(find).collect();
                let index = rules.rules.len();
                match Correlation::new(&sigma, index, references) {
                    Ok(correlation) => {
                        let text = self.texts.get(&path).cloned().unwrap_or_default();
                        let rule = Rule { text, ..correlation::rule(&sigma, &path) };
                        names.extend(sigma.name.clone().map(|name| (name, index)));
                        rules.by_id.insert(rule.id.clone(), index);
                        rules.rules.push(rule);
                        rules.correlations.push(correlation);
                    }
                    Err(reason) => {
                        self.report(&path, format!("correlation rule {:?}: {reason}", sigma.title));
                    }
                }
            }
            waiting = later;
            if waiting.len() == before {
                break;
            }
        }
        for (path, sigma) in waiting {
            let unknown = sigma
                .rules
                .iter()
                .filter(|name| !rules.by_id.contains_key(*name) && !names.contains_key(*name))
                .cloned()
                .collect::<Vec<_>>();
            let reason = format!(
                "correlation rule {:?}: refers to {}, which no loaded rule has as id or name, or which refers back",
                sigma.title,
                unknown.join(", ")
            );
            self.report(&path, reason);
        }
        correlation::mark_quiet(rules);
    }
}

/// The rule's name, its group, and the rule ready to match.
fn compile(
    mut sigma: SigmaRule,
    placeholders: &Placeholders,
) -> std::result::Result<(Option<String>, String, CompiledRule), String> {
    // Such a rule would match records of every kind.
    let group = group_of(&sigma.logsource)
        .ok_or_else(|| "names no log source; state product, category or service".to_owned())?;
    if let Some(pattern) =
        sigma.detection.conditions.iter().find_map(|own| filter::idle(own, &sigma.detection))
    {
        return Err(format!("condition: no selection's name fits {pattern}"));
    }
    for detection in sigma.detection.named.values_mut() {
        placeholders.fill(detection)?;
        dash::expand(detection)?;
        strings::rewrite(detection);
    }
    let mut compiled = compile_rule(&sigma).map_err(|error| error.to_string())?;
    // Copied into every match otherwise; the rule itself holds them.
    compiled.title = String::new();
    compiled.tags = Vec::new();
    Ok((sigma.name, group, compiled))
}

/// Group that rules of `source` belong to; `None` where it says nothing.
fn group_of(source: &LogSource) -> Option<String> {
    let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_lowercase();
    let (product, category, service) =
        (lower(&source.product), lower(&source.category), lower(&source.service));
    let group = format!("{product}/{category}/{service}");
    (group != "//").then_some(group)
}

fn read_file(path: &Path) -> std::result::Result<(Arc<str>, SigmaCollection), String> {
    let text = read_text(path)?;
    let collection = parse_sigma_yaml(&text).map_err(|error| error.to_string())?;
    Ok((text.into(), collection))
}

fn read_text(path: &Path) -> std::result::Result<String, String> {
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
        let entry = entry?;
        let path = entry.path();
        let is_rule = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        if is_rule || entry.file_type().is_ok_and(|kind| !kind.is_file()) && path.is_dir() {
            collect_files(&path, depth + 1, out)?;
        }
    }
    Ok(())
}
