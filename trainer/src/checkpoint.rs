//! Checkpoints of a fold: members for the ensemble, the best, and the latest to resume from.
//!
//! A member is two files, `checkpoint_<epoch>.safetensors` with the weights and `checkpoint_<epoch>.json` that says
//! where they come from; `checkpoint_best` likewise. `checkpoint_latest.safetensors` holds weights, momentum and the
//! state of the training in one file, because only one file can be replaced whole; its `.json` is for people.

use std::io;
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use nnunet::fold::Fold;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::journal::EpochRecord;
use crate::loss_scale::LossScale;
use crate::weights::{FormatError, Weights, WeightsError};
use imaging::atomic_file;

/// Version of the description and of the state.
const FORMAT: u32 = 1;
/// Largest description that is read.
const MAX_RECORD_BYTES: u64 = 1 << 20;
/// Largest `checkpoint_latest` that is read.
const MAX_LATEST_BYTES: u64 = 8 << 30;
/// What tells momentum from weights in `checkpoint_latest.safetensors`.
const MOMENTUM: &str = "momentum.";
/// Where the state lies in the header of `checkpoint_latest.safetensors`.
const STATE: &str = "state";

/// Where weights come from, and how good they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRecord {
    /// Version of this description.
    pub format: u32,
    /// Fold they were trained on.
    pub fold: Fold,
    /// Cycle that the epoch belongs to, counted from 0.
    pub cycle: u32,
    /// Epoch after which they were saved, counted from 0.
    pub epoch: u32,
    /// Exponential moving average of the foreground pseudo-Dice then.
    pub ema_pseudo_dice: Option<f64>,
    /// Digest of the safetensors file.
    pub weights: Digest,
}

/// What a training must know to go on, besides weights and momentum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    format: u32,
    /// The last epoch that was finished.
    pub epoch: u32,
    /// Exponential moving average of the foreground pseudo-Dice.
    pub ema_pseudo_dice: Option<f64>,
    /// Its highest value so far, which `checkpoint_best` has.
    pub best_ema_pseudo_dice: Option<f64>,
    /// The epoch of that value; absent from states of before it was kept.
    #[serde(default)]
    pub best_epoch: Option<u32>,
    /// The factor of the loss, where precision is mixed.
    #[serde(default)]
    pub loss_scale: Option<LossScale>,
}

impl TrainingState {
    /// The state after an epoch, and the best average so far with its epoch.
    pub fn new(record: &EpochRecord, best_ema_pseudo_dice: Option<f64>, best_epoch: u32) -> Self {
        let ema_pseudo_dice = record.ema_pseudo_dice;
        let (epoch, best_epoch) = (record.epoch, Some(best_epoch));
        Self { format: FORMAT, epoch, ema_pseudo_dice, best_ema_pseudo_dice, best_epoch, loss_scale: None }
    }
}

/// Everything that `checkpoint_latest` holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// Where the training stands.
    pub state: TrainingState,
    /// Weights of the network.
    pub weights: Weights,
    /// Momentum of the optimizer, by the parameters' names.
    pub momentum: Weights,
}

/// The checkpoints in a fold's folder.
#[derive(Debug, Clone)]
pub struct CheckpointFolder {
    folder: PathBuf,
}

impl CheckpointFolder {
    /// The checkpoints in a folder that exists.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, name: &str, suffix: &str) -> PathBuf {
        self.folder.join(format!("checkpoint_{name}.{suffix}"))
    }

    /// The file `checkpoint_latest.safetensors`.
    pub fn latest_path(&self) -> PathBuf {
        self.path("latest", "safetensors")
    }

    /// Saves weights as `checkpoint_<name>`, where the name is an epoch or `best`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`].
    pub fn save(&self, name: &str, weights: &[u8], fold: Fold, epoch: &EpochRecord) -> Result<(), CheckpointError> {
        let record = CheckpointRecord {
            format: FORMAT,
            fold,
            cycle: epoch.cycle,
            epoch: epoch.epoch,
            ema_pseudo_dice: epoch.ema_pseudo_dice,
            weights: Digest::of(weights),
        };
        write(&self.path(name, "safetensors"), weights)?;
        write_json(&self.path(name, "json"), &record)
    }

    /// Reads the description of a saved member, and not its weights.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if the file is missing or malformed.
    pub fn record(&self, name: &str) -> Result<CheckpointRecord, CheckpointError> {
        let path = self.path(name, "json");
        let text = read(&path, MAX_RECORD_BYTES)?;
        let record: CheckpointRecord =
            serde_json::from_slice(&text).map_err(|source| CheckpointError::Json { path: path.clone(), source })?;
        if record.format != FORMAT {
            return Err(CheckpointError::Version { path, expected: FORMAT, found: record.format });
        }
        Ok(record)
    }

    /// Reads a saved member and checks that the weights are those described.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if a file is missing or malformed, or the digest differs.
    pub fn load(&self, name: &str) -> Result<(CheckpointRecord, Weights), CheckpointError> {
        let record = self.record(name)?;
        let path = self.path(name, "safetensors");
        let weights = Weights::read(&path)?;
        let found = weights.digest();
        if found != record.weights {
            return Err(CheckpointError::Digest { path, expected: record.weights, found });
        }
        Ok((record, weights))
    }

    /// Replaces `checkpoint_latest`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`].
    ///
    /// # Panics
    ///
    /// Never: the tensors are in memory and named once.
    pub fn save_latest(&self, latest: &Latest) -> Result<(), CheckpointError> {
        let path = self.latest_path();
        let malformed = |source| CheckpointError::Json { path: path.clone(), source };
        let state = serde_json::to_string(&latest.state).map_err(malformed)?;
        let weights = latest.weights.iter().map(|(name, tensor)| (name.to_owned(), tensor));
        let momentum = latest.momentum.iter().map(|(name, tensor)| (format!("{MOMENTUM}{name}"), tensor));
        let tensors: Vec<_> = weights.chain(momentum).collect();
        let little_endian = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let buffers: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| little_endian(&tensor.values)).collect();
        let views = tensors.iter().zip(&buffers).map(|((name, tensor), buffer)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), buffer);
            (name.as_str(), view.expect("a tensor has as many values as its shape"))
        });
        let header = Some([(STATE.to_owned(), state)].into_iter().collect());
        let content = safetensors::serialize(views, header).expect("tensors in memory fit the format");
        write(&path, &content)?;
        write_json(&self.path("latest", "json"), &latest.state)
    }

    /// Reads `checkpoint_latest.safetensors`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] if the file is missing or malformed.
    pub fn load_latest(&self) -> Result<Latest, CheckpointError> {
        let path = self.latest_path();
        let content = read(&path, MAX_LATEST_BYTES)?;
        let format = |source: FormatError| CheckpointError::Format { path: path.clone(), source };
        let (_, header) = SafeTensors::read_metadata(&content).map_err(|source| format(source.into()))?;
        let state = header.metadata().as_ref().and_then(|entries| entries.get(STATE));
        let state = state.ok_or_else(|| CheckpointError::NoState { path: path.clone() })?;
        let state: TrainingState =
            serde_json::from_str(state).map_err(|source| CheckpointError::Json { path: path.clone(), source })?;
        if state.format != FORMAT {
            return Err(CheckpointError::Version { path, expected: FORMAT, found: state.format });
        }
        let (mut weights, mut momentum) = (Weights::default(), Weights::default());
        for (name, tensor) in Weights::from_bytes(&content).map_err(format)?.iter() {
            match name.strip_prefix(MOMENTUM) {
                Some(parameter) => momentum.insert(parameter, tensor.clone())?,
                None => weights.insert(name, tensor.clone())?,
            }
        }
        Ok(Latest { state, weights, momentum })
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    atomic_file::write(path, content).map_err(|source| CheckpointError::Write { source })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), CheckpointError> {
    let text =
        serde_json::to_vec_pretty(value).map_err(|source| CheckpointError::Json { path: path.to_owned(), source })?;
    write(path, &text)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let unreadable = |source| CheckpointError::Read { path: path.to_owned(), source };
    let found = fs_err::metadata(path).map_err(unreadable)?.len();
    if found > limit {
        return Err(CheckpointError::Size { path: path.to_owned(), limit, found });
    }
    fs_err::read(path).map_err(unreadable)
}

/// Why a checkpoint could not be saved or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The weights are not those that the description names.
    #[error("`{}` has digest {found}, its description says {expected}", path.display())]
    Digest {
        /// The weights.
        path: PathBuf,
        /// Digest in the description.
        expected: Digest,
        /// Digest of the file.
        found: Digest,
    },
    /// The content is not what was saved.
    #[error("`{}` is no checkpoint", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// A description or state is malformed.
    #[error("`{}` does not describe a checkpoint", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// There is nothing to resume from in the file.
    #[error("`{}` has no training state in its header", path.display())]
    NoState {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than any that is written here.
    #[error("`{}` has {found} bytes, at most {limit} are read", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// The file is of another version.
    #[error("`{}` has format {found}, expected {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version known here.
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// The weights cannot be used.
    #[error("the weights of a checkpoint cannot be used")]
    Weights {
        /// Why.
        #[from]
        source: WeightsError,
    },
    /// A file could not be written.
    #[error("cannot write a checkpoint")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Tensor;

    fn weights(value: f32) -> Weights {
        let mut weights = Weights::default();
        weights.insert("a", Tensor { shape: vec![2], values: vec![value, -value] }).unwrap();
        weights
    }

    fn record() -> EpochRecord {
        EpochRecord {
            epoch: 7,
            cycle: 1,
            learning_rate: 0.01,
            training_loss: -0.5,
            validation_loss: -0.4,
            pseudo_dice: vec![Some(0.1 + 0.2), None],
            ema_pseudo_dice: Some(1.0 / 3.0),
            seconds: 1.5,
            finished: 1.5e9,
        }
    }

    #[test]
    fn the_latest_checkpoint_comes_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointFolder::new(folder.path());
        let state = TrainingState::new(&record(), Some(0.1 + 0.2), 5);
        let latest = Latest { state, weights: weights(0.1), momentum: weights(1e-30) };
        checkpoints.save_latest(&latest).unwrap();
        assert_eq!(checkpoints.load_latest().unwrap(), latest);
    }

    #[test]
    fn a_member_whose_weights_were_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointFolder::new(folder.path());
        checkpoints.save("7", &weights(0.1).to_bytes(), Fold(2), &record()).unwrap();
        let (loaded, saved) = checkpoints.load("7").unwrap();
        assert_eq!((loaded.fold, loaded.cycle, loaded.epoch), (Fold(2), 1, 7));
        assert_eq!(saved, weights(0.1));
        weights(0.2).write(&folder.path().join("checkpoint_7.safetensors")).unwrap();
        assert!(matches!(checkpoints.load("7"), Err(CheckpointError::Digest { .. })));
    }

    #[test]
    fn a_member_cannot_be_resumed_from() {
        let folder = tempfile::tempdir().unwrap();
        weights(0.1).write(&folder.path().join("checkpoint_latest.safetensors")).unwrap();
        let error = CheckpointFolder::new(folder.path()).load_latest().unwrap_err();
        assert!(matches!(error, CheckpointError::NoState { .. }), "{error}");
    }
}
