//! How well a score sorts out bad cases, and how well an expected Dice is kept: AURC and ECE.
//!
//! **AURC** (Geifman and El-Yaniv, 2017): the mean, over every number of cases kept in ascending order of the score,
//! of their mean risk, which is `1 − Dice`. Cases of equal score are kept in random order, of which this is the
//! expectation. 0 is perfect; a score that says nothing has the mean risk. **ECE** (Naeini et al., 2015), here of a
//! regression: cases are put into ten equal bins by expected Dice; the mean over the cases of the distance between a
//! bin's mean expected and mean observed Dice. It is biased upward for few cases.

use super::bootstrap::{Estimate, band};
use crate::mt19937::Mt19937;

/// Bins of the ECE over [0, 1].
const N_BINS: usize = 10;

/// Area under the risk–coverage curve of pairs (score, Dice); `None` without a pair.
pub fn aurc(pairs: &[(f64, f64)], random: &mut Mt19937) -> Option<Estimate> {
    Estimate::of(pairs, mean_selective_risk, random)
}

/// Expected calibration error of pairs (expected Dice, Dice); `None` without a pair.
pub fn expected_calibration_error(pairs: &[(f64, f64)], random: &mut Mt19937) -> Option<Estimate> {
    Estimate::of(pairs, mean_gap, random)
}

/// A point of the risk–coverage curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectiveRisk {
    /// Share of the cases that are kept, in (0, 1].
    pub coverage: f64,
    /// Mean risk of those.
    pub risk: f64,
    /// Lower and upper end of its 95 % interval; `None` below ten pairs.
    pub interval: Option<[f64; 2]>,
}

/// The risk–coverage curve of pairs (score, Dice) at no more than `n_points` coverages, evenly spaced up to 1.
pub fn risk_coverage(pairs: &[(f64, f64)], n_points: usize, random: &mut Mt19937) -> Vec<SelectiveRisk> {
    let n = pairs.len();
    let n_points = n_points.min(n);
    let n_kept: Vec<usize> = (1..=n_points).map(|point| (point * n).div_ceil(n_points)).collect();
    let curve = |pairs: &[(f64, f64)]| {
        let risks = selective_risks(pairs);
        n_kept.iter().map(|n_kept| risks.get(n_kept - 1).copied()).collect::<Option<Vec<_>>>()
    };
    let intervals = band(pairs, curve, random);
    let interval = |place: usize| intervals.as_ref().and_then(|intervals| intervals.get(place)).copied();
    let risks = curve(pairs).unwrap_or_default();
    let point = |(place, (&risk, &n_kept)): (usize, (&f64, &usize))| SelectiveRisk {
        coverage: n_kept as f64 / n as f64,
        risk,
        interval: interval(place),
    };
    risks.iter().zip(&n_kept).enumerate().map(point).collect()
}

/// Cases whose expected Dice lies in one of the ten bins of the ECE.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Their mean expected Dice.
    pub expected: f64,
    /// Their mean Dice.
    pub observed: Estimate,
}

/// The bins of pairs (expected Dice, Dice) that hold a case, in ascending order.
pub fn reliability_bins(pairs: &[(f64, f64)], random: &mut Mt19937) -> Vec<Bin> {
    let bin = |bin: usize| {
        let inside: Vec<_> = pairs.iter().copied().filter(|(expected, _)| bin_of(*expected) == bin).collect();
        let observed = Estimate::of(&inside, |pairs| mean(pairs.iter().map(|(_, dice)| *dice)), random)?;
        Some(Bin { expected: mean(inside.iter().map(|(expected, _)| *expected))?, observed })
    };
    (0..N_BINS).filter_map(bin).collect()
}

fn mean_selective_risk(pairs: &[(f64, f64)]) -> Option<f64> {
    mean(selective_risks(pairs).into_iter())
}

/// Mean risk of the `k` cases of lowest score, for `k` from 1 to all.
fn selective_risks(pairs: &[(f64, f64)]) -> Vec<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [mut n_kept, mut risk] = [0.0; 2];
    let mut risks = Vec::with_capacity(sorted.len());
    // Of ascending scores, those not below the next are equal to it; so are 0 and -0.
    for tied in sorted.chunk_by(|a, b| a.0 >= b.0) {
        let mean_risk = tied.iter().map(|(_, dice)| 1.0 - dice).sum::<f64>() / tied.len() as f64;
        for _ in tied {
            n_kept += 1.0;
            risk += mean_risk;
            risks.push(risk / n_kept);
        }
    }
    risks
}

fn mean_gap(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut differences = [0.0; N_BINS];
    for (expected, dice) in pairs {
        differences[bin_of(*expected)] += expected - dice;
    }
    // |mean − mean| times the share of the bin is |sum of differences| over all cases.
    (!pairs.is_empty()).then(|| differences.iter().map(|sum| sum.abs()).sum::<f64>() / pairs.len() as f64)
}

fn bin_of(expected: f64) -> usize {
    (1..N_BINS).rev().find(|&bin| expected >= bin as f64 / N_BINS as f64).unwrap_or(0)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = values.len();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
    }

    #[test]
    fn the_area_is_the_mean_of_the_risks_of_what_is_kept() {
        // Risks 0, 0.2, 0.7 in the order of the score: means 0, 0.1, 0.3.
        check(mean_selective_risk(&[(2.0, 0.8), (1.0, 1.0), (3.0, 0.3)]), 0.4 / 3.0);
        assert_eq!(mean_selective_risk(&[]), None);
    }

    #[test]
    fn cases_of_equal_score_count_as_in_random_order() {
        // Orders (0, 1) and (1, 0) have the areas 0.25 and 0.75.
        check(mean_selective_risk(&[(1.0, 1.0), (1.0, 0.0)]), 0.5);
    }

    #[test]
    fn gaps_cancel_inside_a_bin_and_not_between_bins() {
        check(mean_gap(&[(0.55, 0.45), (0.55, 0.65)]), 0.0);
        check(mean_gap(&[(0.55, 0.45), (0.65, 0.75)]), 0.1);
        assert_eq!(mean_gap(&[]), None);
    }

    #[test]
    fn an_interval_holds_its_value_and_needs_ten_pairs() {
        let pairs: Vec<_> = (0..40_u32).map(|i| (f64::from(i), f64::from(i * 7 % 40) / 40.0)).collect();
        let found = aurc(&pairs, &mut Mt19937::new(1)).unwrap();
        let [low, high] = found.interval.unwrap();
        assert!(low < found.value && found.value < high && found.n == 40, "{found:?}");
        assert_eq!(aurc(&pairs, &mut Mt19937::new(1)), Some(found), "the same seed gives the same interval");
        assert_eq!(aurc(&pairs[..9], &mut Mt19937::new(1)).unwrap().interval, None);
    }

    #[test]
    fn the_curve_ends_at_the_mean_risk_of_all_cases() {
        // Means 0, 0.1, 0.3 as above; of two points the first keeps two cases of three.
        let pairs = [(2.0, 0.8), (1.0, 1.0), (3.0, 0.3)];
        let curve = |n_points| risk_coverage(&pairs, n_points, &mut Mt19937::new(1));
        let coverages: Vec<_> = curve(9).iter().map(|point| point.coverage).collect();
        assert_eq!(coverages, [1.0 / 3.0, 2.0 / 3.0, 1.0]);
        let [few, all] = curve(2)[..] else { panic!("two points were asked for") };
        check(Some(few.risk), 0.1);
        check(Some(all.risk), 0.3);
        assert_eq!((few.coverage, all.coverage, all.interval), (2.0 / 3.0, 1.0, None));
        assert_eq!(risk_coverage(&[], 9, &mut Mt19937::new(1)), []);
        assert_eq!(risk_coverage(&pairs, 0, &mut Mt19937::new(1)), []);
    }

    #[test]
    fn a_bin_says_what_was_expected_and_what_came() {
        let bins = reliability_bins(&[(0.95, 0.9), (1.0, 0.8), (0.2, 0.4)], &mut Mt19937::new(1));
        let [low, high] = bins[..] else { panic!("two bins hold a case: {bins:?}") };
        assert_eq!((low.expected, low.observed.value, low.observed.n), (0.2, 0.4, 1));
        check(Some(high.expected), 0.975);
        check(Some(high.observed.value), 0.85);
    }

    proptest! {
        #[test]
        fn a_score_that_sorts_by_risk_has_the_least_area(dice in prop::collection::vec(0.0_f64..=1.0, 1..30)) {
            let by_risk: Vec<_> = dice.iter().map(|dice| (1.0 - dice, *dice)).collect();
            let in_order: Vec<_> = dice.iter().enumerate().map(|(i, dice)| (i as f64, *dice)).collect();
            let least = mean_selective_risk(&by_risk).unwrap();
            prop_assert!(least <= mean_selective_risk(&in_order).unwrap() + 1e-12);
        }
    }
}
