//! Which voxels each new voxel is made of along one axis, and with which weights.
//!
//! New voxel `k` of `n_out` lies at `(k + 1/2) · n_in / n_out − 1/2`, in
//! voxels of the old axis: SciPy's `grid_mode`. The order of operations is
//! SciPy's, for a center that falls on a boundary must fall on the same side.

/// Position of new voxel `k` on the old axis; may lie up to half a voxel outside.
fn position(k: usize, n_in: usize, n_out: usize) -> f64 {
    let step = n_in as f64 / n_out as f64;
    (k as f64 + 0.5) * step - 0.5
}

/// The same, held inside the axis, and its whole part.
fn clamped(k: usize, n_in: usize, n_out: usize) -> f64 {
    position(k, n_in, n_out).clamp(0.0, (n_in - 1) as f64)
}

/// The old voxel nearest to each new one.
pub(super) fn nearest(n_in: usize, n_out: usize) -> Vec<usize> {
    (0..n_out).map(|k| index((clamped(k, n_in, n_out) + 0.5).floor())).collect()
}

/// The two old voxels around a new one, and their weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LinearTap {
    pub(super) indices: [usize; 2],
    pub(super) weights: [f64; 2],
}

/// Linear weights; at the last voxel the second index repeats the first.
pub(super) fn linear(n_in: usize, n_out: usize) -> Vec<LinearTap> {
    let tap = |k| {
        let at = clamped(k, n_in, n_out);
        let low = at.floor();
        let first = 1.0 - (at - low);
        let low = index(low);
        LinearTap { indices: [low, (low + 1).min(n_in - 1)], weights: [first, 1.0 - first] }
    };
    (0..n_out).map(tap).collect()
}

/// The four spline coefficients around a new voxel, and their weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CubicTap {
    /// Index of the first coefficient, on the axis padded by `padding`.
    pub(super) start: usize,
    pub(super) weights: [f64; 4],
}

/// Cubic B-spline weights on an axis that was padded by `padding` (at least
/// two) voxels on both sides.
pub(super) fn cubic(n_in: usize, n_out: usize, padding: usize) -> Vec<CubicTap> {
    let tap = |k| {
        let at = position(k, n_in, n_out) + padding as f64;
        let low = at.floor();
        let [y, z] = [at - low, 1.0 - (at - low)];
        let first = z * z * z / 6.0;
        let second = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0;
        let third = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0;
        CubicTap { start: index(low) - 1, weights: [first, second, third, 1.0 - first - second - third] }
    };
    (0..n_out).map(tap).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number inside an axis")]
fn index(whole: f64) -> usize {
    whole as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_takes_the_mean_of_pairs_and_the_higher_of_two_nearest() {
        let halved = linear(4, 2);
        assert_eq!(halved[0], LinearTap { indices: [0, 1], weights: [0.5, 0.5] });
        assert_eq!(halved[1], LinearTap { indices: [2, 3], weights: [0.5, 0.5] });
        assert_eq!(nearest(4, 2), [1, 3]);
    }

    #[test]
    fn doubling_keeps_the_edge_voxels_outside_their_centers() {
        assert_eq!(nearest(2, 4), [0, 0, 1, 1]);
        let doubled = linear(2, 4);
        assert_eq!(doubled[0], LinearTap { indices: [0, 1], weights: [1.0, 0.0] });
        assert_eq!(doubled[1], LinearTap { indices: [0, 1], weights: [0.75, 0.25] });
        assert_eq!(doubled[3], LinearTap { indices: [1, 1], weights: [1.0, 0.0] });
    }

    #[test]
    fn cubic_weights_on_a_voxel_are_one_four_one_sixths() {
        for tap in cubic(3, 3, 12) {
            for (weight, expected) in tap.weights.iter().zip([1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0, 0.0]) {
                assert!((weight - expected).abs() < 1e-15);
            }
        }
        assert_eq!(cubic(3, 3, 12)[0].start, 11);
    }
}
