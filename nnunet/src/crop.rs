//! Cropping to the nonzero region, and the mask of that region.
//!
//! Scanners and skull-stripping leave margins of exact zeros. They are cut off before anything else, and remembered,
//! so that a prediction can be put back. Follows nnU-Net's `crop_to_nonzero`: a voxel counts if any channel is not
//! zero, and zeros enclosed by such voxels (six neighbors) count as well.

use std::ops::Range;

use ndarray::{Array3, ArrayView4, Axis, Zip};
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
    let shape = [a, b, c];
    let mut bounds = BoundingBox::whole(shape);
    for (axis, &extent) in shape.iter().enumerate() {
        let is_empty = |&index: &usize| voxels.index_axis(Axis(axis + 1), index).iter().all(|&value| value == 0.0);
        let Some(first) = (0..extent).find(|index| !is_empty(index)) else { return BoundingBox::whole(shape) };
        let last = (first..extent).rfind(|index| !is_empty(index)).unwrap_or(first);
        bounds.start[axis] = first;
        bounds.end[axis] = last + 1;
    }
    bounds
}

/// True where any channel of `[channel, a, b, c]` is not zero, or the zeros are enclosed.
pub fn nonzero_mask(voxels: &ArrayView4<'_, f32>) -> Array3<bool> {
    let (_, a, b, c) = voxels.dim();
    let mut mask = Array3::from_elem((a, b, c), false);
    for channel in voxels.outer_iter() {
        Zip::from(&mut mask).and(channel).for_each(|mask, &value| *mask |= value != 0.0);
    }
    fill_holes(&mut mask);
    mask
}

/// Sets every false voxel that no path of false face neighbors joins to the border.
fn fill_holes(mask: &mut Array3<bool>) {
    if mask.iter().all(|&inside| inside) {
        return;
    }
    let (a, b, c) = mask.dim();
    let mut outside = Array3::from_elem(mask.raw_dim(), false);
    let mut stack: Vec<[usize; 3]> = Vec::new();
    for ((i, j, k), &inside) in mask.indexed_iter() {
        let on_border = i == 0 || j == 0 || k == 0 || i + 1 == a || j + 1 == b || k + 1 == c;
        if on_border && !inside {
            outside[[i, j, k]] = true;
            stack.push([i, j, k]);
        }
    }
    while let Some(voxel) = stack.pop() {
        for axis in 0..3 {
            for step in [usize::MAX, 1] {
                let mut neighbor = voxel;
                neighbor[axis] = neighbor[axis].wrapping_add(step);
                if let (Some(&false), Some(reached @ &mut false)) = (mask.get(neighbor), outside.get_mut(neighbor)) {
                    *reached = true;
                    stack.push(neighbor);
                }
            }
        }
    }
    Zip::from(mask).and(&outside).for_each(|mask, &outside| *mask = !outside);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, array};

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

    #[test]
    fn enclosed_zeros_belong_to_the_mask_and_open_ones_do_not() {
        // In a volume of one slice everything touches the border along z, so holes need three slices.
        let mut image = Array4::from_elem((1, 3, 3, 4), 1.0);
        image[[0, 1, 1, 1]] = 0.0;
        image[[0, 1, 1, 2]] = 0.0;
        assert!(nonzero_mask(&image.view()).iter().all(|&inside| inside));
        image[[0, 1, 1, 3]] = 0.0;
        let mask = nonzero_mask(&image.view());
        assert_eq!(mask.index_axis(Axis(0), 1).row(1), array![true, false, false, false]);
        assert_eq!(mask.iter().filter(|&&inside| !inside).count(), 3);
    }
}
