//! Gaussian importance map of a patch.
//!
//! Patches overlap, and a network is surer of a patch's center than of its rim, so overlapping logits are averaged
//! with these weights.
//!
//! Follows nnU-Net v2's `compute_gaussian`: a unit impulse at `extent / 2`, filtered by SciPy's `gaussian_filter` with
//! a standard deviation of an eighth of the extent and cut off at four of them, scaled to a largest value of 10.
//! Departs from it by staying in `f32`: nnU-Net's half precision rounds the far corners to zero and mends them
//! afterwards.

use ndarray::{Array3, ArrayView3};

/// Standard deviation as a fraction of the patch's extent.
const SIGMA_FRACTION: f64 = 1.0 / 8.0;
/// Standard deviations after which the filter ends.
const TRUNCATE: f64 = 4.0;
/// Weight at the center.
const PEAK: f64 = 10.0;

/// Weights of a patch's voxels, `[z, y, x]`, all positive.
///
/// The map is the product of one curve per axis, which makes the sum of the weights of a whole grid of patches a
/// product as well; [`ImportanceMap::along`] hands out the curves.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportanceMap {
    curves: [Vec<f64>; 3],
    weights: Array3<f32>,
}

impl ImportanceMap {
    /// The map of a patch `[z, y, x]`. An axis of one voxel does not count, as in 2D configurations.
    pub fn new(patch: [usize; 3]) -> Self {
        let curves = patch.map(curve);
        let weights = Array3::from_shape_fn(patch, |(z, y, x)| weight(&curves, [z, y, x]));
        Self { curves, weights }
    }

    /// The weights.
    pub fn weights(&self) -> ArrayView3<'_, f32> {
        self.weights.view()
    }

    /// The weights along one axis (0 is z) through the center, scaled so that
    /// `along(0)[z] * along(1)[y] * along(2)[x]` is the weight of a voxel.
    pub fn along(&self, axis: usize) -> &[f64] {
        &self.curves[axis]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a weight from 1e-10 to 10 rounds to the nearest f32")]
fn weight(curves: &[Vec<f64>; 3], [z, y, x]: [usize; 3]) -> f32 {
    (curves[0][z] * curves[1][y] * curves[2][x]) as f32
}

/// The curve of one axis; the three peaks multiply to [`PEAK`].
fn curve(extent: usize) -> Vec<f64> {
    let peak = PEAK.cbrt();
    if extent == 1 {
        return vec![peak];
    }
    let sigma = extent as f64 * SIGMA_FRACTION;
    let radius = (TRUNCATE * sigma + 0.5).floor();
    let at = |i: usize| {
        let distance = i.abs_diff(extent / 2) as f64;
        // No voxel of a patch lies beyond four eighths of it, so nothing is cut off; the bound documents why.
        debug_assert!(distance <= radius, "half a patch is four standard deviations");
        peak * (-0.5 * (distance / sigma).powi(2)).exp()
    };
    (0..extent).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_from_the_center_as_a_gaussian() {
        // Extent 8: sigma is 1, the center lies at 4.
        let map = ImportanceMap::new([1, 1, 8]);
        for (x, distance) in [4, 3, 2, 1, 0, 1, 2, 3].into_iter().enumerate() {
            let expected = 10.0 * (-0.5 * f64::from(distance * distance)).exp();
            assert!((f64::from(map.weights()[[0, 0, x]]) / expected - 1.0).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn curves_multiply_to_the_weights() {
        let map = ImportanceMap::new([4, 5, 6]);
        for ((z, y, x), &weight) in map.weights().indexed_iter() {
            let product = map.along(0)[z] * map.along(1)[y] * map.along(2)[x];
            assert!((f64::from(weight) / product - 1.0).abs() < 1e-6);
        }
    }
}
