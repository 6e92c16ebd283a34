//! The straight line that tells Dice from a score, and how sure it is.
//!
//! Ordinary least squares. Intervals and the band around the line are of the percentile bootstrap over cases, which
//! holds also where the scatter grows with the score, as it does here; the textbook's t-intervals assume that it is the
//! same everywhere. The band is pointwise, of the line and not of a new case.

use super::bootstrap::{Estimate, band};
use super::correlation::is_constant;
use crate::mt19937::Mt19937;

/// `y = slope · x + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Change of y per unit of x.
    pub slope: f64,
    /// y at x = 0.
    pub intercept: f64,
}

impl Line {
    /// The line of least squares through pairs (x, y); `None` below two pairs or if x is constant.
    pub fn through(pairs: &[(f64, f64)]) -> Option<Self> {
        if is_constant(pairs.iter().map(|pair| pair.0)) {
            return None;
        }
        let n = pairs.len() as f64;
        let (sum_x, sum_y) = pairs.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (xx, xy) = pairs.iter().fold((0.0, 0.0), |(xx, xy), (x, y)| {
            let dx = x - mean_x;
            (xx + dx * dx, xy + dx * (y - mean_y))
        });
        let slope = xy / xx;
        let line = Self { slope, intercept: mean_y - slope * mean_x };
        (xx > 0.0 && line.slope.is_finite() && line.intercept.is_finite()).then_some(line)
    }

    /// y at `x`.
    pub fn at(self, x: f64) -> f64 {
        self.slope * x + self.intercept
    }
}

/// A fitted line and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// The line through all pairs.
    pub line: Line,
    /// Its slope with an interval.
    pub slope: Estimate,
    /// Its intercept with an interval.
    pub intercept: Estimate,
    /// Lower and upper end of the line's 95 % interval at each of the places asked for; `None` below ten pairs.
    pub band: Option<Vec<[f64; 2]>>,
}

impl Regression {
    /// Fits pairs (x, y), with a band at `places` along x; `None` where there is no line.
    pub fn of(pairs: &[(f64, f64)], places: &[f64], random: &mut Mt19937) -> Option<Self> {
        let line = Line::through(pairs)?;
        // One bootstrap for all of them: slope, intercept, and the height at every place.
        let quantities = |pairs: &[(f64, f64)]| {
            let line = Line::through(pairs)?;
            let heights = places.iter().map(|&x| line.at(x));
            Some([line.slope, line.intercept].into_iter().chain(heights).collect::<Vec<_>>())
        };
        let mut intervals = band(pairs, quantities, random);
        let band = intervals.as_mut().map(|intervals| intervals.split_off(2));
        let estimate = |value: f64, place: usize| {
            let interval = intervals.as_ref().and_then(|intervals| intervals.get(place)).copied();
            Estimate { value, interval, n: pairs.len() }
        };
        Some(Self { line, slope: estimate(line.slope, 0), intercept: estimate(line.intercept, 1), band })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_through_three_points_is_what_one_computes() {
        // Means (1, 2); sums of products 2·1 + 0 + … = 3, of squares 2.
        let line = Line::through(&[(0.0, 1.0), (1.0, 1.0), (2.0, 4.0)]).unwrap();
        assert_eq!(line, Line { slope: 1.5, intercept: 0.5 });
        assert!((line.at(2.0) - 3.5).abs() < 1e-12);
    }

    #[test]
    fn a_constant_score_has_no_line() {
        assert_eq!(Line::through(&[(1.0, 0.0), (1.0, 1.0)]), None);
        assert_eq!(
            Line::through(&[(0.1, 0.5), (0.1, 0.6), (0.1, 0.9)]),
            None,
            "the mean of three times 0.1 is not 0.1"
        );
        assert_eq!(Line::through(&[(1.0, 0.0)]), None);
        assert_eq!(Line::through(&[]), None);
    }

    #[test]
    fn points_on_a_line_leave_its_band_no_width() {
        let pairs: Vec<_> = (0..12_u32).map(|i| (f64::from(i), 1.0 - f64::from(i) / 16.0)).collect();
        let found = Regression::of(&pairs, &[0.0, 8.0], &mut Mt19937::new(1)).unwrap();
        for ([low, high], expected) in found.band.unwrap().into_iter().zip([1.0, 0.5]) {
            assert!((low - expected).abs() < 1e-12 && (high - expected).abs() < 1e-12, "{low} {high}");
        }
        assert_eq!(Regression::of(&pairs[..9], &[0.0], &mut Mt19937::new(1)).unwrap().band, None);
    }

    proptest! {
        #[test]
        fn the_line_passes_through_the_mean(pairs in prop::collection::vec((0.0_f64..9.0, 0.0_f64..1.0), 2..30)) {
            let n = pairs.len() as f64;
            let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / n, y + pair.1 / n));
            if let Some(line) = Line::through(&pairs) {
                prop_assert!((line.at(x) - y).abs() < 1e-6 * (1.0 + line.slope.abs()));
            }
        }
    }
}
