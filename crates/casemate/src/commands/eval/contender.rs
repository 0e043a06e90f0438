//! What judges in a run: a model or none, playbooks, what the site says.

use crate::cli::{EvalArgs, Global, ModelArgs};
use crate::failure::{Failure, Outcome};
use crate::{models, setup};
use casemate_investigate::{Budget, Investigator, LoadedHead, LoadedModel, Playbooks, Site};
use casemate_pipeline::Pipeline;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything an investigator is made of but its store.
pub(crate) struct Contender {
    pub(crate) model: Option<LoadedModel>,
    playbooks: Playbooks,
    site: Site,
    budget: Budget,
    head: Option<LoadedHead>,
    reader: Option<LoadedModel>,
    /// Layer whose states are kept for fitting.
    kept_layer: Option<usize>,
    /// Names model and playbooks by hash.
    parts: Vec<String>,
}

impl Contender {
    /// What the site runs.
    pub(crate) fn active(global: &Global, args: &ModelArgs) -> Outcome<Self> {
        let dir = setup::config_dir(global, "playbooks")?;
        Self::of(global, args, &args.model, &dir)
    }

    /// The same with another model.
    pub(crate) fn with_model(global: &Global, args: &ModelArgs, model: &str) -> Outcome<Self> {
        let dir = setup::config_dir(global, "playbooks")?;
        Self::of(global, args, model, &dir)
    }

    /// The same with other playbooks.
    pub(crate) fn with_playbooks(global: &Global, args: &ModelArgs, dir: &Path) -> Outcome<Self> {
        Self::of(global, args, &args.model, dir)
    }

    fn of(global: &Global, args: &ModelArgs, model: &str, playbook_dir: &Path) -> Outcome<Self> {
        let playbooks = Playbooks::load(playbook_dir).map_err(Failure::input)?;
        let site = match &args.site {
            Some(path) => Site::load(path).map_err(Failure::input)?,
            None => Site::default(),
        };
        let model = models::load_investigator(model, &global.model_dirs())?;
        let mut parts: Vec<String> = model.iter().map(|loaded| format!("model {}", loaded.sha256)).collect();
        parts.extend(
            playbooks.iter().map(|playbook| format!("playbook {} {}", playbook.name, playbook.sha256)),
        );
        let (head, reader) = setup::head(global, args, model.as_ref())?;
        parts.extend(head.iter().map(|head| format!("head {}", head.sha256)));
        parts.extend(reader.iter().map(|reader| format!("reader {}", reader.sha256)));
        Ok(Self { model, playbooks, site, budget: args.budget(), head, reader, kept_layer: None, parts })
    }

    /// What is observed to fit a head: no model asks or writes, no head judges, `reader` reads.
    pub(crate) fn for_fitting(
        global: &Global,
        args: &ModelArgs,
        reader: Option<(LoadedModel, usize)>,
    ) -> Outcome<Self> {
        let bare = ModelArgs { model: "none".to_owned(), head: Some(PathBuf::from("none")), ..args.clone() };
        let mut contender = Self::active(global, &bare)?;
        if let Some((reader, layer)) = reader {
            contender.parts.push(format!("reader {}", reader.sha256));
            (contender.reader, contender.kept_layer) = (Some(reader), Some(layer));
        }
        Ok(contender)
    }

    pub(crate) fn investigator(&self, pipeline: Arc<Pipeline>) -> Investigator {
        let mut investigator =
            Investigator::new(pipeline, self.model.clone(), self.playbooks.clone(), self.site.clone());
        investigator.set_budget(self.budget);
        investigator.set_head(self.head.clone(), self.reader.clone());
        investigator.keep_states(self.kept_layer);
        investigator
    }

    /// The same with another head.
    pub(crate) fn with_head(global: &Global, args: &ModelArgs, head: &Path) -> Outcome<Self> {
        Self::active(global, &ModelArgs { head: Some(head.to_owned()), ..args.clone() })
    }

    /// The head that judges.
    pub(crate) fn head_sha256(&self) -> Option<&str> {
        self.head.as_ref().map(|loaded| loaded.sha256.as_str())
    }

    /// Whether anything of it takes the time of a model.
    pub(crate) fn computes(&self) -> bool {
        self.model.is_some() || self.reader.is_some()
    }

    /// SHA-256 over the names and hashes of all parts.
    pub(crate) fn sha256(&self) -> String {
        hex(Sha256::digest(self.parts.join("\n")).as_slice())
    }

    /// Hash of everything that what is observed depends on, but the cases: this program, model, playbooks, rules,
    /// mappings, site file, options.
    pub(crate) fn fingerprint(&self, global: &Global, args: &EvalArgs) -> anyhow::Result<String> {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(&casemate_disk::sha256_file(&std::env::current_exe()?, |_| {})?);
        self.parts.iter().for_each(|part| add(part));
        add(&format!("{:?} {:?} {:?}", self.budget, self.kept_layer, args.fit.is_some()));
        add(&format!("{} {} {}", args.canaries, args.free_form, args.seed));
        let embedder = models::embedder_dir(&global.model_dirs())?;
        let dirs = std::iter::once(global.config_part("rules")).chain(global.rules.iter().cloned());
        let dirs = dirs.chain(global.mappings.clone()).chain([embedder]).chain(args.model.site.clone());
        let mut files = Vec::new();
        for path in dirs {
            collect(&path, &mut files)?;
        }
        for file in files {
            add(&file.display().to_string());
            add(&casemate_disk::sha256_file(&file, |_| {})?);
        }
        Ok(hex(&hash.finalize()))
    }
}

/// Every file under `path`, in order of their names; none if there is nothing.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
    } else if path.is_dir() {
        let entries: std::io::Result<Vec<_>> = fs_err::read_dir(path)?.collect();
        let mut paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
