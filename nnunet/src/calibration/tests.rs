//! Curves by hand, promises kept on drawn data, files that lie.

use proptest::prelude::*;

use super::*;
use crate::mt19937::Mt19937;

const PROMISE: Promise =
    Promise { method: UncertaintyMethod::ClassEntropy, temperature: 1.0, level: 0.8, minimum_dice: 0.7, risk: 0.2 };

fn case(i: usize, score: Option<f64>, dice: Option<f64>) -> ScoredCase {
    ScoredCase { case: format!("case_{i:05}"), score, dice }
}

fn uniform(random: &mut Mt19937) -> f64 {
    f64::from(random.next_u32()) / f64::from(u32::MAX)
}

/// Cases whose Dice falls with the score, with noise.
fn drawn(random: &mut Mt19937, n: usize) -> Vec<ScoredCase> {
    let draw = |i| {
        let score = uniform(random);
        let dice = (0.95 - 0.6 * score + 0.3 * (uniform(random) - 0.5)).clamp(0.0, 1.0);
        case(i, Some(score), Some(dice))
    };
    (0..n).map(draw).collect()
}

#[test]
fn neighbors_in_the_wrong_order_are_pooled() {
    let knots = isotonic::decreasing(&[(3.0, 0.5), (1.0, 0.9), (2.0, 0.3), (4.0, 0.1)]);
    let found: Vec<_> = knots.iter().map(|knot| (knot.score, knot.dice)).collect();
    assert_eq!(found, [(1.0, 0.9), (2.0, 0.4), (3.0, 0.4), (4.0, 0.1)]);
    for (score, expected) in [(0.0, 0.9), (1.0, 0.9), (1.5, 0.65), (2.5, 0.4), (3.0, 0.4), (9.0, 0.1)] {
        assert!((isotonic::value_at(&knots, score).unwrap() - expected).abs() < 1e-15, "{score}");
    }
    assert_eq!(isotonic::value_at(&[], 1.0), None);
}

#[test]
fn equal_scores_are_one_point() {
    let knots = isotonic::decreasing(&[(1.0, 0.4), (1.0, 0.8)]);
    assert_eq!(knots.len(), 1);
    assert!((knots[0].dice - 0.6).abs() < 1e-15);
}

#[test]
fn the_rank_of_the_residual_is_that_of_the_formula() {
    assert_eq!(conformal_rank(9, 0.9), Some(9));
    assert_eq!(conformal_rank(8, 0.9), None);
    assert_eq!(conformal_rank(99, 0.9), Some(90));
    assert_eq!(n_needed(0.9), 18);
}

#[test]
fn the_threshold_leaves_room_for_one_more_wrong_case() {
    let pairs = [(1.0, 0.9), (2.0, 0.1), (3.0, 0.9), (4.0, 0.1), (5.0, 0.9)];
    let at = |risk, n| threshold(&pairs, n, Promise { risk, ..PROMISE });
    // One wrong and one more of ten is a fifth; two wrong and one more are not.
    assert_eq!(at(0.2, 9), Some(3.0));
    assert_eq!(at(0.3, 9), Some(5.0));
    assert_eq!(at(0.1, 9), Some(1.0));
    assert_eq!(at(0.1, 5), None);
}

#[test]
fn without_a_score_a_case_is_reviewed_and_nothing_is_expected() {
    let mut cases = drawn(&mut Mt19937::new(1), 60);
    cases.push(case(100, None, Some(0.0)));
    cases.push(case(101, None, None));
    let calibration = Calibration::fit(&cases, PROMISE).unwrap();
    assert_eq!((calibration.n_fit, calibration.n_conformal, calibration.n_without_score), (30, 30, 1));
    for score in [None, Some(f64::NAN)] {
        let expected = Expectation { dice: None, interval: None, decision: Decision::Review };
        assert_eq!(calibration.expect(score), expected);
    }
    assert_eq!(calibration.expect(Some(0.0)).decision, Decision::Accept);
    assert_eq!(calibration.expect(Some(2.0)).decision, Decision::Review);
}

#[test]
fn too_few_cases_for_a_level_are_refused() {
    let cases = drawn(&mut Mt19937::new(1), 17);
    let error = Calibration::fit(&cases, Promise { level: 0.95, ..PROMISE }).unwrap_err();
    assert_eq!(error.to_string(), "17 cases have both score and Dice, the level needs 38");
}

#[test]
fn the_order_of_the_cases_does_not_matter() {
    let mut cases = drawn(&mut Mt19937::new(3), 50);
    let one = Calibration::fit(&cases, PROMISE).unwrap();
    Mt19937::new(5).shuffle(&mut cases);
    assert_eq!(Calibration::fit(&cases, PROMISE).unwrap(), one);
}

#[test]
fn the_promises_hold_on_average_over_many_calibrations() {
    let random = &mut Mt19937::new(11);
    let n = 2000;
    let [mut n_covered, mut n_wrong] = [0_u32; 2];
    for _ in 0..n {
        let mut cases = drawn(random, 41);
        let new = cases.pop().unwrap();
        let found = Calibration::fit(&cases, PROMISE).unwrap().expect(new.score);
        let (dice, [low, high]) = (new.dice.unwrap(), found.interval.unwrap());
        n_covered += u32::from((low..=high).contains(&dice));
        n_wrong += u32::from(found.decision == Decision::Accept && dice < PROMISE.minimum_dice);
    }
    let share = |count: u32| f64::from(count) / f64::from(n);
    // Four standard errors of a share of 2000 draws. With 20 residuals the coverage is 17/21, less than 0.05 too much.
    let error = 4.0 * (0.8 * 0.2 / f64::from(n)).sqrt();
    assert!(share(n_covered) >= 0.8 - error && share(n_covered) <= 17.0 / 21.0 + error, "{}", share(n_covered));
    assert!(share(n_wrong) <= 0.2 + error, "{}", share(n_wrong));
}

#[test]
fn what_is_written_is_read_back_and_lies_are_refused() {
    let calibration = Calibration::fit(&drawn(&mut Mt19937::new(1), 40), PROMISE).unwrap();
    let value = serde_json::to_value(&calibration).unwrap();
    assert_eq!(Calibration::parse(&value.to_string()).unwrap(), calibration);
    let refuse = |change: fn(&mut serde_json::Value), words: &str| {
        let mut value = value.clone();
        change(&mut value);
        let message = Calibration::parse(&value.to_string()).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    refuse(|v| v["format"] = 2.into(), "format 2");
    refuse(|v| v["more"] = 1.into(), "malformed");
    refuse(|v| v["promise"]["more"] = 1.into(), "malformed");
    refuse(|v| v["promise"]["level"] = 1.into(), "`level`");
    refuse(|v| v["promise"]["risk"] = 0.into(), "`risk`");
    refuse(|v| v["promise"]["temperature"] = 0.into(), "`temperature`");
    refuse(|v| v["promise"]["minimum_dice"] = 2.into(), "`minimum_dice`");
    refuse(|v| v["half_width"] = (-0.1).into(), "`half_width`");
    refuse(|v| v["knots"] = serde_json::json!([]), "0 knots");
    refuse(|v| v["knots"][0]["dice"] = 1.5.into(), "`dice`");
    refuse(|v| v["knots"][0]["score"] = 1e9.into(), "ascend");
    refuse(|v| v["knots"][0]["dice"] = 0.into(), "descend");
    assert!(Calibration::parse(&"[".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn the_curve_never_rises_and_keeps_the_mean(pairs in prop::collection::vec((-5.0_f64..5.0, 0.0_f64..=1.0), 1..60)) {
        let knots = isotonic::decreasing(&pairs);
        prop_assert!(knots.is_sorted_by(|a, b| a.score < b.score && a.dice >= b.dice));
        let sum: f64 = pairs.iter().map(|(score, _)| isotonic::value_at(&knots, *score).unwrap()).sum();
        let expected: f64 = pairs.iter().map(|(_, dice)| dice).sum();
        prop_assert!((sum - expected).abs() < 1e-9);
    }
}

#[test]
fn a_calibration_holds_below_single_precision_where_the_same_cases_come_out_alike() {
    let single = drawn(&mut Mt19937::new(7), 200);
    let fitted = Calibration::fit(&single, PROMISE).unwrap();
    let check = |change: &dyn Fn(&mut Vec<ScoredCase>)| {
        let (mut calibration, mut reduced) = (fitted.clone(), single.clone());
        change(&mut reduced);
        let checked = calibration.check_at(ReducedPrecision::Bf16, &single, &reduced);
        assert_eq!(calibration.checked_at.is_empty(), checked.is_err());
        checked
    };
    let dice = |change: fn(f64) -> f64| {
        move |cases: &mut Vec<ScoredCase>| {
            for case in cases {
                case.dice = case.dice.map(change);
            }
        }
    };
    assert_eq!(check(&|_| ()), Ok(()));
    assert_eq!(check(&dice(|dice| (dice - 0.0009).max(0.0))), Ok(()));
    assert!(matches!(check(&dice(|dice| (dice - 0.02).max(0.0))), Err(PrecisionError::Dice { .. })));
    assert!(matches!(check(&|cases| drop(cases.pop())), Err(PrecisionError::Cases { single: 200, reduced: 199 })));
    // The same Dice, but scores that say nothing: all alike, in the middle.
    let all_score = |score: f64| {
        move |cases: &mut Vec<ScoredCase>| {
            for case in cases {
                case.score = Some(score);
            }
        }
    };
    assert!(matches!(check(&all_score(0.5)), Err(PrecisionError::Interval { .. })));
    // All scores as of the surest case: all are accepted.
    assert!(check(&all_score(0.0)).is_err());
}

#[test]
fn precisions_are_read_back_once_and_in_order() {
    let mut calibration = Calibration::fit(&drawn(&mut Mt19937::new(7), 200), PROMISE).unwrap();
    let without = serde_json::to_string(&calibration).unwrap();
    assert!(!without.contains("checked_at"));
    calibration.checked_at = vec![ReducedPrecision::Bf16];
    let text = serde_json::to_string(&calibration).unwrap();
    assert!(text.contains(r#""checked_at":["bf16"]"#));
    assert_eq!(Calibration::parse(&text).unwrap(), calibration);
    let twice = text.replace(r#"["bf16"]"#, r#"["bf16","bf16"]"#);
    assert!(matches!(Calibration::parse(&twice), Err(CalibrationError::PrecisionTwice)));
    assert!(Calibration::parse(&text.replace("bf16", "f8")).is_err());
}
