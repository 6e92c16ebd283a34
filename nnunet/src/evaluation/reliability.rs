//! How well a score sorts out bad cases, and how well an expected Dice is kept: AURC and ECE.
//!
//! **AURC** (Geifman and El-Yaniv, 2017): the mean, over every number of cases kept in ascending order of the score,
//! of their mean risk, which is `1 − Dice`. Cases of equal score are kept in random order, of which this is the
//! expectation. 0 is perfect; a score that says nothing has the mean risk. **ECE** (Naeini et al., 2015), here of a
//! regression: cases are put into ten equal bins by expected Dice; the mean over the cases of the distance between a
//! bin's mean expected and mean observed Dice. It is biased upward for few cases.

use super::bootstrap::Estimate;
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

fn mean_selective_risk(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [mut n_kept, mut risk, mut area] = [0.0; 3];
    // Of ascending scores, those not below the next are equal to it; so are 0 and -0.
    for tied in sorted.chunk_by(|a, b| a.0 >= b.0) {
        let mean_risk = tied.iter().map(|(_, dice)| 1.0 - dice).sum::<f64>() / tied.len() as f64;
        for _ in tied {
            n_kept += 1.0;
            risk += mean_risk;
            area += risk / n_kept;
        }
    }
    (n_kept > 0.0).then(|| area / n_kept)
}

fn mean_gap(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut differences = [0.0; N_BINS];
    for (expected, dice) in pairs {
        let bin = (1..N_BINS).rev().find(|&bin| *expected >= bin as f64 / N_BINS as f64).unwrap_or(0);
        differences[bin] += expected - dice;
    }
    // |mean − mean| times the share of the bin is |sum of differences| over all cases.
    (!pairs.is_empty()).then(|| differences.iter().map(|sum| sum.abs()).sum::<f64>() / pairs.len() as f64)
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
