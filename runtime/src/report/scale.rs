//! From values to places along an axis, with ticks at round numbers.

/// Steps that an axis is divided into, about.
const N_STEPS: f64 = 5.0;

/// A linear axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// From 0 to 1.
    pub(super) const UNIT: Self = Self { low: 0.0, high: 1.0, step: 0.2 };

    /// An axis from round number to round number that holds all values, which are not negative; from 0 unless they lie
    /// close together far from it.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let low = if low < 0.6 * high { 0.0 } else { low.min(high) };
        // Of a single value, or none, there is still an axis.
        let (low, high) = if high > low { (low, high) } else { (0.0, if high > 0.0 { high } else { 1.0 }) };
        let step = round_step((high - low) / N_STEPS);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// Where `value` lies, as a share of the axis.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The value at a share of the axis.
    pub(super) fn at(&self, share: f64) -> f64 {
        self.low + (self.high - self.low) * share
    }

    /// The ticks, each with its text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let n_steps = ((self.high - self.low) / self.step).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "about `N_STEPS`")]
        let n_steps = n_steps.clamp(1.0, 20.0) as u32;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 12")]
        let n_decimals = (-self.step.log10().floor()).clamp(0.0, 12.0) as usize;
        let tick = |i: u32| self.low + f64::from(i) * self.step;
        (0..=n_steps).map(|i| (tick(i), format!("{:.n_decimals$}", tick(i)))).collect()
    }
}

/// The next of 1, 2, 5, 10 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: &[f64], expected: &[&str]) {
        let texts: Vec<_> = Scale::of(values.iter().copied()).ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        check(&[0.4, 2.3], &["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        check(&[91.0, 98.0], &["90", "92", "94", "96", "98"]);
        check(&[0.003], &["0.0000", "0.0010", "0.0020", "0.0030"].map(|text| &text[..5]));
    }

    #[test]
    fn one_value_or_none_still_has_an_axis() {
        check(&[], &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(&[0.0, f64::NAN], &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(&[5.0, 5.0], &["0", "1", "2", "3", "4", "5"]);
    }

    proptest! {
        #[test]
        fn every_value_lies_on_the_axis(values in prop::collection::vec(0.0_f64..1e9, 1..20)) {
            let scale = Scale::of(values.iter().copied());
            for value in values {
                let share = scale.share(value);
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&share), "{value} at {share} of {scale:?}");
            }
            prop_assert!((2..=21).contains(&scale.ticks().len()));
        }
    }
}
