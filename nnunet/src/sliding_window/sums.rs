//! What the patches of a case add up to.
//!
//! The system hands out memory page by page as it is touched. Rows are touched when the first patch reaches them, so that
//! the memory of a member before, which is restored meanwhile, can be returned first. They are written then, not read: a
//! page that is read before it is written is handed out twice, and every processor is interrupted for it.

use ndarray::{Array4, ArrayView3, ArrayView4, ArrayViewMut3, Axis, Zip, s};
use rayon::prelude::*;

use super::Place;

/// Values from which on adding them up takes longer than sharing them out among threads that may be at another case.
const WORTH_SHARING: usize = 1 << 20;

/// Weighted logits `[output, z, y, x]` of the patches so far, which come row by row: along x, then y, then z.
pub(super) struct Sums {
    values: Array4<f32>,
    /// Slices before this one were covered by the rows of patches before.
    covered_z: usize,
    /// Slices before this one are covered by the row of patches at hand, as far as `end_y`.
    end_z: usize,
    end_y: usize,
}

impl Sums {
    /// Of no patch yet, for a case of this shape `[output, z, y, x]`.
    pub(super) fn new(shape: [usize; 4]) -> Self {
        Self { values: Array4::zeros(shape), covered_z: 0, end_z: 0, end_y: 0 }
    }

    /// Adds logits `[output, z, y, x]` times their weights `[z, y, x]`, both of the part of a patch inside the case.
    pub(super) fn add(&mut self, place: &Place, logits: &ArrayView4<'_, f32>, weights: &ArrayView3<'_, f32>) {
        self.cover(place);
        let [z, y, x] = place.in_image();
        let sums = self.values.slice_mut(s![.., z, y, x]);
        let is_worth_sharing = sums.len() >= WORTH_SHARING;
        let zip = Zip::from(sums).and(logits).and_broadcast(weights);
        let add = |sum: &mut f32, &logit: &f32, &weight: &f32| *sum += weight * logit;
        if is_worth_sharing {
            zip.par_for_each(add);
        } else {
            zip.for_each(add);
        }
    }

    /// Writes the zeros of rows that no patch before has reached.
    fn cover(&mut self, place: &Place) {
        let [z, y, _] = place.in_image();
        if z.end > self.end_z {
            (self.covered_z, self.end_z, self.end_y) = (self.end_z, z.end, 0);
        }
        if y.end <= self.end_y {
            return;
        }
        let mut rows = self.values.slice_mut(s![.., self.covered_z..self.end_z, self.end_y..y.end, ..]);
        if rows.len() >= WORTH_SHARING {
            rows.axis_iter_mut(Axis(1)).into_par_iter().for_each(|mut slice| slice.fill(0.0));
        } else {
            rows.fill(0.0);
        }
        self.end_y = y.end;
    }

    /// Divides every voxel by `n` times its weight, a product over the axes; `None` if a quotient is not finite.
    pub(super) fn into_mean(mut self, [along_z, along_y, along_x]: [Vec<f64>; 3], n: f64) -> Option<Array4<f32>> {
        let divide = |(mut slice, of_z): (ArrayViewMut3<'_, f32>, &f64)| {
            let mut is_finite = true;
            for mut volume in slice.outer_iter_mut() {
                for (mut row, of_y) in volume.outer_iter_mut().zip(&along_y) {
                    let outer = n * of_z * of_y;
                    row.iter_mut().zip(&along_x).for_each(|(sum, of_x)| *sum = divide(*sum, outer * of_x));
                    is_finite &= row.iter().all(|logit| logit.is_finite());
                }
            }
            is_finite
        };
        let is_finite = if self.values.len() >= WORTH_SHARING {
            let slices = self.values.axis_iter_mut(Axis(1)).into_par_iter().zip(&along_z);
            slices.map(divide).reduce(|| true, |a, b| a & b)
        } else {
            self.values.axis_iter_mut(Axis(1)).zip(&along_z).map(divide).fold(true, |a, b| a & b)
        };
        is_finite.then_some(self.values)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the quotient is a mean of f32 logits")]
fn divide(sum: f32, total: f64) -> f32 {
    (f64::from(sum) / total) as f32
}
