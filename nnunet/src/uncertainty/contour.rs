//! The contour of a segmentation, and scores per contour voxel.
//!
//! Uncertainty gathers along boundaries, so its sum grows with the size of a structure; divided by the length of the
//! contour, scores of small and large hearts compare. The contour is the mask dilated by 3×3 voxels in plane, less the
//! mask, as in UnnUNet; slices lie in the plane of the two finest axes, where a voxel's neighbor is nearest.
//! A single slice is that plane, whatever the file says of the distance to slices that are not there.

use imaging::Geometry;
use ndarray::{Array2, Array3, ArrayRef2, Axis};
use rayon::prelude::*;

use crate::dataset::{LabelSet, Structure};

/// The `[z, y, x]` axis along which a volume is sliced: one of a single voxel, which has no neighbors along it, else the
/// coarsest; z or y rather than a later one of equals.
pub fn slicing_axis(geometry: &Geometry) -> Axis {
    let (shape, spacing) = (geometry.shape(), geometry.spacing().zyx());
    let coarseness = |axis: usize| if shape[axis] == 1 { f64::INFINITY } else { spacing[axis] };
    let coarser = |best: usize, axis: usize| if coarseness(axis) > coarseness(best) { axis } else { best };
    Axis((1..3).fold(0, coarser))
}

/// Voxels outside `mask`, a slice, with one of their eight neighbors inside.
pub fn contour(mask: &ArrayRef2<bool>) -> Array2<bool> {
    let (n_rows, n_columns) = mask.dim();
    let mut contour = Array2::from_elem(mask.raw_dim(), false);
    for ((row, column), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
        for i in row.saturating_sub(1)..(row + 2).min(n_rows) {
            for j in column.saturating_sub(1)..(column + 2).min(n_columns) {
                contour[(i, j)] = !mask[(i, j)];
            }
        }
    }
    contour
}

/// Voxels of the contour of a slice of a mask.
pub(super) fn contour_length(mask: &ArrayRef2<bool>) -> usize {
    contour(mask).iter().filter(|on| **on).count()
}

/// Lengths of the contours of a segmentation, in voxels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contours {
    whole: usize,
    structures: Vec<usize>,
}

impl Contours {
    /// Measures the contours of all foreground together and of each structure of `labels`.
    pub fn of(segmentation: &Array3<u8>, labels: &LabelSet, slicing_axis: Axis) -> Self {
        let length = |is_inside: &(dyn Fn(u8) -> bool + Sync)| {
            let slices = segmentation.axis_iter(slicing_axis).into_par_iter();
            slices.map(|slice| contour_length(&slice.mapv(is_inside))).sum()
        };
        let of_structure = |structure: &Structure| length(&|label| structure.values.contains(&label));
        Self { whole: length(&|label| label > 0), structures: labels.structures.iter().map(of_structure).collect() }
    }

    /// Scores of an uncertainty map on the segmentation's grid.
    pub fn scores(&self, map: &Array3<f32>) -> Scores {
        let total: f64 = map.iter().map(|&bits| f64::from(bits)).sum();
        let per_voxel = |length: usize| (length > 0).then(|| total / length as f64);
        Scores {
            whole: per_voxel(self.whole),
            structures: self.structures.iter().map(|&length| per_voxel(length)).collect(),
        }
    }
}

/// Uncertainty of a case per contour voxel, in the map's unit; larger is less certain.
///
/// A score is `None` where the contour is empty: nothing was segmented, or everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Per voxel of the contour of all foreground.
    pub whole: Option<f64>,
    /// The same sum per voxel of each structure's contour, in the order of the labels.
    pub structures: Vec<Option<f64>>,
}
