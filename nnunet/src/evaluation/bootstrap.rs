//! Intervals of statistics that have no formula for one.
//!
//! The percentile bootstrap (Efron, 1979): the statistic of many samples drawn with replacement. The generator is
//! handed in, so that a report is repeatable.

use crate::mt19937::Mt19937;
use crate::percentile::percentile;

/// Samples drawn.
const N_RESAMPLES: usize = 1000;
/// Percentiles between which 95 % of the samples lie.
const PERCENTILES: [f64; 2] = [2.5, 97.5];
/// Fewer pairs say nothing about their own spread.
const MIN_PAIRS: usize = 10;

/// A statistic of pairs with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The statistic of all pairs.
    pub value: f64,
    /// Lower and upper end of the 95 % interval; `None` below ten pairs.
    pub interval: Option<[f64; 2]>,
    /// Pairs it was computed from.
    pub n: usize,
}

impl Estimate {
    /// Evaluates `statistic` on the pairs and on samples of them; `None` where it is undefined.
    pub fn of(
        pairs: &[(f64, f64)],
        statistic: impl Fn(&[(f64, f64)]) -> Option<f64>,
        random: &mut Mt19937,
    ) -> Option<Self> {
        let value = statistic(pairs)?;
        let n = pairs.len();
        let mut sample = pairs.to_vec();
        let mut resample = || {
            for pair in &mut sample {
                *pair = pairs[random.index_up_to(n - 1)];
            }
            statistic(&sample)
        };
        let values: Vec<f64> =
            if n < MIN_PAIRS { Vec::new() } else { (0..N_RESAMPLES).filter_map(|_| resample()).collect() };
        let [low, high] = PERCENTILES.map(|q| percentile(&values, q));
        Some(Self { value, interval: low.zip(high).map(|(low, high)| [low, high]), n })
    }
}
