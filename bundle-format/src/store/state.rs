//! What a device knows: which bundles are installed, which are active, and its floors.
//!
//! `state/device.json`, strict canonical JSON as the manifest. It also holds
//! the last record of the audit log: replacing this one file by rename changes
//! state and history together (see [`super::journal`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::Record;
use super::error::StoreError;
use crate::contents::{BundleContents as _, VerifiedBundle};
use crate::digest::Digest;
use crate::json::{self, StringLimit};
use crate::manifest::{BundleId, Channel, SemanticVersion};

/// The only format that this crate reads and writes.
const FORMAT: u64 = 1;
/// Longest state that is read, in bytes.
pub(super) const MAX_STATE_BYTES: u64 = 1 << 20;

/// Everything that decides what a device runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// Where the audit log ends.
    pub audit: AuditEnd,
    /// Value of the monotonic counter that this state goes with; 0 without one.
    pub counter: u64,
    /// Every installed bundle, by the digest of its manifest.
    pub installed: BTreeMap<Digest, Release>,
    /// The models that were ever activated.
    pub models: BTreeMap<BundleId, Slot>,
    /// Highest version of a trust document that was used; 0 if none was.
    pub trust_version: u64,
}

/// The end of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEnd {
    /// Length of the log in bytes, the last record and its newline included.
    pub bytes: u64,
    /// The last record, which the log may still lack after a crash. Its time is
    /// the latest that this device has seen.
    pub last: Record,
}

/// What a state remembers of an installed bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Who it is meant for.
    pub channel: Channel,
    /// Which model it is.
    pub id: BundleId,
    /// Floor that the device adopts when it is committed.
    pub min_security_version: u32,
    /// Number that is compared with the floor.
    pub security_version: u32,
    /// Key ids of those who signed.
    pub signers: Vec<Digest>,
    /// Version for people.
    pub version: SemanticVersion,
}

/// What one model has on this device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The bundle that predicts, once it has passed its self-test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Deployment>,
    /// Smallest security version that may run.
    pub floor: u32,
    /// The bundle to fall back to; it has passed its self-test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Deployment>,
}

/// A bundle in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Attempts left to pass the self-test; absent once it has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u8>,
    /// Whether it has raised the floor.
    pub committed: bool,
    /// Which bundle.
    pub manifest_sha256: Digest,
    /// Runs that must succeed until it commits itself; absent if it waits to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_to_commit: Option<u32>,
}

impl Deployment {
    /// Whether it has passed its self-test, and so may predict.
    pub fn is_proven(&self) -> bool {
        self.attempts.is_none()
    }
}

impl Release {
    /// What is to be remembered of a verified bundle.
    pub fn of(bundle: &VerifiedBundle) -> Self {
        let manifest = bundle.manifest();
        Self {
            channel: manifest.channel,
            id: manifest.id.clone(),
            min_security_version: manifest.min_security_version,
            security_version: manifest.security_version,
            signers: bundle.signers().iter().map(|key| key.0).collect(),
            version: manifest.version.clone(),
        }
    }
}

impl DeviceState {
    /// The state of a store that was just made, which `record` tells of.
    pub(super) fn new(record: Record) -> Self {
        let audit = AuditEnd { bytes: record.line().len() as u64, last: record };
        Self { audit, counter: 0, installed: BTreeMap::new(), models: BTreeMap::new(), trust_version: 0 }
    }

    /// Reads the content of `state/device.json`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, StoreError> {
        let value = json::parse_canonical(text, StringLimit::Usual)?;
        let Value::Object(mut fields) = value else {
            return Err(StoreError::StateSchema { source: None });
        };
        // Another format may have other fields, so its number is read first.
        if fields.remove("format") != Some(FORMAT.into()) {
            return Err(StoreError::StateSchema { source: None });
        }
        let state: Self = serde_json::from_value(Value::Object(fields))
            .map_err(|source| StoreError::StateSchema { source: Some(source) })?;
        // A field that the flattened parts of a record let pass does not come back.
        if state.to_json() != text {
            return Err(StoreError::StateSchema { source: None });
        }
        state.check()?;
        Ok(state)
    }

    /// The content of `state/device.json`, in canonical form.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).expect("a state has text keys and integers only");
        value["format"] = FORMAT.into();
        json::to_canonical(&value)
    }

    /// Every bundle that a model names is installed, and is of that model.
    fn check(&self) -> Result<(), StoreError> {
        for (id, slot) in &self.models {
            for deployment in [&slot.active, &slot.previous].into_iter().flatten() {
                let digest = deployment.manifest_sha256;
                if self.installed.get(&digest).is_none_or(|release| release.id != *id) {
                    return Err(StoreError::StateReference { digest });
                }
            }
        }
        Ok(())
    }

    /// The bundle of `id` that is active, passed or on trial.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotActive`].
    pub fn active(&self, id: &BundleId) -> Result<&Deployment, StoreError> {
        let active = self.models.get(id).and_then(|slot| slot.active.as_ref());
        active.ok_or_else(|| StoreError::NotActive { id: id.clone() })
    }

    /// The smallest security version of `id` that may run; 0 if nothing has raised it.
    pub fn floor(&self, id: &BundleId) -> u32 {
        self.models.get(id).map_or(0, |slot| slot.floor)
    }

    /// What is remembered of an installed bundle.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotInstalled`].
    pub fn release(&self, digest: Digest) -> Result<&Release, StoreError> {
        self.installed.get(&digest).ok_or(StoreError::NotInstalled { digest })
    }

    /// Whether a model names the bundle.
    pub fn is_in_use(&self, digest: Digest) -> bool {
        let names = |deployment: &Deployment| deployment.manifest_sha256 == digest;
        self.models.values().any(|slot| [&slot.active, &slot.previous].into_iter().flatten().any(names))
    }
}
