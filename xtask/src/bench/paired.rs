//! Two figures of every case, and whether they differ by more than chance.
//!
//! The test is the paired permutation test: were both programs equal, every case's difference might as well have the
//! other sign. It speaks of these two sets of networks on further cases, not of further trainings with other seeds,
//! since all cases share the networks.

use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::mean_defined;
use nnunet::mt19937::Mt19937;
use serde::Serialize;

/// Assignments of signs that are drawn; the smallest p-value is one in as many.
const N_PERMUTATIONS: u32 = 10_000;
/// Probability below which a difference is called significant.
const LEVEL: f64 = 0.05;
/// Of every draw, so that a table is repeatable.
const SEED: u32 = 1;

/// Two figures over cases, side by side.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Paired {
    /// Cases that have both.
    pub(super) n: usize,
    /// Mean of the first and of the second; `None` if there is no case.
    pub(super) means: [Option<f64>; 2],
    /// Mean of the second minus the first.
    difference: Option<f64>,
    /// 95 % bootstrap interval of it; `None` below ten cases.
    interval: Option<[f64; 2]>,
    /// Two-sided; `None` if there is no case.
    p_value: Option<f64>,
}

impl Paired {
    pub(super) fn of(pairs: &[(f64, f64)]) -> Self {
        let mean = |of: fn(&(f64, f64)) -> f64| mean_defined(pairs.iter().map(|pair| Some(of(pair))));
        let difference = |pairs: &[(f64, f64)]| mean_defined(pairs.iter().map(|(first, second)| Some(second - first)));
        let estimate = match pairs {
            [] => None,
            _ => Estimate::of(pairs, difference, &mut Mt19937::new(SEED)),
        };
        let differences: Vec<f64> = pairs.iter().map(|(first, second)| second - first).collect();
        Self {
            n: pairs.len(),
            means: [mean(|pair| pair.0), mean(|pair| pair.1)],
            difference: estimate.map(|estimate| estimate.value),
            interval: estimate.and_then(|estimate| estimate.interval),
            p_value: p_value(&differences),
        }
    }

    /// Cells of a table: both means, the difference with its interval, p, and in words what p says.
    pub(super) fn cells(&self) -> [String; 5] {
        let number = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"));
        let interval = self.interval.map_or_else(String::new, |[low, high]| format!(" ({low:+.4} to {high:+.4})"));
        let difference = self.difference.map_or_else(|| "undefined".to_owned(), |value| format!("{value:+.4}"));
        let verdict = match self.p_value {
            None => "undefined",
            Some(p) if p < LEVEL => "significant",
            Some(_) => "not significant",
        };
        let [first, second] = self.means.map(number);
        [first, second, difference + &interval, number(self.p_value), verdict.to_owned()]
    }
}

/// How often a mean with random signs is as far from 0 as the one found, which counts as one of the draws.
fn p_value(differences: &[f64]) -> Option<f64> {
    let largest = differences.iter().map(|difference| difference.abs()).sum::<f64>();
    if differences.is_empty() {
        return None;
    }
    let found = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in their last bits.
    let at_least = found - 1e-12 * largest;
    let mut random = Mt19937::new(SEED);
    let mut extreme = || {
        let signed = differences.iter().map(|difference| if random.up_to(1) == 0 { *difference } else { -difference });
        signed.sum::<f64>().abs() >= at_least
    };
    let n_extreme = (0..N_PERMUTATIONS).filter(|_| extreme()).count();
    Some((1 + n_extreme) as f64 / f64::from(1 + N_PERMUTATIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cases_have_means_and_no_interval() {
        let paired = Paired::of(&[(0.625, 0.75), (0.5, 0.75)]);
        assert_eq!((paired.n, paired.means), (2, [Some(0.5625), Some(0.75)]));
        assert_eq!((paired.difference, paired.interval), (Some(0.1875), None));
        assert_eq!(Paired::of(&[]).cells(), ["undefined"; 5].map(str::to_owned));
    }

    #[test]
    fn p_is_one_for_no_difference_and_that_of_all_signs_for_one_direction() {
        assert_eq!(p_value(&[]), None);
        assert_eq!(p_value(&[0.0, 0.0]), Some(1.0));
        assert_eq!(p_value(&[0.1, -0.1]), Some(1.0), "the mean is 0, and none is nearer");
        // All ten signs equal: 2 of 1024 assignments; four standard errors of 10 000 draws.
        let p = p_value(&[0.1; 10]).unwrap();
        let expected = 2.0 / 1024.0;
        assert!((p - expected).abs() < 4.0 * (expected / 1e4_f64).sqrt(), "{p}");
    }
}
