//! Contrast about the mean.
//!
//! Follows nnU-Net's `ContrastTransform` with probability 0.15: in every channel the distance from the mean is
//! multiplied by a factor of the channel's own, 0.75 to 1 or 1 to 1.25 ([`factor`]), and what then lies beyond the
//! channel's former extremes is set to them. Draws: the factor of each channel.

use rand_chacha::ChaCha8Rng;

use super::factor;
use super::moments::{extremes, mean};

/// Of a sample.
pub const PROBABILITY: f64 = 0.15;
const FACTORS: [f64; 2] = [0.75, 1.25];

/// Changes the contrast of every channel of `n_voxels` by a factor of its own.
pub fn augment(generator: &mut ChaCha8Rng, image: &mut [f32], n_voxels: usize) {
    for channel in image.chunks_exact_mut(n_voxels) {
        stretch(channel, narrow(factor::draw(generator, FACTORS)));
    }
}

/// Multiplies distances from the mean, within the extremes.
pub fn stretch(channel: &mut [f32], factor: f32) {
    let (mean, (low, high)) = (mean(channel), extremes(channel));
    for value in channel {
        let stretched = (*value - mean) * factor + mean;
        let above = if stretched < low { low } else { stretched };
        *value = if above > high { high } else { above };
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

    fn check(factor: f32, expected: [f32; 4]) {
        let mut channel = [0.0, 1.0, 3.0, 4.0];
        stretch(&mut channel, factor);
        assert_eq!(channel, expected);
    }

    #[test]
    fn contrast_spreads_about_the_mean_and_keeps_the_range() {
        check(0.5, [1.0, 1.5, 2.5, 3.0]);
        check(1.0, [0.0, 1.0, 3.0, 4.0]);
        // −1 and 5 would lie beyond the range.
        check(1.5, [0.0, 0.5, 3.5, 4.0]);
    }

    #[test]
    fn a_constant_channel_stays() {
        let mut channel = [2.5; 9];
        stretch(&mut channel, 1.25);
        assert_eq!(channel, [2.5; 9]);
    }
}
