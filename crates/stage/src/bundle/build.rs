//! `bundle build`: from components to signed volumes, in steps that can be interrupted anywhere.
//!
//! `targets.json` and `snapshot.json` are the same for the same input, so signatures that others add between two runs
//! stay valid; volumes are written once the root's thresholds are met.

use super::args::BuildArgs;
use super::collect::{self, File, Sources};
use super::root::{self, Needed, Root};
use super::signing::{self, Document};
use super::{expiry, json, keys, ml_bom, sbom, sha256, volumes, warn_of_expiry};
use crate::error::Error;
use crate::workspace;
use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Serialize)]
struct Targets<'a> {
    format: u64,
    role: &'static str,
    version: u64,
    expires: Timestamp,
    name: &'a str,
    notes: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires: Option<&'a str>,
    components: BTreeSet<&'a str>,
    files: &'a [File],
}

#[derive(Serialize)]
struct Snapshot {
    format: u64,
    role: &'static str,
    version: u64,
    expires: Timestamp,
    root: u64,
    targets: Pinned,
}

#[derive(Serialize)]
struct Pinned {
    version: u64,
    bytes: u64,
    sha256: String,
}

/// What lies in the output directory.
#[derive(Serialize)]
struct Built {
    name: String,
    version: u64,
    targets_sha256: String,
    files: usize,
    bytes: u64,
    /// Signatures that are missing; there are no volumes before they are there.
    needed: Vec<Needed>,
    volumes: Vec<volumes::Volume>,
    sbom: Option<PathBuf>,
    ml_bom: PathBuf,
}

/// Runs `bundle build`. Exit status 1 where signatures are missing.
pub(super) fn run(args: &BuildArgs) -> Result<ExitCode> {
    let built = build(args)?;
    if args.json {
        println!("{:#}", serde_json::to_value(&built)?);
    } else {
        built.volumes.iter().for_each(|volume| println!("{}", volume.path.display()));
    }
    built.needed.iter().for_each(|needed| eprintln!("{needed}"));
    if built.needed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("then run the same command again");
    Ok(ExitCode::FAILURE)
}

fn build(args: &BuildArgs) -> Result<Built> {
    if !collect::is_plain(&args.name) {
        return Err(Error::Usage(format!("--name {}: letters, digits and ._-+ only", args.name)).into());
    }
    let chain = root::chain(&args.root)?;
    let Some((root, _)) = chain.last() else {
        return Err(Error::Usage("name the root with --root".into()).into());
    };
    let files = gather(args)?;
    fs_err::create_dir_all(&args.out)?;
    let (targets, snapshot) = write_documents(args, root, &files)?;
    sign(args, root, &targets, &snapshot)?;

    let (targets, snapshot) = (Document::read(&targets)?, Document::read(&snapshot)?);
    let needed: Vec<Needed> = [root.needs(&targets, "targets")?, root.needs(&snapshot, "snapshot")?]
        .into_iter()
        .flatten()
        .collect();
    let sbom = sbom::write(&args.out)?;
    let ml_bom = ml_bom::write(&args.out, &args.name, args.version, &files)?;
    let mut built = Built {
        name: args.name.clone(),
        version: args.version,
        targets_sha256: sha256(&targets.bytes),
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        needed,
        volumes: Vec::new(),
        sbom,
        ml_bom,
    };
    if built.needed.is_empty() {
        let mut documents = Vec::new();
        for (root, document) in &chain {
            documents.extend(document.entries(&format!("root/{}.root.json", root.version)));
        }
        documents.extend(snapshot.entries("snapshot.json"));
        documents.extend(targets.entries("targets.json"));
        let stem = format!("{}-{}", args.name, args.version);
        let pieces = volumes::pieces(&files);
        built.volumes = volumes::write(&args.out, &stem, &documents, &pieces, args.volume_size)?;
        write_sums(&args.out, &built)?;
    }
    Ok(built)
}

/// Hashes every file of every component.
fn gather(args: &BuildArgs) -> Result<Vec<File>> {
    let config = args.config.clone().or_else(|| workspace::root().map(|root| root.join("config")));
    let sources = Sources {
        models: workspace::models_dir(args.models.as_deref()),
        config: workspace::absolute(&config.unwrap_or_else(|| PathBuf::from("config"))),
    };
    let mut found = Vec::new();
    for component in args.component.iter().collect::<BTreeSet<_>>() {
        found.extend(sources.files_of(component)?);
    }
    for file in &args.evaluation {
        let name = file.file_name().and_then(|name| name.to_str()).filter(|name| collect::is_plain(name));
        let Some(name) = name else {
            return Err(
                Error::Usage(format!("--evaluation {}: give the file a plain name", file.display())).into()
            );
        };
        found.push((format!("evaluation/{name}"), file.clone()));
    }
    for component in &args.remove {
        collect::check_component(component)?;
        if args.component.contains(component) {
            return Err(Error::Usage(format!("{component} is both in --component and in --remove")).into());
        }
    }
    if found.is_empty() && args.remove.is_empty() {
        return Err(Error::Usage("name what the bundle carries with --component".into()).into());
    }
    let mut seen = BTreeSet::new();
    if let Some((path, _)) = found.iter().find(|(path, _)| !seen.insert(path.to_ascii_lowercase())) {
        return Err(
            Error::Usage(format!("{path} is there twice, or differs from another by case only")).into()
        );
    }
    let part_bytes = volumes::part_bytes(args.volume_size);
    found.iter().map(|(path, source)| collect::hash(path, source, part_bytes)).collect()
}

/// Writes `targets.json` and `snapshot.json`, and returns where they are.
fn write_documents(args: &BuildArgs, root: &Root, files: &[File]) -> Result<(PathBuf, PathBuf)> {
    let expires = expiry(&args.expires)?;
    warn_of_expiry("the bundle", expires);
    let evaluation = (!args.evaluation.is_empty()).then_some("evaluation");
    let named = args.component.iter().chain(&args.remove).map(String::as_str);
    let bytes = json(&Targets {
        format: 1,
        role: "targets",
        version: args.version,
        expires,
        name: &args.name,
        notes: &args.notes,
        requires: args.requires.as_deref(),
        components: named.chain(evaluation).collect(),
        files,
    })?;
    let targets = args.out.join("targets.json");
    signing::put(&targets, &bytes)?;
    let pinned = Pinned { version: args.version, bytes: bytes.len() as u64, sha256: sha256(&bytes) };
    let bytes = json(&Snapshot {
        format: 1,
        role: "snapshot",
        version: args.version,
        expires,
        root: root.version,
        targets: pinned,
    })?;
    let snapshot = args.out.join("snapshot.json");
    signing::put(&snapshot, &bytes)?;
    Ok((targets, snapshot))
}

/// Signs with the keys that were named, each what its role is.
fn sign(args: &BuildArgs, root: &Root, targets: &Path, snapshot: &Path) -> Result<()> {
    for path in &args.key {
        let (secret, public) = keys::read_secret(path, args.password_stdin)?;
        let roles = root.roles_of(&keys::id(&public));
        let mut has_signed = false;
        for (role, document) in [("targets", targets), ("snapshot", snapshot)] {
            if roles.contains(&role) {
                signing::sign_with(document, &secret, &public)?;
                has_signed = true;
            }
        }
        if !has_signed {
            let text = format!(
                "{} may sign neither targets nor snapshot under root {}",
                path.display(),
                root.version
            );
            return Err(Error::Usage(text).into());
        }
    }
    Ok(())
}

/// `SHA256SUMS`, for `sha256sum -c` at the other end.
fn write_sums(out: &Path, built: &Built) -> Result<()> {
    let mut text = String::new();
    for volume in &built.volumes {
        writeln!(text, "{}  {}", volume.sha256, name_of(&volume.path))?;
    }
    for path in built.sbom.iter().chain([&built.ml_bom]) {
        writeln!(text, "{}  {}", sha256(&fs_err::read(path)?), name_of(path))?;
    }
    super::write(&out.join("SHA256SUMS"), text.as_bytes())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
