//! The folder of a training: its folds, and which of their checkpoints are members.
//!
//! Members are those that the checkpoint rule of each fold's `run.json` keeps, or that its `import.json` lists:
//! `fold_<f>/checkpoint_<epoch>.safetensors` with its record. All must be there, so that a training that still runs is
//! not taken for a finished one; of one that ended by patience, all up to its end. `best` and `latest` serve other ends
//! and are passed over.

mod error;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use nnunet::fold::{Fold, Member, spread};
use nnunet::plans::ConfigurationName;

pub use error::RunFolderError;
pub(crate) use run::Run;

use crate::checkpoint::{CheckpointFolder, CheckpointRecord};
use crate::weights::Weights;

/// Reads how each of `folds`, or every fold if there are none, was trained.
pub(crate) fn runs(run_folder: &Path, folds: &[Fold]) -> Result<BTreeMap<Fold, Run>, RunFolderError> {
    let mut folds: BTreeSet<Fold> = folds.iter().copied().collect();
    if folds.is_empty() {
        folds = trained(run_folder)?;
    }
    if folds.is_empty() {
        return Err(RunFolderError::NoFold { folder: run_folder.to_owned() });
    }
    folds
        .into_iter()
        .map(|fold| {
            let run = Run::read(&run_folder.join(fold.to_string()), fold)?;
            Ok((fold, run))
        })
        .collect()
}

/// Members of all folds, sorted by fold and epoch, at most `max` of each fold.
pub(crate) fn members(
    run_folder: &Path,
    runs: &BTreeMap<Fold, Run>,
    max: Option<NonZeroUsize>,
) -> Result<Vec<Member>, RunFolderError> {
    let mut members = Vec::new();
    for (&fold, run) in runs {
        let epochs = run.epochs(fold)?;
        let folder = run_folder.join(fold.to_string());
        let is_there = |epoch: u32| {
            ["json", "safetensors"].iter().all(|suffix| folder.join(format!("checkpoint_{epoch}.{suffix}")).is_file())
        };
        if let Some(&epoch) = epochs.iter().find(|&&epoch| !is_there(epoch)) {
            return Err(RunFolderError::Unfinished { folder, epoch });
        }
        members.extend(spread(&epochs, max).into_iter().map(|epoch| Member { fold, epoch }));
    }
    Ok(members)
}

/// Reads a member's weights with their record.
pub(crate) fn load(run_folder: &Path, member: Member) -> Result<(CheckpointRecord, Weights), RunFolderError> {
    let folder = CheckpointFolder::new(run_folder.join(member.fold.to_string()));
    let refuse = |source| RunFolderError::Checkpoint { member, source };
    let (record, weights) = folder.load(&member.epoch.to_string()).map_err(refuse)?;
    let found = Member { fold: record.fold, epoch: record.epoch };
    if found != member {
        return Err(RunFolderError::Record { member, found });
    }
    Ok((record, weights))
}

/// The folder of the training of configuration `other` under the same plans.
pub(crate) fn of_configuration(run_folder: &Path, own: &ConfigurationName, other: &ConfigurationName) -> PathBuf {
    let name = run_folder.file_name().unwrap_or_default().to_string_lossy();
    let prefix = name.strip_suffix(own.0.as_str()).unwrap_or(&name);
    run_folder.with_file_name(format!("{prefix}{other}"))
}

/// The folds that `run_folder` holds.
fn trained(run_folder: &Path) -> Result<BTreeSet<Fold>, RunFolderError> {
    let unreadable = |source| RunFolderError::Folder { source };
    let mut folds = BTreeSet::new();
    for entry in fs_err::read_dir(run_folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let fold = name.to_str().and_then(|name| name.strip_prefix("fold_")?.parse().ok()).map(Fold);
        // Passes over `fold_all` of nnU-Net and `fold_00`.
        folds.extend(fold.filter(|fold| name.to_str() == Some(&fold.to_string())));
    }
    Ok(folds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_has_one_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["fold_3", "fold_03", "fold_all", "fold_+4", "3"] {
            fs_err::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(trained(folder.path()).unwrap(), BTreeSet::from([Fold(3)]));
    }
}
