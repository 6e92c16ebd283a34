//! Named streams of random numbers.
//!
//! Every draw belongs to a stream whose key says what it is for: run seed, fold, purpose, epoch, iteration and sample.
//! So a sample does not depend on which thread draws it or on what was drawn before, and a resumed run sees the
//! numbers that the uninterrupted one would have seen. The key is the key of a `ChaCha8` generator as it stands.

use nnunet::fold::Fold;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What a stream is for; streams of different purposes never share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; the index is the parameter's.
    Weights,
    /// A training patch and its augmentation.
    Training,
    /// A validation patch.
    Validation,
    /// Voxels of a case that a temperature is fitted to; the index is the case's in its split.
    Temperature,
}

/// Key of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Seed of the run.
    pub seed: u64,
    /// Fold that is trained.
    pub fold: Fold,
    /// What the numbers are for.
    pub purpose: Purpose,
    /// Epoch, counted from 0.
    pub epoch: u32,
    /// Iteration within the epoch.
    pub iteration: u32,
    /// Sample within the batch, or whatever else is numbered.
    pub index: u32,
}

impl Stream {
    /// The generator of this stream, at its beginning.
    pub fn generator(&self) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..10].copy_from_slice(&self.fold.0.to_le_bytes());
        key[10] = match self.purpose {
            Purpose::Weights => 0,
            Purpose::Training => 1,
            Purpose::Validation => 2,
            Purpose::Temperature => 3,
        };
        key[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        key[16..20].copy_from_slice(&self.iteration.to_le_bytes());
        key[20..24].copy_from_slice(&self.index.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

/// `len` draws from the normal distribution with mean 0 and the given standard deviation (Box–Muller).
pub fn normal(generator: &mut ChaCha8Rng, std: f64, len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len + 1);
    while values.len() < len {
        // 1 - [0, 1) is never 0, so the logarithm is finite.
        let radius = std * (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * generator.random::<f64>()).sin_cos();
        values.extend([narrow(radius * cos), narrow(radius * sin)]);
    }
    values.truncate(len);
    values
}

#[expect(clippy::cast_possible_truncation, reason = "a weight is kept in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream =
        Stream { seed: 7, fold: Fold(0), purpose: Purpose::Training, epoch: 1, iteration: 2, index: 3 };

    #[test]
    fn a_stream_repeats_and_every_part_of_its_key_counts() {
        let first = |stream: Stream| stream.generator().random::<u64>();
        assert_eq!(first(STREAM), first(STREAM));
        for other in [
            Stream { seed: 8, ..STREAM },
            Stream { fold: Fold(1), ..STREAM },
            Stream { purpose: Purpose::Validation, ..STREAM },
            Stream { epoch: 2, ..STREAM },
            Stream { iteration: 3, ..STREAM },
            Stream { index: 4, ..STREAM },
        ] {
            assert_ne!(first(other), first(STREAM), "{other:?}");
        }
    }

    #[test]
    fn normal_draws_have_the_mean_and_deviation_asked_for() {
        let values = normal(&mut STREAM.generator(), 2.0, 100_001);
        let mean = values.iter().sum::<f32>() / 100_001.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 100_001.0;
        // Five standard errors: 2 / sqrt(n) for the mean, std² · sqrt(2 / n) for the variance.
        assert!(mean.abs() < 5.0 * 2.0 / 316.0, "{mean}");
        assert!((variance - 4.0).abs() < 5.0 * 4.0 * 0.0045, "{variance}");
    }
}
