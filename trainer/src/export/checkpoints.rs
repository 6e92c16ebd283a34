//! Which checkpoints of a training become members.
//!
//! Those that the checkpoint rule kept: `fold_<f>/checkpoint_<epoch>.safetensors` with its record
//! `checkpoint_<epoch>.json`. `best` and `latest` serve other ends and are passed over.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use nnunet::fold::{Fold, Member};

use super::ExportError;
use crate::checkpoint::{CheckpointFolder, CheckpointRecord};
use crate::weights::Weights;

/// Finds the checkpoints of `folds`, or of every fold if there are none, sorted by fold and epoch.
pub(super) fn find(
    run_folder: &Path,
    folds: &[Fold],
    max_members: Option<NonZeroUsize>,
) -> Result<Vec<Member>, ExportError> {
    let mut folds: BTreeSet<Fold> = folds.iter().copied().collect();
    if folds.is_empty() {
        folds =
            numbered(run_folder, "fold_", "")?.into_iter().filter_map(|n| u16::try_from(n).ok()).map(Fold).collect();
    }
    let mut members = Vec::new();
    for fold in folds {
        let folder = run_folder.join(fold.to_string());
        let epochs: Vec<u32> = numbered(&folder, "checkpoint_", ".safetensors")?.into_iter().collect();
        if epochs.is_empty() {
            return Err(ExportError::NoCheckpoint { folder });
        }
        let recorded = numbered(&folder, "checkpoint_", ".json")?;
        if let Some(&epoch) = epochs.iter().find(|epoch| !recorded.contains(epoch)) {
            return Err(ExportError::NoRecord { folder, epoch });
        }
        members.extend(spread(&epochs, max_members).into_iter().map(|epoch| Member { fold, epoch }));
    }
    if members.is_empty() {
        return Err(ExportError::NoFold { folder: run_folder.to_owned() });
    }
    Ok(members)
}

/// Reads a member's weights with their record.
pub(super) fn load(run_folder: &Path, member: Member) -> Result<(CheckpointRecord, Weights), ExportError> {
    let folder = CheckpointFolder::new(run_folder.join(member.fold.to_string()));
    let refuse = |source| ExportError::Checkpoint { member, source };
    let (record, weights) = folder.load(&member.epoch.to_string()).map_err(refuse)?;
    let found = Member { fold: record.fold, epoch: record.epoch };
    if found != member {
        return Err(ExportError::Record { member, found });
    }
    Ok((record, weights))
}

/// The numbers `n` for which `folder` holds `<prefix><n><suffix>`, written without leading zeros.
fn numbered(folder: &Path, prefix: &str, suffix: &str) -> Result<BTreeSet<u32>, ExportError> {
    let unreadable = |source| ExportError::Folder { source };
    let mut numbers = BTreeSet::new();
    for entry in fs_err::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(suffix));
        let parsed = number.and_then(|text| text.parse::<u32>().ok().filter(|number| number.to_string() == text));
        numbers.extend(parsed);
    }
    Ok(numbers)
}

/// At most `max` of the epochs, evenly spread, the last always among them.
fn spread(epochs: &[u32], max: Option<NonZeroUsize>) -> Vec<u32> {
    let n = max.map_or(epochs.len(), |max| max.get().min(epochs.len()));
    (1..=n).map(|i| epochs[i * epochs.len() / n - 1]).collect()
}
