//! What references say about scores and expectations, recomputed from the cases of a report.
//!
//! Every number stands with the cases it was computed from and an interval. The generator of the bootstrap is seeded,
//! so that the same folder gives the same page; AURC has the seed that `unnunet calibrate` prints it with.

use nnunet::calibration::{Decision, Promise};
use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::correlation::{Correlation, pearson, spearman};
use nnunet::evaluation::proportion::proportion;
use nnunet::evaluation::regression::Regression;
use nnunet::evaluation::reliability::{
    Bin, SelectiveRisk, aurc, expected_calibration_error, reliability_bins, risk_coverage,
};
use nnunet::mt19937::Mt19937;

use super::case::Case;
use super::scale::Scale;

/// Seeds every bootstrap.
const SEED: u32 = 1;
/// Points of a curve at most, each of which is computed a thousand times.
const N_POINTS: usize = 100;
/// Places along the score at which the regression's band is drawn.
const N_PLACES: u32 = 40;

/// Statistics of the cases that have a reference.
#[derive(Debug)]
pub(super) struct Statistics {
    /// Over the cases with a Dice.
    pub(super) mean_dice: Option<Estimate>,
    /// What scores say about Dice.
    pub(super) score: ScoreStatistics,
    /// What expected Dice says about Dice.
    pub(super) expectation: ExpectationStatistics,
}

/// Over the cases with score and Dice.
#[derive(Debug)]
pub(super) struct ScoreStatistics {
    pub(super) pearson: Option<Correlation>,
    pub(super) spearman: Option<Correlation>,
    pub(super) regression: Option<Regression>,
    /// Scores at which the regression's band is given.
    pub(super) places: Vec<f64>,
    pub(super) aurc: Option<Estimate>,
    pub(super) risk_coverage: Vec<SelectiveRisk>,
}

/// Over the cases with expectation and Dice.
#[derive(Debug)]
pub(super) struct ExpectationStatistics {
    /// (expected Dice, Dice).
    pub(super) pairs: Vec<(f64, f64)>,
    pub(super) ece: Option<Estimate>,
    pub(super) bins: Vec<Bin>,
    /// Share of the intervals that hold the Dice.
    pub(super) held: Option<Estimate>,
    /// Share of the cases with a Dice that were accepted although it is below the promised one.
    pub(super) wrongly_accepted: Option<Estimate>,
}

impl Statistics {
    /// Computes them; `scores` is the scale on which scores are drawn.
    pub(super) fn of(cases: &[Case], promise: Option<Promise>, scores: &Scale) -> Self {
        let dice: Vec<_> = cases.iter().filter_map(Case::dice).map(|dice| (dice, dice)).collect();
        let mean = |pairs: &[(f64, f64)]| Some(pairs.iter().map(|(dice, _)| dice).sum::<f64>() / pairs.len() as f64);
        Self {
            mean_dice: if dice.is_empty() { None } else { Estimate::of(&dice, mean, &mut Mt19937::new(SEED)) },
            score: ScoreStatistics::of(&pairs(cases), scores),
            expectation: ExpectationStatistics::of(cases, promise),
        }
    }
}

/// (score, Dice) of the cases that have both.
pub(super) fn pairs(cases: &[Case]) -> Vec<(f64, f64)> {
    cases.iter().filter_map(|case| case.score.zip(case.dice())).collect()
}

impl ScoreStatistics {
    fn of(pairs: &[(f64, f64)], scores: &Scale) -> Self {
        let place = |i: u32| scores.at(f64::from(i) / f64::from(N_PLACES));
        let places: Vec<f64> = (0..=N_PLACES).map(place).collect();
        Self {
            pearson: pearson(pairs),
            spearman: spearman(pairs),
            regression: Regression::of(pairs, &places, &mut Mt19937::new(SEED)),
            places,
            aurc: aurc(pairs, &mut Mt19937::new(SEED)),
            risk_coverage: risk_coverage(pairs, N_POINTS, &mut Mt19937::new(SEED)),
        }
    }
}

impl ExpectationStatistics {
    fn of(cases: &[Case], promise: Option<Promise>) -> Self {
        let expected = |case: &Case| case.trace.as_ref()?.expectation;
        let known: Vec<_> = cases.iter().filter_map(|case| expected(case).zip(case.dice())).collect();
        let pairs: Vec<_> = known.iter().filter_map(|(expected, dice)| Some((expected.dice?, *dice))).collect();
        let intervals: Vec<_> = known.iter().filter_map(|(expected, dice)| Some((expected.interval?, *dice))).collect();
        let n_held = intervals.iter().filter(|([low, high], dice)| (*low..=*high).contains(dice)).count();
        let is_wrong = |promise: Promise| {
            known
                .iter()
                .filter(|(expected, dice)| expected.decision == Decision::Accept && *dice < promise.minimum_dice)
                .count()
        };
        Self {
            ece: expected_calibration_error(&pairs, &mut Mt19937::new(SEED)),
            bins: reliability_bins(&pairs, &mut Mt19937::new(SEED)),
            held: proportion(n_held, intervals.len()),
            wrongly_accepted: promise.and_then(|promise| proportion(is_wrong(promise), known.len())),
            pairs,
        }
    }
}
