//! Positions of the patches along one axis.

use std::ops::Range;

/// The patches along one axis of an image.
///
/// An axis shorter than the patch is padded to it, the smaller half before the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AxisGrid {
    extent: usize,
    patch: usize,
    /// First voxel of each patch on the padded axis, ascending.
    origins: Vec<usize>,
}

/// The part of a patch that lies inside the image, in both numberings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Voxels of the image.
    pub(super) in_image: Range<usize>,
    /// The same voxels, counted from the patch's first.
    pub(super) in_patch: Range<usize>,
}

impl AxisGrid {
    /// Lays patches of `patch` voxels over `extent` voxels, no further apart than `step_fraction` of a patch.
    ///
    /// A patch of one voxel visits every voxel once, whatever the step: so a 2D configuration visits its slices.
    pub(super) fn new(extent: usize, patch: usize, step_fraction: f64) -> Self {
        let padded = extent.max(patch);
        let last = padded - patch;
        let origins = if patch == 1 { (0..padded).collect() } else { origins(last, patch as f64 * step_fraction) };
        Self { extent, patch, origins }
    }

    /// Number of patches.
    pub(super) fn len(&self) -> usize {
        self.origins.len()
    }

    /// The patches from the first to the last.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        let before = self.patch.saturating_sub(self.extent) / 2;
        let extent = self.extent.min(self.patch);
        let span = move |&origin: &usize| Span { in_image: origin..origin + extent, in_patch: before..before + extent };
        self.origins.iter().map(span)
    }

    /// Sum of the weights that each voxel of the image receives from all patches.
    pub(super) fn totals(&self, curve: &[f64]) -> Vec<f64> {
        let mut totals = vec![0.0; self.extent];
        for span in self.spans() {
            for (total, weight) in totals[span.in_image].iter_mut().zip(&curve[span.in_patch]) {
                *total += weight;
            }
        }
        totals
    }
}

/// Evenly spaced whole numbers from 0 to `last`, at most `step` apart before rounding; halves go to the even side, as
/// NumPy rounds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers lie between 0 and the extent of an image"
)]
fn origins(last: usize, step: f64) -> Vec<usize> {
    let n_steps = (last as f64 / step).ceil() as usize;
    let actual = if n_steps == 0 { 0.0 } else { last as f64 / n_steps as f64 };
    (0..=n_steps).map(|i| (actual * i as f64).round_ties_even() as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_example_in_nnunet() {
        // "if we have image size of 110, patch size of 64 and step_size of 0.5, then 3 steps starting at 0, 23, 46"
        assert_eq!(AxisGrid::new(110, 64, 0.5).origins, [0, 23, 46]);
    }

    #[test]
    fn a_short_axis_lies_in_the_middle_of_one_patch() {
        let grid = AxisGrid::new(3, 8, 0.5);
        // Five voxels are missing: two before, three after.
        assert_eq!(grid.spans().collect::<Vec<_>>(), [Span { in_image: 0..3, in_patch: 2..5 }]);
    }

    #[test]
    fn a_patch_of_one_voxel_visits_each_voxel_once() {
        assert_eq!(AxisGrid::new(4, 1, 0.5).origins, [0, 1, 2, 3]);
    }

    #[test]
    fn totals_add_up_over_overlapping_patches() {
        let grid = AxisGrid::new(4, 2, 0.5);
        assert_eq!(grid.origins, [0, 1, 2]);
        assert_eq!(grid.totals(&[1.0, 10.0]), [1.0, 11.0, 11.0, 10.0]);
    }
}
