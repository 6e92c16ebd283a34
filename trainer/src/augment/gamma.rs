//! Gamma: a power of the intensities, scaled to the unit interval for it.
//!
//! Follows nnU-Net's `GammaTransform`, once with `p_invert_image=1` and probability 0.1, then without inversion and
//! probability 0.3: every channel has an exponent of its own, 0.7 to 1 or 1 to 1.5 ([`factor`]), and keeps its mean
//! and standard deviation (`p_retain_stats=1`). Inverted means that the power is taken of the negative image. Draws:
//! the exponent of each channel. Departs in computing powers to six digits.

use rand_chacha::ChaCha8Rng;

use super::elementary::power;
use super::factor;
use super::moments::{Moments, extremes};

const EXPONENTS: [f64; 2] = [0.7, 1.5];
/// What a range or a deviation of 0 is taken for where it divides.
const TINY: f32 = 1e-7;

/// Whether the power is taken of the image or of its negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Of the negative.
    Inverted,
    /// Of the image as it is.
    Plain,
}

impl Form {
    /// Of a sample.
    pub fn probability(self) -> f64 {
        match self {
            Self::Inverted => 0.1,
            Self::Plain => 0.3,
        }
    }
}

/// Takes the power of every channel of `n_voxels` with an exponent of its own.
pub fn augment(generator: &mut ChaCha8Rng, image: &mut [f32], n_voxels: usize, form: Form) {
    for channel in image.chunks_exact_mut(n_voxels) {
        gamma(channel, narrow(factor::draw(generator, EXPONENTS)), form);
    }
}

/// Takes a power of the channel between its extremes, then restores its mean and deviation.
pub fn gamma(channel: &mut [f32], exponent: f32, form: Form) {
    let sign = match form {
        Form::Inverted => -1.0,
        Form::Plain => 1.0,
    };
    let before = Moments::of(channel);
    let (smallest, largest) = extremes(channel);
    let low = (sign * smallest).min(sign * largest);
    let range = largest - smallest;
    let divisor = range.max(TINY);
    for value in &mut *channel {
        *value = power((sign * *value - low) / divisor, exponent) * range + low;
    }
    let after = Moments::of(channel);
    let scale = before.std / after.std.max(TINY);
    for value in channel {
        *value = sign * ((*value - after.mean) * scale) + before.mean;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "intensities are in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use super::*;

    fn channel() -> Vec<f32> {
        (0..1000_u16).map(|i| (f32::from(i) * 0.37).sin() + f32::from(i % 7)).collect()
    }

    #[test]
    fn mean_and_deviation_stay_and_the_order_too() {
        for form in [Form::Inverted, Form::Plain] {
            for exponent in [0.7, 1.5] {
                let (before, mut after) = (channel(), channel());
                gamma(&mut after, exponent, form);
                let (old, new) = (Moments::of(&before), Moments::of(&after));
                assert!((old.mean - new.mean).abs() < 1e-5 && (old.std - new.std).abs() < 1e-5, "{old:?} {new:?}");
                let mut order: Vec<usize> = (0..1000).collect();
                order.sort_by(|&a, &b| before[a].total_cmp(&before[b]));
                assert!(order.windows(2).all(|pair| after[pair[0]] <= after[pair[1]] + 1e-5));
            }
        }
    }

    #[test]
    fn three_values_change_as_worked_by_hand() {
        // Squares of 0, 1/2, 1 are 0, 1/4, 1: mean 5/12, deviation √(13/48) = 0.520 416.
        // Before: mean 1/2, deviation 1/2.
        let mut plain = [0.0, 0.5, 1.0];
        gamma(&mut plain, 2.0, Form::Plain);
        let expected = [0.0, 0.25, 1.0].map(|square: f32| (square - 5.0 / 12.0) * 0.5 / 0.520_416 + 0.5);
        assert!(plain.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5), "{plain:?}");
        // Inverted, the other way round.
        let mut inverted = [0.0, 0.5, 1.0];
        gamma(&mut inverted, 2.0, Form::Inverted);
        assert!(
            inverted.iter().zip([1.0 - plain[2], 1.0 - plain[1], 1.0 - plain[0]]).all(|(a, b)| (a - b).abs() < 1e-5)
        );
    }

    #[test]
    fn a_constant_channel_stays_finite_and_constant() {
        let mut channel = [3.0; 20];
        gamma(&mut channel, 0.7, Form::Inverted);
        assert_eq!(channel, [3.0; 20]);
    }
}
