//! Overlap of a segmentation with its reference, structure by structure.

use ndarray::{Array3, Zip};

use crate::dataset::LabelSet;

/// Voxels of one structure, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlap {
    /// In both.
    pub tp: u64,
    /// In the segmentation only.
    pub fp: u64,
    /// In the reference only.
    pub fn_: u64,
    /// In neither.
    pub tn: u64,
}

/// Overlap of one structure of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct StructureMetrics {
    /// Name in `dataset.json`.
    pub name: String,
    /// Label values.
    pub values: Vec<u8>,
    /// The counts.
    pub overlap: Overlap,
}

impl Overlap {
    /// Counts the voxels of the structure with the label `values`, except where the reference is `ignore`.
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    pub fn of(reference: &Array3<u8>, prediction: &Array3<u8>, values: &[u8], ignore: Option<u8>) -> Self {
        let mut overlap = Self::default();
        Zip::from(reference).and(prediction).for_each(|&reference, prediction| {
            if Some(reference) == ignore {
                return;
            }
            match (values.contains(&reference), values.contains(prediction)) {
                (true, true) => overlap.tp += 1,
                (false, true) => overlap.fp += 1,
                (true, false) => overlap.fn_ += 1,
                (false, false) => overlap.tn += 1,
            }
        });
        overlap
    }

    /// `2 TP / (2 TP + FP + FN)`; `None` if the structure is in neither.
    pub fn dice(&self) -> Option<f64> {
        let total = 2 * self.tp + self.fp + self.fn_;
        (total > 0).then(|| 2.0 * self.tp as f64 / total as f64)
    }

    /// `TP / (TP + FP + FN)`; `None` if the structure is in neither.
    pub fn iou(&self) -> Option<f64> {
        let total = self.tp + self.fp + self.fn_;
        (total > 0).then(|| self.tp as f64 / total as f64)
    }
}

/// Overlap of every structure of a case, in the order of the labels.
///
/// # Panics
///
/// If the shapes differ.
pub fn case_metrics(reference: &Array3<u8>, prediction: &Array3<u8>, labels: &LabelSet) -> Vec<StructureMetrics> {
    let of_structure = |structure: &crate::dataset::Structure| StructureMetrics {
        name: structure.name.clone(),
        values: structure.values.clone(),
        overlap: Overlap::of(reference, prediction, &structure.values, labels.ignore),
    };
    labels.structures.iter().map(of_structure).collect()
}

/// Mean Dice over the structures that are in one of two segmentations; `None` if none is.
///
/// # Panics
///
/// If the shapes differ.
pub fn label_dice(a: &Array3<u8>, b: &Array3<u8>, labels: &LabelSet) -> Option<f64> {
    let without_ignore = LabelSet { ignore: None, ..labels.clone() };
    let dice: Vec<f64> = case_metrics(a, b, &without_ignore).iter().filter_map(|of| of.overlap.dice()).collect();
    (!dice.is_empty()).then(|| dice.iter().sum::<f64>() / dice.len() as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn check(values: &[u8], ignore: Option<u8>, expected: Overlap, dice: Option<f64>) {
        let reference = array![[[0, 1, 1, 2, 3]]];
        let prediction = array![[[1, 1, 0, 2, 1]]];
        let overlap = Overlap::of(&reference, &prediction, values, ignore);
        assert_eq!(overlap, expected);
        assert_eq!(overlap.dice(), dice);
    }

    #[test]
    fn voxels_are_counted_per_structure() {
        check(&[1], None, Overlap { tp: 1, fp: 2, fn_: 1, tn: 1 }, Some(0.4));
        check(&[1, 2], None, Overlap { tp: 2, fp: 2, fn_: 1, tn: 0 }, Some(4.0 / 7.0));
    }

    #[test]
    fn voxels_without_annotation_do_not_count() {
        check(&[1], Some(3), Overlap { tp: 1, fp: 1, fn_: 1, tn: 1 }, Some(0.5));
    }

    #[test]
    fn a_structure_that_is_nowhere_has_no_dice() {
        check(&[4], None, Overlap { tp: 0, fp: 0, fn_: 0, tn: 5 }, None);
    }
}
