//! nnU-Net's `summary.json`: overlap per case, per structure and over all.
//!
//! Keys, nesting and rules follow nnU-Net v2 `compute_metrics_on_folder`: the mean of a structure is over the cases
//! where it is defined, the foreground mean is over the structures. A mean that is not defined is `null`. The fields
//! of [`SurfaceAgreement`] stand beside nnU-Net's, and `surface` beside its means, in files of ours; a file of nnU-Net's
//! has neither and is read as well.

use std::collections::BTreeMap;

use imaging::Spacing;
use ndarray::Array3;
use serde::{Deserialize, Serialize};

use super::surface::{Presence, SurfaceAgreement, Tolerance, surface_agreements};
use super::{Overlap, ShapeMismatch, mean_defined, overlaps};
use crate::dataset::{LabelSet, Structure};

/// Agreement on one structure of a case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// nnU-Net's fields.
    #[serde(flatten)]
    pub overlap: Overlap,
    /// Ours; absent from nnU-Net's own files.
    #[serde(flatten)]
    pub surface: Option<SurfaceAgreement>,
}

/// Agreement on the structures of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseMetrics {
    /// Label value (as text) or region such as `(1, 2)` to its agreement.
    pub metrics: BTreeMap<String, Metrics>,
    /// Path of the prediction, as given.
    pub prediction_file: String,
    /// Path of the reference, as given.
    pub reference_file: String,
}

/// Means of the fields of [`Metrics`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanMetrics {
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
    /// Of the surfaces, where they were compared.
    #[serde(flatten)]
    pub surface: Option<MeanSurface>,
}

/// Means of the fields of [`SurfaceAgreement`], and how often there was no distance to average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanSurface {
    /// Mean HD95 in mm over the cases where both segmentations have the structure.
    #[serde(rename = "HD95")]
    pub hd95_mm: Option<f64>,
    /// Mean ASSD in mm over the same cases.
    #[serde(rename = "ASSD")]
    pub assd_mm: Option<f64>,
    /// Mean NSD over the cases where one segmentation has the structure; 0 counts where the other has not.
    #[serde(rename = "NSD")]
    pub nsd: Option<f64>,
    /// Cases with a structure that was missed.
    pub n_reference_only: u64,
    /// Cases with a structure where none is.
    pub n_prediction_only: u64,
}

/// How the surfaces of a summary were compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurfaceRule {
    /// Tolerance of NSD in mm.
    pub tolerance_mm: Tolerance,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean over the structures of `mean`.
    pub foreground_mean: MeanMetrics,
    /// Structure to its mean over the cases.
    pub mean: BTreeMap<String, MeanMetrics>,
    /// Every case, in the order given.
    pub metric_per_case: Vec<CaseMetrics>,
    /// Absent where no surfaces were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<SurfaceRule>,
}

impl Summary {
    /// Averages the agreement on `cases`, whose surfaces were compared by the rule `surface`, if they were.
    pub fn of(cases: Vec<CaseMetrics>, labels: &LabelSet, surface: Option<SurfaceRule>) -> Self {
        let of_structure = |structure: &Structure| {
            let key = key(structure);
            let metrics: Vec<_> = cases.iter().filter_map(|case| case.metrics.get(&key)).map(as_mean).collect();
            (key, MeanMetrics::over(&metrics))
        };
        let mean: BTreeMap<_, _> = labels.structures.iter().map(of_structure).collect();
        let foreground_mean = MeanMetrics::over(&mean.values().copied().collect::<Vec<_>>());
        Self { foreground_mean, mean, metric_per_case: cases, surface }
    }
}

/// Compares a segmentation with its reference, both `[z, y, x]` with this spacing: structure to agreement.
///
/// # Errors
///
/// [`ShapeMismatch`] if their shapes differ.
pub fn compare(
    reference: &Array3<u8>,
    prediction: &Array3<u8>,
    labels: &LabelSet,
    spacing: Spacing,
    tolerance: Tolerance,
) -> Result<BTreeMap<String, Metrics>, ShapeMismatch> {
    let overlaps = overlaps(reference, prediction, labels)?;
    let surfaces = surface_agreements(reference, prediction, labels, spacing, tolerance)?;
    let metrics =
        overlaps.into_iter().zip(surfaces).map(|(overlap, surface)| Metrics { overlap, surface: Some(surface) });
    Ok(labels.structures.iter().map(key).zip(metrics).collect())
}

/// How nnU-Net's files name a structure: `1`, or `(1, 2)` for a region.
pub fn key(structure: &Structure) -> String {
    match structure.values[..] {
        [label] => label.to_string(),
        ref values => format!("({})", values.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl MeanMetrics {
    fn over(metrics: &[Self]) -> Self {
        let mean = |field: fn(&Self) -> Option<f64>| mean_defined(metrics.iter().map(field));
        let surfaces: Vec<_> = metrics.iter().filter_map(|m| m.surface).collect();
        Self {
            dice: mean(|o| o.dice),
            n_false_negative: mean(|o| o.n_false_negative),
            n_false_positive: mean(|o| o.n_false_positive),
            iou: mean(|o| o.iou),
            n_true_negative: mean(|o| o.n_true_negative),
            n_true_positive: mean(|o| o.n_true_positive),
            n_pred: mean(|o| o.n_pred),
            n_ref: mean(|o| o.n_ref),
            surface: (!surfaces.is_empty()).then(|| MeanSurface::over(&surfaces)),
        }
    }
}

impl MeanSurface {
    fn over(surfaces: &[Self]) -> Self {
        let mean = |field: fn(&Self) -> Option<f64>| mean_defined(surfaces.iter().map(field));
        Self {
            hd95_mm: mean(|s| s.hd95_mm),
            assd_mm: mean(|s| s.assd_mm),
            nsd: mean(|s| s.nsd),
            n_reference_only: surfaces.iter().map(|s| s.n_reference_only).sum(),
            n_prediction_only: surfaces.iter().map(|s| s.n_prediction_only).sum(),
        }
    }
}

impl From<SurfaceAgreement> for MeanSurface {
    fn from(surface: SurfaceAgreement) -> Self {
        Self {
            hd95_mm: surface.hd95_mm,
            assd_mm: surface.assd_mm,
            nsd: surface.nsd,
            n_reference_only: u64::from(surface.presence == Presence::ReferenceOnly),
            n_prediction_only: u64::from(surface.presence == Presence::PredictionOnly),
        }
    }
}

fn as_mean(metrics: &Metrics) -> MeanMetrics {
    let count = |n: u64| Some(n as f64);
    let overlap = metrics.overlap;
    MeanMetrics {
        dice: overlap.dice,
        n_false_negative: count(overlap.n_false_negative),
        n_false_positive: count(overlap.n_false_positive),
        iou: overlap.iou,
        n_true_negative: count(overlap.n_true_negative),
        n_true_positive: count(overlap.n_true_positive),
        n_pred: count(overlap.n_pred),
        n_ref: count(overlap.n_ref),
        surface: metrics.surface.map(MeanSurface::from),
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
        let summary = Summary::of(golden.metric_per_case.clone(), &labels, None);
        assert_eq!(summary.foreground_mean.surface, None, "nnU-Net's file knows no surfaces");
        // Sums of three numbers in another order differ in the last bits only.
        let check = |found: MeanMetrics, expected: MeanMetrics| {
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

    #[test]
    fn a_missed_structure_is_counted_beside_the_mean_of_the_distances() {
        let overlap = crate::evaluation::overlap([(true, true)]);
        let agreement = |hd95_mm, nsd, presence| SurfaceAgreement { hd95_mm, assd_mm: hd95_mm, nsd, presence };
        let case = |surface| CaseMetrics {
            metrics: BTreeMap::from([("1".to_owned(), Metrics { overlap, surface: Some(surface) })]),
            prediction_file: "p".into(),
            reference_file: "r".into(),
        };
        let cases = vec![
            case(agreement(Some(2.0), Some(1.0), Presence::Both)),
            case(agreement(Some(4.0), Some(0.5), Presence::Both)),
            case(agreement(None, Some(0.0), Presence::ReferenceOnly)),
            case(agreement(None, None, Presence::Neither)),
        ];
        let structures = vec![Structure { name: String::new(), values: vec![1] }];
        let labels = LabelSet { structures, ignore: None, regions_class_order: None };
        let rule = SurfaceRule { tolerance_mm: Tolerance::default() };
        let summary = Summary::of(cases, &labels, Some(rule));
        let mean = summary.mean["1"].surface.unwrap();
        assert_eq!((mean.hd95_mm, mean.nsd, mean.n_reference_only), (Some(3.0), Some(0.5), 1));
        let text = serde_json::to_string(&summary).unwrap();
        assert!(text.contains(r#""presence":"reference-only""#), "{text}");
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary, "what is written is read back");
    }
}
