//! Is what somebody typed a playbook, or rules? What is wrong with it, on which line, and do its own tests pass?
//!
//! The text is bounded before it is read, whatever reads it may fail without harm, and no file but the stores of the
//! tests is touched.

use super::Knowledge;
use crate::problem::{Problem, Result};
use crate::state::App;
use casemate_detect::{Candidate, MAX_CANDIDATE_BYTES, Rules};
use casemate_investigate::Playbooks;
use casemate_investigate::playbook::{self, Playbook, Trial};
use casemate_pipeline::Pipeline;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest text taken.
pub(crate) const MAX_BYTES: usize = MAX_CANDIDATE_BYTES;
/// Tests of one playbook that are run, and how long until no other begins.
const MAX_TESTS: usize = 20;
const TESTING: Duration = Duration::from_secs(20);

/// Something to be said about a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Remark {
    /// From 1; nothing where no line can be named.
    pub(crate) line: Option<usize>,
    /// Whether nothing can be used until it is put right.
    pub(crate) fatal: bool,
    pub(crate) text: String,
}

/// How one test of a playbook went.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tested {
    pub(crate) name: String,
    pub(crate) passed: bool,
    /// What came out otherwise than expected.
    pub(crate) wrong: Vec<String>,
    pub(crate) facts: Vec<String>,
}

/// A text that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Checked {
    pub(crate) valid: bool,
    /// Of the text, in lower-case hex.
    pub(crate) sha256: String,
    /// Names of the playbook or rules in it.
    pub(crate) names: Vec<String>,
    /// What it would take the place of.
    pub(crate) replaces: Vec<Replaced>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) tests: Vec<Tested>,
    /// How it becomes active.
    pub(crate) activate: String,
}

/// What is in use and would be no more.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Replaced {
    pub(crate) name: String,
    pub(crate) version: Option<u32>,
    pub(crate) sha256: String,
}

pub(crate) fn sha256_of(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text as a browser's form sends it, with the line ends that files have.
pub(crate) fn of_form(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn refuse_long(text: &str) -> Result<()> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    let detail = format!("the text has {} bytes; at most {MAX_BYTES} are looked at", text.len());
    Err(Problem::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, detail))
}

/// Reads hostile text with `read`: what goes wrong inside is a remark.
fn guarded<T>(read: impl FnOnce() -> T) -> std::result::Result<T, Remark> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| Remark {
        line: None,
        fatal: true,
        text: "the text cannot be read: its parser gave up; write it more simply".to_owned(),
    })
}

/// A playbook that was typed: itself where it is one, and all in use with it.
pub(crate) struct PlaybookDraft {
    pub(crate) playbook: Option<(Playbook, Playbooks)>,
    pub(crate) remarks: Vec<Remark>,
}

impl PlaybookDraft {
    pub(crate) fn read(knowledge: &Knowledge, text: &str) -> Result<Self> {
        refuse_long(text)?;
        let in_use = knowledge.investigator.playbooks();
        let read =
            guarded(|| playbook::parse(text).and_then(|own| Ok((own.clone(), in_use.with(vec![own])?))));
        let playbook = match read {
            Ok(Ok(playbook)) => playbook,
            Ok(Err(reason)) => return Ok(Self { playbook: None, remarks: vec![placed(&reason)] }),
            Err(remark) => return Ok(Self { playbook: None, remarks: vec![remark] }),
        };
        let mut remarks = Vec::new();
        let own = &playbook.0;
        if let Some(active) = in_use.get(&own.name)
            && active.sha256 != own.sha256
            && own.version <= active.version
        {
            let line = text.lines().position(|line| line.trim_start().starts_with("version"));
            let text =
                format!("version {} is in use: raise it, so that reports tell the two apart", active.version);
            remarks.push(Remark { line: line.map(|index| index + 1), fatal: false, text });
        }
        if own.trials.is_empty() {
            let text =
                "it carries no test: add a [[test]], so that the next change shows what it breaks".to_owned();
            remarks.push(Remark { line: None, fatal: false, text });
        }
        Ok(Self { playbook: Some(playbook), remarks })
    }

    /// With its tests run, which code alone answers.
    pub(crate) fn check(knowledge: &Knowledge, text: &str) -> Result<Checked> {
        let Self { playbook, mut remarks } = Self::read(knowledge, text)?;
        let (mut tests, mut names, mut replaces) = (Vec::new(), Vec::new(), Vec::new());
        let mut file = "NAME.toml".to_owned();
        if let Some((own, all)) = &playbook {
            names.push(own.name.clone());
            file = format!("{}.toml", own.name);
            if let Some(active) = knowledge.investigator.playbooks().get(&own.name) {
                file.clone_from(&active.file);
                replaces.push(Replaced {
                    name: active.name.clone(),
                    version: Some(active.version),
                    sha256: active.sha256.clone(),
                });
            }
            let until = Instant::now() + TESTING;
            for trial in own.trials.iter().take(MAX_TESTS) {
                if Instant::now() >= until {
                    break;
                }
                tests.push(knowledge.test(trial, own, all));
            }
            if tests.len() < own.trials.len() {
                let text = format!(
                    "{} of {} tests were run; `casemate playbook test FILE` runs all",
                    tests.len(),
                    own.trials.len()
                );
                remarks.push(Remark { line: None, fatal: false, text });
            }
        }
        Ok(Checked {
            valid: playbook.is_some(),
            sha256: sha256_of(text),
            names,
            replaces,
            remarks,
            tests,
            activate: activate_playbook(&file),
        })
    }
}

impl Knowledge {
    /// Runs a test in a store of its own, which is gone afterwards.
    fn test(&self, trial: &Trial, own: &Playbook, all: &Playbooks) -> Tested {
        let run = || -> std::result::Result<_, String> {
            let said = |error: &dyn std::fmt::Display| error.to_string();
            fs_err::create_dir_all(&self.scratch).map_err(|error| said(&error))?;
            let dir = tempfile::tempdir_in(&self.scratch).map_err(|error| said(&error))?;
            let pipeline =
                Pipeline::open(dir.path(), Rules::default(), None).map_err(|error| said(&error))?;
            trial.run(Arc::new(pipeline), all, None).map_err(|error| said(&error))
        };
        let outcome = guarded(run).unwrap_or_else(|remark| Err(remark.text));
        let (wrong, facts) = match outcome {
            Ok(case) => {
                (trial.wrong(own, &case, false), case.facts.iter().map(|fact| fact.name.clone()).collect())
            }
            Err(why) => (vec![why], Vec::new()),
        };
        Tested { name: trial.name.clone(), passed: wrong.is_empty(), wrong, facts }
    }
}

/// Rules that were typed.
pub(crate) struct RuleDraft {
    pub(crate) candidate: Candidate,
    pub(crate) remarks: Vec<Remark>,
}

impl RuleDraft {
    pub(crate) fn read(app: &App, text: &str) -> Result<Self> {
        refuse_long(text)?;
        let rules = app.pipeline.rules();
        let candidate = match guarded(|| rules.candidate(text)) {
            Ok(candidate) => candidate,
            Err(remark) => return Ok(Self { candidate: Candidate::default(), remarks: vec![remark] }),
        };
        let said = |remark: &casemate_detect::Remark| Remark {
            line: remark.line,
            fatal: remark.fatal,
            text: remark.text.clone(),
        };
        Ok(Self { remarks: candidate.remarks.iter().map(said).collect(), candidate })
    }

    pub(crate) fn check(app: &App, text: &str) -> Result<Checked> {
        let Self { candidate, remarks } = Self::read(app, text)?;
        let in_use: Vec<_> = candidate.own.iter().filter_map(|id| app.pipeline.rules().get(id)).collect();
        let file = in_use.first().map_or_else(|| "rules/NAME.yml".to_owned(), |rule| shown_path(&rule.path));
        Ok(Checked {
            valid: candidate.is_usable(),
            sha256: sha256_of(text),
            names: candidate.own.iter().cloned().collect(),
            replaces: in_use
                .iter()
                .map(|rule| Replaced {
                    name: rule.title.clone(),
                    version: None,
                    sha256: sha256_of(&rule.text),
                })
                .collect(),
            remarks,
            tests: Vec::new(),
            activate: activate_rule(&file),
        })
    }
}

/// What to do with the file, as nothing is activated from here.
pub(crate) fn activate_playbook(file: &str) -> String {
    format!(
        "Save it as playbooks/{file} in the configuration directory (--config), run “casemate playbook test” and \
         “casemate eval --gate DIRECTORY”, and start the server again; or put it into a bundle with “casemate-stage \
         bundle” and apply that with “casemate bundle apply”, which runs the gate itself."
    )
}

pub(crate) fn activate_rule(file: &str) -> String {
    format!(
        "Save it as {file} in the configuration directory (--config), or in a directory given with --rules, and start \
         the server again; or put it into a bundle with “casemate-stage bundle” and apply that with “casemate bundle \
         apply”, which runs the gate itself."
    )
}

/// A path without the directories that only say where this machine keeps it.
pub(crate) fn shown_path(path: &std::path::Path) -> String {
    let parts: Vec<String> =
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let from = parts.iter().rposition(|part| part == "rules").unwrap_or(parts.len().saturating_sub(1));
    parts[from..].join("/")
}

/// A message that begins with its place.
fn placed(reason: &str) -> Remark {
    let place = reason.strip_prefix("line ").and_then(|rest| {
        let (line, rest) = rest.split_once(", column ")?;
        Some((line.parse().ok()?, rest.split_once(": ")?.1))
    });
    let (line, text) = place.map_or((None, reason), |(line, text)| (Some(line), text));
    Remark { line, fatal: true, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn places_are_read_from_messages() {
        let remark = placed("line 12, column 3: [match] techniques is wrong: write T1003");
        assert_eq!(
            (remark.line, remark.text.as_str()),
            (Some(12), "[match] techniques is wrong: write T1003")
        );
        assert_eq!(placed("two playbooks").line, None);
    }

    #[test]
    fn paths_do_not_tell_where_they_lie() {
        assert_eq!(shown_path(Path::new("/opt/x/config/rules/windows/a.yml")), "rules/windows/a.yml");
        assert_eq!(shown_path(Path::new("/opt/more/a.yml")), "a.yml");
    }
}
