//! Whom to believe, and for what.
//!
//! A [`TrustDocument`] names the keys, their roles and scopes, who must sign
//! for each channel, and what is revoked; its roots sign it and its
//! successors. [`TrustedKeys`] is what verification needs of it. One key named
//! with `--public-key` is the same thing in its simplest form: role release,
//! every model, every channel, one signature, nothing revoked.
//!
//! Follows The Update Framework's root role (version + 1, signed by the old
//! threshold and the new one, distinct keys), except that time warns unless a
//! device is told to enforce it: an offline scanner must not stop working
//! because nobody brought it a file.

mod chain;
mod document;
mod envelope;
mod error;
mod folder;
mod judge;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use chain::{TrustUpdate, follow_chain, parse_trust};
pub use document::{Revoked, RevokedKey, RoleCount, Roots, TrustDocument, TrustDraft, TrustKey};
pub use envelope::{SignedTrust, TrustEnvelope};
pub use error::{PolicyError, TrustError};
pub use folder::{LockedTrust, TrustFolder, read_trust_file, write_trust_file};
pub use scope::{ModelPattern, RevocationReason, TrustRole};

use crate::digest::Digest;
use crate::key::{KeyId, PublicKey};
use crate::manifest::{BundleId, Channel, Timestamp};

/// What happens when a trust document has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Bundles carry a warning.
    Warn,
    /// Nothing is trusted any more.
    Enforce,
}

/// What a device knows of the time.
#[derive(Clone, Debug)]
pub struct TrustClock {
    /// The later of the system's clock and the latest time ever seen.
    pub now: Timestamp,
    /// What happens when a trust document has expired.
    pub expiry: Expiry,
}

impl TrustClock {
    /// Whether `document` has expired. A clock before the document's own date is taken for that date.
    ///
    /// # Errors
    ///
    /// [`TrustError::Expired`] if it has and that is enforced.
    pub fn check(&self, document: &TrustDocument) -> Result<Freshness, TrustError> {
        let now = (&self.now).max(&document.created);
        match self.expiry {
            _ if *now < document.expires => Ok(Freshness::Valid),
            Expiry::Warn => Ok(Freshness::Expired),
            Expiry::Enforce => {
                let (version, expires) = (document.version, document.expires.clone());
                Err(TrustError::Expired { version, expires, now: now.clone() })
            }
        }
    }
}

/// Whether a newer document should have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Not yet.
    Valid,
    /// Yes.
    Expired,
}

/// The keys whose signatures count, for what, and under which policy.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    source: TrustSource,
    freshness: Freshness,
    keys: BTreeMap<KeyId, TrustKey>,
    policy: BTreeMap<Channel, Vec<RoleCount>>,
    floors: BTreeMap<BundleId, u32>,
    revoked_keys: BTreeMap<KeyId, BTreeSet<Digest>>,
    revoked_manifests: BTreeSet<Digest>,
}

impl TrustedKeys {
    /// Trusts one key for every bundle.
    pub fn single(key: PublicKey) -> Self {
        let channels = [Channel::Clinical, Channel::Dev, Channel::Research];
        let key_id = key.key_id();
        let (roles, models) = ([TrustRole::Release].into(), [ModelPattern::any()].into());
        let key = TrustKey { key, roles, models, channels: channels.into() };
        let release = vec![RoleCount { count: 1, role: TrustRole::Release }];
        Self {
            source: TrustSource::Key(key_id),
            freshness: Freshness::Valid,
            keys: [(key_id, key)].into(),
            policy: channels.into_iter().map(|channel| (channel, release.clone())).collect(),
            floors: BTreeMap::new(),
            revoked_keys: BTreeMap::new(),
            revoked_manifests: BTreeSet::new(),
        }
    }

    /// Trusts what a signed document says.
    ///
    /// # Errors
    ///
    /// [`TrustError::Expired`] if it has expired and that is enforced.
    pub fn of_document(trust: &SignedTrust, clock: &TrustClock) -> Result<Self, TrustError> {
        let document = trust.document();
        let bundle_keys = document.keys.iter().filter(|key| !key.roles.contains(&TrustRole::Root));
        let revoked = document.revoked.keys.iter();
        Ok(Self {
            source: TrustSource::Document(document.version),
            freshness: clock.check(document)?,
            keys: bundle_keys.map(|key| (key.key.key_id(), key.clone())).collect(),
            policy: document.policy.clone(),
            floors: document.min_security_version.clone(),
            revoked_keys: revoked.map(|key| (key.keyid, key.still_valid.iter().copied().collect())).collect(),
            revoked_manifests: document.revoked.manifests.iter().copied().collect(),
        })
    }

    /// The version of the trust document; `None` for a single key.
    pub fn version(&self) -> Option<u32> {
        match self.source {
            TrustSource::Key(_) => None,
            TrustSource::Document(version) => Some(version),
        }
    }

    /// The lowest security version of the model `id` that the document admits; 0 if it says nothing.
    pub fn floor(&self, id: &BundleId) -> u32 {
        self.floors.get(id).copied().unwrap_or(0)
    }

    /// Whether a newer document should have come.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Who is trusted, for messages.
    pub(crate) fn source(&self) -> TrustSource {
        self.source
    }

    /// The key with this id, if it may sign bundles at all.
    pub(crate) fn find(&self, id: &KeyId) -> Option<&PublicKey> {
        self.keys.get(id).map(|key| &key.key)
    }
}

/// Where trust comes from, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustSource {
    /// One key.
    Key(KeyId),
    /// A trust document of this version.
    Document(u32),
}

impl fmt::Display for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key_id) => write!(f, "the trusted key is {key_id}"),
            Self::Document(version) => write!(f, "version {version} of the trust document lists no such signer"),
        }
    }
}
