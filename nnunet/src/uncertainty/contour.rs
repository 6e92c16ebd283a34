//! The contour of a segmentation, and scores per contour voxel.
//!
//! Uncertainty gathers along boundaries, so its sum grows with the size of a structure; divided by the length of the
//! contour, scores of small and large hearts compare. The contour is the mask dilated by 3×3 voxels in plane, less the
//! mask, as in UnnUNet; slices lie in the plane of the two finest axes, where a voxel's neighbor is nearest.
//! A single slice is that plane, whatever the file says of the distance to slices that are not there.

use imaging::Geometry;
use ndarray::{Array3, ArrayView2, Axis};

use crate::dataset::LabelSet;

/// The `[z, y, x]` axis along which a volume is sliced: one of a single voxel, which has no neighbors along it, else the
/// coarsest; z or y rather than a later one of equals.
pub fn slicing_axis(geometry: &Geometry) -> Axis {
    let (shape, spacing) = (geometry.shape(), geometry.spacing().zyx());
    let coarseness = |axis: usize| if shape[axis] == 1 { f64::INFINITY } else { spacing[axis] };
    let coarser = |best: usize, axis: usize| if coarseness(axis) > coarseness(best) { axis } else { best };
    Axis((1..3).fold(0, coarser))
}

/// Voxels outside `mask` `[z, y, x]` with a neighbor inside, among the eight in the plane across `slicing_axis`.
pub fn contour(mask: &Array3<bool>, slicing_axis: Axis) -> Array3<bool> {
    let mut contour = Array3::from_elem(mask.raw_dim(), false);
    for (slice, mut target) in mask.axis_iter(slicing_axis).zip(contour.axis_iter_mut(slicing_axis)) {
        visit_neighbors(&slice, |neighbor| target[neighbor] = true);
    }
    contour
}

/// Calls `visit` for every voxel outside the mask beside one inside, some of them repeatedly.
fn visit_neighbors(mask: &ArrayView2<'_, bool>, mut visit: impl FnMut((usize, usize))) {
    let (n_rows, n_columns) = mask.dim();
    for ((row, column), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
        for i in row.saturating_sub(1)..(row + 2).min(n_rows) {
            for j in column.saturating_sub(1)..(column + 2).min(n_columns) {
                if !mask[(i, j)] {
                    visit((i, j));
                }
            }
        }
    }
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
        let length = |mask: Array3<bool>| contour(&mask, slicing_axis).iter().filter(|on| **on).count();
        Self {
            whole: length(segmentation.mapv(|label| label > 0)),
            structures: (labels.structures.iter())
                .map(|structure| length(segmentation.mapv(|label| structure.values.contains(&label))))
                .collect(),
        }
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
