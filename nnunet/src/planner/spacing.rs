//! The spacing that a data set is trained at, and the axis order that follows from it.
//!
//! The median spacing, except for sets with few thick slices: their slice spacing is the 10th percentile, because the
//! thin-sliced cases would lose too much at the median. Or the one that the user sets.

use crate::fingerprint::Fingerprint;
use crate::percentile::percentile;

/// An axis more than this many times as coarse as the others is treated on its own.
const ANISOTROPY_THRESHOLD: f64 = 3.0;

/// Spacing of the full resolution, mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TargetSpacing {
    /// In the file's order `[z, y, x]`.
    pub(super) spacing: [f64; 3],
    /// The coarsest axis first, the others in their order.
    pub(super) transpose_forward: [usize; 3],
}

impl TargetSpacing {
    /// The spacing set in the file's order `[z, y, x]`.
    pub(super) fn set(spacing: [f64; 3]) -> Self {
        let first = coarsest(spacing);
        let mut transpose_forward = [first; 3];
        for (place, axis) in transpose_forward[1..].iter_mut().zip((0..3).filter(|&axis| axis != first)) {
            *place = axis;
        }
        Self { spacing, transpose_forward }
    }

    /// nnU-Net's choice for a training set; `None` if the fingerprint has no cases.
    pub(super) fn of(fingerprint: &Fingerprint) -> Option<Self> {
        let (spacings, shapes) = (&fingerprint.spacings, &fingerprint.shapes_after_crop);
        let along = |axis: usize| spacings.iter().map(|spacing| spacing[axis]).collect::<Vec<_>>();
        let extents = |axis: usize| shapes.iter().map(|shape| shape[axis] as f64).collect::<Vec<_>>();
        let mut spacing = [0.0; 3];
        let mut shape = [0.0; 3];
        for axis in 0..3 {
            spacing[axis] = percentile(&along(axis), 50.0)?;
            shape[axis] = percentile(&extents(axis), 50.0)?;
        }
        let coarse = coarsest(spacing);
        let others: Vec<usize> = (0..3).filter(|&axis| axis != coarse).collect();
        let finest_other = others.iter().map(|&axis| spacing[axis]).fold(0.0, f64::max);
        let least_extent = others.iter().map(|&axis| shape[axis]).fold(f64::INFINITY, f64::min);
        let thick_slices = spacing[coarse] > ANISOTROPY_THRESHOLD * finest_other;
        let few_slices = shape[coarse] * ANISOTROPY_THRESHOLD < least_extent;
        if thick_slices && few_slices {
            let thin = percentile(&along(coarse), 10.0)?;
            spacing[coarse] = if thin < finest_other { finest_other + 1e-5 } else { thin };
        }
        Some(Self::set(spacing))
    }

    /// In network order.
    pub(super) fn transposed(&self) -> [f64; 3] {
        self.transpose_forward.map(|axis| self.spacing[axis])
    }

    /// The permutation that undoes `transpose_forward`.
    pub(super) fn transpose_backward(&self) -> [usize; 3] {
        let mut backward = [0; 3];
        for (i, &axis) in self.transpose_forward.iter().enumerate() {
            backward[axis] = i;
        }
        backward
    }
}

/// The first of the axes with the largest spacing.
fn coarsest(spacing: [f64; 3]) -> usize {
    (1..3).fold(0, |best, axis| if spacing[axis] > spacing[best] { axis } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexMap;

    fn check(cases: &[([f64; 3], [usize; 3])], expected: [f64; 3], forward: [usize; 3]) {
        let fingerprint = Fingerprint {
            foreground_intensity_properties_per_channel: IndexMap::new(),
            median_relative_size_after_cropping: 1.0,
            shapes_after_crop: cases.iter().map(|case| case.1).collect(),
            spacings: cases.iter().map(|case| case.0).collect(),
        };
        let target = TargetSpacing::of(&fingerprint).unwrap();
        assert_eq!((target.spacing, target.transpose_forward), (expected, forward));
        let backward = target.transpose_backward();
        assert_eq!(target.transpose_forward.map(|axis| backward[axis]), [0, 1, 2]);
    }

    #[test]
    fn the_target_is_the_median() {
        check(&[([1.0, 2.0, 3.0], [9, 9, 9]), ([2.0, 2.0, 3.0], [9, 9, 9])], [1.5, 2.0, 3.0], [2, 0, 1]);
    }

    #[test]
    fn few_thick_slices_take_the_tenth_percentile_but_stay_coarser_than_the_plane() {
        let thick = |mm| ([1.0, 1.0, mm], [100, 100, 10]);
        check(&[thick(4.0), thick(9.0), thick(10.0)], [1.0, 1.0, 5.0], [2, 0, 1]);
        check(&[thick(0.5), thick(9.0), thick(10.0)], [1.0, 1.0, 2.2], [2, 0, 1]);
        check(&[thick(0.5), thick(0.5), thick(9.0), thick(9.0), thick(9.0)], [1.0, 1.0, 1.0 + 1e-5], [2, 0, 1]);
    }

    #[test]
    fn the_coarsest_axis_of_a_set_spacing_comes_first_too() {
        let target = TargetSpacing::set([1.0, 3.0, 3.0]);
        assert_eq!((target.transposed(), target.transpose_forward), ([3.0, 1.0, 3.0], [1, 0, 2]));
    }

    #[test]
    fn many_thick_slices_keep_the_median() {
        let thick = |mm| ([mm, 1.0, 1.0], [40, 100, 100]);
        check(&[thick(4.0), thick(9.0), thick(10.0)], [9.0, 1.0, 1.0], [0, 1, 2]);
    }
}
