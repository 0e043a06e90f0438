//! Who is let in to the server, and over what do they come?

use crate::cli::{DoorArgs, Global, ReceiveArgs};
use crate::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use casemate_access::{Access, FILE_NAME};
use casemate_receive::{Clients, Tls, TlsFiles};
use casemate_server::Redaction;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Where a token goes that a service manager would write to its log.
const FIRST_TOKEN: &str = "first-admin-token";

/// The file that says who is let in.
pub(crate) fn access(global: &Global) -> Outcome<Access> {
    casemate_disk::create_private_dir(&global.data_dir)?;
    Access::open(global.data_dir.join(FILE_NAME)).map_err(Failure::input)
}

/// Who is let in; makes one token for an administrator where there is nobody yet.
pub(crate) fn guarded(global: &Global, args: &DoorArgs) -> Outcome<Option<Arc<Access>>> {
    if args.no_auth {
        return Ok(None);
    }
    let access = access(global)?;
    if let Some(made) = access.bootstrap()? {
        // A log is read by more people than may do everything.
        if std::env::var_os("JOURNAL_STREAM").is_some() || std::env::var_os("NOTIFY_SOCKET").is_some() {
            let path = global.data_dir.join(FIRST_TOKEN);
            casemate_disk::write_private(&path, |out| writeln!(out, "{}", made.secret))?;
            eprintln!(
                "casemate: first start: a token that may do everything is in {}; delete the file once it is kept",
                path.display()
            );
        } else {
            eprintln!(
                "casemate: first start: this token may do everything and is shown only now:\n  {}",
                made.secret
            );
        }
        eprintln!("casemate: `casemate user add NAME --role admin` makes a user who logs in by name");
    }
    Ok(Some(Arc::new(access)))
}

/// What protects connections to API and page, if they are to be.
pub(crate) fn tls(global: &Global, args: &DoorArgs, receive: &ReceiveArgs) -> Outcome<Option<Tls>> {
    if !args.tls {
        return Ok(None);
    }
    let files = match receive.tls_cert.clone().zip(receive.tls_key.clone()) {
        Some((certificate, key)) => TlsFiles { certificate, key, clients: Clients::None },
        None => {
            let (files, made) = casemate_receive::self_signed(&global.data_dir.join("tls"))?;
            let what =
                if made { "made a certificate" } else { "showing the certificate made at first start" };
            let fingerprint = fingerprint(&files.certificate)?;
            eprintln!("casemate: {what}, signed by itself; its SHA-256 is {fingerprint}");
            files
        }
    };
    let clients = args.api_client_ca.clone().map_or(Clients::None, Clients::Optional);
    let tls = Tls::open(TlsFiles { clients, ..files }, &["http/1.1"]).map_err(Failure::input)?;
    let expires = tls.expires()?;
    let left = expires.duration_since(jiff::Timestamp::now());
    if left.is_negative() {
        tracing::error!(%expires, "the certificate has expired: it is shown still, and browsers and clients refuse it");
    } else if left.as_hours() < 24 * 30 {
        tracing::warn!(%expires, "the certificate ends soon; replace its files, which are read again by themselves");
    }
    Ok(Some(tls))
}

/// SHA-256 of the first certificate in a PEM file, as browsers show it.
fn fingerprint(path: &Path) -> Outcome<String> {
    let der = certificate_der(path)?;
    let hex: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(hex.join(":"))
}

/// The first certificate in a PEM file.
pub(crate) fn certificate_der(path: &Path) -> Outcome<Vec<u8>> {
    let text = fs_err::read_to_string(path).map_err(Failure::input)?;
    let body = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"))
        .map(|(body, _)| body.split_whitespace().collect::<String>());
    let body =
        body.ok_or_else(|| Failure::input(anyhow!("{} holds no certificate in PEM", path.display())))?;
    use base64::Engine;
    let der = base64::engine::general_purpose::STANDARD.decode(body);
    der.with_context(|| format!("{} holds no certificate in PEM", path.display())).map_err(Failure::input)
}

/// What is masked for those who may not see everything: `redaction.toml` in the configuration, if it is there.
pub(crate) fn redaction(global: &Global) -> Outcome<Arc<Redaction>> {
    let path = global.config.join("redaction.toml");
    if !path.is_file() {
        return Ok(Arc::default());
    }
    Ok(Arc::new(Redaction::load(&path).map_err(Failure::input)?))
}
