//! Why a model of nnU-Net was not imported.

use std::io;
use std::path::PathBuf;

use imaging::file::FileError;
use nnunet::dataset::DatasetError;
use nnunet::fold::Fold;
use nnunet::plans::{ConfigurationName, PlansError};
use nnunet::preprocess::PreprocessError;
use nnunet::previous_stage::UnknownLabel;
use nnunet::topology::TopologyError;

use crate::checkpoint::CheckpointError;
use crate::pth::PthError;
use crate::raw_dataset::RawDatasetError;
use crate::run_record::RunRecordError;
use crate::weights::WeightsError;

/// Why a model of nnU-Net was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields say what the messages say of them")]
pub enum ImportError {
    /// A checkpoint cannot be used.
    #[error("`{}` cannot be imported", path.display())]
    Checkpoint { path: PathBuf, source: Box<PthError> },
    /// A checkpoint is of another configuration than the folder.
    #[error("`{}` is of configuration `{found}`, the folder of `{expected}`", path.display())]
    Configuration { path: PathBuf, expected: ConfigurationName, found: String },
    /// The data set's description is wrong.
    #[error("cannot use `{}`", path.display())]
    Dataset { path: PathBuf, source: DatasetError },
    /// The plans have no digest.
    #[error("the plans cannot be compared")]
    Digest { source: RunRecordError },
    /// A checkpoint's file cannot be read.
    #[error("a checkpoint cannot be read")]
    Digesting { source: io::Error },
    /// A run lies there already.
    #[error("`{}` is there already; give the import another name with `--name`", path.display())]
    Exists { path: PathBuf },
    /// A folder cannot be listed.
    #[error("the model folder cannot be read")]
    Folder { source: io::Error },
    /// The image of the probe case cannot be read.
    #[error("the image of the probe case cannot be read")]
    Image { source: Box<FileError> },
    /// Checkpoints mirrored along different axes.
    #[error("{fold} has checkpoints that mirrored along axes {found:?}, others along {expected:?}")]
    MirrorAxes { fold: Fold, expected: Vec<usize>, found: Vec<usize> },
    /// A checkpoint mirrored along an axis that the patch has not.
    #[error("`{}` mirrored along axis {found}, the patch has {n_axes} axes", path.display())]
    MirrorAxis { path: PathBuf, found: usize, n_axes: usize },
    /// A checkpoint that is asked for is not there.
    #[error("there is no `{}`", path.display())]
    Missing { path: PathBuf },
    /// There is nothing to import.
    #[error("`{}` holds no `fold_<f>/checkpoint_<name>.pth`", folder.display())]
    NoCheckpoint { folder: PathBuf },
    /// Neither the folder nor its checkpoints name the configuration.
    #[error("`{}` is not named `<trainer>__<plans>__<configuration>`, and its checkpoints name none", folder.display())]
    NoConfiguration { folder: PathBuf },
    /// The plans are wrong.
    #[error("cannot use `{}`", path.display())]
    Plans { path: PathBuf, source: PlansError },
    /// The image of the probe case does not fit the plans.
    #[error("the image of the probe case cannot be preprocessed")]
    Preprocess { source: PreprocessError },
    /// The previous stage's channels of the probe case cannot be made.
    #[error("the image of the probe case cannot be used in a cascade")]
    PreviousStage { source: UnknownLabel },
    /// The probe case that was put aside is malformed.
    #[error("`{}` holds no `image` of four axes", path.display())]
    Probe { path: PathBuf },
    /// A file cannot be read.
    #[error("cannot read the model")]
    Read {
        #[from]
        source: RawDatasetError,
    },
    /// The record of an import is malformed.
    #[error("`{}` is no record of an import", path.display())]
    Record { path: PathBuf, source: serde_json::Error },
    /// Two networks claim one epoch.
    #[error("`{}` is of epoch {epoch} like `{other}`, but has other weights; choose with `--checkpoints`", path.display())]
    SameEpoch { path: PathBuf, other: String, epoch: u32 },
    /// A checkpoint cannot be saved.
    #[error("a checkpoint cannot be saved")]
    Save { source: CheckpointError },
    /// The network is not one that is built here.
    #[error("the network of the plans is not supported")]
    Topology {
        #[from]
        source: TopologyError,
    },
    /// A record is of another version.
    #[error("`{}` has format {found}, expected {expected}", path.display())]
    Version { path: PathBuf, expected: u32, found: u32 },
    /// The probe case cannot be written.
    #[error("the probe case cannot be written")]
    Weights {
        #[from]
        source: WeightsError,
    },
    /// The run cannot be written.
    #[error("the run cannot be written")]
    Write { source: io::Error },
}
