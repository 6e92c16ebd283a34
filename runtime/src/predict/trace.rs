//! `<case>.json`: what ran on a case, and what came out.
//!
//! Enough to say afterwards which networks, on which provider, in which precision, led to a segmentation. A score that
//! is undefined is `null`, and so are expected Dice and decision where no calibration holds, with the reason beside.

use std::ops::AddAssign;

use bundle_format::{BundleContents, Digest, VerifiedBundle};
use indexmap::IndexMap;
use nnunet::calibration::Expectation;
use nnunet::fold::Fold;
use nnunet::postprocessing::Step;
use nnunet::uncertainty::{Scores, UncertaintyMethod};
use serde::{Deserialize, Serialize};

use super::rules::{Rules, Select};
use super::{Assessment, Prediction, Predictor};
use crate::choice::Choice;
use crate::engine::Engine;
use crate::expectation::{self, CalibrationFacts};
use crate::member_choice::MemberChoice;
use crate::resume::FileDigest;

/// Version of the traces' and the report's format.
pub(crate) const FORMAT: u32 = 2;

/// The trace of a case.
#[derive(Debug, Serialize)]
pub(crate) struct Trace<'a> {
    pub(crate) format: u32,
    pub(crate) case: &'a str,
    /// Digest of all that decides the result: inputs, bundle, options; by it `--resume` knows a finished case.
    pub(crate) key: Digest,
    /// The channel files.
    pub(crate) inputs: Vec<FileDigest>,
    /// Every other file that was written, relative to the output folder.
    pub(crate) outputs: Vec<FileDigest>,
    #[serde(flatten)]
    pub(crate) run: &'a RunFacts,
    /// Names of the members that predicted.
    pub(crate) members: Vec<String>,
    /// Number of the fold that was taken; `null` if the mean over the folds was.
    pub(crate) selected_fold: Option<Fold>,
    /// `1 - Dice` between the result and the mean over the folds.
    pub(crate) disagreement: Option<f64>,
    /// Expected Dice, interval and decision; `null` if the run is not calibrated.
    pub(crate) expectation: Option<Expectation>,
    /// Scores of every fold and of the mean over the folds.
    pub(crate) scores: Vec<FoldScores>,
    pub(crate) seconds: Seconds,
    pub(crate) warnings: Vec<String>,
    /// Spacing `[z, y, x]` of a TIFF stack, mm, under the name by which nnU-Net looks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spacing: Option<[f64; 3]>,
}

/// What is the same for every case of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunFacts {
    pub(crate) bundle: BundleFacts,
    pub(crate) program: ProgramFacts,
    pub(crate) device: Choice,
    pub(crate) options: OptionFacts,
    pub(crate) calibration: CalibrationFacts,
    /// Why no calibration can be fitted to these scores; absent if one can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deviation: Option<String>,
    /// Labels of which, step by step, only the largest component is kept in the result.
    pub(crate) postprocessing: Vec<Vec<u8>>,
}

/// Which bundle ran.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BundleFacts {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) manifest_sha256: String,
    pub(crate) signers: Vec<String>,
}

/// Which programs ran it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProgramFacts {
    pub(crate) unnunet: &'static str,
    pub(crate) onnxruntime: String,
    pub(crate) onnxruntime_library: String,
}

/// The options that bear on the result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OptionFacts {
    pub(crate) step: f64,
    /// Axes of `[z, y, x]` in network order.
    pub(crate) mirrored_axes: Vec<usize>,
    pub(crate) temperature: f32,
    pub(crate) uncertainty: Vec<UncertaintyMethod>,
    #[serde(flatten)]
    pub(crate) rules: Rules,
    /// Which members of each fold predict.
    #[serde(skip)]
    pub(crate) members: MemberChoice,
}

/// Scores of one fold, or of the mean over the folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FoldScores {
    /// `null` for the mean over the folds.
    pub(crate) fold: Option<Fold>,
    pub(crate) method: UncertaintyMethod,
    /// Per voxel of the whole contour.
    pub(crate) score: Option<f64>,
    /// Per voxel of each structure's contour.
    pub(crate) structures: IndexMap<String, Option<f64>>,
}

/// Seconds that the stages of a case took. Stages of different cases run at the same time, so that the sum over all cases
/// is more than the run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seconds {
    pub(crate) read: f64,
    pub(crate) preprocess: f64,
    /// Making sessions.
    pub(crate) load: f64,
    /// Sliding windows, the networks within.
    pub(crate) network: f64,
    /// Of these, inside the sessions.
    pub(crate) session: f64,
    /// From logits to probabilities on the case's grid.
    pub(crate) restore: f64,
    pub(crate) uncertainty: f64,
    /// Writing segmentations and maps.
    pub(crate) write: f64,
}

impl AddAssign for Seconds {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.preprocess += other.preprocess;
        self.load += other.load;
        self.network += other.network;
        self.session += other.session;
        self.restore += other.restore;
        self.uncertainty += other.uncertainty;
        self.write += other.write;
    }
}

impl RunFacts {
    /// Gathers what is known before the first case.
    pub(crate) fn new(
        bundle: &VerifiedBundle,
        engine: &Engine,
        device: Choice,
        options: OptionFacts,
        predictor: &Predictor<'_>,
    ) -> Self {
        let manifest = bundle.manifest();
        let deviation = expectation::deviation(&options, predictor.model.mirroring.axes());
        Self {
            bundle: BundleFacts {
                id: manifest.id.to_string(),
                version: manifest.version.to_string(),
                manifest_sha256: bundle.manifest_sha256().to_string(),
                signers: bundle.signers().iter().map(ToString::to_string).collect(),
            },
            program: ProgramFacts {
                unnunet: env!("CARGO_PKG_VERSION"),
                onnxruntime: engine.version().to_string(),
                onnxruntime_library: engine.library().display().to_string(),
            },
            device,
            options,
            calibration: predictor.calibrated.facts(),
            deviation: deviation.map(|deviation| deviation.to_string()),
            postprocessing: predictor.model.postprocessing.steps().iter().map(Step::labels).collect(),
        }
    }
}

/// The scores of a prediction: fold by fold, then of the mean; in each, method by method.
pub(crate) fn scores(prediction: &Prediction, predictor: &Predictor<'_>) -> Vec<FoldScores> {
    let folds = prediction.folds.iter().map(|(fold, assessment)| (Some(*fold), assessment));
    let all = folds.chain([(None, &prediction.mean)]);
    let of = |(fold, assessment): (Option<Fold>, &Assessment)| {
        let methods = predictor.methods.iter().zip(&assessment.scores);
        methods.map(|(&method, scores)| fold_scores(fold, method, scores, predictor)).collect::<Vec<_>>()
    };
    all.flat_map(of).collect()
}

fn fold_scores(
    fold: Option<Fold>,
    method: UncertaintyMethod,
    scores: &Scores,
    predictor: &Predictor<'_>,
) -> FoldScores {
    let names = predictor.model.labels.structures.iter().map(|structure| structure.name.clone());
    FoldScores { fold, method, score: scores.whole, structures: names.zip(scores.structures.iter().copied()).collect() }
}

/// What a reader of the result should know.
pub(crate) fn warnings(prediction: &Prediction, rules: Rules) -> Vec<String> {
    let mut warnings = Vec::new();
    if prediction.selection.is_none() && rules.select == Select::LowestUncertainty {
        warnings.push("no fold segmented anything with a contour: the result is the mean over the folds".to_owned());
    }
    warnings
}
