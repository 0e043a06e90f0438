//! `casemate doctor`: is everything there, whole and as it should be?
//!
//! Exit status 1 if there are problems; each says what to do.

use crate::cli::{DoctorArgs, Global};
use crate::failure::Outcome;
use crate::machine::{Cpu, Egress};
use crate::models::{self, Entry, FileEntry};
use crate::seal::Seal;
use crate::{output, setup};
use casemate_investigate::Drift;
use casemate_pipeline::Pipeline;
use casemate_receive::{Saved, SavedSource};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Report {
    models: Vec<ModelStatus>,
    indexes: Option<Indexes>,
    /// Who has sent, by name.
    sources: BTreeMap<String, SavedSource>,
    rules: usize,
    /// Of these, those whose log source nothing here writes.
    rules_without_source: usize,
    cpu: Cpu,
    capacity: Option<f64>,
    egress: Egress,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ModelStatus {
    name: String,
    role: String,
    path: String,
    status: Status,
    sha256: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Size and hash are the catalogue's.
    Verified,
    /// Size is the catalogue's; the hash was not looked at (`--quick`).
    SizeMatches,
    /// Not there.
    Absent,
    /// There, and not what the catalogue says.
    Damaged,
}

#[derive(Debug, Serialize)]
struct Indexes {
    data_dir: String,
    #[serde(flatten)]
    counts: casemate_store::Counts,
    /// Templates in the vector index; not looked at with `--quick`, or without the embedding model.
    templates_indexed: Option<usize>,
    open_seconds: f64,
    /// Whether verdicts still hold, its warnings being among the problems; not looked at with `--quick`.
    verdicts: Option<Drift>,
}

pub(crate) fn run(global: &Global, args: &DoctorArgs, seal: &Seal) -> Outcome {
    let started = Instant::now();
    let mut problems = Vec::new();
    let models = check_models(&global.model_dirs(), args.quick, &mut problems)?;
    let (rules, rules_without_source) = match count_rules(global) {
        Ok(counts) => counts,
        Err(failure) => {
            problems.push(failure.to_string());
            (0, 0)
        }
    };
    if let Err(failure) = setup::site(global, None) {
        problems.push(failure.to_string());
    }
    let sources = Saved::read(&global.data_dir).map(|saved| saved.sources).unwrap_or_default();
    let indexes = check_indexes(global, args, &mut problems);
    let cpu = Cpu::detect();
    if !cpu.has("avx2") {
        problems.push(
            "the processor has no AVX2: inference runs on portable code, several times slower; use --model tiny \
             or another machine"
                .to_owned(),
        );
    }
    if args.verify {
        verify(global, &mut problems)?;
    }
    let egress = Egress::check(seal);
    problems.extend(seal.missing.iter().map(|missing| format!("not sealed by {missing}")));
    let report = Report {
        models,
        indexes,
        sources,
        rules,
        rules_without_source,
        cpu,
        capacity: None,
        egress,
        problems,
    };
    if global.json {
        output::json(&report, started)?;
    } else {
        report.print()?;
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What bundles brought, and the audit record.
fn verify(global: &Global, problems: &mut Vec<String>) -> Outcome<()> {
    problems.extend(super::bundle::damaged(global)?);
    let record = global.data_dir.join("audit");
    if record.is_dir() {
        let found = casemate_audit::verify(&record, &[], None)?;
        problems.extend(found.problems.into_iter().map(|problem| format!("audit record: {problem}")));
    }
    Ok(())
}

/// Rules, and those of them that no event can match.
fn count_rules(global: &Global) -> Outcome<(usize, usize)> {
    let mut rules = setup::rules(global)?;
    let mappings = setup::mappings(global)?;
    rules.set_log_sources(mappings.log_sources().map(|(format, source)| (format, source.clone())));
    Ok((rules.len(), rules.without_source().count()))
}

fn check_models(
    dirs: &[PathBuf],
    quick: bool,
    problems: &mut Vec<String>,
) -> anyhow::Result<Vec<ModelStatus>> {
    let mut statuses = Vec::new();
    for Entry { name, role, files } in models::catalog()? {
        // The tiny one reads for the probe of the head that ships.
        let needed = ["investigator", "embedder", "tiny"].contains(&role.as_str());
        for file in files {
            let (status, sha256) = check_file(&models::find(dirs, &file.path), &file, quick)?;
            let path = models::find(dirs, &file.path);
            match status {
                Status::Absent if needed => problems.push(format!(
                    "model {name} is not at {}: `casemate-stage fetch --only {name}` on a connected machine",
                    path.display()
                )),
                Status::Damaged => problems.push(format!(
                    "{} is not the file the catalogue names: remove it and `casemate-stage fetch --only {name}`",
                    path.display()
                )),
                _ => {}
            }
            let (name, role) = (name.clone(), role.clone());
            statuses.push(ModelStatus { name, role, path: path.display().to_string(), status, sha256 });
        }
    }
    Ok(statuses)
}

fn check_file(path: &Path, file: &FileEntry, quick: bool) -> anyhow::Result<(Status, Option<String>)> {
    let Ok(metadata) = path.metadata() else { return Ok((Status::Absent, None)) };
    if metadata.len() != file.bytes {
        return Ok((Status::Damaged, None));
    }
    if quick {
        return Ok((Status::SizeMatches, None));
    }
    let sha256 = casemate_disk::sha256_file(path, |_| {})?;
    let status = if sha256 == file.sha256 { Status::Verified } else { Status::Damaged };
    Ok((status, Some(sha256)))
}

/// Opens the data directory as `serve` would, and verifies its segments. One that is not there yet is no problem.
fn check_indexes(global: &Global, args: &DoctorArgs, problems: &mut Vec<String>) -> Option<Indexes> {
    if !global.data_dir.is_dir() {
        return None;
    }
    let started = Instant::now();
    // Its absence is said with the models.
    let embedder = match (!args.quick).then(|| models::load_embedder(&global.model_dirs())) {
        Some(Ok(embedder)) => embedder,
        Some(Err(failure)) => {
            problems.push(failure.to_string());
            None
        }
        None => None,
    };
    let has_embedder = embedder.is_some();
    let opened = Pipeline::open(&global.data_dir, casemate_detect::Rules::default(), embedder)
        .and_then(|pipeline| Ok((pipeline.store().counts()?, pipeline)));
    let open_seconds = output::seconds(started);
    match opened {
        Ok((counts, pipeline)) => {
            let store = pipeline.store();
            let damaged = match (args.quick, args.repair) {
                (true, _) => Ok(Vec::new()),
                (false, true) => store.repair(),
                (false, false) => store.verify(),
            };
            match damaged {
                Ok(damaged) if args.repair => {
                    problems
                        .extend(damaged.into_iter().map(|what| format!("{what}; restore it from a backup")));
                }
                Ok(damaged) => problems.extend(damaged.into_iter().map(|what| {
                    format!(
                        "{what}; `casemate doctor --repair` makes it anew where only its index is damaged"
                    )
                })),
                Err(error) => problems.push(error.to_string()),
            }
            let verdicts = match (!args.quick).then(|| Drift::of(store)).transpose() {
                Ok(verdicts) => verdicts,
                Err(error) => {
                    problems.push(error.to_string());
                    None
                }
            };
            problems.extend(verdicts.iter().flat_map(|verdicts| verdicts.warnings.clone()));
            Some(Indexes {
                data_dir: global.data_dir.display().to_string(),
                counts,
                templates_indexed: has_embedder.then(|| pipeline.indexed_templates()),
                open_seconds,
                verdicts,
            })
        }
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    }
}

impl Report {
    fn print(&self) -> std::io::Result<()> {
        output::line(&format!("cpu      {}", self.cpu.describe()))?;
        for model in &self.models {
            let status = match model.status {
                Status::Verified => "verified",
                Status::SizeMatches => "size matches, hash not checked",
                Status::Absent => "absent",
                Status::Damaged => "DAMAGED",
            };
            output::line(&format!("model    {} ({}): {status}, {}", model.name, model.role, model.path))?;
            if let Some(sha256) = &model.sha256 {
                output::line(&format!("         sha256 {sha256}"))?;
            }
        }
        let idle = match self.rules_without_source {
            0 => String::new(),
            count => format!(", {count} of them for log sources that nothing here writes"),
        };
        output::line(&format!("rules    {}{idle}", self.rules))?;
        let indexed = self.indexes.as_ref().and_then(|indexes| indexes.templates_indexed);
        let indexed = indexed.map(|count| format!(" ({count} in the vector index)")).unwrap_or_default();
        match &self.indexes {
            Some(indexes) => output::line(&format!(
                "data     {}: {} events, {} quarantined, {} alerts, {} investigations, {} templates{indexed}, {:.1} MB, \
                 opened in {:.3} s",
                indexes.data_dir,
                indexes.counts.events,
                indexes.counts.quarantined.values().sum::<u64>(),
                indexes.counts.alerts,
                indexes.counts.investigations,
                indexes.counts.templates,
                indexes.counts.bytes_on_disk as f64 / 1e6,
                indexes.open_seconds
            ))?,
            None => output::line("data     none yet")?,
        }
        if let Some(Indexes { verdicts: Some(verdicts), .. }) = &self.indexes
            && !verdicts.weeks.is_empty()
        {
            let n: usize = verdicts.weeks.iter().map(|week| week.investigations).sum();
            let open: f64 =
                verdicts.weeks.iter().map(|week| week.abstained * week.investigations as f64).sum::<f64>();
            output::line(&format!(
                "verdicts {n} investigations, {:.0} % inconclusive; {} closed since: {} attacks ({} called benign), {} \
                 false alarms ({} called malicious)",
                100.0 * open / n as f64,
                verdicts.closed,
                verdicts.attacks,
                verdicts.missed,
                verdicts.closed - verdicts.attacks,
                verdicts.false_alarms
            ))?;
        }
        for (name, SavedSource { counts, .. }) in &self.sources {
            let last = counts.last_seen.map_or_else(|| "never".to_owned(), |time| format!("{time:.0}"));
            let silent = if counts.silent { ", SILENT" } else { "" };
            output::line(&format!(
                "source   {name}: {} records ({} quarantined, {} dropped), last {last}{silent}",
                counts.records, counts.quarantined, counts.dropped
            ))?;
        }
        let sealed = if self.egress.sealed { "sealed" } else { "NOT SEALED" };
        output::line(&format!("egress   {sealed}: {}", self.egress.why))?;
        for problem in &self.problems {
            output::line(&format!("PROBLEM  {problem}"))?;
        }
        if self.problems.is_empty() {
            output::line("no problems")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = FileEntry {
            path: "m.gguf".into(),
            bytes: 3,
            // SHA-256 of "abc".
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        };
        let check = |content: Option<&str>, quick, expected| {
            if let Some(content) = content {
                fs_err::write(dir.path().join("m.gguf"), content).unwrap();
            }
            assert_eq!(check_file(&dir.path().join("m.gguf"), &file, quick).unwrap().0, expected);
        };
        check(None, false, Status::Absent);
        check(Some("abc"), false, Status::Verified);
        check(Some("abd"), false, Status::Damaged);
        check(Some("abd"), true, Status::SizeMatches);
        check(Some("ab"), true, Status::Damaged);
    }
}
