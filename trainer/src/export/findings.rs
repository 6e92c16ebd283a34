//! What a validation found out and the bundle carries: temperature, calibration and postprocessing.
//!
//! A calibration speaks of the scores of certain members. It goes into the bundle only if the members that are exported
//! are those that validated, fold by fold, weights and all, and if the Dice it was fitted to is that of the
//! postprocessing that goes along; otherwise the bundle says nothing rather than something wrong. The temperature is that
//! at which these members validated, whether or not there were cases enough to calibrate their scores.

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
    /// What the members' logits are divided by.
    pub(super) temperature: f32,
    /// The calibration, or why there is none.
    pub(super) calibration: Result<Calibration, Uncalibrated>,
    /// `postprocessing.json` as it is, if there is one.
    pub(super) postprocessing: Option<String>,
    /// What it says.
    pub(super) steps: Postprocessing,
}

/// Why a bundle has no calibration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// The calibration is one of scores at another temperature.
    #[error("{fold} was validated at temperature {found}, the calibration is one of {expected}; validate again")]
    OtherTemperature {
        /// The fold.
        fold: Fold,
        /// Of its validation.
        found: f32,
        /// Of the calibration.
        expected: f32,
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
        let refuse = |source| ResultsError::ReadCalibration { path: path.clone(), source };
        let calibration = path.exists().then(|| Calibration::parse(&read_text(&path)?).map_err(refuse)).transpose()?;
        let validated = validated(run_folder, members)?;
        let temperature = validated.as_ref().ok().and_then(|folds| common_temperature(folds)).unwrap_or(1.0);
        let calibration = match calibration {
            None => Err(Uncalibrated::NoCalibration),
            Some(calibration) => validated.and_then(|folds| check(&folds, &steps, &calibration)).map(|()| calibration),
        };
        Ok(Self { temperature, calibration, postprocessing, steps })
    }
}

/// The validation of every fold by exactly these members, or why there is none.
fn validated(run_folder: &Path, members: &[Exported]) -> Result<Result<Vec<FoldScores>, Uncalibrated>, ExportError> {
    let mut folds = Vec::new();
    for of_fold in members.chunk_by(|a, b| a.member.fold == b.member.fold) {
        let fold = of_fold[0].member.fold;
        let validation = run_folder.join(fold.to_string()).join("validation");
        if !FoldScores::path(&validation).exists() {
            return Ok(Err(Uncalibrated::NotValidated { fold }));
        }
        let scores = FoldScores::read(&validation)?;
        let fact =
            |exported: &Exported| MemberFacts { member: exported.member.to_string(), weights: exported.record.weights };
        if scores.members != of_fold.iter().map(fact).collect::<Vec<_>>() {
            return Ok(Err(Uncalibrated::OtherMembers { fold }));
        }
        folds.push(scores);
    }
    Ok(Ok(folds))
}

/// The temperature at which every fold was validated, if it is one and can be.
fn common_temperature(folds: &[FoldScores]) -> Option<f32> {
    let first = folds.first()?.temperature;
    let is_one = folds.iter().all(|scores| scores.temperature.to_bits() == first.to_bits());
    (is_one && (0.01..=100.0).contains(&first)).then_some(first)
}

/// Whether the calibration is one of these validations.
fn check(folds: &[FoldScores], steps: &Postprocessing, calibration: &Calibration) -> Result<(), Uncalibrated> {
    for scores in folds {
        let fold = scores.fold;
        let (found, expected) = (scores.temperature, calibration.promise.temperature);
        if found.to_bits() != expected.to_bits() {
            return Err(Uncalibrated::OtherTemperature { fold, found, expected });
        }
        if scores.postprocessing != steps.steps() {
            return Err(Uncalibrated::OtherPostprocessing { fold });
        }
    }
    Ok(())
}
