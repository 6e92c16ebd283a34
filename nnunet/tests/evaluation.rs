//! Statistics of an evaluation against NumPy's and SciPy's.
//!
//! The bootstrap draws as NumPy's legacy generator does, so even its intervals are equal; the tolerance is for sums in
//! another order. Made by `tests/golden/evaluation/generate_intervals.py` (NumPy 2.4.6, SciPy 1.17.1).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use nnunet::evaluation::bootstrap::Estimate;
use nnunet::evaluation::proportion::proportion;
use nnunet::evaluation::regression::Regression;
use nnunet::evaluation::reliability::{aurc, expected_calibration_error, risk_coverage};
use nnunet::mt19937::Mt19937;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    score: Vec<f64>,
    dice: Vec<f64>,
    expected: Vec<f64>,
    places: Vec<f64>,
    line: [f64; 2],
    line_interval: [[f64; 2]; 2],
    band: Vec<[f64; 2]>,
    coverage: Vec<f64>,
    risk: Vec<f64>,
    risk_interval: Vec<[f64; 2]>,
    aurc: f64,
    aurc_interval: [f64; 2],
    ece: f64,
    ece_interval: [f64; 2],
    /// Hits, cases, low, high.
    shares: Vec<(usize, usize, f64, f64)>,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_str(include_str!("golden/evaluation/intervals.json")).unwrap()
    }

    fn pairs(&self) -> Vec<(f64, f64)> {
        self.score.iter().copied().zip(self.dice.iter().copied()).collect()
    }
}

fn check(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
    }
}

fn check_estimate(found: Estimate, value: f64, interval: [f64; 2]) {
    check(&[found.value], &[value]);
    check(&found.interval.unwrap(), &interval);
}

#[test]
fn the_line_and_its_band_are_those_of_scipy() {
    let golden = Golden::read();
    let found = Regression::of(&golden.pairs(), &golden.places, &mut Mt19937::new(1)).unwrap();
    check(&[found.line.slope, found.line.intercept], &golden.line);
    check_estimate(found.slope, golden.line[0], golden.line_interval[0]);
    check_estimate(found.intercept, golden.line[1], golden.line_interval[1]);
    check(found.band.unwrap().as_flattened(), golden.band.as_flattened());
}

#[test]
fn the_risk_coverage_curve_and_its_area_are_those_of_numpy() {
    let golden = Golden::read();
    let curve = risk_coverage(&golden.pairs(), 7, &mut Mt19937::new(1));
    check(&curve.iter().map(|point| point.coverage).collect::<Vec<_>>(), &golden.coverage);
    check(&curve.iter().map(|point| point.risk).collect::<Vec<_>>(), &golden.risk);
    let intervals: Vec<_> = curve.iter().map(|point| point.interval.unwrap()).collect();
    check(intervals.as_flattened(), golden.risk_interval.as_flattened());
    let area = aurc(&golden.pairs(), &mut Mt19937::new(1)).unwrap();
    check_estimate(area, golden.aurc, golden.aurc_interval);
}

#[test]
fn the_calibration_error_is_that_of_numpy() {
    let golden = Golden::read();
    let pairs: Vec<_> = golden.expected.iter().copied().zip(golden.dice.iter().copied()).collect();
    let found = expected_calibration_error(&pairs, &mut Mt19937::new(1)).unwrap();
    check_estimate(found, golden.ece, golden.ece_interval);
}

#[test]
fn the_interval_of_a_share_is_that_of_scipy() {
    for (n_hits, n, low, high) in Golden::read().shares {
        // A quantile of the beta distribution is searched for, not computed.
        let [found_low, found_high] = proportion(n_hits, n).unwrap().interval.unwrap();
        assert!(
            (found_low - low).abs() < 1e-6 && (found_high - high).abs() < 1e-6,
            "{n_hits} of {n}: {found_low} {found_high}"
        );
    }
}
