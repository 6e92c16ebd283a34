//! nnU-Net's `summary.json`: overlap per case, per structure and over all.
//!
//! Keys, nesting and rules follow nnU-Net v2 `compute_metrics_on_folder`: the mean of a structure is over the cases
//! where it is defined, the foreground mean is over the structures. A mean that is not defined is `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Overlap, mean_defined};
use crate::dataset::{LabelSet, Structure};

/// Overlap of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseOverlap {
    /// Label value (as text) or region such as `(1, 2)` to its overlap.
    pub metrics: BTreeMap<String, Overlap>,
    /// Path of the prediction, as given.
    pub prediction_file: String,
    /// Path of the reference, as given.
    pub reference_file: String,
}

/// Means of the fields of [`Overlap`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanOverlap {
    /// Mean Dice over the cases where it is defined.
    #[serde(rename = "Dice")]
    pub dice: Option<f64>,
    /// Mean of the missed voxels.
    #[serde(rename = "FN")]
    pub n_false_negative: Option<f64>,
    /// Mean of the voxels that the reference has not.
    #[serde(rename = "FP")]
    pub n_false_positive: Option<f64>,
    /// Mean intersection over union over the cases where it is defined.
    #[serde(rename = "IoU")]
    pub iou: Option<f64>,
    /// Mean of the voxels outside in both.
    #[serde(rename = "TN")]
    pub n_true_negative: Option<f64>,
    /// Mean of the voxels inside in both.
    #[serde(rename = "TP")]
    pub n_true_positive: Option<f64>,
    /// Mean voxels of the prediction.
    pub n_pred: Option<f64>,
    /// Mean voxels of the reference.
    pub n_ref: Option<f64>,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean over the structures of `mean`.
    pub foreground_mean: MeanOverlap,
    /// Structure to its mean over the cases.
    pub mean: BTreeMap<String, MeanOverlap>,
    /// Every case, in the order given.
    pub metric_per_case: Vec<CaseOverlap>,
}

impl Summary {
    /// Averages the overlap of `cases`.
    pub fn of(cases: Vec<CaseOverlap>, labels: &LabelSet) -> Self {
        let of_structure = |structure: &Structure| {
            let key = key(structure);
            let overlaps: Vec<_> = cases.iter().filter_map(|case| case.metrics.get(&key)).map(as_mean).collect();
            (key, MeanOverlap::over(&overlaps))
        };
        let mean: BTreeMap<_, _> = labels.structures.iter().map(of_structure).collect();
        let foreground_mean = MeanOverlap::over(&mean.values().copied().collect::<Vec<_>>());
        Self { foreground_mean, mean, metric_per_case: cases }
    }
}

/// How nnU-Net's files name a structure: `1`, or `(1, 2)` for a region.
pub fn key(structure: &Structure) -> String {
    match structure.values[..] {
        [label] => label.to_string(),
        ref values => format!("({})", values.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl MeanOverlap {
    fn over(overlaps: &[Self]) -> Self {
        let mean = |field: fn(&Self) -> Option<f64>| mean_defined(overlaps.iter().map(field));
        Self {
            dice: mean(|o| o.dice),
            n_false_negative: mean(|o| o.n_false_negative),
            n_false_positive: mean(|o| o.n_false_positive),
            iou: mean(|o| o.iou),
            n_true_negative: mean(|o| o.n_true_negative),
            n_true_positive: mean(|o| o.n_true_positive),
            n_pred: mean(|o| o.n_pred),
            n_ref: mean(|o| o.n_ref),
        }
    }
}

fn as_mean(overlap: &Overlap) -> MeanOverlap {
    let count = |n: u64| Some(n as f64);
    MeanOverlap {
        dice: overlap.dice,
        n_false_negative: count(overlap.n_false_negative),
        n_false_positive: count(overlap.n_false_positive),
        iou: overlap.iou,
        n_true_negative: count(overlap.n_true_negative),
        n_true_positive: count(overlap.n_true_positive),
        n_pred: count(overlap.n_pred),
        n_ref: count(overlap.n_ref),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `summary.json` of a real validation, three of its cases kept and their means computed anew with NumPy.
    const GOLDEN: &str = include_str!("../../tests/golden/evaluation/summary.json");

    #[test]
    fn means_are_those_of_nnunet_within_rounding() {
        let golden: Summary = serde_json::from_str(GOLDEN).unwrap();
        let structure = |value| Structure { name: String::new(), values: vec![value] };
        let labels = LabelSet { structures: vec![structure(1), structure(2)], ignore: None, regions_class_order: None };
        let summary = Summary::of(golden.metric_per_case.clone(), &labels);
        // Sums of three numbers in another order differ in the last bits only.
        let check = |found: MeanOverlap, expected: MeanOverlap| {
            for (found, expected) in [
                (found.dice, expected.dice),
                (found.iou, expected.iou),
                (found.n_true_positive, expected.n_true_positive),
                (found.n_ref, expected.n_ref),
            ] {
                assert!((found.unwrap() / expected.unwrap() - 1.0).abs() < 1e-14, "{found:?} {expected:?}");
            }
        };
        check(summary.foreground_mean, golden.foreground_mean);
        for (key, mean) in golden.mean {
            check(summary.mean[&key], mean);
        }
    }

    #[test]
    fn a_region_is_named_as_a_python_tuple() {
        assert_eq!(key(&Structure { name: "whole".into(), values: vec![1, 2] }), "(1, 2)");
    }
}
