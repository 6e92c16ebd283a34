//! Why a bundle was not exported.

use std::io;
use std::path::PathBuf;

use bundle_format::{BundleError, EntryPathError, ValueError};
use nnunet::dataset::{CaseId, DatasetError};
use nnunet::fold::{Fold, Member};
use nnunet::plans::PlansError;
use nnunet::previous_stage::UnknownLabel;
use nnunet::topology::TopologyError;

use crate::cross_validation::SplitsError;
use crate::import::ImportError;
use crate::network::NetworkError;
use crate::onnx::OnnxError;
use crate::probe::ProbeError;
use crate::raw_dataset::RawDatasetError;
use crate::run_folder::RunFolderError;
use crate::run_record::RunRecordError;
use crate::stage_predictions::PredictionError;
use crate::store::StoreError;
use crate::validation::ResultsError;
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
    /// The data set's description is wrong.
    #[error("cannot use `{}`", path.display())]
    Dataset {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DatasetError,
    },
    /// A calibration or postprocessing of the training cannot be used.
    #[error("what the validation found out cannot be used")]
    Findings {
        /// Which file, and why.
        source: Box<ResultsError>,
    },
    /// The record of an import, or its probe case, cannot be used.
    #[error("{fold} has no usable record of its import")]
    Import {
        /// The fold.
        fold: Fold,
        /// Which file, and why.
        source: Box<ImportError>,
    },
    /// Two folds mirrored along different axes, and a bundle has one list of them.
    #[error("{fold} was mirrored along axes {found:?}, others along {expected:?}")]
    MirrorAxes {
        /// The fold.
        fold: Fold,
        /// Axes of the first fold.
        expected: Vec<usize>,
        /// Axes of this one.
        found: Vec<usize>,
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
    /// A fold has no validation case to take the probe from.
    #[error("{fold} has no validation case")]
    NoCase {
        /// The fold.
        fold: Fold,
    },
    /// A training of ours is exported without its preprocessed data set.
    #[error("{fold} was trained here; its preprocessed data set is needed for the probe case")]
    NoDataset {
        /// The fold.
        fold: Fold,
    },
    /// A member could not become an ONNX file.
    #[error("member `{member}` cannot be written as ONNX")]
    Onnx {
        /// The member.
        member: Member,
        /// Why.
        source: OnnxError,
    },
    /// A fold was trained with other plans or another configuration.
    #[error("{fold} was not trained with this configuration of `{}`", path.display())]
    OtherPlans {
        /// The fold.
        fold: Fold,
        /// The plans.
        path: PathBuf,
    },
    /// The plans are wrong.
    #[error("cannot use `{}`", path.display())]
    Plans {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PlansError,
    },
    /// The plans have no digest.
    #[error("the plans cannot be compared")]
    PlansDigest {
        /// Why.
        source: RunRecordError,
    },
    /// The previous stage left no segmentation of the probe case that can be used.
    #[error("the probe case lacks the previous stage's segmentation")]
    Previous {
        /// What is wrong.
        source: Box<PredictionError>,
    },
    /// The previous stage's segmentation of the probe case has a label that the data set has not.
    #[error("the probe case cannot be used")]
    PreviousLabel {
        /// Which.
        #[from]
        source: UnknownLabel,
    },
    /// The probe case could not be run.
    #[error("the probe case cannot be made")]
    Probe {
        /// Why.
        #[from]
        source: ProbeError,
    },
    /// The probe case of an import does not fit the data set.
    #[error("the probe case has {found} channels, `dataset.json` names {expected}")]
    ProbeChannels {
        /// Channels of the data set.
        expected: usize,
        /// Channels of the probe case.
        found: usize,
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
        /// Which file, and why.
        #[from]
        source: RawDatasetError,
    },
    /// The training's folder cannot be used.
    #[error("the training cannot be exported")]
    RunFolder {
        /// Which fold or member, and why.
        #[from]
        source: RunFolderError,
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
    /// The splits do not say which case can be the probe.
    #[error("the probe case cannot be chosen")]
    Splits {
        /// Which file, and why.
        #[from]
        source: SplitsError,
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

impl From<ResultsError> for ExportError {
    fn from(source: ResultsError) -> Self {
        Self::Findings { source: Box::new(source) }
    }
}
