//! What can go wrong with a validation, case by case and with its results.

use std::io;
use std::path::PathBuf;

use imaging::GridMismatch;
use imaging::file::FileError;
use nnunet::calibration::CalibrationError;
use nnunet::dataset::CaseId;
use nnunet::evaluation::ShapeMismatch;
use nnunet::fold::{Fold, Member};
use nnunet::mirroring::MirroringError;
use nnunet::plans::ConfigurationName;
use nnunet::postprocessing::PostprocessingError;
use nnunet::preprocess::PreprocessError;
use nnunet::previous_stage::UnknownLabel;
use nnunet::sliding_window::WindowError;
use nnunet::uncertainty::TooFewMembers;
use tch::TchError;

use crate::checkpoint::CheckpointError;
use crate::network::NetworkError;
use crate::raw_dataset::RawDatasetError;
use crate::run_folder::RunFolderError;
use crate::stage_predictions::PredictionError;
use crate::trained::TrainedError;

/// Why a fold or a case cannot be validated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// A member's description cannot be read.
    #[error("member `{member}` cannot be used")]
    Checkpoint {
        /// The member.
        member: Member,
        /// Why.
        source: CheckpointError,
    },
    /// An image cannot be read, or a segmentation not written.
    #[error("a file cannot be used")]
    File {
        /// Which, and why.
        #[from]
        source: FileError,
    },
    /// The scores of a case are malformed.
    #[error("`{}` does not hold the scores of a case", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The reference does not lie on the image's grid.
    #[error("the reference does not lie on the grid of the image")]
    Grid {
        /// How they differ.
        #[from]
        source: GridMismatch,
    },
    /// A training mirrored along an axis that its network has not.
    #[error("the training cannot be mirrored as it says")]
    Mirroring {
        /// Which axis.
        #[from]
        source: MirroringError,
    },
    /// A network cannot be built.
    #[error("the network of member `{member}` cannot be built")]
    Network {
        /// The member.
        member: Member,
        /// Why.
        source: NetworkError,
    },
    /// The raw data set lacks the case.
    #[error("the case is not in the training cases of `{}`", folder.display())]
    NoCase {
        /// The raw data set.
        folder: PathBuf,
    },
    /// There is nobody to predict.
    #[error("the fold has no member")]
    NoMember,
    /// The scores are of another case or version.
    #[error("`{}` has format {format} and the scores of case `{found}`", path.display())]
    OtherCase {
        /// The file.
        path: PathBuf,
        /// Its version.
        format: u32,
        /// Its case.
        found: CaseId,
    },
    /// The image does not fit the plans, or the logits not the image.
    #[error("the case does not fit the plans")]
    Preprocess {
        /// Why.
        #[from]
        source: PreprocessError,
    },
    /// The previous stage left no segmentation of the case that can be used.
    #[error("the case lacks the segmentation of `{configuration}`; run `unnunet-train validate` of that first")]
    Previous {
        /// The previous stage.
        configuration: ConfigurationName,
        /// What is wrong.
        source: Box<PredictionError>,
    },
    /// The previous stage's segmentation has a label that the data set has not.
    #[error("the segmentation of `{configuration}` cannot be used")]
    PreviousLabel {
        /// The previous stage.
        configuration: ConfigurationName,
        /// Which label.
        source: UnknownLabel,
    },
    /// The scores cannot be read.
    #[error("the scores of a case cannot be read")]
    Read {
        /// Which, and why.
        source: Box<RawDatasetError>,
    },
    /// The fold cannot be measured as asked for.
    #[error("{fold} cannot be measured so")]
    TooFew {
        /// The fold.
        fold: Fold,
        /// What it lacks.
        source: TooFewMembers,
    },
    /// The training cannot be used.
    #[error(transparent)]
    Trained {
        /// Why.
        #[from]
        source: TrainedError,
    },
    /// A member's weights cannot be loaded.
    #[error("a member cannot be loaded")]
    Weights {
        /// Which, and why.
        source: Box<RunFolderError>,
    },
    /// A member failed on a patch.
    #[error("member `{member}` cannot predict the case")]
    Window {
        /// The member.
        member: Member,
        /// Why.
        source: Box<WindowError<TchError>>,
    },
    /// A file or folder cannot be written.
    #[error("the result cannot be written")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}

impl From<RunFolderError> for ValidationError {
    fn from(source: RunFolderError) -> Self {
        Self::Weights { source: Box::new(source) }
    }
}

/// Why there is no result of a validation, or none of a case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// The pairs of score and Dice cannot be calibrated.
    #[error("the scores cannot be calibrated")]
    Calibration {
        /// Why.
        #[from]
        source: CalibrationError,
    },
    /// A case that a decision rests on cannot be compared.
    #[error("case `{case}` cannot be compared")]
    Case {
        /// The case.
        case: CaseId,
        /// Why.
        source: Box<ResultsError>,
    },
    /// A table cannot be made.
    #[error("the scores cannot be written as CSV")]
    Csv {
        /// Why.
        #[from]
        source: csv::Error,
    },
    /// A prediction or reference cannot be read.
    #[error("a segmentation cannot be read")]
    File {
        /// Which, and why.
        #[from]
        source: FileError,
    },
    /// Prediction and reference lie on different grids.
    #[error("the prediction does not lie on the grid of its reference")]
    Grid {
        /// How they differ.
        #[from]
        source: GridMismatch,
    },
    /// A file of results is malformed.
    #[error("`{}` cannot be used", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The raw data set lacks the case.
    #[error("the case is not in the training cases of `{}`", folder.display())]
    NoCase {
        /// The raw data set.
        folder: PathBuf,
    },
    /// Nothing was validated.
    #[error("no case of `{}` was validated; run `unnunet-train validate` first", folder.display())]
    Nothing {
        /// The training's folder.
        folder: PathBuf,
    },
    /// Others predicted the case than those that would today.
    #[error("the case was predicted by {found:?}, the fold has the members {expected:?}; validate again")]
    OtherMembers {
        /// The fold's members.
        expected: Vec<String>,
        /// Who predicted.
        found: Vec<String>,
    },
    /// The postprocessing of the training is malformed.
    #[error("`{}` cannot be used", path.display())]
    Postprocessing {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PostprocessingError,
    },
    /// A calibration in the training's folder is malformed.
    #[error("`{}` cannot be used", path.display())]
    ReadCalibration {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CalibrationError,
    },
    /// A file cannot be read.
    #[error("a result cannot be read")]
    Read {
        /// Which, and why.
        #[from]
        source: RawDatasetError,
    },
    /// Prediction and reference differ in shape.
    #[error("the prediction cannot be compared with its reference")]
    Shape {
        /// How they differ.
        #[from]
        source: ShapeMismatch,
    },
    /// The temperature in the training's folder cannot be used.
    #[error("`{}` has format {format} and a temperature of {found}, expected 1 and 0.01 to 100", path.display())]
    Temperature {
        /// The file.
        path: PathBuf,
        /// Its version.
        format: u32,
        /// The temperature.
        found: f32,
    },
    /// The training cannot be used.
    #[error(transparent)]
    Trained {
        /// Why.
        #[from]
        source: TrainedError,
    },
    /// The case was not predicted, or what is known about it cannot be read.
    #[error("the case was not validated")]
    Validation {
        /// Why.
        #[from]
        source: ValidationError,
    },
    /// A file cannot be written.
    #[error("a result cannot be written")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}
