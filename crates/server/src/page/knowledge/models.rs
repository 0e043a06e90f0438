//! `GET /models`: which models are loaded, what does the learned head go by, and what rests on them?

use super::super::render;
use super::short;
use crate::problem::Result;
use crate::state::{App, blocking};
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use casemate_investigate::head::Trained;
use casemate_investigate::{LoadedHead, LoadedModel};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weights of the head that are shown, the heaviest first.
const WEIGHTS: usize = 40;

#[derive(Template)]
#[template(path = "knowledge_models.html")]
struct ModelsPage {
    models: Vec<Model>,
    held: Option<String>,
    embedder: Option<Embedder>,
    head: Option<Head>,
    /// Memory of the process in MB, where the system tells.
    memory: Option<u64>,
    investigations: usize,
}

struct Model {
    role: &'static str,
    name: String,
    sha256: String,
    short: String,
    architecture: String,
    parameters: String,
    quantisation: String,
    layers: usize,
    context: usize,
    megabytes: u64,
    instructions: String,
    rests: usize,
    gate: Option<String>,
}

struct Embedder {
    dimension: usize,
    templates: usize,
}

struct Head {
    name: String,
    sha256: String,
    short: String,
    rests: usize,
    provenance: Vec<Trained>,
    figures: Vec<(String, String)>,
    features: usize,
    weights: Vec<Weight>,
    bias: String,
    malicious: String,
    suspicious: String,
    benign: String,
    probe: Option<String>,
    folds: usize,
}

struct Weight {
    name: String,
    value: String,
    raises: bool,
}

/// `GET /models`
pub(crate) async fn page(State(app): State<Arc<App>>) -> Result<Html<String>> {
    blocking(&app, |app| {
        let investigator = &app.knowledge.investigator;
        let mut models = Vec::new();
        if let Some(loaded) = investigator.model() {
            models.push(model(app, "investigator: asks and writes", loaded)?);
        }
        let is_other =
            |reader: &&LoadedModel| investigator.model().is_none_or(|model| model.sha256 != reader.sha256);
        if let Some(reader) = investigator.reader().filter(is_other) {
            models.push(model(app, "reader: for the head's probe", reader)?);
        }
        render(&ModelsPage {
            models,
            held: app.queue.held().map(str::to_owned),
            embedder: app.pipeline.embedder().map(|embedder| Embedder {
                dimension: embedder.dimension(),
                templates: app.pipeline.indexed_templates(),
            }),
            head: investigator.head().map(|loaded| head(app, loaded)),
            memory: resident_megabytes(),
            investigations: app.headlines.by_verdict().values().sum::<u64>() as usize,
        })
    })
    .await
}

fn model(app: &App, role: &'static str, loaded: &LoadedModel) -> Result<Model> {
    let info = loaded.model.info();
    let gate = app.pipeline.store().gate(&loaded.sha256)?.map(|gate| {
        let may = if gate.allowed { "may" } else { "may not" };
        format!("{may} close alerts by itself: decided {} by {}", gate.at.strftime("%Y-%m-%d"), gate.by)
    });
    Ok(Model {
        role,
        name: info.name.clone(),
        short: short(&loaded.sha256),
        sha256: loaded.sha256.clone(),
        architecture: info.architecture.clone(),
        parameters: format!("{:.2} billion", info.parameters as f64 / 1e9),
        quantisation: info.quantisation.clone(),
        layers: info.layers,
        context: info.context_length,
        megabytes: info.file_bytes >> 20,
        instructions: loaded.model.isa().to_string(),
        rests: app.headlines.resting_on(&loaded.sha256),
        gate,
    })
}

fn head(app: &App, loaded: &LoadedHead) -> Head {
    let fit = &loaded.head.whole;
    let mut weights: Vec<(&String, f64)> = fit.weights.iter().map(|(name, weight)| (name, *weight)).collect();
    weights.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(b.0)));
    let shown = weights.iter().take(WEIGHTS).map(|(name, weight)| Weight {
        name: (*name).clone(),
        value: format!("{weight:+.2}"),
        raises: *weight > 0.0,
    });
    Head {
        name: loaded.head.name.clone(),
        short: short(&loaded.sha256),
        sha256: loaded.sha256.clone(),
        rests: app.headlines.resting_on(&loaded.sha256),
        provenance: loaded.head.provenance.clone(),
        figures: figures(&loaded.head.figures),
        features: fit.weights.len(),
        weights: shown.collect(),
        bias: format!("{:+.2}", fit.bias),
        malicious: format!("{:.2}", fit.malicious),
        suspicious: format!("{:.2}", fit.suspicious),
        benign: format!("{:.2}", fit.benign),
        probe: fit
            .probe
            .as_ref()
            .map(|probe| format!("states after layer {} of the model {}", probe.layer, short(&probe.model))),
        folds: loaded.head.folds.len(),
    }
}

fn figures(all: &BTreeMap<String, f64>) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| (name.replace('_', " "), format!("{value:.3}"))).collect()
}

/// Pages of this process that are in memory, in MB; nothing where the system does not tell.
fn resident_megabytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}
