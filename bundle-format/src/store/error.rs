//! Why a store refuses.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::json::JsonError;
use crate::manifest::{BundleId, SemanticVersion};
use crate::rule::Rule;

/// Why a store refused an operation, or cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process is changing the store.
    #[error("another process is changing the store `{}`", folder.display())]
    Busy {
        /// The store.
        folder: PathBuf,
    },

    /// There is no store at this place.
    #[error("`{}` is not a store: it has no `state/device.json`", folder.display())]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },

    /// A record of the state or the log is longer than any that is written.
    #[error("`{file}` of the store has {actual} bytes, the limit is {limit}")]
    TooLong {
        /// The file.
        file: &'static str,
        /// Its size.
        actual: u64,
        /// Largest size.
        limit: u64,
    },

    /// The state is not canonical JSON.
    #[error("`state/device.json` of the store is damaged")]
    StateJson {
        /// Where it departs.
        #[from]
        source: JsonError,
    },

    /// The state has another format, a field too many or too few, or a wrong value.
    #[error("`state/device.json` of the store does not keep its schema")]
    StateSchema {
        /// Which field; `None` if it is of another format.
        source: Option<serde_json::Error>,
    },

    /// The state names a bundle that it does not list, or lists under another model.
    #[error("`state/device.json` of the store contradicts itself about bundle {digest}")]
    StateReference {
        /// The bundle.
        digest: Digest,
    },

    /// The state is gone, but what it described is still there.
    #[error("the store has bundles or an audit log, but no `state/device.json`")]
    StateLost,

    /// The trust document is older than one that this device has used.
    #[error("the trust document has version {actual}, this device has seen version {seen}")]
    FormerTrust {
        /// Version in use.
        actual: u64,
        /// Highest version seen.
        seen: u64,
    },

    /// The state is not the one that the monotonic counter counts.
    #[error("the store's state counts {state}, the device's counter {counter}: the state is not the latest")]
    FormerState {
        /// What the state says.
        state: u64,
        /// What the counter says.
        counter: u64,
    },

    /// The log is not the chain that the state ends.
    #[error("the audit log was altered at record {n}: {breach}")]
    Audit {
        /// Number of the first record that does not fit.
        n: u64,
        /// What does not fit.
        breach: AuditBreach,
    },

    /// The security version is below the floor.
    #[error("{id} {version} has security version {actual}, this device asks for at least {floor}")]
    BelowFloor {
        /// The model.
        id: BundleId,
        /// The refused version.
        version: SemanticVersion,
        /// Its security version.
        actual: u32,
        /// The device's floor.
        floor: u32,
    },

    /// Committing the bundle would lock it out.
    #[error("the bundle has security version {actual} and would raise the floor to {raised}, above itself")]
    FloorAboveItself {
        /// Its security version.
        actual: u32,
        /// The floor that it asks for.
        raised: u32,
    },

    /// The version for people is lower than that of the active bundle.
    #[error("version {actual} is older than the active version {active}, and a downgrade was not allowed")]
    Downgrade {
        /// Version that was to become active.
        actual: SemanticVersion,
        /// Active version.
        active: SemanticVersion,
    },

    /// Nothing with this digest is installed.
    #[error("no bundle {digest} is installed")]
    NotInstalled {
        /// The digest asked for.
        digest: Digest,
    },

    /// The model has no active bundle.
    #[error("no bundle of {id} is active")]
    NotActive {
        /// The model.
        id: BundleId,
    },

    /// The model has no bundle to go back to.
    #[error("{id} has no previous bundle to go back to")]
    NoPrevious {
        /// The model.
        id: BundleId,
    },

    /// The active bundle has not passed its self-test.
    #[error("the active bundle of {id} has not passed its self-test yet")]
    OnTrial {
        /// The model.
        id: BundleId,
    },

    /// The file in the store is another bundle than the one installed.
    #[error("the store's file of bundle {expected} holds bundle {actual}")]
    Replaced {
        /// What was installed.
        expected: Digest,
        /// What lies there.
        actual: Digest,
    },

    /// The store holds as many bundles as it may.
    #[error("the store holds {limit} bundles, the limit; collect garbage first")]
    Full {
        /// Largest number.
        limit: usize,
    },
}

/// What is wrong with a record of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditBreach {
    /// The line is not a record in canonical form.
    #[error("it is not a canonical record")]
    Malformed,
    /// The record does not continue the one before it.
    #[error("it does not follow the record before it")]
    Unchained,
    /// The log ends before the state does.
    #[error("it is missing")]
    Missing,
    /// The log goes on after the state's last record.
    #[error("the store's state knows no such record")]
    Unknown,
    /// The record is not the one that the state ends with.
    #[error("the store's state has another record there")]
    Different,
    /// The floors that the log tells of are higher than the state's.
    #[error("the store's state has a lower floor than it tells of")]
    LowerFloor,
}

impl StoreError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Busy { .. } => Rule::StoreBusy,
            Self::NoStore { .. } => Rule::StorePresent,
            Self::TooLong { .. } | Self::StateJson { .. } | Self::StateSchema { .. } | Self::StateReference { .. } => {
                Rule::StoreState
            }
            Self::StateLost | Self::FormerState { .. } | Self::FormerTrust { .. } => Rule::StoreLatest,
            Self::Audit { .. } => Rule::AuditChain,
            Self::BelowFloor { .. } => Rule::SecurityFloor,
            Self::FloorAboveItself { .. } => Rule::FloorAboveItself,
            Self::Downgrade { .. } => Rule::Downgrade,
            Self::NotInstalled { .. } => Rule::Installed,
            Self::NotActive { .. } => Rule::Active,
            Self::NoPrevious { .. } => Rule::Previous,
            Self::OnTrial { .. } => Rule::OnTrial,
            Self::Replaced { .. } => Rule::InstalledFile,
            Self::Full { .. } => Rule::StoreFull,
        }
    }
}
