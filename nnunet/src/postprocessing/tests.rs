//! By hand, as nnU-Net decides, and files that lie.

use std::convert::Infallible;

use ndarray::arr3;
use serde_json::{Value, json};

use super::*;
use crate::dataset::DatasetJson;
use crate::evaluation::overlaps;
use crate::evaluation::summary::{CaseMetrics, Metrics};

/// Drawn segmentations and what nnU-Net makes of them; see the script beside it.
const GOLDEN: &str = include_str!("../../tests/golden/postprocessing/postprocessing.json");

struct Case {
    reference: Array3<u8>,
    prediction: Array3<u8>,
}

fn determine(cases: &[Case], labels: &LabelSet) -> PostprocessingFile {
    let evaluate = |postprocessing: &Postprocessing| {
        let metrics = |case: &Case| {
            let mut prediction = case.prediction.clone();
            postprocessing.apply(&mut prediction);
            let overlaps = overlaps(&case.reference, &prediction, labels).unwrap();
            let metrics = overlaps.into_iter().map(|overlap| Metrics { overlap, surface: None });
            CaseMetrics {
                metrics: labels.structures.iter().map(key).zip(metrics).collect(),
                prediction_file: String::new(),
                reference_file: String::new(),
            }
        };
        Ok::<_, Infallible>(Summary::of(cases.iter().map(metrics).collect(), labels, None))
    };
    let Ok(file) = PostprocessingFile::determine(labels, evaluate);
    file
}

fn two_labels() -> LabelSet {
    let text =
        json!({"channel_names": {"0": "MRI"}, "labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".nii"});
    DatasetJson::parse(&text.to_string()).unwrap().structures().unwrap()
}

fn kept(cases: &[Case]) -> Vec<Vec<u8>> {
    determine(cases, &two_labels()).postprocessing().steps().iter().map(Step::labels).collect()
}

#[test]
fn a_speck_far_away_is_removed_with_all_foreground() {
    let reference = arr3(&[[[1, 1, 2, 0, 0, 0]]]);
    assert_eq!(kept(&[Case { reference, prediction: arr3(&[[[1, 1, 2, 0, 1, 0]]]) }]), [[1, 2]]);
}

#[test]
fn a_structure_that_would_lose_keeps_all_foreground_but_not_the_other_structure() {
    // All foreground together would lose b, which lies apart; a alone gains.
    let reference = arr3(&[[[1, 1, 1, 0, 2, 2, 0, 0]]]);
    assert_eq!(kept(&[Case { reference, prediction: arr3(&[[[1, 1, 1, 0, 2, 2, 0, 1]]]) }]), [[1]]);
}

#[test]
fn nothing_is_done_where_nothing_is_gained() {
    let reference = arr3(&[[[1, 1, 0, 2, 0, 1]]]);
    let exact = Case { prediction: reference.clone(), reference };
    assert_eq!(kept(&[exact]), Vec::<Vec<u8>>::new());
    // Label 2 is nowhere: the mean over the structures is undefined, and that of label 1 decides alone.
    let undefined = Case { reference: arr3(&[[[1, 1, 0, 0]]]), prediction: arr3(&[[[1, 1, 0, 1]]]) };
    assert_eq!(kept(&[undefined]), [[1]]);
}

#[test]
fn decisions_and_results_are_those_of_nnunet() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let shape: [usize; 3] = serde_json::from_value(golden["shape"].clone()).unwrap();
    let volume = |text: &Value| {
        let labels = text.as_str().unwrap().bytes().map(|digit| digit - b'0').collect();
        Array3::from_shape_vec(shape, labels).unwrap()
    };
    let mut n_steps = 0;
    for set in golden["sets"].as_array().unwrap() {
        let labels = DatasetJson::parse(&set["dataset"].to_string()).unwrap().structures().unwrap();
        let listed = set["cases"].as_array().unwrap();
        let case =
            |case: &Value| Case { reference: volume(&case["reference"]), prediction: volume(&case["prediction"]) };
        let found = determine(&listed.iter().map(case).collect::<Vec<_>>(), &labels);
        let written = serde_json::to_value(&found).unwrap();
        for field in ["postprocessing_fns", "postprocessing_kwargs"] {
            assert_eq!(written[field], set["postprocessing"][field]);
        }
        for (key, mean) in &found.postprocessed.mean {
            check_dice(mean, &set["postprocessing"]["postprocessed"]["mean"][key]);
        }
        for case in listed {
            let mut segmentation = volume(&case["prediction"]);
            found.postprocessing().apply(&mut segmentation);
            assert_eq!(segmentation, volume(&case["result"]));
        }
        n_steps += found.postprocessing().steps().len();
    }
    assert!(n_steps > 3, "the golden has sets that gain");
}

/// Means of a few numbers in another order differ in the last bits only.
fn check_dice(found: &MeanMetrics, expected: &Value) {
    match (found.dice, expected["Dice"].as_f64()) {
        (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-14, "{found} {expected}"),
        (found, expected) => assert_eq!(found, expected),
    }
}

#[test]
fn what_is_written_is_read_back_and_lies_are_refused() {
    let reference = arr3(&[[[1, 1, 2, 0, 0, 0]]]);
    let case = Case { reference, prediction: arr3(&[[[1, 1, 2, 0, 1, 0]]]) };
    let labels = two_labels();
    let file = determine(&[case], &labels);
    let value = serde_json::to_value(&file).unwrap();
    assert_eq!(PostprocessingFile::parse(&value.to_string(), &labels).unwrap(), file);
    let refuse = |change: fn(&mut Value), words: &str| {
        let mut value = value.clone();
        change(&mut value);
        let message = PostprocessingFile::parse(&value.to_string(), &labels).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    refuse(|v| v["more"] = 1.into(), "malformed");
    refuse(|v| v["postprocessing_kwargs"][0]["more"] = 1.into(), "malformed");
    refuse(|v| v["postprocessing_kwargs"][0]["labels_or_regions"] = json!([-1]), "malformed");
    refuse(|v| v["postprocessing_kwargs"][0]["labels_or_regions"] = json!([]), "names the labels []");
    refuse(|v| v["postprocessing_kwargs"][0]["labels_or_regions"] = json!([[1], 3]), "names the labels [1, 3]");
    refuse(|v| v["postprocessing_kwargs"][0]["labels_or_regions"] = json!(0), "names the labels [0]");
    refuse(|v| v["postprocessing_fns"] = json!([]), "0 functions and 1 sets");
    refuse(|v| v["postprocessing_fns"] = json!(["os.system"]), "asks for `os.system`");
    assert!(PostprocessingFile::parse(&"[".repeat(100_000), &labels).is_err());
}
