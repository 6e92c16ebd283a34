//! Whether what a bundle's calibration promises holds for a run.
//!
//! A calibration speaks of scores that were made in one way: by one method, at one temperature, with half steps and all
//! mirroring, as the trainer validates. Scores made otherwise are other numbers, and what is said about them would be
//! wrong; then nothing is said, and why.

use nnunet::calibration::{Calibration, Expectation, Promise, ReducedPrecision};
use nnunet::fold::Fold;
use nnunet::uncertainty::UncertaintyMethod;
use serde::Serialize;

use crate::engine::Precision;
use crate::member_choice::MemberChoice;
use crate::predict::rules::Rules;
use crate::predict::trace::OptionFacts;

/// The step with which the trainer validates, as a fraction of the patch.
const STEP: f64 = 0.5;

/// The calibration of a run, or why there is none.
#[derive(Debug, Clone)]
pub(crate) enum Calibrated {
    /// Every case gets an expectation.
    Yes(Calibration),
    /// No case does.
    No(Uncalibrated),
}

/// Why no case gets an expectation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Uncalibrated {
    /// Nobody calibrated the bundle.
    #[error("the bundle has no calibration")]
    NotInBundle,
    /// Another method selects.
    #[error("the bundle is calibrated for `{calibrated}`, the first method of this run is `{found}`")]
    Method {
        /// Method of the calibration.
        calibrated: UncertaintyMethod,
        /// First method of the run.
        found: UncertaintyMethod,
    },
    /// Not all members of a fold predict.
    #[error("a calibration is of all members of a fold")]
    Members,
    /// Segmentations are made in another way.
    #[error("a calibration is of the mean of probabilities, and of the fold with the lowest uncertainty")]
    Rules,
    /// Networks compute with less than they were calibrated with.
    #[error("the calibration of the bundle was not checked at {found}")]
    Precision {
        /// Precision of the run.
        found: Precision,
    },
    /// Patches are not mirrored along every axis.
    #[error("a calibration is of predictions with mirroring")]
    Mirroring,
    /// The step is another.
    #[error("a calibration is of predictions with a step of {STEP}, not {found}")]
    Step {
        /// Step of the run.
        found: f64,
    },
    /// The temperature is another.
    #[error("the bundle is calibrated for a temperature of {calibrated}, not {found}")]
    Temperature {
        /// Temperature of the calibration.
        calibrated: f32,
        /// Temperature of the run.
        found: f32,
    },
}

/// What a trace and a report say about the calibration.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CalibrationFacts {
    /// What is promised; `null` if nothing is.
    pub(crate) promise: Option<Promise>,
    /// Why nothing is promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Calibrated {
    /// Whether the calibration of a bundle holds for these options; `all_axes` are those that training mirrored.
    pub(crate) fn new(calibration: Option<&Calibration>, options: &OptionFacts, all_axes: &[usize]) -> Self {
        let Some(calibration) = calibration else { return Self::No(Uncalibrated::NotInBundle) };
        let Promise { method: calibrated, temperature, .. } = calibration.promise;
        match options.uncertainty.first() {
            Some(&found) if found != calibrated => return Self::No(Uncalibrated::Method { calibrated, found }),
            _ => {}
        }
        if options.temperature.to_bits() != temperature.to_bits() {
            let found = options.temperature;
            return Self::No(Uncalibrated::Temperature { calibrated: temperature, found });
        }
        match deviation(options, all_axes) {
            Some(deviation) => Self::No(deviation),
            None => Self::Yes(calibration.clone()),
        }
    }

    /// The same for networks that compute with `precision`: below single, a calibration holds where it was checked.
    pub(crate) fn at(self, precision: Precision) -> Self {
        match (self, reduced(precision)) {
            (Self::Yes(calibration), Some(reduced)) if !calibration.checked_at.contains(&reduced) => {
                Self::No(Uncalibrated::Precision { found: precision })
            }
            (calibrated, _) => calibrated,
        }
    }

    /// What is expected of a case with this score, of the fold that was selected; the mean over the folds was never
    /// calibrated, and is to be reviewed.
    pub(crate) fn expect(&self, selected: Option<Fold>, score: Option<f64>) -> Option<Expectation> {
        match self {
            Self::Yes(calibration) => Some(calibration.expect(score.filter(|_| selected.is_some()))),
            Self::No(_) => None,
        }
    }

    /// For the trace and the report.
    pub(crate) fn facts(&self) -> CalibrationFacts {
        match self {
            Self::Yes(calibration) => CalibrationFacts { promise: Some(calibration.promise), reason: None },
            Self::No(reason) => CalibrationFacts { promise: None, reason: Some(reason.to_string()) },
        }
    }
}

/// Why no calibration speaks of scores made with these options, whatever it was fitted to; `all_axes` are those that
/// training mirrored.
pub(crate) fn deviation(options: &OptionFacts, all_axes: &[usize]) -> Option<Uncalibrated> {
    if options.step.to_bits() != STEP.to_bits() {
        Some(Uncalibrated::Step { found: options.step })
    } else if options.mirrored_axes != all_axes {
        Some(Uncalibrated::Mirroring)
    } else if options.members != MemberChoice::All {
        Some(Uncalibrated::Members)
    } else if options.rules != Rules::default() {
        Some(Uncalibrated::Rules)
    } else {
        None
    }
}

/// The name of a precision in calibrations; `None` for single, which needs no check.
pub(crate) fn reduced(precision: Precision) -> Option<ReducedPrecision> {
    match precision {
        Precision::F32 => None,
        Precision::Bf16 => Some(ReducedPrecision::Bf16),
    }
}

#[cfg(test)]
mod tests {
    use nnunet::calibration::{Decision, ScoredCase};

    use super::*;
    use crate::predict::rules::{Average, Select};

    fn options() -> OptionFacts {
        OptionFacts {
            step: 0.5,
            mirrored_axes: vec![0, 1],
            temperature: 1.0,
            uncertainty: vec![UncertaintyMethod::ClassEntropy, UncertaintyMethod::TotalEntropy],
            rules: Rules::default(),
            members: MemberChoice::All,
        }
    }

    fn calibration() -> Calibration {
        let method = UncertaintyMethod::ClassEntropy;
        let promise = Promise { method, temperature: 1.0, level: 0.5, minimum_dice: 0.5, risk: 0.5 };
        let case = |i: u8| {
            let score = f64::from(i);
            ScoredCase { case: i.to_string(), score: Some(score), dice: Some(1.0 - score / 10.0) }
        };
        Calibration::fit(&(0..8).map(case).collect::<Vec<_>>(), promise).unwrap()
    }

    fn check(change: impl FnOnce(&mut OptionFacts), words: &str) {
        let mut options = options();
        change(&mut options);
        let calibrated = Calibrated::new(Some(&calibration()), &options, &[0, 1]);
        let expected = calibrated.expect(Some(Fold(0)), Some(0.0));
        match calibrated {
            Calibrated::Yes(_) => assert!(words.is_empty() && expected.is_some()),
            Calibrated::No(reason) => {
                assert!(!words.is_empty() && reason.to_string().contains(words) && expected.is_none(), "{reason}");
            }
        }
    }

    #[test]
    fn a_promise_holds_only_for_scores_made_as_those_it_was_fitted_to() {
        check(|_| (), "");
        check(|options| options.uncertainty.reverse(), "calibrated for `class-entropy`");
        check(|options| options.temperature = 1.5, "a temperature of 1, not 1.5");
        check(|options| options.step = 0.25, "a step of 0.5, not 0.25");
        check(|options| options.mirrored_axes.clear(), "with mirroring");
        check(|options| options.members = MemberChoice::Epochs(vec![9]), "all members");
        check(|options| options.rules.average = Average::Logits, "the mean of probabilities");
        check(|options| options.rules.select = Select::Mean, "the lowest uncertainty");
    }

    #[test]
    fn below_single_precision_a_promise_holds_where_it_was_checked() {
        let holds = |calibrated: Calibrated| matches!(calibrated, Calibrated::Yes(_));
        assert!(holds(Calibrated::Yes(calibration()).at(Precision::F32)));
        assert!(!holds(Calibrated::Yes(calibration()).at(Precision::Bf16)));
        let checked = Calibration { checked_at: vec![ReducedPrecision::Bf16], ..calibration() };
        assert!(holds(Calibrated::Yes(checked).at(Precision::Bf16)));
        let before = Calibrated::No(Uncalibrated::Mirroring).at(Precision::Bf16);
        assert!(matches!(before, Calibrated::No(Uncalibrated::Mirroring)));
    }

    #[test]
    fn the_mean_over_the_folds_is_always_reviewed() {
        let calibrated = Calibrated::Yes(calibration());
        let decision = |selected| calibrated.expect(selected, Some(0.0)).map(|expected| expected.decision);
        assert_eq!(decision(Some(Fold(3))), Some(Decision::Accept));
        assert_eq!(decision(None), Some(Decision::Review));
    }
}
