//! Prediction of one case: from an image to the segmentation of the fold that is least uncertain.
//!
//! Networks and the rest run at the same time: [`Predictor::logits`] is what a network does to a case, [`running`] what
//! becomes of its logits.

pub(crate) mod cases;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod running;
pub(crate) mod trace;
mod vote;

use std::sync::Arc;

use ndarray::{Array3, Array4};
use nnunet::evaluation::{mean_defined, overlaps};
use nnunet::fold::{Fold, Member};
use nnunet::preprocess::{PreprocessError, Preprocessed};
use nnunet::sliding_window::{SlidingWindow, WindowError};
use nnunet::uncertainty::{Scores, TooFewMembers, UncertaintyMethod};

use crate::expectation::Calibrated;
use crate::members::MemberError;
use crate::model::{Model, ModelMember};
use crate::network::{Network, NetworkError};
use rules::Rules;

/// What is the same for every case of a run.
pub(crate) struct Predictor<'a> {
    /// The bundle's description.
    pub(crate) model: &'a Model,
    /// The folds that predict, each with its members.
    pub(crate) folds: &'a [(Fold, Vec<ModelMember>)],
    /// Every fold's best member, if they alone vote.
    pub(crate) best: Vec<Member>,
    /// How patches are laid over a case.
    pub(crate) window: SlidingWindow,
    /// Divides the logits before softmax.
    pub(crate) temperature: f32,
    /// How predictions become a segmentation.
    pub(crate) rules: Rules,
    /// How uncertainty is measured; the first one's scores select the fold.
    pub(crate) methods: Vec<UncertaintyMethod>,
    /// What scores say about Dice.
    pub(crate) calibrated: Calibrated,
    /// Whether the probabilities of the result are kept.
    pub(crate) keeps_probabilities: bool,
    /// Whether every fold's segmentation is kept.
    pub(crate) keeps_folds: bool,
}

/// A predicted case.
pub(crate) struct Prediction {
    /// Which fold was taken.
    pub(crate) selection: Option<Fold>,
    /// What it predicts, after postprocessing, or the mean over the folds if that was asked for or no fold has a score.
    pub(crate) result: Candidate,
    /// The folds, in ascending order.
    pub(crate) folds: Vec<(Fold, Assessment)>,
    /// The mean over the folds.
    pub(crate) mean: Assessment,
    /// `1 - Dice` between the result and the mean; `None` if neither has foreground, or the mean is the result.
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
#[derive(Clone)]
pub(crate) struct Assessment {
    /// Scores of each method.
    pub(crate) scores: Vec<Scores>,
    /// The segmentation, if asked for.
    pub(crate) segmentation: Option<Array3<u8>>,
}

impl Predictor<'_> {
    /// The members that predict, fold by fold.
    pub(crate) fn members(&self) -> impl Iterator<Item = &ModelMember> {
        self.folds.iter().flat_map(|(_, members)| members)
    }

    /// Their names.
    pub(crate) fn member_names(&self) -> Vec<String> {
        self.members().map(|member| member.id.to_string()).collect()
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
        self.window.n_patches(case.properties.resampled_shape) * self.members().count()
    }

    /// Logits `[output, z, y, x]` of one member on the grid of the network; `on_patch` is called after every patch.
    ///
    /// # Errors
    ///
    /// [`PredictError::Window`] naming the member.
    pub(crate) fn logits(
        &self,
        case: &Preprocessed,
        member: &ModelMember,
        network: &mut Network,
        on_patch: &mut dyn FnMut(),
    ) -> Result<Array4<f32>, PredictError> {
        let logits = self.window.logits(&case.image, network, on_patch);
        logits.map_err(|source| PredictError::Window { member: member.id.to_string(), source })
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
    /// A member cannot be loaded, for this case and all that wait for it.
    #[error(transparent)]
    Member {
        /// Which and why.
        #[from]
        source: Arc<MemberError>,
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
