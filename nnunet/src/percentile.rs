//! Percentiles as NumPy computes them: linear between the two neighbors in rank.

/// Percentile `q` (0 to 100) of the values; `None` if there are none.
pub(crate) fn percentile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high, fraction) = rank(sorted.len(), q)?;
    Some(between(sorted[low], sorted[high], sorted[high] - sorted[low], fraction))
}

/// The middle value, or the mean of the two; may differ from the 50th percentile in the last bit.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high, fraction) = rank(sorted.len(), 50.0)?;
    Some(if fraction > 0.0 { f64::midpoint(sorted[low], sorted[high]) } else { sorted[low] })
}

/// Ranks around percentile `q` of `n` sorted values, and how far it lies from the first to the second.
pub(crate) fn rank(n: usize, q: f64) -> Option<(usize, usize, f64)> {
    let last = n.checked_sub(1)?;
    let at = (q / 100.0).clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n - 1")]
    let low = at.floor() as usize;
    Some((low, (low + 1).min(last), at - at.floor()))
}

/// Linear interpolation from the nearer end, which is exact at both; `step` leads from the low end to the high one.
pub(crate) fn between(low: f64, high: f64, step: f64, fraction: f64) -> f64 {
    if fraction < 0.5 { low + step * fraction } else { high - step * (1.0 - fraction) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], q: f64, expected: Option<f64>) {
        assert_eq!(percentile(values, q), expected);
    }

    #[test]
    fn percentiles_lie_between_ranks() {
        check(&[], 50.0, None);
        check(&[3.0], 99.5, Some(3.0));
        check(&[4.0, 1.0], 50.0, Some(2.5));
        check(&[4.0, 1.0, 2.0], 50.0, Some(2.0));
        check(&[0.0, 10.0, 20.0, 30.0, 40.0], 10.0, Some(4.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[4.0, 1.0, 3.0]), Some(3.0));
    }
}
