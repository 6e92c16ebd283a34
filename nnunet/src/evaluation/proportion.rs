//! A share of cases, such as those whose interval held their Dice.
//!
//! The interval is Clopper and Pearson's (1934), from quantiles of the beta distribution: it is exact, where the
//! bootstrap of a share of all or none has no width at all.

use statrs::distribution::{Beta, ContinuousCDF};

use super::bootstrap::Estimate;

/// Probability beyond each end of the 95 % interval.
const TAIL: f64 = 0.025;

/// The share `n_hits / n` with its interval; `None` of no case, or of more hits than cases.
pub fn proportion(n_hits: usize, n: usize) -> Option<Estimate> {
    let n_misses = n.checked_sub(n_hits)?;
    let quantile = |a: usize, b: usize, p: f64| Beta::new(a as f64, b as f64).ok().map(|beta| beta.inverse_cdf(p));
    let low = if n_hits == 0 { Some(0.0) } else { quantile(n_hits, n_misses + 1, TAIL) };
    let high = if n_misses == 0 { Some(1.0) } else { quantile(n_hits + 1, n_misses, 1.0 - TAIL) };
    let interval = low.zip(high).map(|(low, high)| [low, high]);
    (n > 0).then(|| Estimate { value: n_hits as f64 / n as f64, interval, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n_hits: usize, n: usize, low: f64, high: f64) {
        let found = proportion(n_hits, n).unwrap().interval.unwrap();
        assert!((found[0] - low).abs() < 1e-6 && (found[1] - high).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn all_of_ten_may_still_be_fewer() {
        // The share of which ten hits in a row have a probability of 0.025.
        check(10, 10, 0.025_f64.powf(0.1), 1.0);
        check(0, 10, 0.0, 1.0 - 0.025_f64.powf(0.1));
    }

    #[test]
    fn no_case_has_no_share() {
        assert_eq!(proportion(0, 0), None);
        assert_eq!(proportion(2, 1), None);
    }
}
