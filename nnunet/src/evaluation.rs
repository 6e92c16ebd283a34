//! Segmentation against reference: overlap and surfaces per structure, nnU-Net's summary, correlation of score and Dice.
//!
//! Follows nnU-Net v2 `evaluate_predictions.py`, with one departure: a structure absent from both segmentations has
//! no Dice (`None`, `null` in JSON), where nnU-Net writes `NaN`, which is not JSON.

pub mod bootstrap;
pub mod correlation;
pub mod proportion;
pub mod regression;
pub mod reliability;
pub mod summary;
pub mod surface;

use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::dataset::{LabelSet, Structure};

/// How many voxels of one structure agree, and the overlap that follows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Dice coefficient in [0, 1]; `None` if the structure is in neither segmentation.
    #[serde(rename = "Dice")]
    pub dice: Option<f64>,
    /// Voxels of the reference that were missed.
    #[serde(rename = "FN")]
    pub n_false_negative: u64,
    /// Voxels that the reference has not.
    #[serde(rename = "FP")]
    pub n_false_positive: u64,
    /// Intersection over union in [0, 1]; `None` where Dice is.
    #[serde(rename = "IoU")]
    pub iou: Option<f64>,
    /// Voxels outside the structure in both.
    #[serde(rename = "TN")]
    pub n_true_negative: u64,
    /// Voxels inside the structure in both.
    #[serde(rename = "TP")]
    pub n_true_positive: u64,
    /// Voxels of the prediction.
    pub n_pred: u64,
    /// Voxels of the reference.
    pub n_ref: u64,
}

/// Overlap of two masks given as pairs (in the reference, in the prediction), one per voxel.
pub fn overlap(voxels: impl IntoIterator<Item = (bool, bool)>) -> Overlap {
    let [mut tp, mut fp, mut fn_, mut tn] = [0_u64; 4];
    for pair in voxels {
        match pair {
            (true, true) => tp += 1,
            (false, true) => fp += 1,
            (true, false) => fn_ += 1,
            (false, false) => tn += 1,
        }
    }
    let union = tp + fp + fn_;
    let ratio = |numerator: u64, denominator: u64| (union > 0).then(|| numerator as f64 / denominator as f64);
    Overlap {
        dice: ratio(2 * tp, 2 * tp + fp + fn_),
        n_false_negative: fn_,
        n_false_positive: fp,
        iou: ratio(tp, union),
        n_true_negative: tn,
        n_true_positive: tp,
        n_pred: tp + fp,
        n_ref: tp + fn_,
    }
}

/// Overlap of every foreground structure, in the order of `labels`; voxels the reference ignores do not count.
///
/// Both segmentations are `[z, y, x]` label maps.
///
/// # Errors
///
/// [`ShapeMismatch`] if their shapes differ.
pub fn overlaps(
    reference: &Array3<u8>,
    prediction: &Array3<u8>,
    labels: &LabelSet,
) -> Result<Vec<Overlap>, ShapeMismatch> {
    same_shape(reference, prediction)?;
    let of_structure = |structure: &Structure| {
        let values = membership(structure);
        let pairs = reference.iter().zip(prediction).filter(|(r, _)| Some(**r) != labels.ignore);
        overlap(pairs.map(|(&r, &p)| (values[usize::from(r)], values[usize::from(p)])))
    };
    Ok(labels.structures.iter().map(of_structure).collect())
}

fn same_shape(reference: &Array3<u8>, prediction: &Array3<u8>) -> Result<(), ShapeMismatch> {
    let shape = |(z, y, x): (usize, usize, usize)| [z, y, x];
    if reference.dim() == prediction.dim() {
        return Ok(());
    }
    Err(ShapeMismatch { reference: shape(reference.dim()), prediction: shape(prediction.dim()) })
}

fn membership(structure: &Structure) -> [bool; 256] {
    let mut values = [false; 256];
    for &value in &structure.values {
        values[usize::from(value)] = true;
    }
    values
}

/// Mean of the defined values; `None` if there is none.
pub fn mean_defined(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values.into_iter().flatten().fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// Reference and prediction are of different shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reference has shape {reference:?} (z, y, x), the prediction {prediction:?}")]
pub struct ShapeMismatch {
    /// Shape of the reference.
    pub reference: [usize; 3],
    /// Shape of the prediction.
    pub prediction: [usize; 3],
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;

    use super::*;
    use crate::dataset::DatasetJson;

    fn labels(ignore: &str) -> LabelSet {
        let text = format!(
            r#"{{"channel_names":{{"0":"MRI"}},"labels":{{"background":0,"a":1,"b":2{ignore}}},"file_ending":".nii.gz"}}"#
        );
        DatasetJson::parse(&text).unwrap().structures().unwrap()
    }

    fn check(reference: &Array3<u8>, prediction: &Array3<u8>, ignore: &str, dice: [Option<f64>; 2]) {
        let found = overlaps(reference, prediction, &labels(ignore)).unwrap();
        assert_eq!([found[0].dice, found[1].dice], dice);
    }

    #[test]
    fn dice_of_four_voxels_is_what_one_counts() {
        // Structure 1: one voxel of two found, none too many: 2·1 / (2·1 + 0 + 1).
        check(&arr3(&[[[1, 1, 0, 2]]]), &arr3(&[[[1, 0, 0, 2]]]), "", [Some(2.0 / 3.0), Some(1.0)]);
    }

    #[test]
    fn a_structure_in_neither_has_no_dice_and_one_in_either_has_zero() {
        check(&arr3(&[[[1, 0]]]), &arr3(&[[[0, 0]]]), "", [Some(0.0), None]);
        check(&arr3(&[[[0, 0]]]), &arr3(&[[[0, 2]]]), "", [None, Some(0.0)]);
    }

    #[test]
    fn voxels_without_annotation_do_not_count() {
        check(&arr3(&[[[1, 3, 3]]]), &arr3(&[[[1, 1, 2]]]), r#","ignore":3"#, [Some(1.0), None]);
    }

    #[test]
    fn all_counts_add_up_to_the_voxels() {
        let found = overlaps(&arr3(&[[[1, 1, 0, 2]]]), &arr3(&[[[1, 2, 1, 2]]]), &labels("")).unwrap();
        for overlap in found {
            let Overlap {
                n_true_positive: tp, n_false_positive: fp, n_false_negative: fn_, n_true_negative: tn, ..
            } = overlap;
            assert_eq!(tp + fp + fn_ + tn, 4);
            assert_eq!((overlap.n_pred, overlap.n_ref), (tp + fp, tp + fn_));
        }
    }

    #[test]
    fn segmentations_of_different_shape_are_not_compared() {
        let error = overlaps(&arr3(&[[[1]]]), &arr3(&[[[1, 1]]]), &labels("")).unwrap_err();
        assert_eq!(error, ShapeMismatch { reference: [1, 1, 1], prediction: [1, 1, 2] });
    }
}
