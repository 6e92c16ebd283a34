//! `import.json` of a fold: where imported weights come from.
//!
//! Stands in the place of `run.json`: what a checkpoint of nnU-Net does not say (splits, seed, schedule) is left out
//! and not made up.

use std::path::Path;

use bundle_format::Digest;
use imaging::atomic_file;
use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;
use serde::{Deserialize, Serialize};

use super::ImportError;
use crate::raw_dataset::read_text;

/// Name of the file.
pub const IMPORT_FILE: &str = "import.json";
/// Version of the record.
pub(super) const FORMAT: u32 = 1;

/// How a fold was imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRecord {
    /// Version of this record.
    pub format: u32,
    /// Program and version.
    pub program: String,
    /// Folder name of the data set.
    pub dataset: String,
    /// The configuration.
    pub configuration: ConfigurationName,
    /// Digest of the plans.
    pub plans: Digest,
    /// The fold.
    pub fold: Fold,
    /// nnU-Net's trainer class.
    pub trainer: String,
    /// Axes along which prediction may mirror.
    pub mirror_axes: Vec<usize>,
    /// The image of the probe case; `None` for a made-up patch.
    pub probe: Option<String>,
    /// The checkpoints by name.
    pub checkpoints: Vec<ImportedCheckpoint>,
}

/// One checkpoint of nnU-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedCheckpoint {
    /// nnU-Net's name of it, such as `final`.
    pub name: String,
    /// Epoch after which it was saved, counted from 0.
    pub epoch: u32,
    /// Cycle of the epoch.
    pub cycle: u32,
    /// SHA-256 of nnU-Net's file.
    pub file: Digest,
    /// Digest of the weights; two checkpoints with the same are one member.
    pub weights: Digest,
}

impl ImportRecord {
    /// Writes the record into the fold's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ImportError> {
        let path = folder.join(IMPORT_FILE);
        let malformed = |source| ImportError::Record { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(self).map_err(malformed)?;
        atomic_file::write(&path, &text).map_err(|source| ImportError::Write { source })
    }

    /// Reads the record of a fold's folder.
    ///
    /// # Errors
    ///
    /// [`ImportError::Read`], or [`ImportError::Record`] if it is malformed or of another version.
    pub fn read(folder: &Path) -> Result<Self, ImportError> {
        let path = folder.join(IMPORT_FILE);
        let text = read_text(&path)?;
        let record: Self =
            serde_json::from_str(&text).map_err(|source| ImportError::Record { path: path.clone(), source })?;
        match record.format {
            FORMAT => Ok(record),
            found => Err(ImportError::Version { path, expected: FORMAT, found }),
        }
    }
}
