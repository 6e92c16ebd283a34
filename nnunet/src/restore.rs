//! From logits on the network's grid to probabilities on the case's own grid.
//!
//! Every step of [`crate::preprocess`] is undone in reverse: resample the logits to the crop, turn them into
//! probabilities, put the crop back, transpose back. Follows nnU-Net's `export_prediction.py`: resampling precedes
//! softmax, and outside the crop everything is background. Departs from it by dividing the logits by a temperature
//! first.

use imaging::resample::resample_channels;
use ndarray::{Array3, Array4, ArrayView3, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use crate::dataset::LabelSet;
use crate::plans::Configuration;
use crate::preprocess::{CaseProperties, PreprocessError};

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
    let cropped = activated(logits_of_crop(logits, properties, configuration)?, head, temperature);
    Ok(uncrop(cropped, properties, head))
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
    Ok(activated(resample_channels(logits, &plan), head, temperature))
}

fn activated(mut logits: Array4<f32>, head: OutputHead, temperature: f32) -> Array4<f32> {
    logits.axis_iter_mut(Axis(1)).into_par_iter().for_each(|mut slice| {
        for row in slice.axis_iter_mut(Axis(1)) {
            activate(row, head, temperature);
        }
    });
    logits
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
            for mut classes in row.columns_mut() {
                let largest = classes.fold(f32::NEG_INFINITY, |largest, &logit| largest.max(logit));
                classes.mapv_inplace(|logit| ((logit - largest) / temperature).exp());
                let sum = classes.sum();
                classes.mapv_inplace(|exponential| exponential / sum);
            }
        }
    }
}

fn uncrop(cropped: Array4<f32>, properties: &CaseProperties, head: OutputHead) -> Array4<f32> {
    let [a, b, c] = properties.transpose_forward;
    if properties.cropped_shape == properties.original_shape && [a, b, c] == [0, 1, 2] {
        return cropped;
    }
    let [z, y, x] = properties.original_shape;
    let mut whole = Array4::zeros((cropped.dim().0, z, y, x));
    if head == OutputHead::Softmax {
        whole.index_axis_mut(Axis(0), 0).fill(1.0);
    }
    let crop = &properties.crop;
    let mut transposed = whole.view_mut().permuted_axes([0, a + 1, b + 1, c + 1]);
    transposed.slice_mut(s![.., crop.range(0), crop.range(1), crop.range(2)]).assign(&cropped);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crop::BoundingBox;

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
