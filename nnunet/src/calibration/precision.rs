//! Whether a calibration also holds for networks that compute below single precision.
//!
//! Reduced precision moves logits a little, and with them scores and labels. So the same cases are predicted again, and
//! the calibration of single precision is held against them: their mean Dice must be the same to a thousandth, as many
//! must lie in their intervals, and no more be accepted wrongly than in single precision or than was promised.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Calibration, Decision, ScoredCase};

/// Largest difference of the mean Dice.
const MAX_DICE_DIFFERENCE: f64 = 0.001;

/// A precision below single.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReducedPrecision {
    /// 16-bit brain floats.
    Bf16,
}

impl fmt::Display for ReducedPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bf16 => "bf16",
        })
    }
}

/// What a calibration was worth on cases of known Dice.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Worth {
    mean_dice: f64,
    /// Share of the cases inside of their interval.
    inside: f64,
    /// Share of all cases that were accepted below the minimum.
    accepted_wrongly: f64,
}

impl Calibration {
    /// Notes that the calibration holds at `precision`, if it does: `single` and `reduced` are the same cases.
    ///
    /// # Errors
    ///
    /// [`PrecisionError`] says what does not hold; the calibration is unchanged then.
    pub fn check_at(
        &mut self,
        precision: ReducedPrecision,
        single: &[ScoredCase],
        reduced: &[ScoredCase],
    ) -> Result<(), PrecisionError> {
        let [single, reduced] = [single, reduced].map(defined);
        if single.is_empty() || !single.keys().eq(reduced.keys()) {
            return Err(PrecisionError::Cases { single: single.len(), reduced: reduced.len() });
        }
        let [single, reduced] = [single, reduced].map(|cases| self.worth(cases.values().copied()));
        if (single.mean_dice - reduced.mean_dice).abs() > MAX_DICE_DIFFERENCE {
            let (single, reduced) = (single.mean_dice, reduced.mean_dice);
            return Err(PrecisionError::Dice { single, reduced });
        }
        let needed = single.inside.min(self.promise.level);
        if reduced.inside < needed {
            return Err(PrecisionError::Interval { needed, found: reduced.inside });
        }
        let allowed = single.accepted_wrongly.max(self.promise.risk);
        if reduced.accepted_wrongly > allowed {
            return Err(PrecisionError::Risk { allowed, found: reduced.accepted_wrongly });
        }
        if !self.checked_at.contains(&precision) {
            self.checked_at.push(precision);
            self.checked_at.sort();
        }
        Ok(())
    }

    fn worth(&self, cases: impl Iterator<Item = (Option<f64>, f64)>) -> Worth {
        let (mut n, mut sum, mut n_inside, mut n_wrong) = (0_usize, 0.0, 0_usize, 0_usize);
        for (score, dice) in cases {
            let expected = self.expect(score);
            n += 1;
            sum += dice;
            n_inside += usize::from(expected.interval.is_some_and(|[low, high]| (low..=high).contains(&dice)));
            let is_wrong = expected.decision == Decision::Accept && dice < self.promise.minimum_dice;
            n_wrong += usize::from(is_wrong);
        }
        let share = |count: usize| count as f64 / n as f64;
        Worth { mean_dice: sum / n as f64, inside: share(n_inside), accepted_wrongly: share(n_wrong) }
    }
}

/// Score and Dice of the cases that have a Dice, by name.
fn defined(cases: &[ScoredCase]) -> BTreeMap<&str, (Option<f64>, f64)> {
    cases.iter().filter_map(|case| Some((case.case.as_str(), (case.score, case.dice?)))).collect()
}

/// Why a calibration does not hold at a reduced precision.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrecisionError {
    /// Other cases, or none.
    #[error("{single} cases with a Dice in single precision and {reduced} in the other are not the same cases")]
    Cases {
        /// In single precision.
        single: usize,
        /// In reduced precision.
        reduced: usize,
    },
    /// Another mean Dice.
    #[error("mean Dice is {reduced:.4} instead of {single:.4}; {MAX_DICE_DIFFERENCE} of difference are allowed")]
    Dice {
        /// In single precision.
        single: f64,
        /// In reduced precision.
        reduced: f64,
    },
    /// Intervals that hold too few.
    #[error("the intervals hold the Dice of {found:.3} of the cases, needed are {needed:.3}")]
    Interval {
        /// As promised, or as in single precision if that is less.
        needed: f64,
        /// In reduced precision.
        found: f64,
    },
    /// Too many accepted wrongly.
    #[error("{found:.3} of the cases are accepted wrongly, allowed are {allowed:.3}")]
    Risk {
        /// As promised, or as in single precision if that is more.
        allowed: f64,
        /// In reduced precision.
        found: f64,
    },
}
