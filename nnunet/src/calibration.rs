//! `config/calibration.json`: from the score of a case to its expected Dice, an interval, and accept or review.
//!
//! A score orders cases; a user needs a number that means something. Fitted on cases that no member trained on, each
//! with its score and its Dice (the mean over the structures that are defined):
//!
//! - **Expected Dice** by isotonic regression, decreasing in the score (pool adjacent violators, [`isotonic`]); linear
//!   between knots, constant beyond them.
//! - **Interval** by split conformal prediction (Lei et al., 2018): one half of the cases fits the curve, on the other
//!   the absolute residuals are ranked, and the `⌈(m + 1)·level⌉`-th of `m` is the half width. For a new case that is
//!   exchangeable with these, the interval holds its Dice with at least the stated probability, for any distribution.
//!   The halves are every other case in the order of a hash of their names, so that neither the order of a folder nor
//!   a generator decides. Jackknife+ would spare the half, but guarantees `2·level − 1` only and must keep every curve.
//! - **Accept** if the score is at most a threshold, by conformal risk control (Angelopoulos et al., 2024): the largest
//!   observed score up to which the accepted cases below `minimum_dice`, and one more, are at most the share `risk` of
//!   `n + 1`. So a new case is wrongly accepted with at most this probability, among *all* cases, not among accepted
//!   ones. It needs no curve, so every case counts. If no threshold keeps the risk, every case is to be reviewed.
//!
//! A case without score is always reviewed, and counts as one that was not accepted. Unknown fields and versions are
//! errors.

pub mod isotonic;
mod precision;

use serde::{Deserialize, Serialize};

use self::isotonic::Knot;
pub use self::precision::{PrecisionError, ReducedPrecision};
use crate::uncertainty::UncertaintyMethod;

/// The only version there is.
const FORMAT: u32 = 1;
/// Knots that a file may have; a fit has two per case of its half at most.
const MAX_KNOTS: usize = 100_000;

/// A case of the fit.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredCase {
    /// Name of the case, which decides its half.
    pub case: String,
    /// Uncertainty; `None` if undefined.
    pub score: Option<f64>,
    /// Dice in [0, 1], the mean over structures; `None` if there is none, and the case is left out.
    pub dice: Option<f64>,
}

/// What a calibration promises, and for which scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// How the scores were made.
    pub method: UncertaintyMethod,
    /// Softmax temperature at which they were made, 0.01 to 100.
    pub temperature: f32,
    /// Probability, inside (0, 1), that the interval holds the Dice.
    pub level: f64,
    /// Dice below which an accepted case was accepted wrongly, in [0, 1].
    pub minimum_dice: f64,
    /// Probability, inside (0, 1), that a case is accepted wrongly.
    pub risk: f64,
}

/// A fitted calibration, as in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of this file's format.
    pub format: u32,
    /// What is promised.
    pub promise: Promise,
    /// Cases that fitted the curve.
    pub n_fit: usize,
    /// Cases that gave the half width.
    pub n_conformal: usize,
    /// Cases without score, which are reviewed.
    pub n_without_score: usize,
    /// Expected Dice: scores ascend strictly, Dice never does.
    pub knots: Vec<Knot>,
    /// Half of the interval's width before it is cut to [0, 1].
    pub half_width: f64,
    /// Largest score that is accepted; `None` if the risk can be kept by none.
    pub accept_at_most: Option<f64>,
    /// Precisions below single at which it was found to hold, in ascending order; networks may run with no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checked_at: Vec<ReducedPrecision>,
}

/// What to do with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Use it.
    Accept,
    /// Have someone look at it.
    Review,
}

/// What is expected of a case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// Expected Dice; `None` without a score.
    pub dice: Option<f64>,
    /// Lower and upper end of the interval; `None` without a score.
    pub interval: Option<[f64; 2]>,
    /// What to do.
    pub decision: Decision,
}

impl Calibration {
    /// Fits a calibration; the order of `cases` does not matter.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::Value`] for a promise or a case out of range, [`CalibrationError::TooFewCases`] if the level
    /// cannot be kept with so few.
    pub fn fit(cases: &[ScoredCase], promise: Promise) -> Result<Self, CalibrationError> {
        promise.check()?;
        let known: Vec<_> = cases.iter().filter_map(|case| case.dice.map(|dice| (case, dice))).collect();
        for (case, dice) in &known {
            unit("dice", *dice)?;
            finite("score", case.score.unwrap_or_default())?;
        }
        let mut scored: Vec<_> = known
            .iter()
            .filter_map(|(case, dice)| case.score.map(|score| (case.case.as_str(), (score, *dice))))
            .collect();
        scored.sort_by(|a, b| (hash(a.0), a.0).cmp(&(hash(b.0), b.0)).then(a.1.0.total_cmp(&b.1.0)));
        let half = |first: usize| scored.iter().skip(first).step_by(2).map(|(_, pair)| *pair).collect::<Vec<_>>();
        let (conformal, fit) = (half(0), half(1));
        let too_few = || CalibrationError::TooFewCases { needed: n_needed(promise.level), found: scored.len() };
        let rank = conformal_rank(conformal.len(), promise.level).filter(|_| !fit.is_empty()).ok_or_else(too_few)?;
        let knots = isotonic::decreasing(&fit);
        let expected = |score| isotonic::value_at(&knots, score).unwrap_or_default();
        let mut residuals: Vec<_> = conformal.iter().map(|(score, dice)| (dice - expected(*score)).abs()).collect();
        residuals.sort_by(f64::total_cmp);
        let pairs: Vec<_> = scored.iter().map(|(_, pair)| *pair).collect();
        let n_without_score = known.len() - scored.len();
        Ok(Self {
            format: FORMAT,
            promise,
            n_fit: fit.len(),
            n_conformal: conformal.len(),
            n_without_score,
            half_width: residuals[rank - 1],
            accept_at_most: threshold(&pairs, known.len(), promise),
            knots,
            checked_at: Vec::new(),
        })
    }

    /// Parses and checks a file.
    ///
    /// # Errors
    ///
    /// [`CalibrationError`] if the text has not this shape or a value cannot be used.
    pub fn parse(text: &str) -> Result<Self, CalibrationError> {
        let calibration: Self = serde_json::from_str(text).map_err(|source| CalibrationError::Json { source })?;
        if calibration.format != FORMAT {
            return Err(CalibrationError::Format { found: calibration.format });
        }
        calibration.promise.check()?;
        unit("half_width", calibration.half_width)?;
        finite("accept_at_most", calibration.accept_at_most.unwrap_or_default())?;
        let knots = &calibration.knots;
        if knots.is_empty() || knots.len() > MAX_KNOTS {
            return Err(CalibrationError::Knots { found: knots.len() });
        }
        for knot in knots {
            finite("score", knot.score)?;
            unit("dice", knot.dice)?;
        }
        if !knots.is_sorted_by(|a, b| a.score < b.score && a.dice >= b.dice) {
            return Err(CalibrationError::NotDecreasing);
        }
        if !calibration.checked_at.is_sorted_by(|a, b| a < b) {
            return Err(CalibrationError::PrecisionTwice);
        }
        Ok(calibration)
    }

    /// What is expected of a case with this score; a score that is not a number is none.
    pub fn expect(&self, score: Option<f64>) -> Expectation {
        let score = score.filter(|score| !score.is_nan());
        let dice = score.and_then(|score| isotonic::value_at(&self.knots, score));
        let end = |shift: f64| dice.map(|dice| (dice + shift).clamp(0.0, 1.0));
        let accepts = score.zip(self.accept_at_most).is_some_and(|(score, most)| score <= most);
        Expectation {
            dice,
            interval: end(-self.half_width).zip(end(self.half_width)).map(|(low, high)| [low, high]),
            decision: if accepts { Decision::Accept } else { Decision::Review },
        }
    }
}

impl Promise {
    fn check(&self) -> Result<(), CalibrationError> {
        for (field, value) in [("level", self.level), ("risk", self.risk)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(CalibrationError::Value { field, found: value });
            }
        }
        if !(0.01..=100.0).contains(&self.temperature) {
            return Err(CalibrationError::Value { field: "temperature", found: f64::from(self.temperature) });
        }
        unit("minimum_dice", self.minimum_dice)
    }
}

/// Which of `n` sorted residuals, counted from 1, keeps the level; `None` if none does.
fn conformal_rank(n: usize, level: f64) -> Option<usize> {
    // The product of (n + 1) and 0.9 may lie a rounding above a whole number.
    (1..=n).find(|&rank| rank as f64 >= (n + 1) as f64 * level - 1e-9)
}

/// Cases with a score that a level needs: twice the fewest residuals of which one keeps it.
fn n_needed(level: f64) -> usize {
    (1..1_000_000).find(|&n| conformal_rank(n, level).is_some_and(|_| true)).map_or(usize::MAX, |n| 2 * n)
}

/// The largest score that may be accepted, of `n` cases with a Dice.
fn threshold(pairs: &[(f64, f64)], n: usize, promise: Promise) -> Option<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let allowed = promise.risk * (n + 1) as f64 + 1e-9;
    let mut n_wrong = 0_usize;
    let mut threshold = None;
    for tied in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        n_wrong += tied.iter().filter(|(_, dice)| *dice < promise.minimum_dice).count();
        if (n_wrong + 1) as f64 > allowed {
            break;
        }
        threshold = Some(tied[0].0);
    }
    threshold
}

/// FNV-1a, which spreads names that differ in a digit.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn unit(field: &'static str, value: f64) -> Result<(), CalibrationError> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(CalibrationError::Value { field, found: value }) }
}

fn finite(field: &'static str, value: f64) -> Result<(), CalibrationError> {
    if value.is_finite() { Ok(()) } else { Err(CalibrationError::Value { field, found: value }) }
}

/// Why there is no calibration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// A file of another version.
    #[error("the calibration has format {found}, expected {FORMAT}")]
    Format {
        /// As found.
        found: u32,
    },
    /// The text is no calibration.
    #[error("the calibration is malformed")]
    Json {
        /// Where and why.
        source: serde_json::Error,
    },
    /// None, or more than any fit makes.
    #[error("the calibration has {found} knots, expected 1 to {MAX_KNOTS}")]
    Knots {
        /// How many.
        found: usize,
    },
    /// Scores that do not ascend, or Dice that does.
    #[error("the knots of the calibration do not ascend in score and descend in Dice")]
    NotDecreasing,
    /// A precision is named twice.
    #[error("`checked_at` of the calibration is not sorted and unique")]
    PrecisionTwice,
    /// Too few cases for the level.
    #[error("{found} cases have both score and Dice, the level needs {needed}")]
    TooFewCases {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A number out of its range.
    #[error("`{field}` of a calibration cannot be {found}")]
    Value {
        /// The field.
        field: &'static str,
        /// As found.
        found: f64,
    },
}

#[cfg(test)]
mod tests;
