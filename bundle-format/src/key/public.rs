//! Public keys and their ids.

use std::fmt;
use std::str::FromStr;

use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding};
use serde::{Deserialize, Serialize};

use super::KeyError;
use crate::digest::{Digest, DigestError};
use crate::entry_path::EntryPath;

/// Longest PEM text that is looked at; a P-256 key takes 178 bytes.
const MAX_PEM_BYTES: usize = 16 << 10;

/// Which key: the SHA-256 of its DER-encoded SPKI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub(crate) Digest);

impl KeyId {
    /// The entry that holds this key's signature.
    pub fn signature_path(&self) -> EntryPath {
        EntryPath::signature_by(&self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

/// A P-256 public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    der: Vec<u8>,
    pem: String,
    id: KeyId,
}

impl PublicKey {
    pub(super) fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        let pem = key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::PublicPem)?;
        let der = key.to_public_key_der().map_err(|_| KeyError::PublicPem)?;
        let id = KeyId(Digest::of(der.as_bytes()));
        Ok(Self { key, der: der.into_vec(), pem, id })
    }

    /// Reads an SPKI in PEM form.
    ///
    /// # Errors
    ///
    /// [`KeyError::PublicPem`] for every other text, also for keys on other curves.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(KeyError::PublicPem);
        }
        let key = VerifyingKey::from_public_key_pem(pem.trim_ascii());
        Self::new(key.map_err(|_| KeyError::PublicPem)?)
    }

    /// Reads an SPKI in the one DER form that it re-encodes to.
    ///
    /// # Errors
    ///
    /// [`KeyError::PublicDer`] for every other form, a compressed point among them.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_der(der).map_err(|_| KeyError::PublicDer)?;
        let key = Self::new(key)?;
        if key.der == der { Ok(key) } else { Err(KeyError::PublicDer) }
    }

    /// The SPKI in DER form, whose digest is the key's identity.
    pub(crate) fn to_der(&self) -> &[u8] {
        &self.der
    }

    /// The SPKI in PEM form: 64 columns, a newline at the end.
    pub fn to_pem(&self) -> String {
        self.pem.clone()
    }

    /// The key's identity.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// What OMS calls the hint: the digest of the PEM text.
    pub(crate) fn hint(&self) -> Digest {
        Digest::of(self.pem.as_bytes())
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn accepts(&self, message: &[u8], signature: &p256::ecdsa::Signature) -> bool {
        self.key.verify(message, signature).is_ok()
    }
}
