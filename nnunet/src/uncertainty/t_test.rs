//! Welch's test: could the two most probable classes of a voxel be equally probable?
//!
//! The members' probabilities of each class are a sample; the p-value is that of samples as different as these if both
//! classes had the same mean. It needs their means and variances only, so it streams. Follows Welch (1947) and SciPy's
//! `ttest_ind(equal_var=False)` for samples of equal size `n`:
//!
//! ```text
//! t  = (m_a − m_b) / √((v_a + v_b)/n)
//! df = (n − 1)(v_a + v_b)² / (v_a² + v_b²)
//! p  = P(|T_df| ≥ |t|) = I_x(df/2, 1/2)     x = df/(df + t²)
//! ```
//!
//! Departs from it where nothing varies: members that all give the same two probabilities are sure that they differ
//! (p = 0), or that they do not (p = 1), where SciPy says 0 or not-a-number.

use statrs::distribution::{ContinuousCDF as _, StudentsT};
use statrs::function::beta::beta_reg;

/// p-values below it say that the classes differ, and count as no uncertainty.
const SIGNIFICANCE: f64 = 0.05;

/// Mean and unbiased variance of one class's probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// The test for samples of one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Welch {
    n: f64,
    /// `t²` that is significant whatever the variances are.
    significant: f64,
}

impl Welch {
    /// For samples of `n`, at least two.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub(super) fn new(n: usize) -> Self {
        assert!(n >= 2, "a variance needs two members");
        let n = n as f64;
        // Degrees of freedom lie between n − 1 and twice as many, and the critical t falls with them.
        let fewest = StudentsT::new(0.0, 1.0, n - 1.0).expect("there is at least one degree of freedom");
        let critical = fewest.inverse_cdf(1.0 - SIGNIFICANCE / 2.0);
        // One in a thousand above it: the inverse is found by iteration.
        Self { n, significant: (critical * 1.001).powi(2) }
    }

    /// The p-value, 0 if significant.
    pub(super) fn insignificance(&self, a: Sample, b: Sample) -> f64 {
        match self.statistic(a, b) {
            Some((t_squared, _)) if t_squared > self.significant => 0.0,
            Some(statistic) => Some(p_value(statistic)).filter(|&p| p >= SIGNIFICANCE).unwrap_or(0.0),
            None if same_mean(a, b) => 1.0,
            None => 0.0,
        }
    }

    /// The p-value as it is; not a number where nothing varies and the means are equal.
    pub(super) fn p_value(&self, a: Sample, b: Sample) -> f64 {
        match self.statistic(a, b) {
            Some(statistic) => p_value(statistic),
            None if same_mean(a, b) => f64::NAN,
            None => 0.0,
        }
    }

    /// `t²` and degrees of freedom; `None` if nothing varies.
    fn statistic(&self, a: Sample, b: Sample) -> Option<(f64, f64)> {
        let variance = a.variance + b.variance;
        if variance == 0.0 {
            return None;
        }
        // Of the share of one variance, since squares of tiny ones vanish.
        let share = a.variance / variance;
        let df = (self.n - 1.0) / (share * share + (1.0 - share) * (1.0 - share));
        Some(((a.mean - b.mean).powi(2) / variance * self.n, df))
    }
}

#[expect(clippy::float_cmp, reason = "means of members that never vary are their values")]
fn same_mean(a: Sample, b: Sample) -> bool {
    a.mean == b.mean
}

fn p_value((t_squared, df): (f64, f64)) -> f64 {
    beta_reg(df / 2.0, 0.5, df / (df + t_squared))
}

/// Calls `of_pair` with the positions of the two highest of `values`, the first of equals before the others.
///
/// # Panics
///
/// If there are fewer than two.
pub(super) fn top_two(mut values: impl Iterator<Item = f64>) -> [usize; 2] {
    let [a, b] = [values.next(), values.next()].map(|value| value.expect("a softmax has at least two classes"));
    let (mut first, mut second) = if b > a { ((1, b), (0, a)) } else { ((0, a), (1, b)) };
    for (i, value) in values.enumerate() {
        if value > first.1 {
            (first, second) = ((i + 2, value), first);
        } else if value > second.1 {
            second = (i + 2, value);
        }
    }
    [first.0, second.0]
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "0 and 1 are set, not computed")]
mod tests {
    use super::*;

    fn sample(mean: f64, variance: f64) -> Sample {
        Sample { mean, variance }
    }

    /// p-values of `scipy.stats.ttest_ind_from_stats(…, equal_var=False)`, SciPy 1.17.1.
    #[test]
    fn p_values_are_scipys() {
        let check = |n: usize, (a, b): ((f64, f64), (f64, f64)), expected: f64| {
            let p = Welch::new(n).p_value(sample(a.0, a.1), sample(b.0, b.1));
            assert!((p / expected - 1.0).abs() < 1e-9, "{n} {a:?} {b:?}: {p}");
        };
        check(2, ((0.6, 0.01), (0.4, 0.03)), 0.320_650_148_920_350_04);
        check(2, ((0.9, 1e-06), (0.1, 2e-06)), 7.569_595_754_292_195e-6);
        check(3, ((0.5, 0.02), (0.45, 0.001)), 0.605_870_381_604_612_4);
        check(10, ((0.55, 0.04), (0.45, 0.04)), 0.278_252_754_888_258_85);
        check(10, ((0.7, 0.01), (0.3, 0.0)), 4.909_824_220_767_932e-7);
        check(30, ((0.51, 0.03), (0.49, 0.001)), 0.538_389_116_068_652_9);
        check(30, ((0.99, 1e-05), (0.01, 1e-05)), 3.626_673_854_290_778_6e-129);
        check(200, ((0.5, 0.01), (0.499, 0.02)), 0.934_970_914_714_954_3);
    }

    #[test]
    fn significant_differences_are_no_uncertainty() {
        let welch = Welch::new(3);
        assert_eq!(welch.insignificance(sample(0.5, 0.04), sample(0.5, 0.04)), 1.0);
        assert_eq!(welch.insignificance(sample(0.9, 1e-4), sample(0.1, 1e-4)), 0.0);
        // Just below and above the critical t of 4 degrees of freedom, 2.776: t² = 3·0.04/(2v).
        let near = |t: f64| welch.insignificance(sample(0.6, 0.06 / (t * t)), sample(0.4, 0.06 / (t * t)));
        assert_eq!(near(2.777), 0.0);
        assert!((near(2.776) - 0.05).abs() < 1e-4);
    }

    #[test]
    fn what_is_significant_at_once_is_so_for_the_fewest_degrees_of_freedom() {
        for n in 2..300 {
            let (welch, df) = (Welch::new(n), n as f64 - 1.0);
            let p = p_value((welch.significant, df));
            assert!((0.049..0.05).contains(&p), "{n}: {p}");
        }
    }

    #[test]
    fn members_that_never_vary_are_sure_or_undecided() {
        let welch = Welch::new(2);
        assert_eq!(welch.insignificance(sample(0.6, 0.0), sample(0.4, 0.0)), 0.0);
        assert_eq!(welch.insignificance(sample(0.5, 0.0), sample(0.5, 0.0)), 1.0);
        assert_eq!(welch.p_value(sample(0.6, 0.0), sample(0.4, 0.0)), 0.0);
        assert!(welch.p_value(sample(0.5, 0.0), sample(0.5, 0.0)).is_nan());
    }

    #[test]
    fn the_two_highest_are_found_and_the_first_of_equals_wins() {
        let check = |values: &[f64], expected| assert_eq!(top_two(values.iter().copied()), expected, "{values:?}");
        check(&[0.2, 0.8], [1, 0]);
        check(&[0.5, 0.5], [0, 1]);
        check(&[0.2, 0.3, 0.5], [2, 1]);
        check(&[0.4, 0.2, 0.4], [0, 2]);
        check(&[0.3, 0.3, 0.3], [0, 1]);
        check(&[0.1, 0.4, 0.2, 0.3], [1, 3]);
    }
}
