//! Prediction of one case: from an image to the segmentation of the fold that is least uncertain.
//!
//! Every member of a fold predicts the case, and is added to the fold's sums and forgotten; every fold is scored and
//! added to the mean over the folds. So memory depends neither on the number of members nor on that of folds: beside
//! the sums there are one member's probabilities, and the segmentation and maps of the best fold so far.

pub(crate) mod cases;
pub(crate) mod report;
pub(crate) mod trace;

use std::time::Instant;

use ndarray::{Array3, Array4, Axis};
use nnunet::evaluation::{mean_defined, overlaps};
use nnunet::fold::Fold;
use nnunet::preprocess::{PreprocessError, Preprocessed};
use nnunet::restore;
use nnunet::select::{Selection, select_fold};
use nnunet::sliding_window::{SlidingWindow, WindowError};
use nnunet::uncertainty::{Contours, Ensemble, Scores, TooFewMembers, UncertaintyMethod, slicing_axis};

use crate::expectation::Calibrated;
use crate::members::{MemberError, Members};
use crate::model::{Model, ModelMember};
use crate::network::NetworkError;
use cases::Prepared;
use trace::Seconds;

/// What is the same for every case of a run.
pub(crate) struct Predictor<'a> {
    /// The bundle's description.
    pub(crate) model: &'a Model,
    /// The folds that predict, each with its members.
    pub(crate) folds: &'a [(Fold, Vec<ModelMember>)],
    /// How patches are laid over a case.
    pub(crate) window: SlidingWindow,
    /// Divides the logits before softmax.
    pub(crate) temperature: f32,
    /// How uncertainty is measured; the first one's scores select the fold.
    pub(crate) methods: Vec<UncertaintyMethod>,
    /// What scores say about Dice.
    pub(crate) calibrated: Calibrated,
    /// Whether the probabilities of the result are kept.
    pub(crate) keeps_probabilities: bool,
    /// Whether every fold's segmentation is kept.
    pub(crate) keeps_folds: bool,
}

/// Who watches a prediction.
pub(crate) struct Watch<'a> {
    /// Called after every patch.
    pub(crate) on_patch: &'a mut dyn FnMut(),
    /// Receives the times of the stages.
    pub(crate) seconds: &'a mut Seconds,
}

/// A predicted case.
pub(crate) struct Prediction {
    /// Which fold was taken.
    pub(crate) selection: Option<Fold>,
    /// What it predicts, after postprocessing, or the mean over the folds if no fold has a score.
    pub(crate) result: Candidate,
    /// The folds, in ascending order.
    pub(crate) folds: Vec<(Fold, Assessment)>,
    /// The mean over the folds.
    pub(crate) mean: Assessment,
    /// `1 - Dice` between the result and the mean; `None` if neither has foreground.
    pub(crate) disagreement: Option<f64>,
}

/// A segmentation that may become the case's result.
pub(crate) struct Candidate {
    /// `[z, y, x]`.
    pub(crate) segmentation: Array3<u8>,
    /// One map per method, `[z, y, x]`; `None` of a method that has none.
    pub(crate) maps: Vec<Option<Array3<f32>>>,
    /// `[output, z, y, x]`, if asked for.
    pub(crate) probabilities: Option<Array4<f32>>,
}

/// How one ensemble, of a fold or of all folds, did on a case.
pub(crate) struct Assessment {
    /// Scores of each method.
    pub(crate) scores: Vec<Scores>,
    /// The segmentation, if asked for.
    pub(crate) segmentation: Option<Array3<u8>>,
}

impl Predictor<'_> {
    /// Names of the members that predict, fold by fold.
    pub(crate) fn member_names(&self) -> Vec<String> {
        self.folds.iter().flat_map(|(_, members)| members).map(|member| member.id.to_string()).collect()
    }

    /// Whether every fold has the members that the methods need.
    ///
    /// # Errors
    ///
    /// [`TooFewMembers`] for the first fold that has not.
    pub(crate) fn check_members(&self) -> Result<(), TooFewMembers> {
        let mut pairs =
            self.folds.iter().flat_map(|(_, of_fold)| self.methods.iter().map(move |method| (of_fold, method)));
        pairs.try_for_each(|(of_fold, method)| method.check_members(of_fold.len()))
    }

    /// Patches that the networks see of a case, mirrored ones and all members among them.
    pub(crate) fn n_patches(&self, case: &Preprocessed) -> usize {
        let n_members: usize = self.folds.iter().map(|(_, members)| members.len()).sum();
        self.window.n_patches(case.properties.resampled_shape) * n_members
    }

    /// Predicts a case.
    ///
    /// # Errors
    ///
    /// [`PredictError`] naming the member at fault.
    pub(crate) fn predict(
        &self,
        case: &Prepared,
        members: &mut Members<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Prediction, PredictError> {
        let slicing_axis = slicing_axis(&case.geometry);
        let mut overall: Option<Ensemble> = None;
        let mut best: Option<Candidate> = None;
        let mut folds: Vec<(Fold, Assessment)> = Vec::new();
        let mut leading_scores = Vec::new();
        for (fold, of_fold) in self.folds {
            let ensemble = self.ensemble(&case.preprocessed, of_fold, members, watch)?;
            let start = Instant::now();
            let (candidate, assessment) = self.assess(&ensemble, slicing_axis);
            leading_scores.push(assessment.scores.first().and_then(|scores| scores.whole));
            if select_fold(&leading_scores) == Selection::Fold(folds.len()) {
                best = Some(candidate);
            }
            folds.push((*fold, assessment));
            match &mut overall {
                Some(overall) => overall.add_ensemble(&ensemble),
                None => overall = Some(ensemble.into_member()),
            }
            watch.seconds.uncertainty += start.elapsed().as_secs_f64();
        }
        let start = Instant::now();
        let overall = overall.expect("a run has at least one fold with a member");
        let (mean_candidate, mean) = self.assess(&overall, slicing_axis);
        let selection = match select_fold(&leading_scores) {
            Selection::Fold(i) => Some(folds[i].0),
            Selection::Mean => None,
        };
        let disagreement = best.as_ref().and_then(|best| self.disagreement(best, &mean_candidate));
        let mut result = best.unwrap_or(mean_candidate);
        self.model.postprocessing.apply(&mut result.segmentation);
        watch.seconds.uncertainty += start.elapsed().as_secs_f64();
        Ok(Prediction { selection, result, folds, mean, disagreement })
    }

    /// Streams the members of one fold into their sums.
    fn ensemble(
        &self,
        case: &Preprocessed,
        of_fold: &[ModelMember],
        members: &mut Members<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Ensemble, PredictError> {
        let mut ensemble: Option<Ensemble> = None;
        for member in of_fold {
            let start = Instant::now();
            let logits = members.with(&member.id, |network| {
                watch.seconds.load += start.elapsed().as_secs_f64();
                let start = Instant::now();
                let logits = self.window.logits(&case.image, network, watch.on_patch);
                watch.seconds.network += start.elapsed().as_secs_f64();
                logits
            })?;
            let logits = logits.map_err(|source| PredictError::Window { member: member.id.to_string(), source })?;
            let start = Instant::now();
            let Model { configuration, head, labels, .. } = self.model;
            let probabilities =
                restore::probabilities(logits, &case.properties, configuration, *head, self.temperature)?;
            watch.seconds.restore += start.elapsed().as_secs_f64();
            let start = Instant::now();
            match &mut ensemble {
                Some(ensemble) => ensemble.add(&probabilities),
                None => ensemble = Some(Ensemble::measured_by(&self.methods, &probabilities, labels)),
            }
            watch.seconds.uncertainty += start.elapsed().as_secs_f64();
        }
        Ok(ensemble.expect("a fold of a model has at least one member"))
    }

    fn assess(&self, ensemble: &Ensemble, slicing_axis: Axis) -> (Candidate, Assessment) {
        let segmentation = ensemble.segmentation(&self.model.labels);
        let contours = Contours::of(&segmentation, &self.model.labels, slicing_axis);
        let measures = self.methods.iter().map(|&method| ensemble.measure(method, &contours));
        let (maps, scores) = measures.map(|measure| (measure.map, measure.scores)).unzip();
        let assessment = Assessment { scores, segmentation: self.keeps_folds.then(|| segmentation.clone()) };
        let probabilities = self.keeps_probabilities.then(|| ensemble.mean());
        (Candidate { segmentation, maps, probabilities }, assessment)
    }

    fn disagreement(&self, result: &Candidate, mean: &Candidate) -> Option<f64> {
        let overlaps = overlaps(&result.segmentation, &mean.segmentation, &self.model.labels);
        let overlaps = overlaps.expect("both segmentations lie on the grid of the case");
        mean_defined(overlaps.iter().map(|overlap| overlap.dice)).map(|dice| 1.0 - dice)
    }
}

/// Why a case could not be predicted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PredictError {
    /// A member cannot be loaded.
    #[error(transparent)]
    Member {
        /// Which and why.
        #[from]
        source: MemberError,
    },
    /// The logits cannot be brought back to the case's grid.
    #[error("the logits cannot be brought to the grid of the case")]
    Restore {
        /// Why.
        #[from]
        source: PreprocessError,
    },
    /// A member failed on a patch.
    #[error("member `{member}` cannot predict the case")]
    Window {
        /// The member.
        member: String,
        /// Why.
        source: WindowError<NetworkError>,
    },
}
