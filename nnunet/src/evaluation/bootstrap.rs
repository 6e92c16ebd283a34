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
        let values = resampled(pairs, statistic, random);
        Some(Self { value, interval: interval(&values), n: pairs.len() })
    }
}

/// Lower and upper end of the pointwise 95 % interval of a `curve` of pairs, given at the same places for any pairs;
/// `None` below ten pairs.
pub fn band(
    pairs: &[(f64, f64)],
    curve: impl Fn(&[(f64, f64)]) -> Option<Vec<f64>>,
    random: &mut Mt19937,
) -> Option<Vec<[f64; 2]>> {
    let curves = resampled(pairs, curve, random);
    let n_places = curves.iter().map(Vec::len).min()?;
    let at = |place: usize| interval(&curves.iter().map(|curve| curve[place]).collect::<Vec<_>>());
    (0..n_places).map(at).collect()
}

/// `statistic` of samples of the pairs, where it is defined; none of fewer than ten pairs.
fn resampled<T>(pairs: &[(f64, f64)], statistic: impl Fn(&[(f64, f64)]) -> Option<T>, random: &mut Mt19937) -> Vec<T> {
    let n = pairs.len();
    if n < MIN_PAIRS {
        return Vec::new();
    }
    let mut sample = pairs.to_vec();
    let mut resample = || {
        for pair in &mut sample {
            *pair = pairs[random.index_up_to(n - 1)];
        }
        statistic(&sample)
    };
    (0..N_RESAMPLES).filter_map(|_| resample()).collect()
}

fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let [low, high] = PERCENTILES.map(|q| percentile(values, q));
    low.zip(high).map(|(low, high)| [low, high])
}
