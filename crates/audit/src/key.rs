//! Who signs? A key of this data directory, made when it is first needed.

use crate::{Error, Result};
use casemate_disk::{write_atomic, write_private};
use minisign::{KeyPair, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The secret key, and the text of its public one.
pub(crate) struct Signer {
    secret: SecretKey,
    pub(crate) public: String,
}

impl Signer {
    fn secret_path(dir: &Path) -> PathBuf {
        dir.join("key")
    }

    /// The key in `dir`, or a new one.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = Self::secret_path(dir);
        let failed = |why: String| Error::Key { path: path.clone(), why };
        match fs_err::read_to_string(&path) {
            Ok(text) => {
                let secret = SecretKeyBox::from_string(&text)
                    .and_then(SecretKeyBox::into_unencrypted_secret_key)
                    .map_err(|error| failed(error.to_string()))?;
                let public = minisign::PublicKey::from_secret_key(&secret)
                    .and_then(|key| key.to_box())
                    .map_err(|error| failed(error.to_string()))?;
                Ok(Self { secret, public: public.to_string() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::make(dir),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Makes a new key in place of the one in `dir`, if there is one.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let path = Self::secret_path(dir);
        let failed = |error: minisign::PError| Error::Key { path: path.clone(), why: error.to_string() };
        let pair = KeyPair::generate_unencrypted_keypair().map_err(failed)?;
        let public = pair.pk.to_box().map_err(failed)?.to_string();
        let secret =
            pair.sk.to_box(Some("secret key of casemate's audit record")).map_err(failed)?.to_string();
        write_private(&path, |out| out.write_all(secret.as_bytes()))?;
        write_atomic(&dir.join("key.pub"), |out| out.write_all(public.as_bytes()))?;
        Ok(Self { secret: pair.sk, public })
    }

    pub(crate) fn sign(&self, message: &str) -> Result<String> {
        let bytes = Cursor::new(message.as_bytes());
        let signed =
            minisign::sign(None, &self.secret, bytes, Some("casemate audit"), Some("casemate audit"));
        signed
            .map(SignatureBox::into_string)
            .map_err(|error| Error::Key { path: PathBuf::from("key"), why: error.to_string() })
    }
}

/// Whether `signature` over `message` is by the key with this text.
pub(crate) fn is_signed_by(public: &str, message: &str, signature: &str) -> bool {
    let key = PublicKeyBox::from_string(public).and_then(PublicKeyBox::into_public_key);
    let signature = SignatureBox::from_string(signature);
    match (key, signature) {
        (Ok(key), Ok(signature)) => {
            minisign::verify(&key, &signature, Cursor::new(message.as_bytes()), true, false, false).is_ok()
        }
        _ => false,
    }
}
