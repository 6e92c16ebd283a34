//! Region probabilities become nnU-Net's label maps, and agree with partly annotated references as nnU-Net counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array3, Array4};
use nnunet::dataset::DatasetJson;
use nnunet::evaluation::overlaps;
use nnunet::segmentation::segmentation;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Golden {
    shape: [usize; 3],
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    labels: Map<String, Value>,
    regions_class_order: Vec<u8>,
    /// `[region, z, y, x]`.
    probabilities: Vec<f32>,
    reference: Vec<u8>,
    segmentation: Vec<u8>,
    /// Of each region: TP, FP, FN, TN, Dice.
    metrics: Vec<(u64, u64, u64, u64, f64)>,
}

fn check(case: Case, [z, y, x]: [usize; 3]) {
    let order = &case.regions_class_order;
    let dataset = json!({
        "channel_names": {"0": "MRI"}, "labels": case.labels, "regions_class_order": order, "file_ending": ".nii.gz",
    });
    let labels = DatasetJson::parse(&dataset.to_string()).unwrap().structures().unwrap();
    let map = |values: Vec<u8>| Array3::from_shape_vec((z, y, x), values).unwrap();
    let probabilities = Array4::from_shape_vec((labels.n_outputs(), z, y, x), case.probabilities).unwrap();
    let found = segmentation(&probabilities, &labels);
    assert_eq!(found, map(case.segmentation), "{dataset}");
    let overlaps = overlaps(&map(case.reference), &found, &labels).unwrap();
    assert_eq!(overlaps.len(), case.metrics.len());
    for (overlap, (tp, fp, fn_, tn, dice)) in overlaps.into_iter().zip(case.metrics) {
        let counts =
            [overlap.n_true_positive, overlap.n_false_positive, overlap.n_false_negative, overlap.n_true_negative];
        assert_eq!(counts, [tp, fp, fn_, tn], "{dataset}");
        assert!((overlap.dice.unwrap() - dice).abs() < 1e-15, "{dataset}");
    }
}

#[test]
fn label_maps_and_counts_are_nnunets() {
    let golden: Golden = serde_json::from_str(include_str!("golden/regions/cases.json")).unwrap();
    assert_eq!(golden.cases.len(), 3);
    for case in golden.cases {
        check(case, golden.shape);
    }
}
