//! Resampling along one axis of a volume.
//!
//! The volume is cut into bundles of neighboring lines along the axis; a
//! bundle runs through small buffers that stay in cache, with the lines side
//! by side so that the compiler can use vector instructions. A line along x
//! is contiguous, and a bundle of such lines is turned in small blocks on its
//! way in and out.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis};
use rayon::prelude::*;

use super::SplineOrder;
use super::kernel::{self, CubicTap, LinearTap};
use super::prefilter::{self, LANES, PADDING};

/// Resamples `source` along `axis` to the extent that `target` has there, as
/// the kernel says; the other extents are the same.
pub(super) fn resample_axis(
    source: ArrayView3<'_, f32>,
    mut target: ArrayViewMut3<'_, f32>,
    axis: usize,
    kernel: &AxisKernel,
) {
    // In planes that hold the axis; it lies first in them, or last if it is x.
    let across = usize::from(axis == 0);
    let planes = target.axis_iter_mut(Axis(across)).into_par_iter().zip(source.axis_iter(Axis(across)));
    planes.for_each_init(Vec::new, |line, (target, source)| {
        if axis == X { kernel.along_rows(source, target, line) } else { kernel.along_columns(source, target, line) }
    });
}

/// x, the only axis that lies last in its plane.
const X: usize = 2;

/// A bundle of lines, position by position.
pub(super) type Line = Vec<[f64; LANES]>;

/// How lines of one length become lines of another.
pub(super) enum AxisKernel {
    Nearest(Vec<usize>),
    Linear(Vec<LinearTap>),
    Cubic(Vec<CubicTap>),
}

impl AxisKernel {
    /// For lines of `n_in` voxels that get `n_out`.
    pub(super) fn new(order: SplineOrder, n_in: usize, n_out: usize) -> Self {
        match order {
            SplineOrder::Nearest => Self::Nearest(kernel::nearest(n_in, n_out)),
            SplineOrder::Linear => Self::Linear(kernel::linear(n_in, n_out)),
            SplineOrder::Cubic => Self::Cubic(kernel::cubic(n_in, n_out, PADDING)),
        }
    }

    /// The old voxels, of `n_in`, that the new ones of `part`, at least one, are made of.
    pub(super) fn reach(&self, part: &Range<usize>, n_in: usize) -> Range<usize> {
        let (first, last) = (part.start, part.end - 1);
        match self {
            // Indices ascend.
            Self::Nearest(picks) => picks[first]..picks[last] + 1,
            Self::Linear(taps) => taps[first].indices[0]..taps[last].indices[1] + 1,
            // The filter before a cubic spline makes every coefficient of all voxels.
            Self::Cubic(_) => 0..n_in,
        }
    }

    /// The same for the new voxels of `part`, from lines that begin at the old voxel `start`.
    pub(super) fn part(self, part: Range<usize>, start: usize) -> Self {
        match self {
            Self::Nearest(picks) => Self::Nearest(picks[part].iter().map(|index| index - start).collect()),
            Self::Linear(taps) => {
                let moved = |tap: &LinearTap| LinearTap { indices: tap.indices.map(|index| index - start), ..*tap };
                Self::Linear(taps[part].iter().map(moved).collect())
            }
            Self::Cubic(taps) => Self::Cubic(taps[part].to_vec()),
        }
    }

    /// Resamples the columns of a plane.
    pub(super) fn along_columns(
        &self,
        source: ArrayView2<'_, f32>,
        mut target: ArrayViewMut2<'_, f32>,
        line: &mut Line,
    ) {
        let sources = source.axis_chunks_iter(Axis(1), LANES);
        for (target, source) in target.axis_chunks_iter_mut(Axis(1), LANES).zip(sources) {
            self.bundle(source, target, line);
        }
    }

    /// Resamples the rows of a plane.
    pub(super) fn along_rows(&self, source: ArrayView2<'_, f32>, target: ArrayViewMut2<'_, f32>, line: &mut Line) {
        self.along_columns(source.reversed_axes(), target.reversed_axes(), line);
    }

    /// Resamples up to [`LANES`] lines `[position, line]`.
    fn bundle(&self, source: ArrayView2<'_, f32>, mut target: ArrayViewMut2<'_, f32>, line: &mut Line) {
        match self {
            Self::Nearest(picks) => {
                for (mut row, &index) in target.outer_iter_mut().zip(picks) {
                    row.assign(&source.row(index));
                }
            }
            Self::Linear(taps) => {
                gather(source, 0, line);
                scatter(target, taps, |tap, row| {
                    let [low, high] = tap.indices.map(|index| &line[index]);
                    for ((value, low), high) in row.iter_mut().zip(low).zip(high) {
                        *value = tap.weights[0] * low + tap.weights[1] * high;
                    }
                });
            }
            Self::Cubic(taps) => {
                gather(source, PADDING, line);
                prefilter::to_coefficients(line);
                scatter(target, taps, |tap, row| {
                    let [before, low, high, after] = std::array::from_fn(|i| &line[tap.start + i]);
                    let [a, b, c, d] = tap.weights;
                    for (lane, value) in row.iter_mut().enumerate() {
                        *value = a * before[lane] + b * low[lane] + c * high[lane] + d * after[lane];
                    }
                });
            }
        }
    }
}

/// Copies a bundle into `line`, with `padding` copies of its edges.
fn gather(source: ArrayView2<'_, f32>, padding: usize, line: &mut Line) {
    line.clear();
    line.resize(source.nrows() + 2 * padding, [0.0; LANES]);
    let end = line.len() - padding;
    let inner = &mut line[padding..end];
    if source.ncols() == LANES && source.strides()[0] == 1 {
        for (lane, values) in source.columns().into_iter().enumerate() {
            for (row, &value) in inner.iter_mut().zip(values.to_slice().unwrap_or_default()) {
                row[lane] = f64::from(value);
            }
        }
    } else {
        for (row, values) in inner.iter_mut().zip(source.outer_iter()) {
            match values.to_slice().and_then(|values| values.first_chunk()) {
                Some(values) => *row = values.map(f64::from),
                None => row.iter_mut().zip(values.iter()).for_each(|(lane, &value)| *lane = f64::from(value)),
            }
        }
    }
    let (first, last) = (line[padding], line[end - 1]);
    line[..padding].fill(first);
    line[end..].fill(last);
}

/// Rows that are turned at a time on the way to lines along x.
const BLOCK: usize = 16;

/// Fills each row of a bundle from its tap.
#[expect(clippy::cast_possible_truncation, reason = "voxels are kept in f32")]
fn scatter<T>(mut target: ArrayViewMut2<'_, f32>, taps: &[T], fill: impl Fn(&T, &mut [f64; LANES])) {
    let mut values = [0.0; LANES];
    if target.ncols() < LANES || target.strides()[0] != 1 {
        for (mut row, tap) in target.outer_iter_mut().zip(taps) {
            fill(tap, &mut values);
            match row.as_slice_mut().and_then(|row| row.first_chunk_mut()) {
                Some(row) => *row = values.map(|value| value as f32),
                None => row.iter_mut().zip(&values).for_each(|(voxel, &value)| *voxel = value as f32),
            }
        }
        return;
    }
    let mut block = [[0.0_f32; LANES]; BLOCK];
    for (mut target, taps) in target.axis_chunks_iter_mut(Axis(0), BLOCK).zip(taps.chunks(BLOCK)) {
        for (row, tap) in block.iter_mut().zip(taps) {
            fill(tap, &mut values);
            *row = values.map(|value| value as f32);
        }
        for (lane, mut column) in target.columns_mut().into_iter().enumerate() {
            column.iter_mut().zip(&block).for_each(|(voxel, row)| *voxel = row[lane]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn resampled(source: ArrayView3<'_, f32>, axis: usize, extent: usize, order: SplineOrder) -> Array3<f32> {
        let mut shape = source.raw_dim();
        shape[axis] = extent;
        let mut target = Array3::zeros(shape);
        let kernel = AxisKernel::new(order, source.len_of(Axis(axis)), extent);
        resample_axis(source, target.view_mut(), axis, &kernel);
        target
    }

    fn check(order: SplineOrder, extent: usize, expected: &[f32]) {
        let line = array![[[0.0_f32, 4.0, 8.0, 8.0]]];
        for axis in 0..3 {
            let mut source = line.clone();
            source.swap_axes(axis, 2);
            let target = resampled(source.view(), axis, extent, order);
            let found: Vec<_> = target.iter().copied().collect();
            assert_eq!(found, expected, "{order:?} along axis {axis}");
        }
    }

    #[test]
    fn every_axis_is_resampled_alike() {
        check(SplineOrder::Nearest, 2, &[4.0, 8.0]);
        check(SplineOrder::Linear, 2, &[2.0, 8.0]);
        check(SplineOrder::Linear, 8, &[0.0, 1.0, 3.0, 5.0, 7.0, 8.0, 8.0, 8.0]);
    }

    #[test]
    fn bundles_cover_lines_that_do_not_fill_the_last_one() {
        let source = Array3::from_shape_fn((2, 37, 19), |(z, y, x)| (z * 1000 + y * 20 + x) as f32);
        for axis in 0..3 {
            let extent = source.len_of(Axis(axis));
            let same = resampled(source.view(), axis, extent, SplineOrder::Linear);
            assert_eq!(same, source, "axis {axis}");
        }
    }
}
