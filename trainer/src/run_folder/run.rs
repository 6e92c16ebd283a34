//! Where the weights of a fold come from: a training of ours, or an import from nnU-Net.

use std::collections::BTreeSet;
use std::path::Path;

use bundle_format::Digest;
use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;

use super::RunFolderError;
use crate::import::{IMPORT_FILE, ImportRecord};
use crate::limits::EarlyEnd;
use crate::run_record::RunRecord;

/// What is known of a fold's training.
#[derive(Debug)]
pub(crate) enum Run {
    /// Everything, and whether it ended by patience.
    Trained(Box<RunRecord>, Option<EarlyEnd>),
    /// What nnU-Net's checkpoints say.
    Imported(ImportRecord),
}

impl Run {
    /// Reads the record of a fold; a folder with neither is refused as an unfinished training.
    pub(crate) fn read(folder: &Path, fold: Fold) -> Result<Self, RunFolderError> {
        let path = folder.join("run.json");
        if !path.is_file() && folder.join(IMPORT_FILE).is_file() {
            let refuse = |source| RunFolderError::Import { fold, source: Box::new(source) };
            return ImportRecord::read(folder).map(Self::Imported).map_err(refuse);
        }
        let record = RunRecord::read(&path).map_err(|source| RunFolderError::Run { fold, source })?;
        let early_end = EarlyEnd::read(folder).map_err(|source| RunFolderError::EarlyEnd { fold, source })?;
        Ok(Self::Trained(Box::new(record), early_end))
    }

    /// The epochs whose checkpoints are members, ascending.
    pub(crate) fn epochs(&self, fold: Fold) -> Result<Vec<u32>, RunFolderError> {
        match self {
            Self::Trained(run, early_end) => {
                let epochs = run.checkpoints.epochs(&run.schedule);
                let epochs = epochs.map_err(|source| RunFolderError::Rule { fold, source })?;
                let last = early_end.as_ref().map_or(u32::MAX, |early| early.epoch);
                Ok(epochs.into_iter().filter(|&epoch| epoch <= last).collect())
            }
            Self::Imported(import) => {
                let epochs: BTreeSet<u32> = import.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect();
                Ok(epochs.into_iter().collect())
            }
        }
    }

    /// Whether the fold was trained with these plans and this configuration.
    pub(crate) fn is_of(&self, plans: Digest, configuration: &ConfigurationName) -> bool {
        match self {
            Self::Trained(run, _) => run.plans == plans && run.configuration == *configuration,
            Self::Imported(import) => import.plans == plans && import.configuration == *configuration,
        }
    }

    /// Axes along which training mirrored; ours mirrors along every one.
    pub(crate) fn mirror_axes(&self, n_axes: usize) -> Vec<usize> {
        match self {
            Self::Trained(..) => (0..n_axes).collect(),
            Self::Imported(import) => import.mirror_axes.clone(),
        }
    }
}
