//! The trust document: who may sign what, and what is no longer valid.
//!
//! It is canonical JSON with a closed schema, as the manifest is. A
//! [`TrustDraft`] is what a writer says; a [`TrustDocument`] is a draft that
//! was sorted and checked, so that whoever holds one need not ask again.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ModelPattern, RevocationReason, TrustError, TrustRole};
use crate::digest::Digest;
use crate::envelope::{constant, dsse};
use crate::json::{self, StringLimit};
use crate::key::{KeyId, PublicKey};
use crate::manifest::{BundleId, Channel, Timestamp};

/// The only format that this crate reads and writes.
const FORMAT: u64 = 1;

/// Every field of a trust document but `format`, unchecked and in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustDraft {
    /// When it was made.
    pub created: Timestamp,
    /// When a newer one should have come.
    pub expires: Timestamp,
    /// Every key that is trusted for something, the roots among them.
    pub keys: Vec<TrustKey>,
    /// The lowest security version that is still admitted, by model.
    pub min_security_version: BTreeMap<BundleId, u32>,
    /// Who must sign a bundle, by channel; a channel that is not named is refused.
    pub policy: BTreeMap<Channel, Vec<RoleCount>>,
    /// What is no longer valid.
    pub revoked: Revoked,
    /// Who signs the next trust document.
    pub roots: Roots,
    /// 1 for the first, then one more each time.
    pub version: u32,
}

/// How many distinct root keys must sign a trust document, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roots {
    /// The root keys.
    pub keyids: Vec<KeyId>,
    /// Distinct keys that must sign; at least 1.
    pub threshold: usize,
}

/// How many distinct keys of a role must sign a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleCount {
    /// Distinct keys; at least 1.
    pub count: usize,
    /// Their role.
    pub role: TrustRole,
}

/// A key with what it may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireKey", into = "WireKey")]
pub struct TrustKey {
    /// The key.
    pub key: PublicKey,
    /// What it is for.
    pub roles: BTreeSet<TrustRole>,
    /// The models that it may sign; none for a root.
    pub models: BTreeSet<ModelPattern>,
    /// The channels that it may sign for; none for a root.
    pub channels: BTreeSet<Channel>,
}

/// What is no longer valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Keys whose signatures no longer count.
    pub keys: Vec<RevokedKey>,
    /// Bundles that are refused, whoever signed them.
    pub manifests: Vec<Digest>,
}

/// A key whose signatures no longer count, but for the bundles listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedKey {
    /// The key.
    pub keyid: KeyId,
    /// Why.
    pub reason: RevocationReason,
    /// Manifest digests of the bundles that it signed and that stay valid.
    pub still_valid: Vec<Digest>,
}

impl TrustDraft {
    /// Adds a key; one of the role root becomes a root too.
    ///
    /// # Errors
    ///
    /// [`TrustError::KnownKey`] if it is listed already.
    pub fn add_key(&mut self, key: TrustKey) -> Result<(), TrustError> {
        let key_id = key.key.key_id();
        if self.lists(key_id) {
            return Err(TrustError::KnownKey { key_id });
        }
        if key.roles.contains(&TrustRole::Root) {
            self.roots.keyids.push(key_id);
        }
        self.keys.push(key);
        Ok(())
    }

    /// Removes a key, from the roots too.
    ///
    /// # Errors
    ///
    /// [`TrustError::UnknownKey`] if it is not listed.
    pub fn remove_key(&mut self, key_id: KeyId) -> Result<(), TrustError> {
        if !self.lists(key_id) {
            return Err(TrustError::UnknownKey { key_id });
        }
        self.keys.retain(|key| key.key.key_id() != key_id);
        self.roots.keyids.retain(|root| *root != key_id);
        Ok(())
    }

    /// Revokes a key, or says anew why and what of it stays valid.
    ///
    /// # Errors
    ///
    /// [`TrustError::UnknownKey`] if it is neither listed nor revoked.
    pub fn revoke_key(&mut self, mut revoked: RevokedKey) -> Result<(), TrustError> {
        let key_id = revoked.keyid;
        let known = self.revoked.keys.iter().any(|other| other.keyid == key_id);
        if !known && !self.lists(key_id) {
            return Err(TrustError::UnknownKey { key_id });
        }
        revoked.still_valid.sort_unstable();
        revoked.still_valid.dedup();
        self.revoked.keys.retain(|other| other.keyid != key_id);
        self.revoked.keys.push(revoked);
        Ok(())
    }

    /// Revokes a bundle, if it is not yet.
    pub fn revoke_manifest(&mut self, manifest: Digest) {
        if !self.revoked.manifests.contains(&manifest) {
            self.revoked.manifests.push(manifest);
        }
    }

    fn lists(&self, key_id: KeyId) -> bool {
        self.keys.iter().any(|key| key.key.key_id() == key_id)
    }
}

/// A trust document that keeps its schema. Whether anybody signed it is
/// another question: [`super::SignedTrust`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDocument(TrustDraft);

impl TrustDocument {
    /// Sorts a draft and checks it as a reader would.
    ///
    /// # Errors
    ///
    /// [`TrustError`] if the result would not keep the schema, or say a thing twice.
    pub fn new(mut draft: TrustDraft) -> Result<Self, TrustError> {
        draft.keys.sort_by_key(|key| key.key.key_id());
        draft.roots.keyids.sort_unstable();
        draft.revoked.keys.sort_by_key(|key| key.keyid);
        draft.revoked.manifests.sort_unstable();
        for key in &mut draft.revoked.keys {
            key.still_valid.sort_unstable();
        }
        for roles in draft.policy.values_mut() {
            roles.sort_by_key(|count| count.role);
        }
        check::check(&draft)?;
        Ok(Self(draft))
    }

    /// Reads the payload of an envelope.
    ///
    /// # Errors
    ///
    /// [`TrustError`] names the first rule that is broken.
    pub fn parse(text: &[u8]) -> Result<Self, TrustError> {
        let value = json::parse_canonical(text, StringLimit::Usual).map_err(|source| TrustError::Json { source })?;
        let Value::Object(mut fields) = value else {
            return Err(TrustError::Format);
        };
        // Another format may have other fields, so its number is read first.
        if fields.remove("format") != Some(FORMAT.into()) {
            return Err(TrustError::Format);
        }
        let draft = serde_json::from_value(Value::Object(fields)).map_err(|source| TrustError::Schema { source })?;
        check::check(&draft)?;
        Ok(Self(draft))
    }

    /// The payload, in canonical form.
    ///
    /// # Panics
    ///
    /// Never: the fields of a document are text, numbers and lists of them.
    pub fn to_json(&self) -> Vec<u8> {
        let value = serde_json::to_value(&self.0);
        let mut value = value.expect("the types of a trust document have text keys and finite values only");
        value["format"] = FORMAT.into();
        json::to_canonical(&value)
    }

    /// A draft of the next version, made `now` and valid until `expires`.
    ///
    /// A clock that was set back does not make it older than this one.
    pub fn successor(&self, now: Timestamp, expires: Timestamp) -> TrustDraft {
        let mut draft = self.0.clone();
        draft.version = draft.version.saturating_add(1);
        draft.created = now.max(draft.created);
        draft.expires = expires;
        draft
    }

    /// The key with this id.
    pub fn key(&self, id: &KeyId) -> Option<&TrustKey> {
        let index = self.keys.binary_search_by_key(id, |key| key.key.key_id());
        index.ok().map(|index| &self.keys[index])
    }

    /// The revocation of the key with this id.
    pub fn revocation(&self, id: &KeyId) -> Option<&RevokedKey> {
        let index = self.revoked.keys.binary_search_by_key(id, |key| key.keyid);
        index.ok().map(|index| &self.revoked.keys[index])
    }

    /// Whether the key with this id is a root.
    pub(super) fn is_root(&self, id: &KeyId) -> bool {
        self.roots.keyids.binary_search(id).is_ok()
    }
}

impl Deref for TrustDocument {
    type Target = TrustDraft;

    fn deref(&self) -> &TrustDraft {
        &self.0
    }
}

constant!(Algorithm, "ecdsa-p256-sha256");

/// A key as the document spells it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireKey {
    alg: Algorithm,
    channels: Vec<Channel>,
    keyid: KeyId,
    models: Vec<ModelPattern>,
    roles: Vec<TrustRole>,
    spki: String,
}

/// Why a key of a document was refused; the schema's error carries it.
#[derive(Debug, thiserror::Error)]
enum WireKeyError {
    #[error("`{field}` of the key {key_id} is not sorted and unique")]
    Order { field: &'static str, key_id: KeyId },
    #[error("`spki` of the key {key_id} is not canonical base64 of a P-256 SPKI in its one DER form")]
    Spki { key_id: KeyId },
    #[error("the key {actual} is listed as {listed}")]
    KeyId { listed: KeyId, actual: KeyId },
}

impl TryFrom<WireKey> for TrustKey {
    type Error = WireKeyError;

    fn try_from(wire: WireKey) -> Result<Self, WireKeyError> {
        let key_id = wire.keyid;
        let der = dsse::decode_base64(&wire.spki).ok_or(WireKeyError::Spki { key_id })?;
        let key = PublicKey::from_der(&der).map_err(|_| WireKeyError::Spki { key_id })?;
        if key.key_id() != key_id {
            return Err(WireKeyError::KeyId { listed: key_id, actual: key.key_id() });
        }
        let order = |field| move || WireKeyError::Order { field, key_id };
        Ok(Self {
            roles: ordered(wire.roles).ok_or_else(order("roles"))?,
            models: ordered(wire.models).ok_or_else(order("models"))?,
            channels: ordered(wire.channels).ok_or_else(order("channels"))?,
            key,
        })
    }
}

impl From<TrustKey> for WireKey {
    fn from(key: TrustKey) -> Self {
        Self {
            alg: Algorithm::Value,
            channels: key.channels.into_iter().collect(),
            keyid: key.key.key_id(),
            models: key.models.into_iter().collect(),
            roles: key.roles.into_iter().collect(),
            spki: dsse::encode_base64(key.key.to_der()),
        }
    }
}

/// The set of a list that is sorted and unique.
fn ordered<T: Ord>(list: Vec<T>) -> Option<BTreeSet<T>> {
    list.is_sorted_by(|a, b| a < b).then(|| list.into_iter().collect())
}
