//! Cropping to the nonzero region.
//!
//! Scanners and skull-stripping leave margins of exact zeros. They are cut off before anything else, and remembered,
//! so that a prediction can be put back. Follows nnU-Net's `crop_to_nonzero`: a voxel counts if any channel is not
//! zero. Zeros inside of the box are looked at later, where a mask is needed.

use std::ops::Range;

use ndarray::{ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Part of a grid: from `start` up to, not including, `end`, in voxels along each array axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundingBox {
    /// First voxel.
    pub start: [usize; 3],
    /// One past the last voxel.
    pub end: [usize; 3],
}

impl BoundingBox {
    /// All of a grid.
    pub fn whole(shape: [usize; 3]) -> Self {
        Self { start: [0; 3], end: shape }
    }

    /// Extents of the box.
    pub fn shape(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.end[axis] - self.start[axis])
    }

    /// Indices along one axis.
    pub fn range(&self, axis: usize) -> Range<usize> {
        self.start[axis]..self.end[axis]
    }
}

/// Smallest box around the voxels of `[channel, a, b, c]` that are not zero in every channel; the whole grid if
/// there are none.
pub fn nonzero_box(voxels: &ArrayView4<'_, f32>) -> BoundingBox {
    let (_, a, b, c) = voxels.dim();
    let planes = voxels.axis_iter(Axis(1)).into_par_iter().map(|plane| bounds_of_plane(&plane));
    // In order, so that the first and the last plane with signal are known by their place.
    let planes: Vec<Option<PlaneBounds>> = planes.collect();
    let with_signal = |(_, bounds): &(usize, &Option<PlaneBounds>)| bounds.is_some();
    let (Some((first, _)), Some((last, _))) =
        (planes.iter().enumerate().find(with_signal), planes.iter().enumerate().rfind(with_signal))
    else {
        return BoundingBox::whole([a, b, c]);
    };
    let within = planes.into_iter().flatten().fold(PlaneBounds::EMPTY, PlaneBounds::and);
    BoundingBox { start: [first, within.start[0], within.start[1]], end: [last + 1, within.end[0], within.end[1]] }
}

/// Bounds `[b, c]` of the signal in one plane.
#[derive(Clone, Copy)]
struct PlaneBounds {
    start: [usize; 2],
    end: [usize; 2],
}

impl PlaneBounds {
    const EMPTY: Self = Self { start: [usize::MAX; 2], end: [0; 2] };

    fn and(self, other: Self) -> Self {
        Self {
            start: std::array::from_fn(|axis| self.start[axis].min(other.start[axis])),
            end: std::array::from_fn(|axis| self.end[axis].max(other.end[axis])),
        }
    }
}

/// Bounds of the voxels of `[channel, b, c]` that are not zero in every channel, if there are any.
fn bounds_of_plane(plane: &ArrayView3<'_, f32>) -> Option<PlaneBounds> {
    let mut bounds = PlaneBounds::EMPTY;
    for channel in plane.outer_iter() {
        for (index, row) in channel.outer_iter().enumerate() {
            let has_signal = |&value: &f32| value != 0.0;
            let Some(first) = row.iter().position(has_signal) else { continue };
            let from_the_end = row.iter().rev().position(has_signal).unwrap_or(0);
            let row = PlaneBounds { start: [index, first], end: [index + 1, row.len() - from_the_end] };
            bounds = bounds.and(row);
        }
    }
    (bounds.end[0] > 0).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    fn rows(rows: &[&[u8]]) -> Array4<f32> {
        Array4::from_shape_fn((1, 1, rows.len(), rows[0].len()), |(_, _, y, x)| f32::from(rows[y][x]))
    }

    fn check(image: &Array4<f32>, start: [usize; 3], end: [usize; 3]) {
        assert_eq!(nonzero_box(&image.view()), BoundingBox { start, end });
    }

    #[test]
    fn the_box_is_tight() {
        check(&rows(&[&[0, 0, 0, 0], &[0, 0, 1, 0], &[0, 1, 0, 0]]), [0, 1, 1], [1, 3, 3]);
        check(&rows(&[&[5]]), [0, 0, 0], [1, 1, 1]);
    }

    #[test]
    fn an_image_of_zeros_is_kept_whole() {
        check(&rows(&[&[0, 0], &[0, 0]]), [0, 0, 0], [1, 2, 2]);
    }

    #[test]
    fn one_channel_is_enough() {
        let mut image = Array4::zeros((2, 1, 1, 3));
        image[[1, 0, 0, 2]] = -1.0;
        check(&image, [0, 0, 2], [1, 1, 3]);
    }
}
