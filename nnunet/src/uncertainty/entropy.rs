//! Entropy of probabilities, in bits, and the logarithm it is made of.
//!
//! An ensemble takes millions of logarithms per case, and the system's is a call per value. The one here is arithmetic
//! without a branch, so that the compiler computes several values at a time. It is as exact as the sums need: within
//! 4e-16 of the system's where that is below one bit in size, relative to it elsewhere, and exact for powers of two.

use rayon::prelude::*;

use super::moments::CHUNK;
use crate::restore::OutputHead;

/// Entropies of `n` voxels at a time, in bits; of regions, the sums over their yes-or-no questions.
///
/// `0 log 0` is 0. An entropy lies between 0 and `log2` of the number of classes, or the number of regions.
pub(super) fn entropies<O: Iterator<Item = f64>>(
    n: usize,
    outputs: impl Iterator<Item = O>,
    head: OutputHead,
) -> Vec<f64> {
    let mut entropies = vec![0.0; n];
    for output in outputs {
        let terms = entropies.iter_mut().zip(output);
        match head {
            OutputHead::Softmax => terms.for_each(|(entropy, p)| *entropy += term(p)),
            OutputHead::Sigmoid => terms.for_each(|(entropy, p)| *entropy += term(p) + term(1.0 - p)),
        }
    }
    entropies
}

/// Hands the entropies of a member's probabilities `[output, voxel]`, of at least one voxel, to as many `voxels`.
pub(super) fn each_entropy<T: Send>(
    voxels: &mut [T],
    member: &[f32],
    head: OutputHead,
    take: impl Fn(&mut T, f64) + Sync,
) {
    let n_voxels = voxels.len();
    voxels.par_chunks_mut(CHUNK).enumerate().for_each(|(i, voxels)| {
        let outputs = member.chunks_exact(n_voxels).map(|output| output[i * CHUNK..].iter().map(|&p| f64::from(p)));
        let entropies = entropies(voxels.len(), outputs, head);
        voxels.iter_mut().zip(entropies).for_each(|(voxel, entropy)| take(voxel, entropy));
    });
}

/// Adds the entropies of a member's probabilities `[output, voxel]`, of at least one voxel, to `sums` of as many voxels.
pub(super) fn add_entropies(sums: &mut [f64], member: &[f32], head: OutputHead) {
    each_entropy(sums, member, head, |sum, entropy| *sum += entropy);
}

/// `-p log2 p`.
#[inline]
pub(super) fn term(p: f64) -> f64 {
    // The logarithm of 0 is finite here, so 0 log 0 is 0 without asking.
    -p * log2(p)
}

/// Logarithm to the base 2 of a positive normal number; of 0, some negative number.
///
/// With `x = 2^e m`, `√½ ≤ m < √2`, and `s = (m − 1)/(m + 1)`, so `|s| < 0.172`:
///
/// ```text
/// log2 x = e + 2/ln 2 · (s + s³/3 + s⁵/5 + … + s¹⁹/19)
/// ```
///
/// The first term left out is below 2e-17 of the sum.
#[inline]
fn log2(x: f64) -> f64 {
    const ONE: u64 = 1.0_f64.to_bits();
    const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const MANTISSA: u64 = (1 << 52) - 1;
    // 2^52 plus a whole number below it has that number in its mantissa.
    const TWO_52: u64 = 4_503_599_627_370_496.0_f64.to_bits();
    const BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;
    let shifted = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    let exponent = f64::from_bits(TWO_52 | (shifted >> 52)) - BIAS;
    let m = f64::from_bits((shifted & MANTISSA) + ROOT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut series = 1.0 / 19.0;
    for odd in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * z + 1.0 / odd;
    }
    exponent + 2.0 * std::f64::consts::LOG2_E * s * series
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "logarithms of powers of two are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_the_systems_to_the_last_digits() {
        let check = |x: f64| {
            let (found, expected) = (log2(x), x.log2());
            assert!((found - expected).abs() <= 4e-16 * expected.abs().max(1.0), "log2 {x:e}: {found} {expected}");
            // Near certainty the logarithm itself is small, and must keep its digits.
            let relative = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
            assert!(found == expected || relative < 1e-15, "log2 {x:e}: {found} {expected}");
        };
        for i in 1..=100_000_u32 {
            check(f64::from(i) / 100_000.0);
            check(f64::from(f32::from_bits(i * 10_000)));
            check(1.0 - f64::from(i) * f64::from(f32::EPSILON) / 2.0);
        }
    }

    #[test]
    fn powers_of_two_are_exact_and_nothing_has_no_entropy() {
        for exponent in -149..=0 {
            assert_eq!(log2(2.0_f64.powi(exponent)), f64::from(exponent));
        }
        assert_eq!((term(0.0), term(1.0)), (0.0, 0.0));
    }
}
