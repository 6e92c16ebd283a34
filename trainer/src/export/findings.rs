//! What a validation found out and the bundle carries: calibration and postprocessing.
//!
//! A calibration speaks of the scores of certain members. It goes into the bundle only if the members that are exported
//! are those that validated, fold by fold, weights and all, and if the Dice it was fitted to is that of the
//! postprocessing that goes along; otherwise the bundle says nothing rather than something wrong.

use std::path::Path;

use nnunet::calibration::Calibration;
use nnunet::dataset::LabelSet;
use nnunet::fold::Fold;
use nnunet::postprocessing::{Postprocessing, PostprocessingFile};

use super::{ExportError, Exported};
use crate::raw_dataset::read_text;
use crate::validation::results::{CALIBRATION, POSTPROCESSING};
use crate::validation::scores::FoldScores;
use crate::validation::{MemberFacts, ResultsError};

/// What goes into the bundle.
#[derive(Debug)]
pub(super) struct Findings {
    /// The calibration, or why there is none.
    pub(super) calibration: Result<Calibration, Uncalibrated>,
    /// `postprocessing.json` as it is, if there is one.
    pub(super) postprocessing: Option<String>,
    /// What it says.
    pub(super) steps: Postprocessing,
}

/// Why a bundle has no calibration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Uncalibrated {
    /// The training has none.
    #[error("the training has no calibration; `unnunet-train validate` makes one")]
    NoCalibration,
    /// A fold was not validated.
    #[error("{fold} was not validated")]
    NotValidated {
        /// The fold.
        fold: Fold,
    },
    /// Not all members are exported, or others.
    #[error("{fold} was validated by other members than are exported")]
    OtherMembers {
        /// The fold.
        fold: Fold,
    },
    /// The Dice of the calibration is that of another postprocessing.
    #[error("{fold} was calibrated with another postprocessing; validate again")]
    OtherPostprocessing {
        /// The fold.
        fold: Fold,
    },
}

impl Findings {
    /// Reads and checks what lies in a training's folder.
    pub(super) fn read(run_folder: &Path, labels: &LabelSet, members: &[Exported]) -> Result<Self, ExportError> {
        let path = run_folder.join(POSTPROCESSING);
        let postprocessing = path.exists().then(|| read_text(&path)).transpose()?;
        let refuse = |source| ResultsError::Postprocessing { path: path.clone(), source };
        let steps = match &postprocessing {
            Some(text) => PostprocessingFile::parse(text, labels).map_err(refuse)?.postprocessing(),
            None => Postprocessing::default(),
        };
        let path = run_folder.join(CALIBRATION);
        let calibration = if path.exists() {
            let refuse = |source| ResultsError::ReadCalibration { path: path.clone(), source };
            let calibration = Calibration::parse(&read_text(&path)?).map_err(refuse)?;
            check(run_folder, members, &steps, &calibration)?.map_or(Ok(calibration), Err)
        } else {
            Err(Uncalibrated::NoCalibration)
        };
        Ok(Self { calibration, postprocessing, steps })
    }

    /// What the members' logits are divided by.
    pub(super) fn temperature(&self) -> f32 {
        self.calibration.as_ref().map_or(1.0, |calibration| calibration.promise.temperature)
    }
}

/// Why the calibration is not one of these members; `None` if it is.
fn check(
    run_folder: &Path,
    members: &[Exported],
    steps: &Postprocessing,
    calibration: &Calibration,
) -> Result<Option<Uncalibrated>, ExportError> {
    for of_fold in members.chunk_by(|a, b| a.member.fold == b.member.fold) {
        let fold = of_fold[0].member.fold;
        let validation = run_folder.join(fold.to_string()).join("validation");
        if !FoldScores::path(&validation).exists() {
            return Ok(Some(Uncalibrated::NotValidated { fold }));
        }
        let scores = FoldScores::read(&validation)?;
        let fact =
            |exported: &Exported| MemberFacts { member: exported.member.to_string(), weights: exported.record.weights };
        let exported: Vec<_> = of_fold.iter().map(fact).collect();
        if scores.members != exported || scores.temperature.to_bits() != calibration.promise.temperature.to_bits() {
            return Ok(Some(Uncalibrated::OtherMembers { fold }));
        }
        if scores.postprocessing != steps.steps() {
            return Ok(Some(Uncalibrated::OtherPostprocessing { fold }));
        }
    }
    Ok(None)
}
