//! The signature envelope: Model Signing (OMS) v1.0 of the OSSF, method `key`.
//!
//! A signature file is a Sigstore bundle v0.3. It holds a DSSE envelope, whose
//! payload is an in-toto statement that lists every file of the bundle with
//! its SHA-256. Because the form is exactly that of other tools, an unpacked
//! bundle verifies with them too.
//!
//! The statement travels as base64, and the signature covers those very bytes,
//! so a statement needs no canonical form; the signature file around it does.

pub(crate) mod dsse;
mod foreign;
mod signature_file;
mod statement;

pub(crate) use foreign::read as read_foreign;
pub(crate) use signature_file::SignatureFile;
pub(crate) use statement::Statement;

use crate::digest::Digest;
use crate::entry_path::EntryPath;
use crate::json::JsonError;
use crate::key::KeyId;
use crate::rule::Rule;
use crate::trust::TrustSource;

/// Type of the payload, as DSSE signs it.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Why a signature file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The bundle carries no signature.
    #[error("the bundle is not signed")]
    Missing,

    /// The signature file is not canonical JSON.
    #[error("`{path}` is not canonical JSON")]
    Json {
        /// The signature file.
        path: EntryPath,
        /// Where it departs.
        source: JsonError,
    },

    /// A field is missing, unknown, or has another value than the format's.
    #[error("`{path}` does not keep the schema of the envelope")]
    Schema {
        /// The signature file.
        path: EntryPath,
        /// Which field and why.
        source: serde_json::Error,
    },

    /// A field is not canonical base64.
    #[error("`{field}` in `{path}` is not canonical base64")]
    Base64 {
        /// The signature file.
        path: EntryPath,
        /// The field.
        field: &'static str,
    },

    /// The signature is not strict DER, or a number in it is out of range.
    #[error("the signature in `{path}` is not strict DER")]
    Der {
        /// The signature file.
        path: EntryPath,
    },

    /// The signature has the higher of the two values of s.
    #[error("the signature in `{path}` has a high s")]
    HighS {
        /// The signature file.
        path: EntryPath,
    },

    /// The file is not named after the key it names.
    #[error("`{path}` is by the key {key_id} and must be named `{expected}`")]
    FileName {
        /// The signature file.
        path: EntryPath,
        /// The key that it names.
        key_id: KeyId,
        /// The name that follows from the key.
        expected: EntryPath,
    },

    /// Nobody trusts the key.
    #[error("`{path}` is by the key {key_id}, {trusted}")]
    UnknownKey {
        /// The signature file.
        path: EntryPath,
        /// The key that it names.
        key_id: KeyId,
        /// Who is trusted.
        trusted: TrustSource,
    },

    /// A signature made elsewhere names another key than the one it is said to be by.
    #[error("the signature names another key than {key_id}, which it is said to be by")]
    OtherKey {
        /// The entry that it would have become.
        path: EntryPath,
        /// The key that it is said to be by.
        key_id: KeyId,
    },

    /// The hint is not the digest of the key's PEM text.
    #[error("the key hint in `{path}` is {actual} instead of {expected}")]
    Hint {
        /// The signature file.
        path: EntryPath,
        /// The digest of the PEM text.
        expected: Digest,
        /// The hint.
        actual: Digest,
    },

    /// The signature is not that of the key over the statement.
    #[error("the signature in `{path}` is not valid")]
    Invalid {
        /// The signature file.
        path: EntryPath,
    },
}

impl SignatureError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Missing => Rule::SignaturePresent,
            Self::Json { .. } => Rule::SignatureJson,
            Self::Schema { .. } => Rule::SignatureSchema,
            Self::Base64 { .. } => Rule::SignatureBase64,
            Self::Der { .. } => Rule::SignatureDer,
            Self::HighS { .. } => Rule::SignatureLowS,
            Self::FileName { .. } => Rule::SignatureName,
            Self::UnknownKey { .. } | Self::OtherKey { .. } => Rule::KeyKnown,
            Self::Hint { .. } => Rule::KeyHint,
            Self::Invalid { .. } => Rule::SignatureValid,
        }
    }
}

/// Why a signed statement was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The payload is not strict JSON.
    #[error("the signed statement is not strict JSON")]
    Json {
        /// Where it departs.
        source: JsonError,
    },

    /// A field is missing, unknown, or has another value than the format's.
    #[error("the signed statement does not keep its schema")]
    Schema {
        /// Which field and why.
        source: serde_json::Error,
    },

    /// The statement allows symbolic links.
    #[error("the signed statement allows symbolic links")]
    SymbolicLinks,

    /// A resource is listed twice or in the wrong place.
    #[error("resource `{path}` of the signed statement is not in order")]
    Order {
        /// The resource.
        path: EntryPath,
    },

    /// The subject is not the digest of the resources.
    #[error("the subject of the signed statement is {actual}, its resources give {expected}")]
    Subject {
        /// The digest of the resources' digests.
        expected: Digest,
        /// What the subject states.
        actual: Digest,
    },

    /// The manifest is not the signed one.
    #[error("`manifest.json` has the digest {actual}, the signed one is {expected:?}")]
    Manifest {
        /// The digest in the statement, if it lists the manifest.
        expected: Option<Digest>,
        /// What was read.
        actual: Digest,
    },

    /// The statement covers other files than the manifest, or other contents.
    #[error("the signed statement and the manifest do not list the same files")]
    ResourceSet,
}

impl StatementError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Json { .. } | Self::Schema { .. } | Self::SymbolicLinks => Rule::StatementSchema,
            Self::Order { .. } => Rule::ResourceOrder,
            Self::Subject { .. } => Rule::SubjectDigest,
            Self::Manifest { .. } => Rule::ManifestDigest,
            Self::ResourceSet => Rule::ResourceSet,
        }
    }
}

/// What is really signed: DSSE's encoding of the statement.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    dsse::pre_authentication_encoding(PAYLOAD_TYPE, payload)
}

/// The key that a signature file names, if the file is well formed (step 3, all that needs no key).
///
/// # Errors
///
/// The first rule that the file breaks.
pub fn claimed_signer(path: &EntryPath, text: &[u8]) -> Result<KeyId, SignatureError> {
    SignatureFile::parse(path, text).map(|file| file.key_id())
}

/// Declares a type with one value, so that serde refuses every other text.
macro_rules! constant {
    ($name:ident, $text:literal) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        enum $name {
            #[serde(rename = $text)]
            Value,
        }
    };
}
pub(crate) use constant;

#[cfg(test)]
mod vector;
