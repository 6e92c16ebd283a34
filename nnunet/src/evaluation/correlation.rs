//! Correlation of scores with Dice.
//!
//! The project's claim is that a score without reference foretells the Dice with one; these numbers say how well.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};
use statrs::statistics::{Data, OrderStatistics, RankTieBreaker, Statistics};

/// Correlation of pairs; `None` where it does not exist: fewer than two pairs, or one side constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Correlation {
    /// Number of pairs.
    pub n: usize,
    /// Pearson's r: how linear.
    pub pearson: Option<f64>,
    /// 95 % interval of Pearson's r, by Fisher's transformation; needs four pairs and |r| < 1.
    pub pearson_interval: Option<[f64; 2]>,
    /// Spearman's rho: how monotone. Equal values share their mean rank.
    pub spearman: Option<f64>,
}

impl Correlation {
    /// Correlates pairs such as (score, Dice).
    pub fn of(pairs: &[(f64, f64)]) -> Self {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let ranks = |values: &[f64]| Data::new(values.to_vec()).ranks(RankTieBreaker::Average);
        let pearson = pearson(&a, &b);
        Self {
            n: pairs.len(),
            pearson,
            pearson_interval: pearson.and_then(|r| fisher_interval(r, pairs.len())),
            spearman: self::pearson(&ranks(&a), &ranks(&b)),
        }
    }
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() < 2 {
        return None;
    }
    let scale = a.std_dev() * b.std_dev();
    let r = a.covariance(b) / scale;
    (scale > 0.0 && r.is_finite()).then(|| r.clamp(-1.0, 1.0))
}

fn fisher_interval(r: f64, n: usize) -> Option<[f64; 2]> {
    if n < 4 || r.abs() >= 1.0 {
        return None;
    }
    let margin = Normal::standard().inverse_cdf(0.975) / ((n - 3) as f64).sqrt();
    Some([(r.atanh() - margin).tanh(), (r.atanh() + margin).tanh()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(f64, f64)], pearson: Option<f64>, spearman: Option<f64>) {
        let found = Correlation::of(pairs);
        for (found, expected) in [(found.pearson, pearson), (found.spearman, spearman)] {
            match (found, expected) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-12, "{found} {expected}"),
                (found, expected) => assert_eq!(found, expected),
            }
        }
    }

    #[test]
    fn a_line_correlates_fully_and_a_curve_in_ranks_only() {
        check(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], Some(1.0), Some(1.0));
        // x and -x³ at 0, 1, 2: r = -Σ(x-1)(y-3) / √(2 · 38), with y = 0, 1, 8.
        check(&[(0.0, 0.0), (1.0, -1.0), (2.0, -8.0)], Some(-8.0 / 76.0_f64.sqrt()), Some(-1.0));
    }

    #[test]
    fn equal_values_share_their_mean_rank() {
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: Σ dx dy = 4.5, Σ dx² = 4.5, Σ dy² = 5.
        check(
            &[(1.0, 1.0), (2.0, 2.0), (2.0, 3.0), (3.0, 4.0)],
            Some(3.0 / 10.0_f64.sqrt()),
            Some(4.5 / 22.5_f64.sqrt()),
        );
    }

    #[test]
    fn what_does_not_vary_does_not_correlate() {
        check(&[], None, None);
        check(&[(1.0, 2.0)], None, None);
        check(&[(1.0, 2.0), (1.0, 3.0)], None, None);
    }

    #[test]
    fn the_interval_of_pearson_is_fishers() {
        // atanh(0.5) = 0.5493, 1.96 / sqrt(4 - 3): from tanh(-1.4107) to tanh(2.5093).
        let [low, high] = fisher_interval(0.5, 4).unwrap();
        assert!((low + 0.8875).abs() < 1e-3 && (high - 0.9869).abs() < 1e-3, "{low} {high}");
        assert_eq!(fisher_interval(1.0, 9), None);
    }
}
