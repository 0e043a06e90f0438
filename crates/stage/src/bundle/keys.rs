//! Where do keys come from, and how are they read? minisign's files, in both directions.

use super::args::{KeyRole, KeygenArgs};
use crate::error::Error;
use anyhow::{Context, Result};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use std::io::{BufRead, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

/// Makes a pair of keys.
pub(super) fn keygen(args: &KeygenArgs) -> Result<ExitCode> {
    let pair = if args.no_password {
        eprintln!("the secret key has no password: whoever reads its file can sign");
        KeyPair::generate_unencrypted_keypair()?
    } else {
        let password = if args.password_stdin { line_of_stdin()? } else { new_password()? };
        if password.is_empty() {
            return Err(Error::Usage(
                "an empty password protects nothing; say --no-password if that is meant".into(),
            )
            .into());
        }
        KeyPair::generate_encrypted_keypair(Some(password))?
    };
    let id = id(&pair.pk);
    let role = role_name(args.role);
    fs_err::create_dir_all(&args.dir)?;
    let (secret, public) =
        (args.dir.join(format!("{role}-{id}.key")), args.dir.join(format!("{role}-{id}.pub")));
    let comment = format!("casemate {role} secret key {id}");
    let text = pair.sk.to_box(Some(&comment))?.into_string();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&secret)
        .with_context(|| format!("cannot write {}", secret.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    super::write(&public, pair.pk.to_box()?.into_string().as_bytes())?;
    if args.json {
        let protected = !args.no_password;
        let document = serde_json::json!({
            "id": id, "role": role, "secret": secret, "public": public, "password": protected,
        });
        println!("{document:#}");
    } else {
        println!("{} (keep it secret)\n{}", secret.display(), public.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn role_name(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Root => "root",
        KeyRole::Snapshot => "snapshot",
        KeyRole::Targets => "targets",
    }
}

/// Id of a key as `minisign` prints it.
pub(super) fn id(key: &PublicKey) -> String {
    key.keynum().iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// Reads `minisign.pub`.
pub(super) fn read_public(path: &Path) -> Result<PublicKey> {
    PublicKey::from_file(path).map_err(|error| {
        Error::Usage(format!("{} is no minisign public key: {error}", path.display())).into()
    })
}

/// Reads a secret key, asking for its password where it has one.
pub(super) fn read_secret(path: &Path, password_stdin: bool) -> Result<(SecretKey, PublicKey)> {
    let text = fs_err::read_to_string(path)?;
    let wrong = |error: minisign::PError| Error::Usage(format!("{}: {error}", path.display()));
    let boxed = || SecretKeyBox::from_string(&text).map_err(wrong);
    let secret = match boxed()?.into_unencrypted_secret_key() {
        Ok(secret) => secret,
        Err(error) if error.to_string().contains("encrypted") => {
            let password = if password_stdin {
                line_of_stdin()?
            } else {
                ask(&format!("Password of {}: ", path.display()))?
            };
            boxed()?.into_secret_key(Some(password)).map_err(wrong)?
        }
        Err(error) => {
            let text = format!(
                "{}: {error} (of keys without a password, only those of `bundle keygen` are read; sign with \
                 `minisign -Sm FILE -x FILE.KEYID.minisig` where it made the key)",
                path.display()
            );
            return Err(Error::Usage(text).into());
        }
    };
    let public = PublicKey::from_secret_key(&secret).map_err(wrong)?;
    Ok((secret, public))
}

fn new_password() -> Result<String> {
    let password = ask("Password for the new key: ")?;
    if ask("The same again: ")? != password {
        return Err(Error::Usage("the passwords differ; nothing was made".into()).into());
    }
    Ok(password)
}

fn ask(prompt: &str) -> Result<String> {
    rpassword::prompt_password(prompt).context(
        "no terminal to ask for a password; use --password-stdin, or --no-password for a key without",
    )
}

fn line_of_stdin() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
