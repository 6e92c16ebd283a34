//! The contour of a segmentation, and scores per contour voxel.
//!
//! Uncertainty gathers along boundaries, so its sum grows with the size of a structure; divided by the length of the
//! contour, scores of small and large hearts compare. The contour is the mask dilated by 3×3 voxels in plane, less the
//! mask, as in UnnUNet; slices lie in the plane of the two finest axes, where a voxel's neighbor is nearest.
//! A single slice is that plane, whatever the file says of the distance to slices that are not there.

use std::ops::Range;
use std::{array, iter};

use imaging::Geometry;
use ndarray::{Array3, ArrayRef2, Axis, Zip, s};
use rayon::prelude::*;

use crate::dataset::LabelSet;

/// The `[z, y, x]` axis along which a volume is sliced: one of a single voxel, which has no neighbors along it, else the
/// coarsest; z or y rather than a later one of equals.
pub fn slicing_axis(geometry: &Geometry) -> Axis {
    let (shape, spacing) = (geometry.shape(), geometry.spacing().zyx());
    let coarseness = |axis: usize| if shape[axis] == 1 { f64::INFINITY } else { spacing[axis] };
    let coarser = |best: usize, axis: usize| if coarseness(axis) > coarseness(best) { axis } else { best };
    Axis((1..3).fold(0, coarser))
}

/// Masks that are looked at together: one bit of a word each.
const N_MASKS: usize = u64::BITS as usize;

/// Which of up to [`N_MASKS`] masks have a label, for every label; a mask is a set of labels.
pub(super) fn masks_of(masks: &[&[u8]]) -> [u64; 256] {
    let mut masks_of = [0; 256];
    for (i, labels) in masks.iter().enumerate() {
        labels.iter().for_each(|&label| masks_of[usize::from(label)] |= 1 << i);
    }
    masks_of
}

/// Lengths of the contours of up to [`N_MASKS`] masks of a slice `[y, x]`, of which `masks_of` says which have a label.
pub(super) fn contour_lengths(slice: &ArrayRef2<u8>, masks_of: &[u64; 256]) -> [usize; N_MASKS] {
    let inside = slice.mapv(|label| masks_of[usize::from(label)]);
    let mut lengths = [0; N_MASKS];
    if inside.iter().all(|&masks| masks == 0) {
        return lengths;
    }
    // Inside or beside, along x; then along y.
    let mut beside = inside.clone();
    let (_, n_columns) = inside.dim();
    let mut along_x = |to: Range<usize>, from: Range<usize>| {
        beside.slice_mut(s![.., to]).zip_mut_with(&inside.slice(s![.., from]), |beside, masks| *beside |= masks);
    };
    along_x(1..n_columns, 0..n_columns - 1);
    along_x(0..n_columns - 1, 1..n_columns);
    let last = inside.nrows() - 1;
    for (y, inside) in inside.outer_iter().enumerate() {
        let [above, here, below] = [y.saturating_sub(1), y, (y + 1).min(last)].map(|y| beside.row(y));
        Zip::from(above).and(here).and(below).and(inside).for_each(|above, here, below, inside| {
            let mut outside = (above | here | below) & !inside;
            while outside != 0 {
                lengths[outside.trailing_zeros() as usize] += 1;
                outside &= outside - 1;
            }
        });
    }
    lengths
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
        let foreground: Vec<u8> = (1..=u8::MAX).collect();
        let structures = labels.structures.iter().map(|structure| structure.values.as_slice());
        let masks: Vec<&[u8]> = iter::once(foreground.as_slice()).chain(structures).collect();
        let mut lengths = masks.chunks(N_MASKS).flat_map(|masks| {
            let masks_of = masks_of(masks);
            let slices = segmentation.axis_iter(slicing_axis).into_par_iter();
            let lengths = slices.map(|slice| contour_lengths(&slice, &masks_of));
            let lengths = lengths.reduce(|| [0; N_MASKS], |a, b| array::from_fn(|i| a[i] + b[i]));
            lengths.into_iter().take(masks.len())
        });
        Self { whole: lengths.next().unwrap_or_default(), structures: lengths.collect() }
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
