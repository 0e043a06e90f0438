//! What is the program made of? Its crates as CycloneDX, from `cargo metadata` and the checksums of `Cargo.lock`.

use super::bom;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const PLATFORM: &str = "x86_64-unknown-linux-gnu";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    repository: Option<String>,
    /// None for our own.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// None: it is linked in, not used to build or test only.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Writes `sbom.cdx.json`; `None`, said aloud, where this is no checkout.
pub(super) fn write(out: &Path) -> Result<Option<PathBuf>> {
    let Some(root) = workspace::root() else {
        eprintln!("no SBOM of the program: run this in a checkout of Casemate to get one");
        return Ok(None);
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", PLATFORM])
        .current_dir(&root)
        .output()
        .context("cannot run cargo, which knows what the program is made of")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed (does `cargo fetch` help?): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let lock: Lock =
        toml::from_str(&fs_err::read_to_string(root.join("Cargo.lock"))?).context("Cargo.lock")?;
    let path = out.join("sbom.cdx.json");
    super::write(&path, &super::json(&document(&metadata, &lock)?)?)?;
    Ok(Some(path))
}

fn document(metadata: &Metadata, lock: &Lock) -> Result<Value> {
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let linked: BTreeMap<&str, Vec<&str>> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| {
            let is_linked =
                |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            (
                node.id.as_str(),
                node.deps.iter().filter(is_linked).map(|dependency| dependency.pkg.as_str()).collect(),
            )
        })
        .collect();
    let program =
        metadata.packages.iter().find(|package| package.name == "casemate" && package.source.is_none());
    let program = program.context("the workspace has no package `casemate`")?;
    let checksums: BTreeMap<(&str, &str), &str> = lock
        .package
        .iter()
        .filter_map(|one| Some(((one.name.as_str(), one.version.as_str()), one.checksum.as_deref()?)))
        .collect();

    let mut reached = BTreeSet::from([program.id.as_str()]);
    let mut pending = vec![program.id.as_str()];
    while let Some(id) = pending.pop() {
        pending.extend(linked.get(id).into_iter().flatten().filter(|id| reached.insert(id)));
    }
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &reached {
        let Some(package) = packages.get(id) else { bail!("cargo metadata does not describe {id}") };
        let on = linked.get(id).into_iter().flatten().filter_map(|id| packages.get(id));
        let on: BTreeSet<String> = on.map(|package| purl(package)).collect();
        dependencies.push(json!({ "ref": purl(package), "dependsOn": on }));
        if package.id != program.id {
            components.push(component(package, &checksums, "library"));
        }
    }
    let mut main = component(program, &checksums, "application");
    main["properties"] = json!([
        bom::property("platform", PLATFORM),
        bom::property("scope", "crates linked into the program; build scripts and tests left out"),
    ]);
    Ok(bom::document(&main, &components, &dependencies))
}

fn component(package: &Package, checksums: &BTreeMap<(&str, &str), &str>, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
    });
    if let Some(description) = &package.description {
        component["description"] = json!(description.trim());
    }
    if let Some(licence) = &package.license {
        component["licenses"] = bom::licences(licence);
    }
    if let Some(checksum) = checksums.get(&(package.name.as_str(), package.version.as_str())) {
        component["hashes"] = bom::sha256(checksum);
    }
    if let Some(url) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
    }
    component
}

fn purl(package: &Package) -> String {
    // `+` of a version's build part is the one character there that a purl escapes.
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}
