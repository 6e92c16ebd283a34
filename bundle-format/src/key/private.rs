//! Private keys: made, read, written and used for signing.

use std::io::Write;
use std::path::Path;

use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};

use super::{KeyError, PublicKey};
use crate::atomic_file::{Existing, write_whole};
use crate::error::BundleError;

const MAX_PEM_BYTES: usize = 16 << 10;
const ENCRYPTED_LABEL: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// A P-256 private key. Its memory is wiped when it is dropped.
pub struct SigningKey {
    key: p256::ecdsa::SigningKey,
    public: PublicKey,
}

impl std::fmt::Debug for SigningKey {
    /// Shows the public half only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.key_id())
    }
}

impl SigningKey {
    fn new(key: p256::ecdsa::SigningKey) -> Self {
        let public = PublicKey::new(*key.verifying_key());
        Self { key, public: public.expect("a point on the curve has an SPKI") }
    }

    /// Makes a new key from the system's randomness.
    pub fn generate() -> Self {
        Self::new(p256::ecdsa::SigningKey::generate())
    }

    /// Reads a PKCS#8 in PEM form, encrypted or not.
    ///
    /// The passphrase of a plain key is ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError::PrivatePem`] for any other text, [`KeyError::PassphraseMissing`]
    /// and [`KeyError::PassphraseWrong`] for an encrypted key.
    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let pem = pem.trim_ascii();
        if pem.len() > MAX_PEM_BYTES {
            return Err(KeyError::PrivatePem);
        }
        let key = if pem.starts_with(ENCRYPTED_LABEL) {
            let passphrase = passphrase.ok_or(KeyError::PassphraseMissing)?;
            p256::ecdsa::SigningKey::from_pkcs8_encrypted_pem(pem, passphrase).map_err(|_| KeyError::PassphraseWrong)?
        } else {
            p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::PrivatePem)?
        };
        Ok(Self::new(key))
    }

    /// The PKCS#8 in PEM form, encrypted if there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`KeyError::PassphraseEmpty`] if the passphrase is empty.
    pub fn to_pem(&self, passphrase: Option<&str>) -> Result<String, KeyError> {
        let pem = match passphrase {
            Some("") => return Err(KeyError::PassphraseEmpty),
            Some(passphrase) => self.key.to_pkcs8_encrypted_pem(passphrase, LineEnding::LF),
            None => self.key.to_pkcs8_pem(LineEnding::LF),
        };
        pem.map(|pem| pem.to_string()).map_err(|_| KeyError::PrivatePem)
    }

    /// Writes [`SigningKey::to_pem`] to a new file that only its owner can read.
    ///
    /// # Errors
    ///
    /// [`BundleError::Io`] if `path` exists already or cannot be written;
    /// [`KeyError::PassphraseEmpty`].
    pub fn write_pem(&self, path: &Path, passphrase: Option<&str>) -> Result<(), BundleError> {
        let pem = self.to_pem(passphrase)?;
        write_whole(path, 0o600, Existing::Keep, &mut |file| {
            file.write_all(pem.as_bytes()).map_err(BundleError::io(path))
        })
    }

    /// The key with the given secret number.
    #[cfg(test)]
    pub(crate) fn from_scalar(scalar: &[u8; 32]) -> Self {
        Self::new(p256::ecdsa::SigningKey::from_slice(scalar).unwrap())
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    /// The signature over `message`, with the nonce of RFC 6979 and the lower s.
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let signature: Signature = self.key.sign(message);
        signature.normalize_s()
    }
}
