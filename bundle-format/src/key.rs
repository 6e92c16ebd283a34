//! Keys: ECDSA on P-256 with SHA-256, in the PEM forms of other tools.
//!
//! A public key is an SPKI PEM with lines of 64 columns; its identity is the
//! SHA-256 of the DER inside. A private key is a PKCS#8 PEM, by default
//! encrypted (PBES2, scrypt, AES-256-CBC). Signatures are deterministic
//! (RFC 6979), so that signing twice gives the same bytes.

mod private;
mod public;

pub use private::SigningKey;
pub use public::{KeyId, PublicKey};

use crate::rule::Rule;

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is no P-256 public key.
    #[error("not a P-256 public key in PEM form (`-----BEGIN PUBLIC KEY-----`)")]
    PublicPem,

    /// The bytes are no P-256 public key, or another encoding of one.
    #[error("not a P-256 public key in its one DER form")]
    PublicDer,

    /// The text is no P-256 private key.
    #[error("not a P-256 private key in PKCS#8 PEM form (`-----BEGIN PRIVATE KEY-----`)")]
    PrivatePem,

    /// The private key is encrypted and no passphrase was given.
    #[error("the private key is encrypted and needs its passphrase")]
    PassphraseMissing,

    /// The passphrase does not open the private key.
    #[error("the passphrase does not open the private key")]
    PassphraseWrong,

    /// A private key was to be encrypted with nothing.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
}

impl KeyError {
    /// The rule that was broken.
    pub fn rule(self) -> Rule {
        match self {
            Self::PublicPem | Self::PublicDer => Rule::PublicKeyPem,
            Self::PrivatePem => Rule::PrivateKeyPem,
            Self::PassphraseMissing => Rule::PassphraseMissing,
            Self::PassphraseWrong => Rule::PassphraseWrong,
            Self::PassphraseEmpty => Rule::PassphraseEmpty,
        }
    }
}
