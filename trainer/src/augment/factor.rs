//! Random factors around 1, as likely below as above.
//!
//! Follows batchgeneratorsv2's `BGContrast`: with probability one half uniform from the lower limit to 1, else uniform
//! from 1 to the upper limit. Two draws: the side, then the factor.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::happens;

/// Draws a factor between limits on either side of 1.
pub fn draw(generator: &mut ChaCha8Rng, [lower, upper]: [f64; 2]) -> f64 {
    if happens(generator, 0.5) { generator.random_range(lower..=1.0) } else { generator.random_range(1.0..=upper) }
}

#[cfg(test)]
mod tests {
    use nnunet::fold::Fold;

    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn factors_lie_between_the_limits_and_half_of_them_below_one() {
        let stream = Stream { seed: 0, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index: 0 };
        let mut generator = stream.generator();
        let factors: Vec<f64> = (0..10_000).map(|_| draw(&mut generator, [0.7, 1.5])).collect();
        assert!(factors.iter().all(|factor| (0.7..=1.5).contains(factor)));
        let n_below = factors.iter().filter(|factor| **factor < 1.0).count();
        // Five standard deviations of 10 000 tosses of a coin.
        assert!(n_below.abs_diff(5000) < 250, "{n_below}");
        let mean = factors.iter().sum::<f64>() / 1e4;
        // Half of 0.85 and half of 1.25; the deviation of a factor is 0.23.
        assert!((mean - 1.05).abs() < 5.0 * 0.0023, "{mean}");
    }
}
