//! Who has signed this document, and who signs it now? Detached signatures, `FILE.KEYID.minisig`.

use super::args::SignArgs;
use super::{keys, sha256};
use crate::error::Error;
use anyhow::{Context, Result};
use minisign::{PublicKey, SignatureBox};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A document and the signatures that lie beside it.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// By key id.
    pub(super) signatures: BTreeMap<String, String>,
}

/// Runs `bundle sign`.
pub(super) fn run(args: &SignArgs) -> Result<ExitCode> {
    let document = Document::read(&args.file)?;
    let head: serde_json::Value = serde_json::from_slice(&document.bytes).map_err(|error| {
        Error::Usage(format!("{} is no document of a bundle: {error}", args.file.display()))
    })?;
    let (Some(role), Some(version), Some(expires)) =
        (head["role"].as_str(), head["version"].as_u64(), head["expires"].as_str())
    else {
        return Err(Error::Usage(format!("{} has no role, version and expires", args.file.display())).into());
    };
    let sum = sha256(&document.bytes);
    eprintln!("signing {}: {role} {version}, expires {expires}, SHA-256 {sum}", args.file.display());
    let signed = sign(&args.file, &args.key, args.password_stdin)?;
    if args.json {
        let document = serde_json::json!({
            "document": args.file, "role": role, "version": version, "sha256": sum, "signatures": signed,
        });
        println!("{document:#}");
    } else {
        signed.iter().for_each(|path| println!("{}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Signs the document at `path` with each key that has not signed it yet, and returns the signature files.
pub(super) fn sign(path: &Path, secret: &[PathBuf], password_stdin: bool) -> Result<Vec<PathBuf>> {
    let mut signed = Vec::new();
    for key in secret {
        let (secret, public) = keys::read_secret(key, password_stdin)?;
        signed.push(sign_with(path, &secret, &public)?);
    }
    Ok(signed)
}

/// Signs with one key, unless its signature is there and valid.
pub(super) fn sign_with(path: &Path, secret: &minisign::SecretKey, public: &PublicKey) -> Result<PathBuf> {
    let document = Document::read(path)?;
    let id = keys::id(public);
    let to = signature_path(path, &id);
    if !document.is_signed_by(public) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let trusted = format!("{name} sha256:{}", sha256(&document.bytes));
        let comment = format!("signature of key {id}");
        let signature =
            minisign::sign(Some(public), secret, document.bytes.as_slice(), Some(&trusted), Some(&comment))?;
        super::write(&to, signature.into_string().as_bytes())?;
    }
    Ok(to)
}

impl Document {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut signatures = BTreeMap::new();
        for entry in fs_err::read_dir(dir)? {
            let Ok(sibling) = entry?.file_name().into_string() else { continue };
            let id =
                sibling.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".minisig"));
            if let Some(id) = id.filter(|id| is_id(id)) {
                let text = fs_err::read_to_string(dir.join(&sibling))?;
                signatures.insert(id.to_owned(), text);
            }
        }
        Ok(Self { path: path.to_owned(), bytes, signatures })
    }

    /// Whether the signature of `key` is there and valid.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let signature = self.signatures.get(&keys::id(key)).map(|text| SignatureBox::from_string(text));
        let Some(Ok(signature)) = signature else { return false };
        minisign::verify(key, &signature, Cursor::new(&self.bytes), true, false, false).is_ok()
    }

    /// Its entries in a volume under the name `name`.
    pub(super) fn entries(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let signatures = self
            .signatures
            .iter()
            .map(|(id, text)| (format!("{name}.{id}.minisig"), text.clone().into_bytes()));
        std::iter::once((name.to_owned(), self.bytes.clone())).chain(signatures).collect()
    }
}

/// Writes a document to be signed; signatures of what was there before go, unless it is the same.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        let before = Document::read(path)?;
        if before.bytes == bytes {
            return Ok(());
        }
        for id in before.signatures.keys() {
            fs_err::remove_file(signature_path(path, id))
                .context("cannot remove the signature of an older document")?;
        }
    }
    super::write(path, bytes)
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
}

fn signature_path(path: &Path, id: &str) -> PathBuf {
    path.with_added_extension(format!("{id}.minisig"))
}
