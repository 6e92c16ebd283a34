//! How a slice of a volume is laid on the page.
//!
//! As a radiologist looks at it: the patient's right and front at the left, front and head at the top. The plane is
//! turned by whole axes, so that every voxel stays what it is. Pixels become square by repeating the nearest voxel, so
//! that a millimeter is as long down the page as across; a plane of more than [`MAX_SIDE`] pixels is thinned out.
//! Pictures, and volumes whose affine says no direction, are shown as they are stored.

use imaging::orientation::AxisCodes;
use imaging::{Dimensionality, Geometry};
use ndarray::{Array2, Array3, ArrayView2, Axis};
use nnunet::uncertainty::slicing_axis;

/// Pixels of a picture's longer side at most.
const MAX_SIDE: f64 = 1024.0;

/// Sides of the body from which an index grows after the turn; of each world axis x, y, z.
const ORIGINS: [char; 3] = ['R', 'A', 'S'];

/// The plane of the slices of a volume, and how it is turned and sampled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    /// Axis of `[z, y, x]` along which slices follow each other.
    pub(super) axis: Axis,
    /// Sides of the body at the top and at the left edge, if they are known.
    pub(super) sides: Option<[char; 2]>,
    is_transposed: bool,
    flips: [bool; 2],
    /// Rows and columns on the page.
    shape: [usize; 2],
}

impl View {
    /// The view of volumes on this grid, sliced as their contours are.
    pub(super) fn of(geometry: &Geometry) -> Self {
        let axis = slicing_axis(geometry);
        let mut axes = match axis.index() {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        };
        let codes = AxisCodes::of(geometry).ok().filter(|_| geometry.dimensionality() == Dimensionality::Three);
        // Codes name x, y, z; arrays are `[z, y, x]`.
        let codes: Vec<char> = codes.map(|codes| codes.to_string().chars().rev().collect()).unwrap_or_default();
        let towards = |axis: usize| codes.get(axis).copied().and_then(Towards::of);
        let is_transposed = towards(axes[0]).zip(towards(axes[1])).is_some_and(|(a, b)| a.world_axis < b.world_axis);
        if is_transposed {
            axes.swap(0, 1);
        }
        let origin = |axis: usize| towards(axis).map(|towards| ORIGINS[towards.world_axis]);
        let extents = axes.map(|axis| geometry.shape()[axis]);
        let spacings = axes.map(|axis| geometry.spacing().zyx()[axis]);
        Self {
            axis,
            sides: origin(axes[0]).zip(origin(axes[1])).map(|(top, left)| [top, left]),
            is_transposed,
            flips: axes.map(|axis| towards(axis).is_some_and(|towards| towards.is_backward)),
            shape: square_pixels(extents, spacings),
        }
    }

    /// Slice `index` of `volume`, turned and sampled; `None` if there is none.
    pub(super) fn plane<T: Copy>(&self, volume: &Array3<T>, index: usize) -> Option<Array2<T>> {
        if index >= volume.len_of(self.axis) || volume.is_empty() {
            return None;
        }
        let mut plane: ArrayView2<'_, T> = volume.index_axis(self.axis, index);
        if self.is_transposed {
            plane = plane.reversed_axes();
        }
        for (axis, _) in self.flips.iter().enumerate().filter(|(_, flip)| **flip) {
            plane.invert_axis(Axis(axis));
        }
        let (rows, columns) = plane.dim();
        // The voxel under the middle of the pixel.
        let nearest = |at: usize, n: usize, extent: usize| (2 * at + 1) * extent / (2 * n);
        let [n_rows, n_columns] = self.shape;
        let sample = |(row, column)| plane[(nearest(row, n_rows, rows), nearest(column, n_columns, columns))];
        Some(Array2::from_shape_fn((n_rows, n_columns), sample))
    }
}

/// Where an index grows to.
struct Towards {
    /// 0 is right–left, 1 anterior–posterior, 2 superior–inferior.
    world_axis: usize,
    /// Against the way of the page.
    is_backward: bool,
}

impl Towards {
    fn of(letter: char) -> Option<Self> {
        let (world_axis, is_backward) = match letter {
            'R' => (0, true),
            'L' => (0, false),
            'A' => (1, true),
            'P' => (1, false),
            'S' => (2, true),
            'I' => (2, false),
            _ => return None,
        };
        Some(Self { world_axis, is_backward })
    }
}

/// Rows and columns of square pixels, as large as the finer voxel side unless that were too many.
fn square_pixels(extents: [usize; 2], spacings: [f64; 2]) -> [usize; 2] {
    let finest = spacings[0].min(spacings[1]);
    // A header may say anything; the ratio of its sides need not be finite.
    let n_pixels = [0, 1].map(|axis| extents[axis] as f64 * (spacings[axis] / finest).min(1e9));
    let thinned = (n_pixels[0].max(n_pixels[1]) / MAX_SIDE).max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to `MAX_SIDE`")]
    n_pixels.map(|n| (n / thinned).round().clamp(1.0, MAX_SIDE) as usize)
}

#[cfg(test)]
mod tests {
    use imaging::Spacing;
    use ndarray::arr2;

    use super::*;

    fn geometry(shape: [usize; 3], zyx: [f64; 3]) -> Geometry {
        Geometry::axis_aligned(shape, Spacing::new(zyx).unwrap(), Dimensionality::Three)
    }

    #[test]
    fn the_front_is_at_the_top_and_the_right_at_the_left() {
        // RAS: rows run to the front, columns to the right; both turn around.
        let view = View::of(&geometry([1, 2, 3], [1.0; 3]));
        let volume = Array3::from_shape_fn((1, 2, 3), |(_, y, x)| 10 * y + x);
        assert_eq!(view.plane(&volume, 0).unwrap(), arr2(&[[12, 11, 10], [2, 1, 0]]));
        assert_eq!(view.sides, Some(['A', 'R']));
    }

    #[test]
    fn slices_follow_each_other_along_the_coarsest_axis() {
        // Coarse along x: rows are z, from the head down, columns y, from the front back.
        let view = View::of(&geometry([2, 3, 4], [1.0, 1.0, 5.0]));
        assert_eq!((view.axis, view.sides), (Axis(2), Some(['S', 'A'])));
        let volume = Array3::from_shape_fn((2, 3, 4), |(z, y, x)| 100 * z + 10 * y + x);
        assert_eq!(view.plane(&volume, 3).unwrap(), arr2(&[[123, 113, 103], [23, 13, 3]]));
        assert_eq!(view.plane(&volume, 4), None);
    }

    #[test]
    fn a_picture_is_shown_as_it_is_stored() {
        let geometry = Geometry::axis_aligned([1, 1, 2], Spacing::new([1.0; 3]).unwrap(), Dimensionality::Two);
        let view = View::of(&geometry);
        let volume = Array3::from_shape_fn((1, 1, 2), |(_, _, x)| x);
        assert_eq!((view.plane(&volume, 0).unwrap(), view.sides), (arr2(&[[0, 1]]), None));
    }

    #[test]
    fn a_millimeter_is_as_long_down_as_across() {
        assert_eq!(square_pixels([10, 20], [2.0, 1.0]), [20, 20]);
        assert_eq!(square_pixels([2048, 512], [1.0, 1.0]), [1024, 256]);
        // A header may say anything.
        assert_eq!(square_pixels([1, 1], [1e-300, 1e300]), [1, 1024]);
        assert_eq!(square_pixels([3, 3], [1e300, 1e-300]).map(|n| (1..=1024).contains(&n)), [true; 2]);
    }
}
