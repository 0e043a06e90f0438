//! Which certificate does the syslog receiver show (RFC 5425), and whose does it ask for?

use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate of this site, then those that signed it.
    pub certificate: PathBuf,
    /// Its private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Certificates that sign senders' certificates; senders need none without it.
    pub client_ca: Option<PathBuf>,
}

/// Server side of TLS 1.2 and 1.3 with the files given.
pub(crate) fn acceptor(files: Option<&TlsFiles>) -> Result<TlsAcceptor> {
    let Some(files) = files else {
        let reason = "syslog over TLS needs a certificate and its key, in PEM".to_owned();
        return Err(Error::Tls { path: PathBuf::from("--tls-cert"), reason });
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&files.certificate, &error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| refused(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| refused(path, &error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| refused(&files.key, &error))?;
    let config = builder
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|error| refused(&files.certificate, &error))?;
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

fn refused(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    let reason = format!("cannot be used for TLS: {reason}; give a PEM file that matches the others");
    Error::Tls { path: path.to_owned(), reason }
}
