//! Which keys are pinned, and did one of them sign this?

use crate::file::{Stamp, check_owner, read_bounded};
use crate::{Error, Result};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use ring::signature as sig;
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// Longest key file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Most keys in it.
const MAX_KEYS: usize = 64;

/// Public keys that an administrator pinned.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Vec<Key>,
    /// State of the file they were read from.
    pub(crate) stamp: Option<Stamp>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may be used for, never empty, all of one family.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// Reads the key set at `path`.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Keys { path: path.to_owned(), why };
        let Some((bytes, meta)) = read_bounded(path, MAX_BYTES)? else {
            return Err(wrong("there is no such file".to_owned()));
        };
        if meta.mode() & 0o022 != 0 {
            return Err(wrong(format!(
                "others can write it (mode {:03o}); run chmod go-w",
                meta.mode() & 0o777
            )));
        }
        check_owner(path, &meta)?;
        Ok(Self { stamp: Some(Stamp::of(&meta)), ..Self::parse(&bytes).map_err(wrong)? })
    }

    /// Reads a key set; says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        Ok(Self { keys: parse(bytes)?, stamp: None })
    }

    /// The claims of `token` if a pinned key signed it.
    pub(crate) fn claims(&self, token: &str) -> Result<Value, String> {
        install_provider()?;
        let header = jsonwebtoken::decode_header(token).map_err(|e| format!("its header: {e}"))?;
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err("its header asks for what is not supported (crit, enc or zip)".to_owned());
        }
        let mut why = "no pinned key has its kid and fits its alg".to_owned();
        for key in &self.keys {
            let other = header.kid.is_some() && key.id.is_some() && header.kid != key.id;
            if other || !key.algorithms.contains(&header.alg) {
                continue;
            }
            let mut validation = Validation::new(header.alg);
            validation.algorithms.clone_from(&key.algorithms);
            // Claims are checked by the caller, against its own clock.
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            validation.validate_aud = false;
            match jsonwebtoken::decode::<Value>(token, &key.key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(e) => why = e.to_string(),
            }
        }
        Err(why)
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let entries = set.get("keys").and_then(Value::as_array).ok_or("it has no list of \"keys\"")?;
    if entries.len() > MAX_KEYS {
        return Err(format!("it has more than {MAX_KEYS} keys"));
    }
    let mut keys = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if entry.get("d").is_some() || entry.get("k").is_some() {
            return Err(format!("key {index} is a private or shared one; pin public keys only"));
        }
        let jwk: Jwk = serde_json::from_value(entry.clone()).map_err(|e| format!("key {index}: {e}"))?;
        if jwk.common.public_key_use.as_ref().is_some_and(|use_| *use_ != PublicKeyUse::Signature) {
            continue;
        }
        let algorithms = algorithms_of(&jwk);
        if algorithms.is_empty() {
            continue;
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|e| format!("key {index}: {e}"))?;
        keys.push(Key { id: jwk.common.key_id, algorithms, key });
    }
    if keys.is_empty() {
        return Err("none of its keys is for RS256, PS256, ES256, ES384 or EdDSA signatures".to_owned());
    }
    Ok(keys)
}

/// What the key's kind allows, and of that what its own `alg` leaves.
fn algorithms_of(jwk: &Jwk) -> Vec<Algorithm> {
    let by_kind: &[(Algorithm, KeyAlgorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[(Algorithm::RS256, KeyAlgorithm::RS256), (Algorithm::PS256, KeyAlgorithm::PS256)]
        }
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P256 => {
            &[(Algorithm::ES256, KeyAlgorithm::ES256)]
        }
        AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P384 => {
            &[(Algorithm::ES384, KeyAlgorithm::ES384)]
        }
        AlgorithmParameters::OctetKeyPair(p) if p.curve == EllipticCurve::Ed25519 => {
            &[(Algorithm::EdDSA, KeyAlgorithm::EdDSA)]
        }
        _ => &[],
    };
    let own = jwk.common.key_algorithm;
    by_kind
        .iter()
        .filter(|(_, name)| own.is_none_or(|own| own == *name))
        .map(|(algorithm, _)| *algorithm)
        .collect()
}

/// Has `jsonwebtoken` verify by `ring`, which the receivers' TLS brings anyway, and sign by nothing.
fn install_provider() -> Result<(), String> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        verifier_factory,
        key_utils: KeyUtils::new_unimplemented(),
    };
    if *INSTALLED.get_or_init(|| PROVIDER.install_default().is_ok()) {
        return Ok(());
    }
    Err("another part of the program chose how signatures are verified".to_owned())
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, JwtError> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.key.kind(), self.algorithm) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, algorithm) => {
                let parameters = match algorithm {
                    Algorithm::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
                    _ => return Err(signature::Error::new()),
                };
                sig::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (DecodingKeyKind::SecretOrDer(key), algorithm) => {
                let algorithm: &dyn sig::VerificationAlgorithm = match algorithm {
                    Algorithm::ES256 => &sig::ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &sig::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDSA => &sig::ED25519,
                    _ => return Err(signature::Error::new()),
                };
                sig::UnparsedPublicKey::new(algorithm, key).verify(message, signature)
            }
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
