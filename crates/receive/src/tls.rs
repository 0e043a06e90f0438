//! Which certificate is shown, whose is asked for, and until when does it hold?
//!
//! The server side of TLS 1.2 and 1.3, for syslog (RFC 5425) and for whoever serves over it. Files are read again when
//! they change, so that a renewed certificate needs no restart.

use crate::{Error, Result};
use casemate_disk::{write_atomic, write_private};
use jiff::{SignedDuration, Timestamp};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a certificate of our own making holds, and how long before its end another one is made.
const OWN_HOLDS: SignedDuration = SignedDuration::from_hours(24 * 397);
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate of this site, then those that signed it.
    pub certificate: PathBuf,
    /// Its private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Whose certificates are asked for.
    pub clients: Clients,
}

/// Whose certificates are asked for.
#[derive(Debug, Clone, Default)]
pub enum Clients {
    /// Nobody's.
    #[default]
    None,
    /// Those signed by one in this file, of whoever has one.
    Optional(PathBuf),
    /// Those signed by one in this file; nobody comes in without.
    Required(PathBuf),
}

impl Clients {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::None => None,
            Self::Optional(path) | Self::Required(path) => Some(path),
        }
    }
}

/// The server side of TLS over files that may be replaced.
pub struct Tls {
    files: TlsFiles,
    /// Names of protocols spoken inside, as ALPN has them; empty for one that has no name.
    protocols: Vec<Vec<u8>>,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    stamps: Vec<Stamp>,
    looked: Instant,
}

impl Tls {
    /// Reads the files. `protocols` are names of ALPN.
    ///
    /// # Errors
    /// [`Error::Tls`], naming the file.
    pub fn open(files: TlsFiles, protocols: &[&str]) -> Result<Self> {
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stamps = stamps(&files);
        let acceptor = acceptor(&files, &protocols)?;
        let state = Mutex::new(State { acceptor, stamps, looked: Instant::now() });
        Ok(Self { files, protocols, state })
    }

    /// What accepts the next connection, by the files as they are now. If they cannot be used any more, by those before.
    pub fn acceptor(&self) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            let now = stamps(&self.files);
            if now != state.stamps {
                match acceptor(&self.files, &self.protocols) {
                    Ok(acceptor) => {
                        tracing::info!(certificate = %self.files.certificate.display(), "read again");
                        state.acceptor = acceptor;
                    }
                    Err(error) => tracing::error!(%error, "the certificate before it is shown still"),
                }
                state.stamps = now;
            }
        }
        state.acceptor.clone()
    }

    /// When the certificate in use ends.
    ///
    /// # Errors
    /// [`Error::Tls`] if it cannot be read.
    pub fn expires(&self) -> Result<Timestamp> {
        expires(&self.files.certificate)
    }
}

/// When a file was changed last, or why that cannot be told: it is gone, say.
type Stamp = std::result::Result<SystemTime, io::ErrorKind>;

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    let paths = [files.certificate.as_path(), &files.key].into_iter().chain(files.clients.file());
    let changed = |path: &Path| fs_err::metadata(path).and_then(|metadata| metadata.modified());
    paths.map(|path| changed(path).map_err(|error| error.kind())).collect()
}

fn acceptor(files: &TlsFiles, protocols: &[Vec<u8>]) -> Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&files.certificate, &error))?;
    let builder = match files.clients.file() {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| refused(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match files.clients {
                Clients::Optional(_) => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| refused(path, &error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| refused(&files.key, &error))?;
    let mut config = builder
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|error| refused(&files.certificate, &error))?;
    config.alpn_protocols = protocols.to_vec();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let listed = CertificateDer::pem_file_iter(path).map_err(|error| refused(path, &error))?;
    let all: Vec<_> = listed.collect::<std::result::Result<_, _>>().map_err(|error| refused(path, &error))?;
    if all.is_empty() {
        return Err(refused(path, &"it holds no certificate"));
    }
    Ok(all)
}

/// When the first certificate in a PEM file ends.
///
/// # Errors
/// [`Error::Tls`] if there is none.
pub fn expires(path: &Path) -> Result<Timestamp> {
    let all = certificates(path)?;
    let first = all.first().map(|der| der.as_ref()).unwrap_or_default();
    let (_, certificate) =
        x509_parser::parse_x509_certificate(first).map_err(|error| refused(path, &error))?;
    let seconds = certificate.validity().not_after.timestamp();
    Timestamp::from_second(seconds).map_err(|error| refused(path, &error))
}

/// A certificate of our own making in `dir`, signed by itself, for a site that has none yet: made when there is none, and
/// anew when it is about to end. Its key is for the owner alone. Says whether it was made just now.
///
/// # Errors
/// [`Error::Tls`], or the system's refusal.
pub fn self_signed(dir: &Path) -> Result<(TlsFiles, bool)> {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let files = TlsFiles { certificate: certificate.clone(), key: key.clone(), clients: Clients::None };
    if certificate.exists() && key.exists() && expires(&certificate)? > Timestamp::now() + RENEW_BEFORE {
        return Ok((files, false));
    }
    let failed = |error: &dyn std::fmt::Display| refused(&certificate, error);
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if !host.is_empty() && !names.contains(&host) {
        names.push(host.clone());
    }
    let mut params = rcgen::CertificateParams::new(names).map_err(|error| failed(&error))?;
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("casemate on {host}"));
    let now = Timestamp::now();
    let day = |time: Timestamp| {
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8)
    };
    // A clock that is a little behind must not take it for one of the future.
    params.not_before = day(now - SignedDuration::from_hours(24));
    params.not_after = day(now + OWN_HOLDS);
    let pair = rcgen::KeyPair::generate().map_err(|error| failed(&error))?;
    let made = params.self_signed(&pair).map_err(|error| failed(&error))?;
    fs_err::create_dir_all(dir).map_err(|error| failed(&error))?;
    write_private(&key, |out| out.write_all(pair.serialize_pem().as_bytes()))
        .map_err(|error| failed(&error))?;
    write_atomic(&certificate, |out| out.write_all(made.pem().as_bytes())).map_err(|error| failed(&error))?;
    Ok((files, true))
}

fn refused(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    let reason = format!("cannot be used for TLS: {reason}; give a PEM file that matches the others");
    Error::Tls { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_certificate_of_our_own_is_made_once_and_holds() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("tls");
        let (files, made) = self_signed(&own).unwrap();
        assert!(made);
        assert!(!self_signed(&own).unwrap().1, "the one there is holds");
        let left = expires(&files.certificate).unwrap().duration_since(Timestamp::now());
        assert!(left > RENEW_BEFORE && left <= OWN_HOLDS, "{left}");
        assert_eq!(fs_err::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        let tls = Tls::open(files.clone(), &["http/1.1"]).unwrap();
        assert_eq!(tls.expires().unwrap(), expires(&files.certificate).unwrap());
        // What replaces it and is no certificate is said; the one before goes on.
        fs_err::write(&files.certificate, "nothing").unwrap();
        tls.state.lock().unwrap().looked = Instant::now() - LOOK_EVERY;
        tls.acceptor();
        assert!(expires(&files.certificate).is_err());
        assert!(Tls::open(files, &[]).is_err());
    }
}
