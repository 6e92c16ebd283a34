//! Correlation of two quantities over cases, such as uncertainty score and Dice.
//!
//! Pearson's r for a linear relation and Spearman's ρ (Pearson's r of the ranks, ties sharing their mean rank) for a
//! monotone one. Intervals are Fisher's: `tanh(atanh r ± 1.96 / √(n − 3))`; for ρ the same with the variance factor
//! 1.06 of Fieller, Hartley and Pearson (1957).

use statrs::distribution::{ContinuousCDF, Normal};

/// Two-sided confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// A correlation coefficient with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// The coefficient in [−1, 1].
    pub coefficient: f64,
    /// Lower and upper end of the 95 % interval; `None` below four pairs.
    pub interval: Option<[f64; 2]>,
    /// Pairs it was computed from.
    pub n: usize,
}

/// Pearson's r; `None` below two pairs or if either side is constant.
pub fn pearson(pairs: &[(f64, f64)]) -> Option<Correlation> {
    let coefficient = coefficient(pairs)?;
    Some(Correlation { coefficient, interval: interval(coefficient, pairs.len(), 1.0), n: pairs.len() })
}

/// Spearman's ρ; `None` below two pairs or if either side is constant.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<Correlation> {
    let (left, right): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let ranked: Vec<_> = ranks(&left).into_iter().zip(ranks(&right)).collect();
    let coefficient = coefficient(&ranked)?;
    Some(Correlation { coefficient, interval: interval(coefficient, pairs.len(), 1.06), n: pairs.len() })
}

/// Whether no two values differ. The sum of their squared distances from the mean does not tell: a mean is rounded.
pub(super) fn is_constant(mut values: impl Iterator<Item = f64>) -> bool {
    values.next().is_none_or(|first| values.all(|value| value.total_cmp(&first).is_eq()))
}

fn coefficient(pairs: &[(f64, f64)]) -> Option<f64> {
    if is_constant(pairs.iter().map(|pair| pair.0)) || is_constant(pairs.iter().map(|pair| pair.1)) {
        return None;
    }
    let n = pairs.len() as f64;
    let (sum_x, sum_y) = pairs.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let [mut xx, mut yy, mut xy] = [0.0; 3];
    for (x, y) in pairs {
        let (dx, dy) = (x - mean_x, y - mean_y);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let scale = (xx * yy).sqrt();
    (scale.is_finite() && scale > 0.0).then(|| (xy / scale).clamp(-1.0, 1.0))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        let mean_rank = (2 * first + tied.len() + 1) as f64 / 2.0;
        for &index in tied {
            ranks[index] = mean_rank;
        }
        first += tied.len();
    }
    ranks
}

fn interval(coefficient: f64, n: usize, variance_factor: f64) -> Option<[f64; 2]> {
    if n < 4 {
        return None;
    }
    let quantile = Normal::standard().inverse_cdf(f64::midpoint(1.0, CONFIDENCE));
    let half_width = quantile * (variance_factor / (n - 3) as f64).sqrt();
    // A perfect correlation has an infinite transform and an interval of one point.
    Some([-half_width, half_width].map(|shift| (coefficient.atanh() + shift).tanh()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Expected values: SciPy 1.17.1, by `tests/golden/evaluation/generate.py`.
    const PAIRS: [(f64, f64); 6] = [(1.0, 0.9), (2.0, 0.8), (2.0, 0.85), (4.0, 0.3), (5.0, 0.6), (9.0, 0.1)];

    fn check(found: Option<Correlation>, coefficient: f64, interval: [f64; 2]) {
        let found = found.unwrap();
        for (found, expected) in
            [found.coefficient].iter().chain(&found.interval.unwrap()).zip([coefficient, interval[0], interval[1]])
        {
            assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
        }
    }

    #[test]
    fn pearson_is_that_of_scipy() {
        check(pearson(&PAIRS), -0.902_461_186_854_362_6, [-0.989_390_405_136_499_9, -0.339_688_998_944_380_04]);
    }

    #[test]
    fn spearman_shares_the_rank_of_ties() {
        check(spearman(&PAIRS), -0.927_633_657_043_917_4, [-0.992_721_884_303_271_4, -0.443_126_651_538_037_65]);
    }

    #[test]
    fn a_constant_side_has_no_correlation() {
        assert_eq!(pearson(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(spearman(&[(1.0, 2.0)]), None);
        assert_eq!(pearson(&[]), None);
        // The mean of three times 0.1 is not 0.1.
        assert_eq!(pearson(&[(0.1, 0.5), (0.1, 0.6), (0.1, 0.9)]), None);
    }

    proptest! {
        #[test]
        fn ranks_do_not_change_under_a_monotone_map(values in prop::collection::vec(-10.0_f64..10.0, 1..40)) {
            let mapped: Vec<_> = values.iter().map(|v| v.exp()).collect();
            prop_assert_eq!(ranks(&values), ranks(&mapped));
        }
    }
}
