//! Resampling of label maps.
//!
//! A label can be neither averaged nor made up: the new voxel takes the label
//! that has most linear weight around it. Where several share the most, the
//! nearest voxel's label wins if it is one of them, else the smallest.
//!
//! Follows `resize_segmentation` of batchgenerators at order 1, which
//! resamples one indicator volume per label. Here each voxel's eight
//! neighbors vote directly, with the products and sums in the reference's
//! order, because whether two labels tie depends on the last bit.

use ndarray::{Array2, Array3, ArrayView1, ArrayView3, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::ResamplePlan;
use super::kernel::{self, LinearTap};

/// What a label can be: copied, compared, and made up where nothing is known yet.
pub trait Label: Copy + Ord + Default + Send + Sync {}

impl<L: Copy + Ord + Default + Send + Sync> Label for L {}

/// Resamples `[z, y, x]` labels; `plan.order` is not looked at, and equal
/// extents are returned untouched. Along a separate axis the nearest slice is
/// taken.
///
/// # Panics
///
/// If the extents of `labels` are not `plan.from`, or an extent is 0.
pub fn resample_labels<L: Label>(labels: Array3<L>, plan: &ResamplePlan) -> Array3<L> {
    let (z, y, x) = labels.dim();
    plan.assert_extents([z, y, x]);
    if plan.from == plan.to {
        return labels;
    }
    let labels = labels.as_standard_layout();
    let coarse = plan.coarse_axis();
    let voters: [Vec<Voter>; 3] = std::array::from_fn(|axis| {
        let (n_in, n_out) = (plan.from[axis], plan.to[axis]);
        let nearest = kernel::nearest(n_in, n_out);
        let taps = kernel::linear(n_in, n_out);
        let voter = |(nearest, tap)| if coarse == Some(axis) { Voter::only(nearest) } else { Voter { nearest, tap } };
        nearest.into_iter().zip(taps).map(voter).collect()
    });
    let rows = SourceRows::of(labels.view());
    let mut resampled = Array3::default(plan.to);
    let slices = resampled.axis_iter_mut(Axis(0)).into_par_iter();
    slices.zip(voters[0].par_iter()).for_each(|(slice, z)| vote_slice(&rows, slice, *z, &voters));
    resampled
}

/// Neighbors of a new voxel along one axis.
#[derive(Clone, Copy)]
struct Voter {
    nearest: usize,
    tap: LinearTap,
}

impl Voter {
    /// One neighbor has the whole say.
    fn only(nearest: usize) -> Self {
        Self { nearest, tap: LinearTap { indices: [nearest; 2], weights: [1.0, 0.0] } }
    }
}

/// The labels row by row; most rows lie outside of all structures and hold one label only.
struct SourceRows<'a, L> {
    labels: ArrayView3<'a, L>,
    /// For every row the label that all of it has.
    uniform: Array2<Option<L>>,
}

impl<'a, L: Label> SourceRows<'a, L> {
    /// Of labels in standard layout.
    fn of(labels: ArrayView3<'a, L>) -> Self {
        Self { labels, uniform: labels.map_axis(Axis(2), |row| only_label(&row)) }
    }

    fn row(&self, z: usize, y: usize) -> &'a [L] {
        self.labels.index_axis_move(Axis(0), z).index_axis_move(Axis(0), y).to_slice().unwrap_or_default()
    }
}

fn vote_slice<L: Label>(rows: &SourceRows<'_, L>, mut slice: ArrayViewMut2<'_, L>, z: Voter, voters: &[Vec<Voter>; 3]) {
    let mut columns = Vec::with_capacity(rows.labels.len_of(Axis(2)));
    for (mut row, &y) in slice.outer_iter_mut().zip(&voters[1]) {
        let [low, high] = z.tap.indices;
        let [first, second] = y.tap.indices;
        let neighbors = [(low, first), (low, second), (high, first), (high, second)];
        let [a, b, c, d] = neighbors.map(|row| rows.uniform[row]);
        if let Some(label) = a.filter(|_| a == b && a == c && a == d) {
            row.fill(label);
            continue;
        }
        unanimous_columns(neighbors.map(|(z, y)| rows.row(z, y)), &mut columns);
        for (voxel, &x) in row.iter_mut().zip(&voters[2]) {
            let [left, right] = x.tap.indices.map(|index| columns[index]);
            *voxel = left.filter(|_| left == right).unwrap_or_else(|| vote(rows.labels, z, y, x));
        }
    }
}

/// The label of a row that has only one, as most have; `None` also of a row that is not contiguous.
pub fn only_label<L: Label>(row: &ArrayView1<'_, L>) -> Option<L> {
    let (first, rest) = row.to_slice()?.split_first()?;
    // Without a way out, so that many labels are compared at a time.
    let mut others = false;
    for label in rest {
        others |= label != first;
    }
    (!others).then_some(*first)
}

/// For every x the label on which the four rows of neighbors agree: inside a structure nobody need vote.
fn unanimous_columns<L: Label>([a, b, c, d]: [&[L]; 4], columns: &mut Vec<Option<L>>) {
    columns.clear();
    let columns_of = a.iter().zip(b).zip(c.iter().zip(d));
    columns.extend(columns_of.map(|((&a, &b), (&c, &d))| (a == b && a == c && a == d).then_some(a)));
}

fn vote<L: Label>(labels: ArrayView3<'_, L>, z: Voter, y: Voter, x: Voter) -> L {
    let nearest = labels[[z.nearest, y.nearest, x.nearest]];
    let mut ballots = [(nearest, 0.0); 8];
    for (corner, ballot) in ballots.iter_mut().enumerate() {
        let [i, j, k] = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
        let label = labels[[z.tap.indices[i], y.tap.indices[j], x.tap.indices[k]]];
        *ballot = (label, z.tap.weights[i] * y.tap.weights[j] * x.tap.weights[k]);
    }
    winner(&ballots, nearest)
}

#[expect(clippy::float_cmp, reason = "the reference breaks exact ties only")]
fn winner<L: Label>(ballots: &[(L, f64); 8], nearest: L) -> L {
    let weight = |label| {
        let votes = ballots.iter().filter(|(voted, _)| *voted == label);
        // A sum may pass one by rounding; the reference clips it.
        votes.fold(0.0, |sum: f64, (_, weight)| sum + weight).min(1.0)
    };
    let mut best = (nearest, weight(nearest));
    for &(label, _) in ballots {
        let candidate = (label, weight(label));
        let ties = candidate.1 == best.1 && best.0 != nearest && label < best.0;
        if candidate.1 > best.1 || ties {
            best = candidate;
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spacing;
    use crate::resample::{SeparateAxis, SplineOrder};
    use ndarray::array;

    fn check(labels: &Array3<i16>, to: [usize; 3], expected: &[i16]) {
        let (z, y, x) = labels.dim();
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let plan = ResamplePlan {
            from: [z, y, x],
            to,
            current: spacing,
            target: spacing,
            order: SplineOrder::Linear,
            separate_axis: SeparateAxis::WhenAnisotropic,
        };
        assert_eq!(resample_labels(labels.clone(), &plan).iter().copied().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_label_appears_between_two_others() {
        check(&array![[[0, 0, 2, 2]]], [1, 1, 3], &[0, 2, 2]);
        check(&array![[[-1, 5]]], [1, 1, 4], &[-1, -1, 5, 5]);
    }

    #[test]
    fn a_row_has_one_label_only_if_all_of_it_has() {
        let rows = array![[3_i16, 3, 3], [3, 3, 4], [4, 3, 3]];
        let found: Vec<_> = rows.outer_iter().map(|row| only_label(&row)).collect();
        assert_eq!(found, [Some(3), None, None]);
    }

    #[test]
    fn a_tie_goes_to_the_nearest_voxel_which_is_the_higher_of_two() {
        check(&array![[[7, 3]]], [1, 1, 1], &[3]);
        check(&array![[[3, 7]]], [1, 1, 1], &[7]);
    }

    #[test]
    fn where_the_nearest_lost_the_smallest_of_the_tied_wins() {
        // Ones and twos have 3/8 each, threes 2/8; the nearest voxel is a three.
        check(&array![[[3, 1], [1, 1]], [[2, 2], [2, 3]]], [1, 1, 1], &[1]);
    }
}
