//! The container: a zip archive with exactly one encoding.

use crate::entry_path::EntryPath;
use crate::error::BundleError;
use crate::rule::Rule;

/// Why a container was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// x
    #[error("x")]
    ManifestMissing,
}

impl ContainerError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        Rule::ManifestEntry
    }
}

/// A stand-in.
#[derive(Debug)]
pub(crate) struct Archive;

impl Archive {
    pub(crate) fn read(&self, _path: &EntryPath) -> Result<Option<Vec<u8>>, BundleError> {
        unimplemented!()
    }
}
