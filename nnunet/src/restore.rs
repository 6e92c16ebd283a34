//! From logits on the network's grid to probabilities on the case's own grid.
//!
//! Every step of [`crate::preprocess`] is undone in reverse: resample the logits to the crop, turn them into
//! probabilities, put the crop back, transpose back. Follows nnU-Net's `export_prediction.py`: resampling precedes
//! softmax, and outside the crop everything is background. Departs from it by dividing the logits by a temperature
//! first, and by doing all of this [slab by slab](each_slab): a scan's probabilities of all classes take gigabytes.

mod background;

use std::ops::Range;

use imaging::resample::{Part, ResamplePlan, resample_channels, resample_part};
use ndarray::{Array1, Array3, Array4, ArrayView3, ArrayViewMut2, Axis, Zip, s};
use rayon::prelude::*;

use crate::dataset::LabelSet;
use crate::plans::Configuration;
use crate::preprocess::{CaseProperties, PreprocessError};
use background::{Frame, background};

/// Bytes of a slab, unless one slice takes more.
const SLAB_BYTES: usize = 16 << 20;

/// Rows that a thread activates at least.
const MIN_ROWS: usize = 32;

/// What the network's outputs mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputHead {
    /// Exclusive classes, background first: probabilities of a voxel sum to one.
    Softmax,
    /// Regions, each a yes or no of its own.
    Sigmoid,
}

impl OutputHead {
    /// The head that a data set's labels ask for.
    pub fn of(labels: &LabelSet) -> Self {
        if labels.has_regions() { Self::Sigmoid } else { Self::Softmax }
    }
}

/// Turns logits `[class, z, y, x]` in network order and on the resampled grid into probabilities
/// `[class, z, y, x]` on the grid of the file.
///
/// # Errors
///
/// [`PreprocessError::Resampling`] if the plans resample in a way that is not known here.
///
/// # Panics
///
/// If the logits do not have the extents of `properties.resampled_shape`.
pub fn probabilities(
    logits: Array4<f32>,
    properties: &CaseProperties,
    configuration: &Configuration,
    head: OutputHead,
    temperature: f32,
) -> Result<Array4<f32>, PreprocessError> {
    let mut cropped = logits_of_crop(logits, properties, configuration)?;
    activate_all(&mut cropped, head, temperature);
    Ok(uncrop(cropped, properties, head))
}

/// As [`probabilities`], but hands them over in slabs: all classes of some slices `[z, y, x]` of the file, from the first
/// slice to the last, and each value bit by bit what [`probabilities`] has there.
///
/// # Errors
///
/// As [`probabilities`].
///
/// # Panics
///
/// As [`probabilities`].
pub fn each_slab(
    logits: &Array4<f32>,
    (properties, configuration): (&CaseProperties, &Configuration),
    head: OutputHead,
    temperature: f32,
    on_slab: &mut dyn FnMut(&Array4<f32>),
) -> Result<(), PreprocessError> {
    let plan = properties.backward(&configuration.resampling_fn_probabilities_kwargs)?;
    let thickness = slab_thickness(properties.original_shape, logits.dim().0, configuration);
    each_slab_of(thickness, logits, (properties, &plan), (head, temperature), on_slab);
    Ok(())
}

fn each_slab_of(
    thickness: usize,
    logits: &Array4<f32>,
    (properties, plan): (&CaseProperties, &ResamplePlan),
    (head, temperature): (OutputHead, f32),
    on_slab: &mut dyn FnMut(&Array4<f32>),
) {
    let [a, b, _] = properties.transpose_forward;
    // The axis of the network that is z of the file.
    let axis = usize::from(a != 0) + usize::from(a != 0 && b != 0);
    let [n_slices, y, x] = properties.original_shape;
    let crop = &properties.crop;
    let kept = crop.range(axis);
    // The memory of a slab serves the next as well.
    let mut cropped = Array4::zeros([0; 4]);
    let mut before: Option<(Frame, Array4<f32>)> = None;
    for first in (0..n_slices).step_by(thickness) {
        let slices = first..(first + thickness).min(n_slices);
        let inside = slices.start.max(kept.start)..slices.end.min(kept.end);
        let shape = [logits.dim().0, slices.len(), y, x];
        if inside.is_empty() {
            on_slab(&background(shape, head));
            continue;
        }
        let part = Part { axis, slices: shifted(&inside, kept.start) };
        let [i, j, k] = part.shape(plan);
        let cropped = of_shape(&mut cropped, [shape[0], i, j, k]);
        resample_part(logits.view(), cropped.view_mut(), plan, &part);
        activate_all(cropped, head, temperature);
        if cropped.shape() == shape && properties.transpose_forward == [0, 1, 2] {
            on_slab(cropped);
            continue;
        }
        let mut ranges = [0, 1, 2].map(|axis| crop.range(axis));
        ranges[axis] = shifted(&inside, slices.start);
        let frame = Frame { shape, transpose_forward: properties.transpose_forward, ranges };
        let whole = match before.take().filter(|(before, _)| *before == frame) {
            Some((_, mut whole)) => {
                frame.put(cropped, &mut whole);
                whole
            }
            None => frame.around(cropped, head),
        };
        on_slab(&whole);
        before = Some((frame, whole));
    }
}

/// The buffer, if it has this shape, or another.
fn of_shape(buffer: &mut Array4<f32>, shape: [usize; 4]) -> &mut Array4<f32> {
    if buffer.shape() != shape {
        *buffer = Array4::zeros(shape);
    }
    buffer
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start - by..range.end - by
}

/// Slices of a slab of a file of extents `[z, y, x]`, at least one; all where logits are resampled by a spline of which
/// every value is made of all.
pub fn slab_thickness([z, y, x]: [usize; 3], n_outputs: usize, configuration: &Configuration) -> usize {
    if configuration.resampling_fn_probabilities_kwargs.order > 1 {
        return z.max(1);
    }
    let slice = size_of::<f32>().saturating_mul(n_outputs).saturating_mul(y).saturating_mul(x);
    (SLAB_BYTES / slice.max(1)).clamp(1, z.max(1))
}

/// Turns logits `[class, z, y, x]` of one stage of a cascade into probabilities on the grid of the next, which has
/// `next_shape`: resampled logits, then softmax, as nnU-Net's `resample_and_save`.
///
/// # Errors
///
/// As [`probabilities`].
///
/// # Panics
///
/// As [`probabilities`].
pub fn next_stage_probabilities(
    logits: Array4<f32>,
    (properties, next_shape): (&CaseProperties, [usize; 3]),
    configuration: &Configuration,
    head: OutputHead,
    temperature: f32,
) -> Result<Array4<f32>, PreprocessError> {
    let plan = properties.onward(&configuration.resampling_fn_probabilities_kwargs, next_shape)?;
    let mut resampled = resample_channels(logits, &plan);
    activate_all(&mut resampled, head, temperature);
    Ok(resampled)
}

/// Turns logits `[class, z, y, x]` into probabilities, in place.
fn activate_all(logits: &mut Array4<f32>, head: OutputHead, temperature: f32) {
    logits.axis_iter_mut(Axis(1)).into_par_iter().for_each(|mut slice| {
        let rows = slice.axis_iter_mut(Axis(1)).into_par_iter().with_min_len(MIN_ROWS);
        rows.for_each(|row| activate(row, head, temperature));
    });
}

/// Resamples logits `[class, z, y, x]` to the crop of the file that was kept, in network order.
///
/// # Errors
///
/// [`PreprocessError::Resampling`] if the plans resample in a way that is not known here.
///
/// # Panics
///
/// If the logits do not have the extents of `properties.resampled_shape`.
pub fn logits_of_crop(
    logits: Array4<f32>,
    properties: &CaseProperties,
    configuration: &Configuration,
) -> Result<Array4<f32>, PreprocessError> {
    let plan = properties.backward(&configuration.resampling_fn_probabilities_kwargs)?;
    Ok(resample_channels(logits, &plan))
}

/// The part of labels `[z, y, x]` of the file that was kept, in network order: where [`logits_of_crop`] lie.
///
/// # Panics
///
/// If the labels do not have the extents of the file.
pub fn labels_of_crop<'a>(labels: &'a Array3<u8>, properties: &CaseProperties) -> ArrayView3<'a, u8> {
    let crop = &properties.crop;
    let transposed = labels.view().permuted_axes(properties.transpose_forward);
    transposed.slice_move(s![crop.range(0), crop.range(1), crop.range(2)])
}

/// Activates `[class, voxel]` in place.
fn activate(mut row: ArrayViewMut2<'_, f32>, head: OutputHead, temperature: f32) {
    match head {
        OutputHead::Sigmoid => row.mapv_inplace(|logit| 1.0 / (1.0 + (-logit / temperature).exp())),
        OutputHead::Softmax => {
            // Class by class, so that neighbors are computed together.
            let mut largest = Array1::from_elem(row.ncols(), f32::NEG_INFINITY);
            for class in row.outer_iter() {
                largest.zip_mut_with(&class, |largest, &logit| *largest = largest.max(logit));
            }
            let mut sums = Array1::zeros(row.ncols());
            for mut class in row.outer_iter_mut() {
                Zip::from(&mut class).and(&largest).and(&mut sums).for_each(|value, largest, sum| {
                    *value = ((*value - largest) / temperature).exp();
                    *sum += *value;
                });
            }
            for mut class in row.outer_iter_mut() {
                class /= &sums;
            }
        }
    }
}

fn uncrop(cropped: Array4<f32>, properties: &CaseProperties, head: OutputHead) -> Array4<f32> {
    let CaseProperties { original_shape, transpose_forward, crop, .. } = properties;
    if properties.cropped_shape == *original_shape && *transpose_forward == [0, 1, 2] {
        return cropped;
    }
    let [z, y, x] = *original_shape;
    let ranges = [0, 1, 2].map(|axis| crop.range(axis));
    let shape = [cropped.dim().0, z, y, x];
    Frame { shape, transpose_forward: *transpose_forward, ranges }.around(&cropped, head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crop::BoundingBox;
    use crate::plans::{ConfigurationName, Plans};

    fn configuration() -> Configuration {
        let plans = Plans::parse(include_str!("../tests/golden/plans/hippocampus.json")).unwrap();
        plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap()
    }

    /// Logits that differ everywhere, restored in slabs of every thickness.
    fn check_slabs(properties: &CaseProperties, head: OutputHead) {
        let configuration = configuration();
        let [i, j, k] = properties.resampled_shape;
        let logits = Array4::from_shape_fn((3, i, j, k), |(c, z, y, x)| ((7 * z + 5 * y + 3 * x + c) as f32).sin());
        let expected = probabilities(logits.clone(), properties, &configuration, head, 1.5).unwrap();
        let plan = properties.backward(&configuration.resampling_fn_probabilities_kwargs).unwrap();
        for thickness in 1..=properties.original_shape[0] {
            let mut slabs = Vec::new();
            let mut keep = |slab: &Array4<f32>| slabs.push(slab.clone());
            each_slab_of(thickness, &logits, (properties, &plan), (head, 1.5), &mut keep);
            assert!(slabs.iter().all(|slab| slab.dim().1 <= thickness));
            let slabs: Vec<_> = slabs.iter().map(|slab| slab.view()).collect();
            assert_eq!(ndarray::concatenate(Axis(1), &slabs).unwrap(), expected, "{properties:?} {thickness}");
        }
    }

    #[test]
    fn slabs_are_what_the_whole_has_there() {
        let transposes = [[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0]];
        for (transpose_forward, spacing) in transposes.into_iter().flat_map(|t| [(t, [1.0; 3]), (t, [4.0, 1.0, 1.1])]) {
            let mut properties = CaseProperties {
                original_shape: [6, 7, 5],
                transpose_forward,
                crop: BoundingBox { start: [0; 3], end: transpose_forward.map(|axis| [6, 7, 5][axis]) },
                cropped_shape: transpose_forward.map(|axis| [6, 7, 5][axis]),
                spacing,
                target_spacing: [1.0; 3],
                resampled_shape: [8, 4, 5],
            };
            check_slabs(&properties, OutputHead::Softmax);
            // Air in the first slice and the last two columns of the network's axes.
            properties.crop = BoundingBox { start: [1, 0, 0], end: properties.cropped_shape.map(|extent| extent - 2) };
            properties.cropped_shape = properties.crop.shape();
            check_slabs(&properties, OutputHead::Sigmoid);
            properties.resampled_shape = properties.cropped_shape;
            check_slabs(&properties, OutputHead::Softmax);
        }
    }

    #[test]
    fn a_slab_has_as_many_slices_as_fit_and_at_least_one() {
        let mut configuration = configuration();
        assert_eq!(slab_thickness([300, 512, 512], 5, &configuration), 3);
        assert_eq!(slab_thickness([3, 10, 10], 5, &configuration), 3);
        assert_eq!(slab_thickness([3, 1 << 20, 1 << 20], 5, &configuration), 1);
        configuration.resampling_fn_probabilities_kwargs.order = 3;
        assert_eq!(slab_thickness([300, 512, 512], 5, &configuration), 300);
    }

    #[test]
    fn labels_lie_where_the_logits_of_the_crop_do() {
        let crop = BoundingBox { start: [1, 0, 1], end: [3, 2, 5] };
        let properties = CaseProperties {
            original_shape: [2, 5, 3],
            transpose_forward: [2, 0, 1],
            crop,
            cropped_shape: crop.shape(),
            spacing: [1.0; 3],
            target_spacing: [1.0; 3],
            resampled_shape: crop.shape(),
        };
        let labels = Array3::from_shape_fn((2, 5, 3), |(z, y, x)| u8::from((z + 2 * y + x) % 3 == 0));
        let of_crop = labels_of_crop(&labels, &properties);
        assert_eq!(of_crop.dim(), (2, 2, 4));
        let one_hot = Array4::from_shape_fn((2, 2, 2, 4), |(class, k, j, i)| {
            f32::from(u8::from(usize::from(of_crop[[k, j, i]]) == class))
        });
        let restored = uncrop(one_hot, &properties, OutputHead::Softmax);
        for ((z, y, x), &label) in labels.indexed_iter() {
            let inside = (1..3).contains(&x) && (1..5).contains(&y);
            assert_eq!(restored[[1, z, y, x]] > 0.5, inside && label == 1, "{z} {y} {x}");
        }
    }
}
