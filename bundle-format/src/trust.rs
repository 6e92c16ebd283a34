//! Whom to believe.
//!
//! Today this is one key that the operator names with `--public-key`. A signed
//! trust document with roles, scopes, floors and revocations takes its place
//! later, as a second constructor of [`TrustedKeys`].

use crate::key::{KeyId, PublicKey};

/// The keys whose signatures count.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    key: PublicKey,
}

impl TrustedKeys {
    /// Trusts one key for every bundle.
    pub fn single(key: PublicKey) -> Self {
        Self { key }
    }

    /// The id of the trusted key, for messages.
    pub(crate) fn key_id(&self) -> KeyId {
        self.key.key_id()
    }

    /// The trusted key with this id.
    pub(crate) fn find(&self, id: &KeyId) -> Option<&PublicKey> {
        Some(&self.key).filter(|key| key.key_id() == *id)
    }
}
