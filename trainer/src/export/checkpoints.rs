//! Which checkpoints of a training become members.
//!
//! Those that the checkpoint rule kept: `fold_<f>/checkpoint_<epoch>.safetensors` with its record
//! `checkpoint_<epoch>.json`. `best` and `latest` serve other ends and are passed over.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use nnunet::fold::{Fold, Member};

use super::ExportError;
use super::source::text;

/// One checkpoint on disk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    /// The member it becomes.
    pub(super) member: Member,
    /// Its record.
    pub(super) record: Record,
    /// Its weights.
    pub(super) weights: PathBuf,
}

/// What a checkpoint's record says.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(super) struct Record {
    /// Epoch, from 0.
    pub(super) epoch: u32,
    /// Cycle, from 0.
    pub(super) cycle: u32,
    /// Mean foreground Dice over validation patches; `None` if no patch showed foreground.
    pub(super) pseudo_dice: Option<f64>,
}

/// Finds the checkpoints of `folds`, or of every fold if there are none, sorted by fold and epoch.
pub(super) fn find(
    run_folder: &Path,
    folds: &[Fold],
    max_members: Option<NonZeroUsize>,
) -> Result<Vec<Checkpoint>, ExportError> {
    let mut folds: BTreeSet<Fold> = folds.iter().copied().collect();
    if folds.is_empty() {
        folds =
            numbered(run_folder, "fold_", "")?.into_iter().filter_map(|n| u16::try_from(n).ok()).map(Fold).collect();
    }
    let mut checkpoints = Vec::new();
    for fold in folds {
        let folder = run_folder.join(fold.to_string());
        let epochs: Vec<u32> = numbered(&folder, "checkpoint_", ".safetensors")?.into_iter().collect();
        if epochs.is_empty() {
            return Err(ExportError::NoCheckpoint { folder });
        }
        for epoch in spread(&epochs, max_members) {
            checkpoints.push(Checkpoint::read(&folder, Member { fold, epoch })?);
        }
    }
    if checkpoints.is_empty() {
        return Err(ExportError::NoFold { folder: run_folder.to_owned() });
    }
    Ok(checkpoints)
}

impl Checkpoint {
    fn read(folder: &Path, member: Member) -> Result<Self, ExportError> {
        let stem = folder.join(format!("checkpoint_{}", member.epoch));
        let path = stem.with_extension("json");
        let record: Record =
            serde_json::from_str(&text(&path)?).map_err(|source| ExportError::Json { path: path.clone(), source })?;
        if record.epoch != member.epoch {
            return Err(ExportError::Epoch { path, expected: member.epoch, found: record.epoch });
        }
        Ok(Self { member, record, weights: stem.with_extension("safetensors") })
    }
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
