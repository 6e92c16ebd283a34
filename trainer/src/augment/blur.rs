//! Gaussian blur.
//!
//! Follows nnU-Net's `GaussianBlurTransform` with probability 0.2: each channel with probability one half, along each
//! axis with a standard deviation of its own from 0.5 to 1 voxel, as three passes of a normalized kernel of 3, 5 or 7
//! weights (the odd number next to 6σ + ½) over an image that is mirrored at its border voxels. Draws per channel:
//! whether, then the deviation along z, y and x. An axis of one voxel stays as it is; where nnU-Net refuses an axis no
//! longer than half the kernel, the mirror image is continued.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::happens;

/// Of a sample.
pub const PROBABILITY: f64 = 0.2;
const CHANNEL_PROBABILITY: f64 = 0.5;
const DEVIATIONS: [f64; 2] = [0.5, 1.0];
/// Kernels reach this many deviations, both sides together.
const REACH: f64 = 6.0;

/// Blurs the channels of `[channel, z, y, x]` that are drawn.
pub fn augment(generator: &mut ChaCha8Rng, image: &mut [f32], shape: [usize; 3]) {
    for channel in image.chunks_exact_mut(shape.iter().product()) {
        if happens(generator, CHANNEL_PROBABILITY) {
            let deviations = std::array::from_fn(|_| generator.random_range(DEVIATIONS[0]..=DEVIATIONS[1]));
            blur(channel, shape, deviations);
        }
    }
}

/// Blurs `[z, y, x]` along each axis with its standard deviation in voxels.
pub fn blur(channel: &mut [f32], shape: [usize; 3], deviations: [f64; 3]) {
    let [n_z, n_y, n_x] = shape;
    let mut source = channel.to_vec();
    for axis in (0..2).filter(|&axis| shape[axis] > 1) {
        let kernel = kernel(deviations[axis]);
        // Planes for z, rows of every plane for y: what lies next to each other along the axis.
        let inner = if axis == 0 { n_y * n_x } else { n_x };
        let slabs = source.chunks_exact(inner * shape[axis]).zip(channel.chunks_exact_mut(inner * shape[axis]));
        slabs.for_each(|(source, target)| blur_lines(source, target, inner, &kernel));
        source.copy_from_slice(channel);
    }
    if n_x > 1 {
        let kernel = kernel(deviations[2]);
        debug_assert_eq!(source.len(), n_z * n_y * n_x);
        blur_rows(&source, channel, n_x, &kernel);
    }
}

/// Weights from the middle outward; both sides together sum to 1.
fn kernel(deviation: f64) -> Vec<f32> {
    let weight = |distance: usize| (-0.5 * (distance as f64 / deviation).powi(2)).exp();
    let one_side: Vec<f64> = (0..=half_width(deviation)).map(weight).collect();
    let sum = 2.0 * one_side.iter().sum::<f64>() - one_side[0];
    one_side.iter().map(|weight| narrow(weight / sum)).collect()
}

/// Weights on either side of the middle.
fn half_width(deviation: f64) -> usize {
    let wanted = deviation * REACH + 0.5;
    // The odd number 2h + 1 next to what is wanted.
    let mut half = 1_usize;
    while (2 * half + 2) as f64 <= wanted {
        half += 1;
    }
    half
}

/// Index along an axis of a voxel that lies up to a kernel's half beyond it.
fn reflected(index: usize, extent: usize, half: usize) -> usize {
    // Counted from `half` voxels before the axis; the mirror image has a period of two axes, border voxels once.
    let period = 2 * (extent - 1);
    let from_first = (index + period * half.max(1) - half) % period;
    from_first.min(period - from_first)
}

/// Weighted sums of lines of `inner` values that lie next to each other.
fn blur_lines(source: &[f32], target: &mut [f32], inner: usize, kernel: &[f32]) {
    let (extent, half) = (source.len() / inner, kernel.len() - 1);
    for (index, line) in target.chunks_exact_mut(inner).enumerate() {
        let middle = &source[index * inner..][..inner];
        line.iter_mut().zip(middle).for_each(|(value, middle)| *value = kernel[0] * middle);
        for (distance, &weight) in kernel.iter().enumerate().skip(1) {
            let before = &source[reflected(index + half - distance, extent, half) * inner..][..inner];
            let after = &source[reflected(index + half + distance, extent, half) * inner..][..inner];
            for ((value, before), after) in line.iter_mut().zip(before).zip(after) {
                *value += weight * (before + after);
            }
        }
    }
}

/// Weighted sums along rows.
fn blur_rows(source: &[f32], target: &mut [f32], extent: usize, kernel: &[f32]) {
    let half = kernel.len() - 1;
    let beyond: Vec<usize> = (0..extent + 2 * half).map(|index| reflected(index, extent, half)).collect();
    let mut padded = vec![0.0; extent + 2 * half];
    for (source, row) in source.chunks_exact(extent).zip(target.chunks_exact_mut(extent)) {
        padded[half..half + extent].copy_from_slice(source);
        for index in (0..half).chain(half + extent..extent + 2 * half) {
            padded[index] = source[beyond[index]];
        }
        row.iter_mut().zip(source).for_each(|(value, middle)| *value = kernel[0] * middle);
        for (distance, &weight) in kernel.iter().enumerate().skip(1) {
            let (before, after) = (&padded[half - distance..][..extent], &padded[half + distance..][..extent]);
            for ((value, before), after) in row.iter_mut().zip(before).zip(after) {
                *value += weight * (before + after);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "intensities are in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_as_long_as_the_references() {
        // 3.5 and 3.9 → 3; 4.1 and 5.9 → 5; 6.1 and 6.5 → 7.
        for (deviation, half) in [(0.5, 1), (0.566, 1), (0.6, 2), (0.9, 2), (0.94, 3), (1.0, 3)] {
            assert_eq!(half_width(deviation), half, "{deviation}");
        }
    }

    #[test]
    fn borders_are_mirrored_without_repeating_them() {
        let indices: Vec<_> = (0..10).map(|index| reflected(index, 4, 3)).collect();
        assert_eq!(indices, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        let indices: Vec<_> = (0..8).map(|index| reflected(index, 2, 3)).collect();
        assert_eq!(indices, [1, 0, 1, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn a_constant_stays_and_the_weights_of_a_point_are_the_kernels() {
        let mut constant = vec![2.0; 5 * 6 * 7];
        blur(&mut constant, [5, 6, 7], [0.5, 0.8, 1.0]);
        assert!(constant.iter().all(|value| (value - 2.0).abs() < 1e-6));
        // e^−2 = 0.135 335 on either side of 1, divided by their sum 1.270 671.
        for (shape, voxel) in [([5, 1, 1], 2), ([1, 5, 1], 2), ([1, 1, 5], 2)] {
            let mut point = vec![0.0; 5];
            point[voxel] = 1.0;
            blur(&mut point, shape, [0.5; 3]);
            for (found, expected) in point.iter().zip([0.0, 0.106_507, 0.786_986, 0.106_507, 0.0]) {
                assert!((found - expected).abs() < 1e-6, "{point:?} of {shape:?}");
            }
        }
    }

    #[test]
    fn axes_are_blurred_each_with_its_own_deviation() {
        let shape = [7, 8, 9];
        let mut point = vec![0.0; 7 * 8 * 9];
        let at = |z: usize, y: usize, x: usize| (z * 8 + y) * 9 + x;
        point[at(3, 4, 4)] = 1.0;
        let deviations = [0.5, 0.75, 1.0];
        blur(&mut point, shape, deviations);
        let [z, y, x] = deviations.map(kernel);
        for (index, expected) in [
            (at(3, 4, 4), z[0] * y[0] * x[0]),
            (at(4, 4, 4), z[1] * y[0] * x[0]),
            (at(3, 2, 4), z[0] * y[2] * x[0]),
            (at(3, 4, 1), z[0] * y[0] * x[3]),
            (at(1, 4, 4), 0.0),
        ] {
            assert!((point[index] - expected).abs() < 1e-6, "{} at {index}, expected {expected}", point[index]);
        }
    }
}
