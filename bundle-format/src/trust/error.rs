//! Why a trust document, a change of it, or a bundle judged by it was refused.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::json::JsonError;
use crate::key::KeyId;
use crate::manifest::{BundleId, Channel, Timestamp};
use crate::rule::Rule;
use crate::trust::TrustRole;

/// Why a trust document was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The text is not canonical JSON.
    #[error("a line of the trust file is not canonical JSON")]
    Json {
        /// Where it departs.
        source: JsonError,
    },

    /// The last line does not end, or the file is empty.
    #[error("the trust file does not end with the end of a line")]
    Unterminated,

    /// The envelope has other fields than its own.
    #[error("an envelope of the trust file does not keep its schema")]
    Envelope {
        /// Which field and why.
        source: serde_json::Error,
    },

    /// The document is of another format, or of none.
    #[error("the trust document is not of format 1")]
    Format,

    /// A field is missing, unknown, or has a value outside its range.
    #[error("the trust document does not keep its schema")]
    Schema {
        /// Which field and why.
        source: serde_json::Error,
    },

    /// A field has a value outside its range.
    #[error("`{field}` of the trust document is out of range")]
    Range {
        /// The field.
        field: &'static str,
    },

    /// A list is not sorted or names something twice.
    #[error("`{field}` of the trust document is not sorted and unique")]
    Order {
        /// The list.
        field: &'static str,
    },

    /// There is more of something than the limit.
    #[error("the trust file has more than {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The most that is accepted.
        limit: usize,
    },

    /// The list of root keys and the roles of the keys disagree.
    #[error("the key {key_id} is a root in one place of the trust document and not in another")]
    RootMismatch {
        /// The key.
        key_id: KeyId,
    },

    /// A root key signs trust documents and nothing else.
    #[error("the root key {key_id} has a further role or a scope")]
    RootScope {
        /// The key.
        key_id: KeyId,
    },

    /// A revoked key still is a root.
    #[error("the root key {key_id} is revoked")]
    RootRevoked {
        /// The key.
        key_id: KeyId,
    },

    /// Digests stay valid for a key that the document does not list.
    #[error("digests of the revoked key {key_id} stay valid, but `keys` does not list it")]
    RevokedUnlisted {
        /// The key.
        key_id: KeyId,
    },

    /// A development key has no place beside patients.
    #[error("the key {key_id} has the role `dev` in a trust document for the channel `clinical`")]
    DevelopmentKey {
        /// The key.
        key_id: KeyId,
    },

    /// A field is not padded base64 with zero trailing bits.
    #[error("`{field}` of the trust file is not canonical base64")]
    Base64 {
        /// The field.
        field: &'static str,
    },

    /// A signature is not strict DER.
    #[error("the signature of {key_id} over the trust document is not strict DER")]
    Der {
        /// The key that the signature names.
        key_id: KeyId,
    },

    /// A signature has the higher of the two values of s.
    #[error("the signature of {key_id} over the trust document has a high s")]
    HighS {
        /// The key that the signature names.
        key_id: KeyId,
    },

    /// A signature is not that of the root key it names.
    #[error("the signature of {key_id} over the trust document is not valid")]
    Signature {
        /// The key that the signature names.
        key_id: KeyId,
    },

    /// A key that is no root signed.
    #[error("the trust document is signed by {key_id}, which is no root of it or of the one before")]
    ForeignSignature {
        /// The key.
        key_id: KeyId,
    },

    /// Too few root keys signed.
    #[error("{n_signed} of {threshold} needed root keys signed version {version} of the trust document")]
    Threshold {
        /// The document's version.
        version: u32,
        /// Distinct root keys that signed.
        n_signed: usize,
        /// Distinct root keys that must sign.
        threshold: usize,
    },

    /// Too few root keys of the document before signed.
    #[error("{n_signed} of {threshold} needed root keys of the version before signed version {version}")]
    Succession {
        /// The new document's version.
        version: u32,
        /// Distinct root keys of the document before that signed.
        n_signed: usize,
        /// Distinct root keys of it that must sign.
        threshold: usize,
    },

    /// A version is left out, or a document was made before its predecessor.
    #[error("version {actual} of the trust document follows where version {expected} must, or has an earlier date")]
    Link {
        /// The version that must come.
        expected: u32,
        /// The version that comes.
        actual: u32,
    },

    /// The update is older than what is installed.
    #[error("the update ends with version {offered} of the trust document, version {installed} is installed")]
    Rollback {
        /// The last version of the update.
        offered: u32,
        /// The installed version.
        installed: u32,
    },

    /// Two different documents have one version.
    #[error("version {version} of the trust document is {offered}, another one is installed: {installed}")]
    Fork {
        /// Their version.
        version: u32,
        /// Digest of the offered document.
        offered: Digest,
        /// Digest of the installed document.
        installed: Digest,
    },

    /// The document's time is over, and that is enforced.
    #[error("version {version} of the trust document expired on {expires}, it is {now}")]
    Expired {
        /// The document's version.
        version: u32,
        /// When it expired.
        expires: Timestamp,
        /// The time that counts.
        now: Timestamp,
    },

    /// The folder is a link, or others than its owner can write to it.
    #[error("`{}` is a link or can be written by others than its owner", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
    },

    /// There is a trust document already.
    #[error("`{}` exists; a trust document is replaced by its successor only", path.display())]
    Exists {
        /// The document.
        path: PathBuf,
    },

    /// A change names a key that the document does not list.
    #[error("the trust document does not list the key {key_id}")]
    UnknownKey {
        /// The key.
        key_id: KeyId,
    },

    /// A change adds what the document lists already.
    #[error("the trust document lists the key {key_id} already")]
    KnownKey {
        /// The key.
        key_id: KeyId,
    },
}

impl TrustError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Json { .. } | Self::Unterminated => Rule::TrustJson,
            Self::Envelope { .. } => Rule::TrustEnvelope,
            Self::Format | Self::Schema { .. } | Self::Range { .. } => Rule::TrustSchema,
            Self::Order { .. } => Rule::TrustOrder,
            Self::Limit { .. } => Rule::TrustLimit,
            Self::RootMismatch { .. }
            | Self::RootScope { .. }
            | Self::RootRevoked { .. }
            | Self::RevokedUnlisted { .. }
            | Self::DevelopmentKey { .. } => Rule::TrustReference,
            Self::Base64 { .. } => Rule::SignatureBase64,
            Self::Der { .. } => Rule::SignatureDer,
            Self::HighS { .. } => Rule::SignatureLowS,
            Self::Signature { .. } | Self::ForeignSignature { .. } => Rule::TrustSignature,
            Self::Threshold { .. } => Rule::TrustThreshold,
            Self::Succession { .. } => Rule::TrustSuccession,
            Self::Link { .. } => Rule::TrustLink,
            Self::Rollback { .. } => Rule::TrustRollback,
            Self::Fork { .. } => Rule::TrustFork,
            Self::Expired { .. } => Rule::TrustExpired,
            Self::Folder { .. } => Rule::TrustFolder,
            Self::Exists { .. } => Rule::TrustExists,
            Self::UnknownKey { .. } | Self::KnownKey { .. } => Rule::TrustChange,
        }
    }
}

/// Why a properly signed bundle was refused by the trust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A revoked key signed, and nothing of it stays valid.
    #[error("the key {key_id} is revoked")]
    KeyRevoked {
        /// The key.
        key_id: KeyId,
    },

    /// A revoked key signed what is not among the digests that stay valid.
    #[error("the key {key_id} is revoked, and its bundle {manifest} is none of those that stay valid")]
    KeyRevokedFor {
        /// The key.
        key_id: KeyId,
        /// The bundle.
        manifest: Digest,
    },

    /// The bundle itself is revoked.
    #[error("the bundle {manifest} is revoked")]
    ManifestRevoked {
        /// The bundle.
        manifest: Digest,
    },

    /// A key signed a model that it may not sign.
    #[error("the key {key_id} may not sign bundles of `{id}`")]
    SignerModel {
        /// The key.
        key_id: KeyId,
        /// The model.
        id: BundleId,
    },

    /// A key signed for a channel that it may not sign for.
    #[error("the key {key_id} may not sign bundles of the channel `{channel}`")]
    SignerChannel {
        /// The key.
        key_id: KeyId,
        /// The channel.
        channel: Channel,
    },

    /// Nobody said who must sign for the channel.
    #[error("the trust document has no policy for the channel `{channel}`")]
    NoPolicy {
        /// The channel.
        channel: Channel,
    },

    /// Too few keys of a role signed.
    #[error(
        "the channel `{channel}` asks for {needed} distinct keys of the role `{role}`, {n_signed} signed; a key counts for one role only"
    )]
    RoleThreshold {
        /// The channel.
        channel: Channel,
        /// The role.
        role: TrustRole,
        /// Distinct keys that must sign.
        needed: usize,
        /// Distinct keys of the role that signed.
        n_signed: usize,
    },

    /// The bundle is older than what the trust document still admits.
    #[error("the bundle of `{id}` has the security version {actual}, the trust document admits {floor} and above")]
    SecurityFloor {
        /// The model.
        id: BundleId,
        /// The lowest admitted security version.
        floor: u32,
        /// The bundle's.
        actual: u32,
    },
}

impl PolicyError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::KeyRevoked { .. } | Self::KeyRevokedFor { .. } => Rule::KeyRevoked,
            Self::ManifestRevoked { .. } => Rule::ManifestRevoked,
            Self::SignerModel { .. } => Rule::SignerModel,
            Self::SignerChannel { .. } => Rule::SignerChannel,
            Self::NoPolicy { .. } => Rule::ChannelPolicy,
            Self::RoleThreshold { .. } => Rule::RoleThreshold,
            Self::SecurityFloor { .. } => Rule::TrustFloor,
        }
    }
}
