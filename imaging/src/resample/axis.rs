//! Resampling along one axis of a volume.
//!
//! The volume is cut into bundles of neighboring lines along the axis; a
//! bundle is one task of the thread pool and runs through small buffers that
//! stay in cache, with the lines side by side so that the compiler can use
//! vector instructions.

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis};
use rayon::prelude::*;

use super::SplineOrder;
use super::kernel::{self, CubicTap, LinearTap};
use super::prefilter::{self, LANES, PADDING};

/// Resamples `source` along `axis` to the extent that `target` has there; the
/// other extents are the same.
pub(super) fn resample_axis(
    source: ArrayView3<'_, f32>,
    mut target: ArrayViewMut3<'_, f32>,
    axis: usize,
    order: SplineOrder,
) {
    let (n_in, extent) = (source.len_of(Axis(axis)), target.len_of(Axis(axis)));
    // A bundle is [position along the axis, line]; lines neighbor in x where possible.
    let across = usize::from(axis == 0);
    let sources = source.axis_iter(Axis(across)).flat_map(|plane| bundles(plane, axis));
    let tasks = target.axis_iter_mut(Axis(across)).flat_map(|plane| bundles_mut(plane, axis)).zip(sources);
    let tasks = tasks.collect::<Vec<_>>().into_par_iter();
    match order {
        SplineOrder::Nearest => {
            let picks = kernel::nearest(n_in, extent);
            tasks.for_each(|(target, source)| pick(source, target, &picks));
        }
        SplineOrder::Linear => {
            let taps = kernel::linear(n_in, extent);
            tasks.for_each_init(Vec::new, |line, (target, source)| linear(source, target, &taps, line));
        }
        SplineOrder::Cubic => {
            let taps = kernel::cubic(n_in, extent, PADDING);
            tasks.for_each_init(Vec::new, |line, (target, source)| cubic(source, target, &taps, line));
        }
    }
}

/// x, the only axis that lies last in its plane.
const X: usize = 2;

/// Cuts a plane into bundles `[position along axis, line]` of [`LANES`] lines.
fn bundles(plane: ArrayView2<'_, f32>, axis: usize) -> Vec<ArrayView2<'_, f32>> {
    let plane = if axis == X { plane.reversed_axes() } else { plane };
    let mut rest = plane;
    let mut bundles = Vec::with_capacity(rest.ncols().div_ceil(LANES));
    while rest.ncols() > LANES {
        let (bundle, others) = rest.split_at(Axis(1), LANES);
        bundles.push(bundle);
        rest = others;
    }
    bundles.push(rest);
    bundles
}

/// As [`bundles`], to be written to.
fn bundles_mut(plane: ArrayViewMut2<'_, f32>, axis: usize) -> Vec<ArrayViewMut2<'_, f32>> {
    let plane = if axis == X { plane.reversed_axes() } else { plane };
    let mut rest = plane;
    let mut bundles = Vec::with_capacity(rest.ncols().div_ceil(LANES));
    while rest.ncols() > LANES {
        let (bundle, others) = rest.split_at(Axis(1), LANES);
        bundles.push(bundle);
        rest = others;
    }
    bundles.push(rest);
    bundles
}

fn pick(source: ArrayView2<'_, f32>, mut target: ArrayViewMut2<'_, f32>, picks: &[usize]) {
    for (mut row, &index) in target.outer_iter_mut().zip(picks) {
        row.assign(&source.row(index));
    }
}

fn linear(
    source: ArrayView2<'_, f32>,
    target: ArrayViewMut2<'_, f32>,
    taps: &[LinearTap],
    line: &mut Vec<[f64; LANES]>,
) {
    gather(source, 0, line);
    scatter(target, taps, |tap, row| {
        let [low, high] = tap.indices.map(|index| &line[index]);
        for ((value, low), high) in row.iter_mut().zip(low).zip(high) {
            *value = tap.weights[0] * low + tap.weights[1] * high;
        }
    });
}

fn cubic(source: ArrayView2<'_, f32>, target: ArrayViewMut2<'_, f32>, taps: &[CubicTap], line: &mut Vec<[f64; LANES]>) {
    gather(source, PADDING, line);
    prefilter::to_coefficients(line);
    scatter(target, taps, |tap, row| {
        let around = &line[tap.start..tap.start + 4];
        let [a, b, c, d] = tap.weights;
        for (lane, value) in row.iter_mut().enumerate() {
            *value = a * around[0][lane] + b * around[1][lane] + c * around[2][lane] + d * around[3][lane];
        }
    });
}

/// Copies a bundle into `line`, with `padding` copies of its edges.
fn gather(source: ArrayView2<'_, f32>, padding: usize, line: &mut Vec<[f64; LANES]>) {
    line.clear();
    line.resize(source.nrows() + 2 * padding, [0.0; LANES]);
    for (row, values) in line[padding..].iter_mut().zip(source.outer_iter()) {
        for (lane, &value) in row.iter_mut().zip(values.iter()) {
            *lane = f64::from(value);
        }
    }
    let (first, last) = (line[padding], line[padding + source.nrows() - 1]);
    line[..padding].fill(first);
    let end = line.len() - padding;
    line[end..].fill(last);
}

/// Fills each row of a bundle from its tap.
fn scatter<T>(mut target: ArrayViewMut2<'_, f32>, taps: &[T], fill: impl Fn(&T, &mut [f64; LANES])) {
    let mut values = [0.0; LANES];
    for (mut row, tap) in target.outer_iter_mut().zip(taps) {
        fill(tap, &mut values);
        for (voxel, &value) in row.iter_mut().zip(&values) {
            #[expect(clippy::cast_possible_truncation, reason = "voxels are kept in f32")]
            {
                *voxel = value as f32;
            }
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
        resample_axis(source, target.view_mut(), axis, order);
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
