//! Whose signatures count? Makes `N.root.json`, and asks it.

use super::args::RootArgs;
use super::signing::{self, Document};
use super::{expiry, json, keys, sha256, warn_of_expiry};
use crate::error::Error;
use anyhow::Result;
use minisign::PublicKey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `N.root.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    format: u64,
    role: String,
    pub(super) version: u64,
    expires: jiff::Timestamp,
    keys: Vec<String>,
    roles: BTreeMap<String, Signers>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signers {
    pub(super) keys: BTreeSet<String>,
    pub(super) threshold: usize,
}

/// Signatures that a document still needs.
#[derive(Debug, Serialize)]
pub(super) struct Needed {
    pub(super) document: PathBuf,
    pub(super) role: String,
    /// Version of the root that asks for them.
    pub(super) root: u64,
    pub(super) have: usize,
    pub(super) threshold: usize,
    /// Keys that have not signed.
    pub(super) keys: Vec<String>,
}

/// Runs `bundle root`.
pub(super) fn run(args: &RootArgs) -> Result<ExitCode> {
    let previous = args.previous.as_deref().map(Root::read).transpose()?;
    let expires = expiry(&args.expires)?;
    let mut root = Root {
        format: 1,
        role: "root".into(),
        version: previous.as_ref().map_or(1, |previous| previous.version + 1),
        expires,
        keys: Vec::new(),
        roles: BTreeMap::new(),
    };
    let roles = [
        ("root", &args.root_key, args.root_threshold),
        ("snapshot", &args.snapshot_key, args.snapshot_threshold),
        ("targets", &args.targets_key, args.targets_threshold),
    ];
    for (role, files, threshold) in roles {
        root.add(role, files, threshold, previous.as_ref())?;
    }
    warn_of_expiry("the root", expires);
    fs_err::create_dir_all(&args.out)?;
    let path = args.out.join(format!("{}.root.json", root.version));
    let bytes = json(&root)?;
    if path.exists() && fs_err::read(&path)? != bytes {
        let text = format!(
            "{} is there and says something else; a root is never changed, make the next",
            path.display()
        );
        return Err(Error::Usage(text).into());
    }
    super::write(&path, &bytes)?;
    signing::sign(&path, &args.key, args.password_stdin)?;
    let document = Document::read(&path)?;
    let mut needed = Vec::new();
    for by in [Some(&root), previous.as_ref()].into_iter().flatten() {
        needed.extend(by.needs(&document, "root")?);
    }
    if args.json {
        let text = serde_json::json!({
            "path": path, "version": root.version, "sha256": sha256(&bytes), "needed": needed,
        });
        println!("{text:#}");
    } else {
        println!("{} (SHA-256 {})", path.display(), sha256(&bytes));
        needed.iter().for_each(|needed| println!("{needed}"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Root {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let root: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Usage(format!("{} is no root.json: {error}", path.display())))?;
        root.public_keys().map_err(|error| Error::Usage(format!("{}: {error:#}", path.display())))?;
        Ok(root)
    }

    fn add(
        &mut self,
        role: &str,
        files: &[PathBuf],
        threshold: Option<usize>,
        previous: Option<&Self>,
    ) -> Result<()> {
        let before = previous.and_then(|previous| previous.roles.get(role));
        let mut signers =
            Signers { keys: BTreeSet::new(), threshold: before.map_or(1, |before| before.threshold) };
        for file in files {
            self.add_key(&mut signers, &keys::read_public(file)?)?;
        }
        if let (true, Some(previous), Some(before)) = (files.is_empty(), previous, before) {
            for key in previous.public_keys()? {
                if before.keys.contains(&keys::id(&key)) {
                    self.add_key(&mut signers, &key)?;
                }
            }
        }
        signers.threshold = threshold.unwrap_or(signers.threshold);
        if signers.keys.is_empty() {
            return Err(Error::Usage(format!("name the keys of role {role} with --{role}-key")).into());
        }
        if signers.threshold == 0 || signers.threshold > signers.keys.len() {
            let (threshold, count) = (signers.threshold, signers.keys.len());
            return Err(
                Error::Usage(format!("--{role}-threshold {threshold}: the role has {count} keys")).into()
            );
        }
        self.roles.insert(role.to_owned(), signers);
        Ok(())
    }

    fn add_key(&mut self, signers: &mut Signers, key: &PublicKey) -> Result<()> {
        let id = keys::id(key);
        if !signers.keys.insert(id.clone()) {
            return Err(Error::Usage(format!("key {id} is named twice")).into());
        }
        let text = key.to_base64();
        if !self.keys.contains(&text) {
            self.keys.push(text);
        }
        Ok(())
    }

    fn public_keys(&self) -> Result<Vec<PublicKey>> {
        Ok(self.keys.iter().map(|text| PublicKey::from_base64(text)).collect::<Result<_, _>>()?)
    }

    /// Roles that a key may sign for.
    pub(super) fn roles_of(&self, id: &str) -> Vec<&str> {
        self.roles
            .iter()
            .filter(|(_, signers)| signers.keys.contains(id))
            .map(|(role, _)| role.as_str())
            .collect()
    }

    /// The signatures that `document` still needs to count for `role`; `None` if it has them.
    pub(super) fn needs(&self, document: &Document, role: &str) -> Result<Option<Needed>> {
        let Some(signers) = self.roles.get(role) else {
            return Err(Error::Usage(format!("root {} names no role {role}", self.version)).into());
        };
        let public = self.public_keys()?;
        let has_signed =
            |id: &&String| public.iter().any(|key| keys::id(key) == **id && document.is_signed_by(key));
        let (signed, open): (Vec<_>, Vec<_>) = signers.keys.iter().partition(has_signed);
        let needed = || Needed {
            document: document.path.clone(),
            role: role.to_owned(),
            root: self.version,
            have: signed.len(),
            threshold: signers.threshold,
            keys: open.into_iter().cloned().collect(),
        };
        Ok((signed.len() < signers.threshold).then(needed))
    }
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { document, role, root, have, threshold, keys } = self;
        write!(
            f,
            "{} has {have} of {threshold} signatures that role {role} of root {root} asks for; sign it with {}: \
             casemate-stage bundle sign {} --key …",
            document.display(),
            keys.join(" or "),
            document.display()
        )
    }
}

/// Reads a chain of roots, oldest first, and checks that each is signed as it must be.
pub(super) fn chain(paths: &[PathBuf]) -> Result<Vec<(Root, Document)>> {
    let mut chain = Vec::new();
    for path in paths {
        chain.push((Root::read(path)?, Document::read(path)?));
    }
    chain.sort_by_key(|(root, _)| root.version);
    for (at, (root, document)) in chain.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| chain.get(before)).map(|(before, _)| before);
        if let Some(before) = before.filter(|before| before.version + 1 != root.version) {
            let text =
                format!("--root goes from version {} to {}; name all between", before.version, root.version);
            return Err(Error::Usage(text).into());
        }
        for by in [Some(root), before].into_iter().flatten() {
            if let Some(needed) = by.needs(document, "root")? {
                return Err(Error::Usage(needed.to_string()).into());
            }
        }
    }
    Ok(chain)
}
