//! Moving voxels from one grid to another.
//!
//! Both grids cover the same field of view: the centers of the new voxels
//! divide the extent evenly, and beyond the outermost centers the edge value
//! continues. Images and logits are interpolated by splines, labels by a vote
//! of linear weights.
//!
//! Follows nnU-Net's `resample_data_or_seg_to_shape`, which is scikit-image's
//! `resize(mode="edge", anti_aliasing=False)` and thus SciPy's
//! `zoom(mode="nearest", grid_mode=True)` per channel; and, where one axis is
//! more than three times as coarse as the finest, the same slice by slice,
//! with the nearest slice along the coarse axis. Interpolation is separable,
//! so here each axis is resampled on its own, in `f64`, with `f32` between
//! the axes: equal up to rounding, and some 20 times less arithmetic.

#![expect(clippy::needless_pass_by_value, reason = "an array view is a pointer, made to be passed by value")]

mod axis;
mod kernel;
mod labels;
mod prefilter;

use std::ops::Range;

use ndarray::{Array2, Array3, Array4, ArrayView3, ArrayView4, ArrayViewMut3, ArrayViewMut4, Axis, Slice, Zip};
use rayon::prelude::*;

use crate::Spacing;
use crate::range::{plane_range, range};
use axis::{AxisKernel, resample_axis};
pub use labels::{Label, only_label, resample_labels};

/// A voxel extent more than this many times another makes a grid anisotropic.
const ANISOTROPY_THRESHOLD: f64 = 3.0;

/// Degree of the interpolating spline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SplineOrder {
    /// The nearest voxel; a center halfway between two takes the higher index.
    Nearest,
    /// Linear between neighbors.
    Linear,
    /// Cubic B-spline through the voxels, clipped to the input's range.
    Cubic,
}

/// When the coarsest axis is resampled on its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SeparateAxis {
    /// If either grid is anisotropic, with a single coarsest axis.
    #[default]
    WhenAnisotropic,
    /// If the current grid has a single coarsest axis.
    Always,
    /// Never.
    Never,
}

/// From which grid to which, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResamplePlan {
    /// Extents `[z, y, x]` of the voxels at hand.
    pub from: [usize; 3],
    /// Extents `[z, y, x]` wanted, none of them 0.
    pub to: [usize; 3],
    /// Spacing of the voxels at hand; decides about the separate axis only.
    pub current: Spacing,
    /// Spacing wanted; decides about the separate axis only.
    pub target: Spacing,
    /// Interpolation of images; labels are always voted on linearly.
    pub order: SplineOrder,
    /// How the coarsest axis is treated.
    pub separate_axis: SeparateAxis,
}

impl ResamplePlan {
    /// The axis that is resampled on its own by nearest neighbor, if any.
    fn coarse_axis(&self) -> Option<usize> {
        let spacing = match self.separate_axis {
            SeparateAxis::Always => self.current,
            SeparateAxis::WhenAnisotropic if is_anisotropic(self.current) => self.current,
            SeparateAxis::WhenAnisotropic if is_anisotropic(self.target) => self.target,
            SeparateAxis::WhenAnisotropic | SeparateAxis::Never => return None,
        };
        let zyx = spacing.zyx();
        let (_, largest) = extremes(zyx);
        let mut coarsest = (0..3).filter(|&axis| zyx[axis] >= largest);
        // Two equally coarse axes, as in (0.24, 1.25, 1.25), are not separated.
        coarsest.next().filter(|_| coarsest.next().is_none())
    }

    fn assert_extents(&self, found: [usize; 3]) {
        assert_eq!(found, self.from, "the voxels must have the extents that the plan resamples from");
        assert!(self.from.iter().chain(&self.to).all(|&extent| extent > 0), "a grid has at least one voxel");
    }
}

fn extremes(zyx: [f64; 3]) -> (f64, f64) {
    let [z, y, x] = zyx;
    (z.min(y).min(x), z.max(y).max(x))
}

fn is_anisotropic(spacing: Spacing) -> bool {
    let (smallest, largest) = extremes(spacing.zyx());
    largest / smallest > ANISOTROPY_THRESHOLD
}

/// Resamples every channel of `[channel, z, y, x]`; equal extents are
/// returned untouched, whatever the spacings say, as in nnU-Net.
///
/// # Panics
///
/// As [`resample_channel`].
pub fn resample_channels(voxels: Array4<f32>, plan: &ResamplePlan) -> Array4<f32> {
    let (n_channels, z, y, x) = voxels.dim();
    plan.assert_extents([z, y, x]);
    if plan.from == plan.to {
        return voxels;
    }
    let [z, y, x] = plan.to;
    let mut resampled = Array4::zeros((n_channels, z, y, x));
    for (source, target) in voxels.outer_iter().zip(resampled.outer_iter_mut()) {
        resample_channel(source, target, plan);
    }
    resampled
}

/// Resamples one channel `[z, y, x]` into `target`; equal extents are copied.
///
/// Uses all threads of the current pool. Beside source and target, which may
/// be views of any memory order, it holds what the axes resampled first leave
/// of the channel: they shrink it most, or enlarge it least.
///
/// # Panics
///
/// If the extents of `source` are not `plan.from`, those of `target` not
/// `plan.to`, or an extent is 0.
pub fn resample_channel(source: ArrayView3<'_, f32>, mut target: ArrayViewMut3<'_, f32>, plan: &ResamplePlan) {
    let (z, y, x) = source.dim();
    plan.assert_extents([z, y, x]);
    if let Some(coarse) = plan.coarse_axis() {
        return slice_by_slice(source, target, Work::whole(plan), coarse);
    }
    along(source, target.view_mut(), Work::whole(plan), &[0, 1, 2], plan.order);
    if plan.order == SplineOrder::Cubic && plan.from != plan.to {
        let (low, high) = range(source);
        Zip::from(target).par_for_each(|value| *value = value.clamp(low, high));
    }
}

/// Slices of the new grid across one axis.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// The axis, 0 to 2.
    pub axis: usize,
    /// Indices on the new grid.
    pub slices: Range<usize>,
}

impl Part {
    /// Extents `[z, y, x]` of what a plan makes of it.
    pub fn shape(&self, plan: &ResamplePlan) -> [usize; 3] {
        let mut shape = plan.to;
        shape[self.axis] = self.slices.len();
        shape
    }
}

/// Resamples every channel of `[channel, z, y, x]` to a part of the new grid, into `target`: what
/// [`resample_channels`] has there, bit by bit.
///
/// Only the voxels that the part is made of are read, unless the order is
/// [`SplineOrder::Cubic`], which makes every voxel of all.
///
/// # Panics
///
/// As [`resample_channel`], if the part is empty or does not lie on the new grid, and if `target` has not the shape that
/// [`Part::shape`] says, for as many channels.
pub fn resample_part(
    voxels: ArrayView4<'_, f32>,
    mut target: ArrayViewMut4<'_, f32>,
    plan: &ResamplePlan,
    part: &Part,
) {
    assert_eq!(target.shape()[1..], part.shape(plan), "the target must have the extents of the part");
    assert_eq!(target.dim().0, voxels.dim().0, "every channel must have a target");
    for (source, target) in voxels.outer_iter().zip(target.outer_iter_mut()) {
        channel_part(source, target, plan, part);
    }
}

fn channel_part(source: ArrayView3<'_, f32>, mut target: ArrayViewMut3<'_, f32>, plan: &ResamplePlan, part: &Part) {
    let (z, y, x) = source.dim();
    plan.assert_extents([z, y, x]);
    let (axis, slices) = (Axis(part.axis), Slice::from(part.slices.clone()));
    if plan.order == SplineOrder::Cubic {
        let mut whole = Array3::zeros(plan.to);
        resample_channel(source, whole.view_mut(), plan);
        target.assign(&whole.slice_axis(axis, slices));
        return;
    }
    let coarse = plan.coarse_axis();
    let order = if coarse == Some(part.axis) { SplineOrder::Nearest } else { plan.order };
    let (from, to) = (plan.from[part.axis], plan.to[part.axis]);
    let reach =
        if from == to { part.slices.clone() } else { AxisKernel::new(order, from, to).reach(&part.slices, from) };
    let source = source.slice_axis(axis, Slice::from(reach.clone()));
    let work = Work { plan, part: Some((part, reach.start)) };
    match coarse {
        Some(coarse) => slice_by_slice(source, target, work, coarse),
        None => along(source, target, work, &[0, 1, 2], plan.order),
    }
}

/// A plan, and the part of it that is at hand, with the index of the first old slice that is there.
#[derive(Clone, Copy)]
struct Work<'a> {
    plan: &'a ResamplePlan,
    part: Option<(&'a Part, usize)>,
}

impl<'a> Work<'a> {
    fn whole(plan: &'a ResamplePlan) -> Self {
        Self { plan, part: None }
    }

    fn kernel(self, order: SplineOrder, axis: usize) -> AxisKernel {
        let kernel = AxisKernel::new(order, self.plan.from[axis], self.plan.to[axis]);
        match self.part {
            Some((part, start)) if part.axis == axis => kernel.part(part.slices.clone(), start),
            _ => kernel,
        }
    }
}

/// Resamples the slices across the `coarse` axis, each clipped to its own
/// range, and then picks the nearest of them for each new slice.
fn slice_by_slice(source: ArrayView3<'_, f32>, target: ArrayViewMut3<'_, f32>, work: Work<'_>, coarse: usize) {
    let in_plane: Vec<usize> = (0..3).filter(|&axis| axis != coarse).collect();
    if work.plan.from[coarse] == work.plan.to[coarse] {
        return in_plane_clipped(source, target, work, (coarse, &in_plane));
    }
    let mut shape = target.raw_dim();
    shape[coarse] = source.len_of(Axis(coarse));
    let mut slices = Array3::zeros(shape);
    in_plane_clipped(source, slices.view_mut(), work, (coarse, &in_plane));
    along(slices.view(), target, work, &[coarse], SplineOrder::Nearest);
}

fn in_plane_clipped(
    source: ArrayView3<'_, f32>,
    mut target: ArrayViewMut3<'_, f32>,
    work: Work<'_>,
    (coarse, in_plane): (usize, &[usize]),
) {
    let order = work.plan.order;
    along(source, target.view_mut(), work, in_plane, order);
    if order == SplineOrder::Cubic {
        let slices = source.axis_iter(Axis(coarse)).into_par_iter();
        slices.zip(target.axis_iter_mut(Axis(coarse))).for_each(|(source, mut slice)| {
            let (low, high) = plane_range(source);
            slice.mapv_inplace(|value| value.clamp(low, high));
        });
    }
}

/// Resamples along `axes`, the one that shrinks most first; extents that stay
/// are not touched.
fn along(
    source: ArrayView3<'_, f32>,
    mut target: ArrayViewMut3<'_, f32>,
    work: Work<'_>,
    axes: &[usize],
    order: SplineOrder,
) {
    let ResamplePlan { from, to, .. } = work.plan;
    let mut axes: Vec<usize> = axes.iter().copied().filter(|&axis| from[axis] != to[axis]).collect();
    axes.sort_by(|&a, &b| (to[a] * from[b]).cmp(&(to[b] * from[a])));
    let kernel = |axis| work.kernel(order, axis);
    match axes[..] {
        [] => Zip::from(&mut target).and(source).par_for_each(|copy, &value| *copy = value),
        [only] => resample_axis(source, target, only, &kernel(only)),
        [first @ (1 | 2), 1 | 2] => in_planes(source, target, first, [&kernel(1), &kernel(2)]),
        [first @ (1 | 2), 1 | 2, last] => {
            let (_, y, x) = target.dim();
            let mut planes = Array3::zeros((source.dim().0, y, x));
            in_planes(source, planes.view_mut(), first, [&kernel(1), &kernel(2)]);
            resample_axis(planes.view(), target, last, &kernel(last));
        }
        [first, ref others @ ..] => {
            let mut shape = source.raw_dim();
            shape[first] = target.len_of(Axis(first));
            let mut partly = Array3::zeros(shape);
            resample_axis(source, partly.view_mut(), first, &kernel(first));
            along(partly.view(), target, work, others, order);
        }
    }
}

/// Resamples the slices along y and x, `first` one of them and then the other
/// while the slice is in cache.
fn in_planes(
    source: ArrayView3<'_, f32>,
    mut target: ArrayViewMut3<'_, f32>,
    first: usize,
    [columns, rows]: [&AxisKernel; 2],
) {
    let (_, y, x) = source.dim();
    let (_, to_y, to_x) = target.dim();
    let between = if first == 1 { (to_y, x) } else { (y, to_x) };
    let slices = source.axis_iter(Axis(0)).into_par_iter().zip(target.axis_iter_mut(Axis(0)));
    let buffers = || (Array2::zeros(between), Vec::new());
    slices.for_each_init(buffers, |(partly, line), (source, target)| {
        if first == 1 {
            columns.along_columns(source, partly.view_mut(), line);
            rows.along_rows(partly.view(), target, line);
        } else {
            rows.along_rows(source, partly.view_mut(), line);
            columns.along_columns(partly.view(), target, line);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(current: [f64; 3], target: [f64; 3], expected: Option<usize>) {
        let plan = ResamplePlan {
            from: [1, 1, 1],
            to: [2, 2, 2],
            current: Spacing::new(current).unwrap(),
            target: Spacing::new(target).unwrap(),
            order: SplineOrder::Cubic,
            separate_axis: SeparateAxis::WhenAnisotropic,
        };
        assert_eq!(plan.coarse_axis(), expected);
    }

    #[test]
    fn a_single_axis_more_than_three_times_as_coarse_is_separated() {
        check([3.0, 1.0, 1.0], [1.0, 1.0, 1.0], None);
        check([3.1, 1.0, 1.0], [1.0, 1.0, 1.0], Some(0));
        check([1.0, 1.0, 1.0], [1.0, 1.0, 5.0], Some(2));
        check([1.0, 4.0, 1.0], [9.0, 1.0, 1.0], Some(1));
        check([1.25, 0.24, 1.25], [1.0, 1.0, 1.0], None);
    }
}
