//! Which models and heads does the bundle carry, what were they made from, and what may they be used for? As a
//! CycloneDX ML-BOM, from the catalogue and from what heads say of themselves.

use super::bom;
use super::collect::File;
use crate::catalog::{Catalog, Model, Source};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const USES: [&str; 2] = [
    "Reading log evidence of a security alert and scoring given answers about it, inside Casemate",
    "Embedding log message templates and questions, to find what resembles them, inside Casemate",
];
const LIMITS: [&str; 3] = [
    "Small models: asked outright they call too much malicious; Casemate uses them to read evidence, not as an oracle",
    "Closes no alert unless the site's evaluation gate has allowed this very file",
    "Not evaluated outside security logs, nor for text generation to people",
];

/// Writes `ml-bom.cdx.json`.
pub(super) fn write(out: &Path, name: &str, version: u64, files: &[File]) -> Result<PathBuf> {
    let catalog = Catalog::load(None)?;
    let mut components = Vec::new();
    let mut by_model: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("models/")) {
        let known =
            catalog.models.iter().find(|model| model.files.iter().any(|one| one.sha256 == file.sha256));
        match known {
            Some(model) => by_model.entry(model.name.as_str()).or_default().push(file),
            None => components.push(uncatalogued(file)),
        }
    }
    for model in &catalog.models {
        if let Some(files) = by_model.get(model.name.as_str()) {
            components.push(catalogued(model, files));
        }
    }
    for file in files.iter().filter(|file| is_head(&file.path)) {
        components.push(head(file)?);
    }
    let main = json!({ "type": "data", "bom-ref": "bundle", "name": name, "version": version.to_string() });
    let references: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    let dependencies = [json!({ "ref": "bundle", "dependsOn": references })];
    let path = out.join("ml-bom.cdx.json");
    super::write(&path, &super::json(&bom::document(&main, &components, &dependencies))?)?;
    Ok(path)
}

fn is_head(path: &str) -> bool {
    path.starts_with("config/heads/") && path.ends_with(".json")
}

fn file_component(file: &File) -> Value {
    json!({
        "type": "file",
        "bom-ref": format!("file:{}", file.path),
        "name": file.path,
        "hashes": bom::sha256(&file.sha256),
        "properties": [bom::property("bytes", &file.bytes)],
    })
}

fn version_of(file: &File) -> String {
    format!("sha256-{}", file.sha256.get(..12).unwrap_or_default())
}

fn uncatalogued(file: &File) -> Value {
    json!({
        "type": "machine-learning-model",
        "bom-ref": format!("model:{}", file.path),
        "name": file.path,
        "version": version_of(file),
        "description": "Not in the catalogue of this release: origin and licence are for the publisher to state",
        "hashes": bom::sha256(&file.sha256),
        "properties": [bom::property("bytes", &file.bytes)],
    })
}

fn catalogued(model: &Model, files: &[&File]) -> Value {
    let mut properties = vec![bom::property("role", &model.role)];
    // Titles of quantised files end with it: `… Q4_K_M`.
    let last = model.title.rsplit(' ').next().unwrap_or_default();
    if last.strip_prefix('Q').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        properties.push(bom::property("quantisation", last));
    }
    let references = [json!({ "type": "website", "url": model.home })];
    for source in model.files.iter().flat_map(|file| &file.sources) {
        if let Source::HfHub { repo, revision, file } = source {
            properties.push(bom::property("source", &format!("{repo}@{revision} {file}")));
        }
    }
    let mut component = json!({
        "type": "machine-learning-model",
        "bom-ref": format!("model:{}", model.name),
        "name": model.name,
        "description": model.title,
        "version": files.first().map(|file| version_of(file)),
        "licenses": bom::licences(&model.licence),
        "externalReferences": references,
        "modelCard": {
            "modelParameters": { "task": if model.role == "embedder" { "embedding" } else { "text scoring" } },
            "considerations": {
                "useCases": [if model.role == "embedder" { USES[1] } else { USES[0] }],
                "technicalLimitations": LIMITS,
            },
        },
        "components": files.iter().map(|file| file_component(file)).collect::<Vec<_>>(),
        "properties": properties,
    });
    if let [only] = files {
        component["hashes"] = bom::sha256(&only.sha256);
    }
    component
}

/// A learned head: the data sets it was fitted on, and the figures that it states.
fn head(file: &File) -> Result<Value> {
    let mut component = json!({
        "type": "machine-learning-model",
        "bom-ref": format!("head:{}", file.path),
        "name": file.path,
        "version": version_of(file),
        "hashes": bom::sha256(&file.sha256),
        "properties": [bom::property("bytes", &file.bytes)],
    });
    // A file that is no head is listed by its hash all the same.
    let Ok(stated) = serde_json::from_slice::<Value>(&fs_err::read(&file.source)?) else {
        return Ok(component);
    };
    let dataset = |one: &Value| {
        let text = format!(
            "licence {}; {} malicious and {} benign cases",
            one["licence"].as_str().unwrap_or("not stated"),
            one["malicious"],
            one["benign"]
        );
        json!({ "type": "dataset", "name": one["source"].as_str().unwrap_or("not stated"), "description": text })
    };
    let datasets: Vec<Value> = stated["provenance"].as_array().into_iter().flatten().map(dataset).collect();
    let metric = |(name, value): (&String, &Value)| json!({ "type": name, "value": value.to_string() });
    let metrics: Vec<Value> = stated["figures"].as_object().into_iter().flatten().map(metric).collect();
    component["modelCard"] = json!({
        "modelParameters": {
            "approach": { "type": "supervised" },
            "task": "verdict over facts, rules and baselines of an alert",
            "architectureFamily": "logistic regression",
            "datasets": datasets,
        },
        "quantitativeAnalysis": { "performanceMetrics": metrics },
        "considerations": {
            "useCases": ["Verdict and its probability for one security alert, inside Casemate"],
            "technicalLimitations": [LIMITS[1]],
        },
    });
    Ok(component)
}
