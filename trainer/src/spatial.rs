//! Turning and scaling of a patch while it is taken from its case.
//!
//! Follows nnU-Net's `SpatialTransform` as its default trainer uses it: rotation and scaling with probability 0.2 each,
//! one scale from 0.7 to 1.4 for all axes (above 1 the patch covers more), linear interpolation, zeros around the
//! image; labels by the class with the largest interpolated weight, the nearest voxel's where classes are even.
//! Departs in reading from the case itself and not from a box cut out of it, so that a patch scaled beyond the box
//! sees the case and not zeros.

mod neighbors;
mod rows;

use std::ops::RangeInclusive;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::block::Block;
use crate::patch_geometry::{PatchGeometry, Rotation};
use crate::store::OUTSIDE;

const PROBABILITY: f64 = 0.2;
const SCALES: RangeInclusive<f64> = 0.7..=1.4;

/// Row-major 3×3 matrix on `[z, y, x]`.
type Matrix = [[f64; 3]; 3];

/// From voxels of a patch to places in the case.
#[derive(Debug, Clone, PartialEq)]
pub enum SpatialTransform {
    /// The patch begins at this voxel of the case.
    Crop([i64; 3]),
    /// The patch is turned and scaled about this place in the case.
    Affine {
        /// Place of the patch's center.
        center: [f64; 3],
        /// What turns an offset from the patch's center into one from `center`.
        matrix: [[f64; 3]; 3],
    },
}

impl SpatialTransform {
    /// The patch in the middle of a sampled box, as it is.
    pub fn crop(lower: [i64; 3], geometry: &PatchGeometry) -> Self {
        let half = |extent: usize| signed(extent) / 2;
        let first = |axis: usize| lower[axis] + half(geometry.sampled[axis]) - half(geometry.patch[axis]);
        Self::Crop([first(0), first(1), first(2)])
    }

    /// Draws whether and how the patch in the middle of a sampled box is turned and scaled.
    pub fn draw(generator: &mut ChaCha8Rng, lower: [i64; 3], geometry: &PatchGeometry) -> Self {
        let rotates = generator.random::<f64>() < PROBABILITY;
        let scales = generator.random::<f64>() < PROBABILITY;
        let mut angle = |limit: f64| if rotates { generator.random_range(-limit..=limit) } else { 0.0 };
        let rotation = match geometry.rotation {
            Rotation::InPlane(limit) => rotation([angle(limit), 0.0, 0.0]),
            Rotation::Volume(limit) => rotation([angle(limit), angle(limit), angle(limit)]),
        };
        let scale = if scales { generator.random_range(SCALES) } else { 1.0 };
        if !rotates && !scales {
            return Self::crop(lower, geometry);
        }
        let first_scale = match geometry.rotation {
            Rotation::InPlane(_) => 1.0,
            Rotation::Volume(_) => scale,
        };
        let scales = [first_scale, scale, scale];
        let matrix = rotation.map(|row| std::array::from_fn(|axis| row[axis] * scales[axis]));
        let center = std::array::from_fn(|axis| match (axis, geometry.rotation) {
            // Slices stay slices: the patch begins where the box does.
            (0, Rotation::InPlane(_)) => lower[0] as f64 + (geometry.patch[0] as f64 - 1.0) / 2.0,
            _ => lower[axis] as f64 + (geometry.sampled[axis] as f64 - 1.0) / 2.0,
        });
        Self::Affine { center, matrix }
    }

    /// Voxels of the case that a patch needs: first and one past the last, not yet cut to the case.
    pub fn reach(&self, patch: [usize; 3]) -> ([i64; 3], [i64; 3]) {
        match self {
            Self::Crop(first) => (*first, std::array::from_fn(|axis| first[axis] + signed(patch[axis]))),
            Self::Affine { center, matrix } => {
                let reach: [f64; 3] = std::array::from_fn(|row| {
                    (0..3).map(|axis| matrix[row][axis].abs() * (patch[axis] as f64 - 1.0) / 2.0).sum()
                });
                let first = std::array::from_fn(|axis| floor(center[axis] - reach[axis] - TINY));
                let end = std::array::from_fn(|axis| floor(center[axis] + reach[axis] + TINY) + 2);
                (first, end)
            }
        }
    }

    /// Image `[channel, z, y, x]` and labels `[z, y, x]` of the patch. The block must hold what the patch needs of
    /// the case; what it does not hold is taken to lie outside: 0 and −1.
    pub fn apply(&self, block: &Block, patch: [usize; 3]) -> (Vec<f32>, Vec<i16>) {
        let n_voxels = patch.iter().product::<usize>();
        let mut image = vec![0.0; n_voxels * block.n_channels()];
        let mut labels = vec![OUTSIDE; n_voxels];
        match self {
            Self::Crop(first) => crop(block, *first, patch, &mut image, &mut labels),
            Self::Affine { center, matrix } => {
                rows::resample(block, &rows::Grid::new(*center, *matrix, patch), &mut image, &mut labels);
            }
        }
        (image, labels)
    }
}

/// Rounding of a place, far below the width of a voxel.
const TINY: f64 = 1e-6;

fn crop(block: &Block, first: [i64; 3], patch: [usize; 3], image: &mut [f32], labels: &mut [i16]) {
    // Part of a row of the patch that lies in the block.
    let x_block = signed(block.lower[2]);
    let begin = (x_block - first[2]).clamp(0, signed(patch[2]));
    let end = (x_block + signed(block.shape[2]) - first[2]).clamp(begin, signed(patch[2]));
    let (Ok(begin), Ok(end)) = (usize::try_from(begin), usize::try_from(end)) else { return };
    if begin == end {
        return;
    }
    let (n_patch, n_block) = (labels.len(), block.labels.len());
    for z in 0..patch[0] {
        for y in 0..patch[1] {
            let voxel = [first[0] + signed(z), first[1] + signed(y), first[2] + signed(begin)];
            let Some(from) = block.index(voxel) else { continue };
            let to = (z * patch[1] + y) * patch[2] + begin;
            let len = end - begin;
            labels[to..to + len].copy_from_slice(&block.labels[from..from + len]);
            for channel in 0..block.n_channels() {
                let (from, to) = (channel * n_block + from, channel * n_patch + to);
                image[to..to + len].copy_from_slice(&block.image[from..from + len]);
            }
        }
    }
}

/// Rotation by angles about the axes z, y and x of the patch, in the order of nnU-Net.
fn rotation([z, y, x]: [f64; 3]) -> Matrix {
    let plane = |first: usize, second: usize, angle: f64| {
        let mut matrix: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let (sin, cos) = angle.sin_cos();
        (matrix[first][first], matrix[first][second]) = (cos, -sin);
        (matrix[second][first], matrix[second][second]) = (sin, cos);
        matrix
    };
    product(&plane(0, 1, x), &product(&plane(2, 0, y), &plane(1, 2, z)))
}

fn product(left: &Matrix, right: &Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..3).map(|k| left[row][k] * right[k][column]).sum()))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn signed(extent: usize) -> i64 {
    i64::try_from(extent).expect("an extent in memory is below 2^63")
}

#[expect(clippy::cast_possible_truncation, reason = "places lie within a few patches of the case")]
fn floor(coordinate: f64) -> i64 {
    coordinate.floor() as i64
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use super::*;

    /// A slice of 2 × 3 voxels, whose labels are its values rounded down.
    fn block() -> Block {
        let image = vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        Block { lower: [0; 3], shape: [1, 2, 3], labels: vec![0, 1, 2, 3, 4, 5], image }
    }

    fn check(transform: &SpatialTransform, patch: [usize; 3], image: &[f32], labels: &[i16]) {
        let (found_image, found_labels) = transform.apply(&block(), patch);
        assert_eq!(found_labels, labels);
        for (found, expected) in found_image.iter().zip(image) {
            assert!((found - expected).abs() < 1e-5, "{found_image:?}, expected {image:?}");
        }
    }

    #[test]
    fn a_crop_over_the_border_is_padded() {
        check(&SpatialTransform::Crop([0, 0, 1]), [1, 1, 2], &[1.0, 2.0], &[1, 2]);
        check(&SpatialTransform::Crop([0, -1, -1]), [1, 2, 2], &[0.0, 0.0, 0.0, 0.0], &[-1, -1, -1, 0]);
        check(&SpatialTransform::Crop([0, 1, 2]), [1, 2, 2], &[5.0, 0.0, 0.0, 0.0], &[5, -1, -1, -1]);
        check(&SpatialTransform::Crop([0, 0, 7]), [1, 1, 1], &[0.0], &[-1]);
    }

    #[test]
    fn a_quarter_turn_moves_rows_to_columns() {
        let matrix = rotation([FRAC_PI_2, 0.0, 0.0]);
        let turned = SpatialTransform::Affine { center: [0.0, 0.5, 0.5], matrix };
        // y' = -x, x' = y about the middle of the left 2 × 2 voxels.
        check(&turned, [1, 2, 2], &[3.0, 0.0, 4.0, 1.0], &[3, 0, 4, 1]);
    }

    #[test]
    fn scaling_interpolates_and_ties_go_to_the_nearest_voxel() {
        let matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5]];
        let zoomed = SpatialTransform::Affine { center: [0.0, 0.0, 1.0], matrix };
        check(&zoomed, [1, 1, 3], &[0.5, 1.0, 1.5], &[1, 1, 2]);
    }

    #[test]
    fn the_larger_share_of_a_label_wins() {
        let matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let shifted = SpatialTransform::Affine { center: [0.0, 1.0, 1.75], matrix };
        check(&shifted, [1, 1, 1], &[4.75], &[5]);
        // A quarter lies outside: value 0 there, label of the voxel inside.
        let shifted = SpatialTransform::Affine { center: [0.0, 1.0, 2.25], matrix };
        check(&shifted, [1, 1, 1], &[3.75], &[5]);
    }

    #[test]
    fn a_patch_needs_no_voxel_beyond_its_reach() {
        let matrix = rotation([0.3, -0.2, 0.5]);
        let transform = SpatialTransform::Affine { center: [5.0, 6.5, 7.0], matrix };
        let (first, end) = transform.reach([3, 4, 5]);
        for corner in 0..8_usize {
            let offset = [(corner >> 2 & 1) as f64 * 2.0 - 1.0, (corner >> 1 & 1) as f64 * 3.0 - 1.5, {
                (corner & 1) as f64 * 4.0 - 2.0
            }];
            for axis in 0..3 {
                let place = [5.0, 6.5, 7.0][axis] + dot(matrix[axis], offset);
                assert!(floor(place) >= first[axis] && floor(place) + 1 < end[axis]);
            }
        }
    }
}
