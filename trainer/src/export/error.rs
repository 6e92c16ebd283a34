//! Why a bundle was not exported.

use std::io;
use std::path::PathBuf;

use bundle_format::{BundleError, EntryPathError, ValueError};
use nnunet::dataset::{CaseId, DatasetError};
use nnunet::fold::Member;
use nnunet::plans::PlansError;
use nnunet::topology::TopologyError;

use crate::checkpoint::CheckpointError;
use crate::network::NetworkError;
use crate::onnx::OnnxError;
use crate::probe::ProbeError;
use crate::store::StoreError;
use crate::weights::WeightsError;

/// Why a bundle was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The bundle could not be put together.
    #[error("the bundle cannot be written")]
    Bundle {
        /// Which rule it would break.
        #[from]
        source: BundleError,
    },
    /// A preprocessed case does not fit the data set.
    #[error("preprocessed case `{case}` has {found} channels, `dataset.json` names {expected}")]
    Channels {
        /// The case.
        case: CaseId,
        /// Channels of the data set.
        expected: usize,
        /// Channels of the case.
        found: usize,
    },
    /// A checkpoint could not be read.
    #[error("member `{member}` cannot be read")]
    Checkpoint {
        /// The member.
        member: Member,
        /// Which file, and why.
        source: CheckpointError,
    },
    /// The data set's description is wrong.
    #[error("cannot use `{}`", path.display())]
    Dataset {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DatasetError,
    },
    /// A folder could not be listed.
    #[error("cannot find the training")]
    Folder {
        /// What the system said, with the folder.
        source: io::Error,
    },
    /// A file is not JSON of the right shape.
    #[error("`{}` is malformed", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A member's id cannot be an entry of a bundle.
    #[error("a member cannot be named")]
    Name {
        /// The name.
        #[from]
        source: EntryPathError,
    },
    /// A network could not be built.
    #[error("a network cannot be built")]
    Network {
        /// Why.
        #[from]
        source: NetworkError,
    },
    /// The splits list no case.
    #[error("`splits_final.json` lists no case")]
    NoCase,
    /// A fold has no checkpoint that the rule kept.
    #[error("`{}` holds no `checkpoint_<epoch>.safetensors`; is the training finished?", folder.display())]
    NoCheckpoint {
        /// The fold's folder.
        folder: PathBuf,
    },
    /// No fold was trained.
    #[error("`{}` holds no `fold_<f>`", folder.display())]
    NoFold {
        /// The folder of the training.
        folder: PathBuf,
    },
    /// Weights have no record.
    #[error("`{}` lacks `checkpoint_{epoch}.json`", folder.display())]
    NoRecord {
        /// The fold's folder.
        folder: PathBuf,
        /// Epoch of the weights.
        epoch: u32,
    },
    /// A member could not become an ONNX file.
    #[error("member `{member}` cannot be written as ONNX")]
    Onnx {
        /// The member.
        member: Member,
        /// Why.
        source: OnnxError,
    },
    /// The plans are wrong.
    #[error("cannot use `{}`", path.display())]
    Plans {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PlansError,
    },
    /// The probe case could not be run.
    #[error("the probe case cannot be made")]
    Probe {
        /// Why.
        #[from]
        source: ProbeError,
    },
    /// A required range of versions is malformed.
    #[error("a range of versions is malformed")]
    Range {
        /// Where and why.
        source: semver::Error,
    },
    /// A file could not be read.
    #[error("cannot read what the training left")]
    Read {
        /// What the system said, with the file.
        source: io::Error,
    },
    /// A checkpoint's record is that of another.
    #[error("the record of member `{member}` is that of `{found}`")]
    Record {
        /// The member, by its file's name.
        member: Member,
        /// The member that the record names.
        found: Member,
    },
    /// A text file is too large.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Largest size that is read.
        limit: u64,
    },
    /// A member could not be put aside.
    #[error("cannot write a member into the staging folder")]
    Stage {
        /// What the system said, with the file.
        source: io::Error,
    },
    /// No folder could be made beside the output.
    #[error("cannot make a staging folder in `{}`", path.display())]
    Staging {
        /// The folder of the output.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The probe case is not in the store.
    #[error("the probe case cannot be read")]
    Store {
        /// Why.
        #[from]
        source: StoreError,
    },
    /// The architecture is not one that is built here.
    #[error("the network of the plans is not supported")]
    Topology {
        /// Why.
        #[from]
        source: TopologyError,
    },
    /// A text does not fit its field of the manifest.
    #[error("the manifest cannot be made")]
    Value {
        /// The text, and what is expected.
        #[from]
        source: ValueError,
    },
    /// A member's weights are not what they should be.
    #[error("member `{member}` cannot be exported")]
    Weights {
        /// The member.
        member: Member,
        /// Which parameter, and why.
        source: WeightsError,
    },
}
