//! Gaussian noise.
//!
//! Follows nnU-Net's `GaussianNoiseTransform` with probability 0.1: every channel gets noise of the same standard
//! deviation, uniform from 0 to 0.1 (batchgeneratorsv2 calls the range `noise_variance` and uses it as a deviation, as
//! does this). Draws: the deviation, then eight bytes for every two values. The normal numbers are Box and Muller's
//! in single precision; none lies beyond 5.9 standard deviations, where one of 10⁸ would.

use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;

use super::elementary::{log2, sin_cos};

/// Of a sample.
pub const PROBABILITY: f64 = 0.1;
const LARGEST_STD: f64 = 0.1;
/// Pairs of normal numbers made at a time.
const N_PAIRS: usize = 256;

/// Draws a standard deviation and adds noise of it to the whole image.
pub fn augment(generator: &mut ChaCha8Rng, image: &mut [f32]) {
    let std = narrow(generator.random_range(0.0..=LARGEST_STD));
    add(generator, image, std);
}

/// Adds independent normal numbers with mean 0 and this standard deviation.
pub fn add(generator: &mut ChaCha8Rng, values: &mut [f32], std: f32) {
    let mut bytes = [0; 8 * N_PAIRS];
    let mut normal = [0.0; 2 * N_PAIRS];
    for chunk in values.chunks_mut(2 * N_PAIRS) {
        generator.fill_bytes(&mut bytes);
        fill_normal(&bytes, &mut normal);
        for (value, noise) in chunk.iter_mut().zip(&normal) {
            *value += std * noise;
        }
    }
}

/// A point of the plane per pair of 32-bit words: the first says how far, the second in which direction.
fn fill_normal(bytes: &[u8; 8 * N_PAIRS], normal: &mut [f32; 2 * N_PAIRS]) {
    let (distances, directions) = bytes.split_at(4 * N_PAIRS);
    let (ahead, across) = normal.split_at_mut(N_PAIRS);
    let words = distances.as_chunks::<4>().0.iter().zip(directions.as_chunks::<4>().0);
    for ((distance, direction), (ahead, across)) in words.zip(ahead.iter_mut().zip(across)) {
        let (distance, direction) = (u32::from_le_bytes(*distance), u32::from_le_bytes(*direction));
        // In the open interval from 0 to 1: 24 bits, and half a step.
        let uniform = (unit(distance >> 8) + 0.5) * (1.0 / 16_777_216.0);
        let radius = (-2.0 * std::f32::consts::LN_2 * log2(uniform)).sqrt();
        // Half a turn, and the other half by the lowest bit as the sign of the cosine.
        let (sin, cos) = sin_cos((unit(direction >> 8) + 0.5) * (0.5 / 16_777_216.0) - 0.25);
        *ahead = f32::from_bits((radius * cos).to_bits() ^ (direction << 31));
        *across = radius * sin;
    }
}

/// A number below 2²⁴, exactly; by way of `i32`, for which processors have an instruction on several values.
fn unit(word: u32) -> f32 {
    word.cast_signed() as f32
}

#[expect(clippy::cast_possible_truncation, reason = "intensities are in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use nnunet::fold::Fold;

    use super::*;
    use crate::random::{Purpose, Stream};

    const N: usize = 1_000_001;

    fn noise(std: f32) -> Vec<f32> {
        let stream = Stream { seed: 5, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index: 0 };
        let mut values = vec![0.0; N];
        add(&mut stream.generator(), &mut values, std);
        values
    }

    /// Mean of a power of a million standard normal numbers, against its expectation, in standard errors.
    fn check(power: i32, expected: f64, variance: f64) {
        let mean = noise(1.0).iter().map(|value| f64::from(*value).powi(power)).sum::<f64>() / N as f64;
        let error = (variance / N as f64).sqrt();
        assert!((mean - expected).abs() < 4.0 * error, "moment {power} is {mean}, not {expected} ± {error}");
    }

    #[test]
    fn noise_has_the_moments_of_the_normal_distribution() {
        check(1, 0.0, 1.0);
        check(2, 1.0, 2.0);
        check(3, 0.0, 15.0);
        check(4, 3.0, 96.0);
        check(6, 15.0, 10_170.0);
    }

    #[test]
    fn tails_are_as_heavy_as_the_normal_distributions() {
        for (limit, share) in [(1.0, 0.158_655), (2.0, 0.022_750), (3.0, 0.001_350), (4.0, 0.000_031_67)] {
            for sign in [-1.0, 1.0] {
                let n = noise(1.0).iter().filter(|value| sign * **value > limit).count() as f64;
                let expected = share * N as f64;
                assert!((n - expected).abs() < 4.0 * expected.sqrt(), "{n} beyond {}, not {expected}", sign * limit);
            }
        }
    }

    #[test]
    fn values_that_are_made_together_do_not_go_together() {
        let values = noise(1.0);
        for lag in [1, N_PAIRS, 2 * N_PAIRS] {
            let products = values.iter().zip(&values[lag..]).map(|(a, b)| f64::from(a * b));
            let correlation = products.sum::<f64>() / N as f64;
            assert!(correlation.abs() < 4.0 / (N as f64).sqrt(), "{correlation} at {lag}");
        }
    }

    #[test]
    fn noise_scales_with_its_deviation_and_none_leaves_the_image() {
        assert!(noise(0.0).iter().all(|value| *value == 0.0));
        let (one, two) = (noise(1.0), noise(2.0));
        assert!(one.iter().zip(&two).all(|(one, two)| (2.0 * one - two).abs() < 1e-6));
    }
}
