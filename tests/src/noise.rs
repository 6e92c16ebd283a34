//! What a scanner adds to a clean picture: coil shading and Rician noise.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// One normal deviate with mean 0 and variance 1 (Box–Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // `1 - u` lies in (0, 1], where the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// The magnitude of `signal` with normal noise of deviation `sigma` on both channels.
///
/// Magnitude images have Rician noise: never negative, and brighter than the
/// truth where the signal is weak.
pub(crate) fn rician(signal: f64, sigma: f64, rng: &mut ChaCha8Rng) -> f64 {
    (signal + sigma * normal(rng)).hypot(sigma * normal(rng))
}

/// A smooth multiplicative field, as a surface coil leaves it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shading {
    direction: f64,
    strength: f64,
    wavelength: f64,
    phase: f64,
}

impl Shading {
    /// Draws a field whose brightest and darkest factor differ by up to about `e^0.8`.
    pub(crate) fn random(rng: &mut ChaCha8Rng) -> Self {
        Self {
            direction: rng.random_range(0.0..TAU),
            strength: rng.random_range(0.1..0.4),
            wavelength: rng.random_range(1.5..2.5),
            phase: rng.random_range(0.0..TAU),
        }
    }

    /// The factor at `(x, y)`, both in [-1, 1] over the image.
    pub(crate) fn factor(&self, x: f64, y: f64) -> f64 {
        let along = x * self.direction.cos() + y * self.direction.sin();
        let wave = (TAU * along / self.wavelength + self.phase).cos();
        (self.strength * (0.7 * along + 0.3 * wave)).exp()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn rician_noise_of_no_signal_is_rayleigh() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let n = 20_000;
        let mean = (0..n).map(|_| rician(0.0, 1.0, &mut rng)).sum::<f64>() / f64::from(n);
        // Rayleigh mean √(π/2), deviation 0.655; four standard errors.
        let expected = (std::f64::consts::PI / 2.0).sqrt();
        assert!((mean - expected).abs() < 4.0 * 0.655 / f64::from(n).sqrt());
    }

    #[test]
    fn without_noise_the_signal_stays() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(rician(0.7, 0.0, &mut rng).to_bits(), 0.7_f64.to_bits());
    }
}
