//! What was asked for, opened and checked: rules, playbooks, site file, data directory.

use crate::cli::{Global, ModelArgs};
use crate::failure::{Failure, Outcome};
use crate::models;
use anyhow::anyhow;
use casemate_bundle::Bundles;
use casemate_detect::Rules;
use casemate_inference::Embedder;
use casemate_ingest::{Mappings, Options};
use casemate_investigate::{Head, Investigator, LoadedHead, LoadedModel, Playbooks, Site};
use casemate_pipeline::Pipeline;
use casemate_store::Limits;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rules of the configuration directory and of every `--rules`; broken files are warned about and left out.
pub(crate) fn rules(global: &Global) -> Outcome<Rules> {
    let starter = config_dir(global, "rules")?;
    let dirs: Vec<PathBuf> = std::iter::once(starter).chain(global.rules.iter().cloned()).collect();
    let (rules, problems) = Rules::load(&dirs).map_err(Failure::input)?;
    for problem in &problems {
        tracing::warn!("rule {} left out: {}", problem.path.display(), problem.reason);
    }
    Ok(rules)
}

pub(crate) fn config_dir(global: &Global, name: &str) -> Outcome<PathBuf> {
    let dir = global.config_part(name);
    if dir.is_dir() {
        return Ok(dir);
    }
    Err(Failure::input(anyhow!(
        "no {name} at {}; give the directory that holds rules/ and playbooks/ with --config",
        dir.display()
    )))
}

/// Opens the data directory with rules and, where it is there, the embedding model.
pub(crate) fn pipeline(global: &Global) -> Outcome<Pipeline> {
    pipeline_with(global, models::load_embedder(&global.model_dirs())?, Limits::default())
}

fn pipeline_with(global: &Global, embedder: Option<Embedder>, limits: Limits) -> Outcome<Pipeline> {
    let rules = rules(global)?;
    let mappings = mappings(global)?;
    let pipeline = Pipeline::open_with(&global.data_dir, rules, embedder, limits)?;
    Ok(pipeline.with_mappings(mappings).with_findings())
}

/// The program's mapping files, and those of `--mappings`.
pub(crate) fn mappings(global: &Global) -> Outcome<Arc<Mappings>> {
    let brought = Some(global.config_part("mappings")).filter(|dir| global.release.is_some() && dir.is_dir());
    match global.mappings.as_ref().or(brought.as_ref()) {
        Some(dir) => Ok(Arc::new(Mappings::with_directory(dir).map_err(Failure::input)?)),
        None => Ok(Options::default().mappings),
    }
}

/// What the site says of itself: the file or directory given, else `site/` beside the rules, if it is there.
pub(crate) fn site(global: &Global, given: Option<&Path>) -> Outcome<Site> {
    let own = global.config.join("site");
    match given.or_else(|| own.is_dir().then_some(own.as_path())) {
        Some(path) => Site::load(path).map_err(Failure::input),
        None => Ok(Site::default()),
    }
}

/// Where bundles lie that were applied.
pub(crate) fn bundles(global: &Global) -> Bundles {
    Bundles::open(&global.data_dir.join("bundles"))
}

/// The release that is active, if one is and none was to be left aside.
pub(crate) fn active_release(global: &Global) -> Outcome<Option<PathBuf>> {
    if global.without_bundle || !global.data_dir.join("bundles").is_dir() {
        return Ok(None);
    }
    Ok(bundles(global).active()?.map(|release| release.dir))
}

/// Everything an investigation needs, opened.
pub(crate) struct Desk {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) investigator: Investigator,
    /// The loaded models, as `/v1/models` lists them.
    pub(crate) models: Vec<Value>,
}

/// Opens everything an investigation needs.
pub(crate) fn desk(global: &Global, args: &ModelArgs, limits: Limits) -> Outcome<Desk> {
    let embedder = models::load_embedder(&global.model_dirs())?;
    desk_over(global, args, Arc::new(pipeline_with(global, embedder, limits)?))
}

/// Opens everything else that an investigation over these events needs.
pub(crate) fn desk_over(global: &Global, args: &ModelArgs, pipeline: Arc<Pipeline>) -> Outcome<Desk> {
    let model = models::load_investigator(&args.model, &global.model_dirs())?;
    desk_with(global, args, pipeline, model)
}

/// As [`desk`], for a server: why a model cannot be used that should be there is said, and all else is opened.
pub(crate) fn desk_or_held(
    global: &Global,
    args: &ModelArgs,
    limits: Limits,
) -> Outcome<(Desk, Option<String>)> {
    let embedder = models::load_embedder(&global.model_dirs()).unwrap_or_else(|why| {
        tracing::error!(%why, "search by meaning is off until that is put right and this is started again");
        None
    });
    let pipeline = Arc::new(pipeline_with(global, embedder, limits)?);
    // The threads that compute a model are started where it is loaded, and wait for others as that thread does.
    let loading = || {
        casemate_server::give_way();
        let (model, held) = match models::load_investigator(&args.model, &global.model_dirs()) {
            Ok(model) => (model, None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        Ok((desk_with(global, args, pipeline, model)?, held))
    };
    std::thread::scope(|scope| match scope.spawn(loading).join() {
        Ok(desk) => desk,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn desk_with(
    global: &Global,
    args: &ModelArgs,
    pipeline: Arc<Pipeline>,
    model: Option<LoadedModel>,
) -> Outcome<Desk> {
    let playbooks = Playbooks::load(&config_dir(global, "playbooks")?).map_err(Failure::input)?;
    let site = site(global, args.site.as_deref())?;
    let models = model.iter().map(models::listing).collect();
    let (head, reader) = head(global, args, model.as_ref())?;
    let mut investigator = Investigator::new(Arc::clone(&pipeline), model, playbooks, site);
    investigator.set_budget(args.budget());
    investigator.set_head(head, reader);
    Ok(Desk { pipeline, investigator, models })
}

/// The head that judges, if there is one, and the model that its probe reads with, if that is there.
pub(crate) fn head(
    global: &Global,
    args: &ModelArgs,
    model: Option<&LoadedModel>,
) -> Outcome<(Option<LoadedHead>, Option<LoadedModel>)> {
    let shipped = global.config_part("heads").join("default.json");
    let path = match &args.head {
        Some(none) if none.as_os_str() == "none" => return Ok((None, None)),
        Some(path) => path.clone(),
        None if shipped.is_file() => shipped,
        None => return Ok((None, None)),
    };
    let (head, sha256) = Head::load(&path).map_err(Failure::input)?;
    let reader = match &head.whole.probe {
        // What its reports say of it as well: judged without the probe.
        Some(probe) => {
            models::load_by_hash(&probe.model, &global.model_dirs(), model).unwrap_or_else(|failure| {
                tracing::warn!("the reader of the probe cannot be used: {failure}");
                None
            })
        }
        None => None,
    };
    if head.whole.probe.is_some() && reader.is_none() {
        tracing::warn!(
            "the model that the probe of {} was fitted for is not to be had: judging without the probe",
            path.display()
        );
    }
    Ok((Some(LoadedHead { head, sha256 }), reader))
}
