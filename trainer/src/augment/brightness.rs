//! Multiplicative brightness.
//!
//! Follows nnU-Net's `MultiplicativeBrightnessTransform` with probability 0.15: every channel is multiplied by a
//! factor of its own, 0.75 to 1 or 1 to 1.25 ([`factor`]). Draws: the factor of each channel.

use rand_chacha::ChaCha8Rng;

use super::factor;

/// Of a sample.
pub const PROBABILITY: f64 = 0.15;
const FACTORS: [f64; 2] = [0.75, 1.25];

/// Multiplies every channel of `n_voxels` by a factor of its own.
pub fn augment(generator: &mut ChaCha8Rng, image: &mut [f32], n_voxels: usize) {
    for channel in image.chunks_exact_mut(n_voxels) {
        scale(channel, narrow(factor::draw(generator, FACTORS)));
    }
}

/// Multiplies every value.
pub fn scale(channel: &mut [f32], factor: f32) {
    for value in channel {
        *value *= factor;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "intensities are in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use nnunet::fold::Fold;

    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn every_channel_has_a_factor_of_its_own() {
        let stream = Stream { seed: 0, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index: 0 };
        let mut image = [1.0, 2.0, 1.0, 2.0];
        augment(&mut stream.generator(), &mut image, 2);
        assert!((0.75..=1.25).contains(&image[0]) && (0.75..=1.25).contains(&image[2]));
        assert!(image[0] != image[2] && image[1] == 2.0 * image[0] && image[3] == 2.0 * image[2]);
    }
}
