//! Preprocessing and the way back equal nnU-Net's: arrays up to rounding, labels and shapes exactly.
//!
//! `golden/preprocess/cases.json` comes from nnunetv2 2.8.1 by the `generate.py` beside it. The cases have zero
//! margins, an enclosed hole and open zeros, every axis order that the planner makes, and 2D configurations.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use imaging::{Dimensionality, Geometry, Image, Spacing, Volume};
use ndarray::{Array3, Array4};
use nnunet::plans::{Configuration, ConfigurationName, Plans};
use nnunet::preprocess::{PreprocessError, Preprocessed, preprocess};
use nnunet::restore::{OutputHead, probabilities};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// Golden values are rounded to five decimals; normalized values are of the order of one.
const TOLERANCE: f32 = 1e-5;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    configuration: String,
    shape: [usize; 3],
    flat: bool,
    spacing: [f64; 3],
    target: Vec<f64>,
    transpose_forward: [usize; 3],
    schemes: Vec<String>,
    mask: Vec<bool>,
    statistics: Value,
    regions: bool,
    image: Vec<f32>,
    labels: Vec<u8>,
    preprocessed_shape: [usize; 4],
    preprocessed_image: Vec<f32>,
    preprocessed_labels: Vec<i16>,
    logits: Vec<f32>,
    probabilities_shape: [usize; 4],
    probabilities: Vec<f32>,
}

impl Case {
    fn plans(&self) -> (Plans, Configuration) {
        let mut plans: Value = serde_json::from_str(include_str!("golden/plans/hippocampus.json")).unwrap();
        let backward = [0, 1, 2].map(|axis| self.transpose_forward.iter().position(|&a| a == axis).unwrap());
        plans["transpose_forward"] = json!(self.transpose_forward);
        plans["transpose_backward"] = json!(backward);
        plans["foreground_intensity_properties_per_channel"] = json!({"0": self.statistics, "1": self.statistics});
        let configuration = &mut plans["configurations"][&self.configuration];
        configuration["spacing"] = json!(self.target);
        configuration["normalization_schemes"] = json!(self.schemes);
        configuration["use_mask_for_norm"] = json!(self.mask);
        let plans = Plans::parse(&plans.to_string()).unwrap();
        let configuration = plans.configuration(&ConfigurationName(self.configuration.clone())).unwrap();
        (plans, configuration)
    }

    fn files(&self) -> (Image, Volume<u8>) {
        let [z, y, x] = self.spacing;
        let (z, dimensionality) = if self.flat { (1.0, Dimensionality::Two) } else { (z, Dimensionality::Three) };
        let geometry = Geometry::axis_aligned(self.shape, Spacing::new([z, y, x]).unwrap(), dimensionality);
        let [z, y, x] = self.shape;
        let voxels = Array4::from_shape_vec((self.schemes.len(), z, y, x), self.image.clone()).unwrap();
        let labels = Array3::from_shape_vec(self.shape, self.labels.clone()).unwrap();
        (Image { voxels, geometry: geometry.clone() }, Volume { voxels: labels, geometry })
    }

    fn preprocessed(&self) -> Preprocessed {
        let (plans, configuration) = self.plans();
        let (image, labels) = self.files();
        preprocess(image, Some(labels), &plans, &configuration).unwrap()
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/preprocess/cases.json")).unwrap();
    assert_eq!(cases.len(), 6);
    cases
}

fn check(name: &str, found: &Array4<f32>, shape: [usize; 4], expected: &[f32]) {
    assert_eq!(found.shape(), shape, "{name}");
    for ((index, found), expected) in found.indexed_iter().zip(expected) {
        assert!((found - expected).abs() <= TOLERANCE, "{name} {index:?}: {found}, expected {expected}");
    }
}

#[test]
fn arrays_and_labels_are_those_of_nnunet() {
    for case in cases() {
        let found = case.preprocessed();
        check(&case.name, &found.image, case.preprocessed_shape, &case.preprocessed_image);
        let labels = found.labels.unwrap();
        assert_eq!(labels.iter().copied().collect::<Vec<_>>(), case.preprocessed_labels, "{}", case.name);
        assert!(case.preprocessed_labels.contains(&-1), "{}: nothing lies outside", case.name);
    }
}

#[test]
fn without_labels_the_image_is_the_same_unless_a_label_lies_outside_the_signal() {
    for case in cases().into_iter().filter(|case| !case.mask.contains(&true)) {
        let (plans, configuration) = case.plans();
        let found = preprocess(case.files().0, None, &plans, &configuration).unwrap();
        assert_eq!(found.image, case.preprocessed().image, "{}", case.name);
        assert_eq!(found.labels, None);
    }
}

#[test]
fn logits_go_back_as_in_nnunet() {
    for case in cases() {
        let (_, configuration) = case.plans();
        let properties = case.preprocessed().properties;
        let [z, y, x] = properties.resampled_shape;
        let (n_outputs, head) = if case.regions { (2, OutputHead::Sigmoid) } else { (3, OutputHead::Softmax) };
        let logits = Array4::from_shape_vec((n_outputs, z, y, x), case.logits.clone()).unwrap();
        let found = probabilities(logits.clone(), &properties, &configuration, head, 1.0).unwrap();
        check(&case.name, &found, case.probabilities_shape, &case.probabilities);
        // Twice the logits at twice the temperature are the same.
        let found = probabilities(logits * 2.0, &properties, &configuration, head, 2.0).unwrap();
        check(&case.name, &found, case.probabilities_shape, &case.probabilities);
    }
}

#[test]
fn properties_survive_their_file() {
    let properties = cases()[2].preprocessed().properties;
    let text = serde_json::to_string(&properties).unwrap();
    assert_eq!(serde_json::from_str::<nnunet::preprocess::CaseProperties>(&text).unwrap(), properties);
}

#[test]
fn what_does_not_fit_the_plans_is_refused() {
    let case = &cases()[0];
    let (plans, configuration) = case.plans();
    let (image, labels) = case.files();
    let refused = |image: &Image, labels: Option<&Volume<u8>>, configuration: &Configuration| {
        preprocess(image.clone(), labels.cloned(), &plans, configuration).unwrap_err()
    };

    let mut other = configuration.clone();
    other.spacing = vec![100.0, 1.0, 1.0];
    let found = refused(&image, None, &other);
    assert!(matches!(found, PreprocessError::EmptyAxis { axis: 0, .. }), "{found}");
    other.spacing = vec![1e-5, 1e-5, 1.0];
    assert!(matches!(refused(&image, None, &other), PreprocessError::TooLarge { .. }));

    let mut other = configuration.clone();
    other.resampling_fn_data_kwargs.order = 2;
    assert_eq!(
        refused(&image, None, &other).to_string(),
        "plans: `resampling_fn_data_kwargs` is order 2, order_z 0, which is not supported"
    );
    other.resampling_fn_seg = "resample_torch_fornnunet".into();
    assert!(matches!(refused(&image, None, &other), PreprocessError::Resampling { field: "resampling_fn_seg", .. }));

    let mut other = configuration.clone();
    other.normalization_schemes.push(other.normalization_schemes[0]);
    let found = refused(&image, None, &other);
    assert!(matches!(found, PreprocessError::ChannelCount { expected: 2, actual: 1 }));

    let mut short = labels;
    short.voxels = Array3::zeros((1, 1, 1));
    assert!(matches!(refused(&image, Some(&short), &configuration), PreprocessError::LabelShape { .. }));
}

/// A case of noise inside a zero margin, in some axis order, at its own spacing.
fn any_case() -> impl Strategy<Value = Case> {
    let forward = Just([0, 1, 2]).prop_shuffle();
    (1..6_usize, 1..7_usize, 1..8_usize, forward, any::<u32>()).prop_map(|(z, y, x, transpose_forward, seed)| {
        let mut case = cases().remove(0);
        case.shape = [z, y, x];
        case.transpose_forward = transpose_forward;
        let mut random = nnunet::mt19937::Mt19937::new(seed);
        case.image = (0..z * y * x).map(|_| if random.up_to(3) == 0 { 1.5 } else { 0.0 }).collect();
        case.labels = case.image.iter().map(|&value| u8::from(value > 0.0)).collect();
        case
    })
}

proptest! {
    #[test]
    fn a_prediction_lands_on_the_voxels_it_was_made_for(case in any_case()) {
        let (_, configuration) = case.plans();
        let found = case.preprocessed();
        let labels = found.labels.unwrap();
        let (z, y, x) = labels.dim();
        let logits = Array4::from_shape_fn((2, z, y, x), |(class, z, y, x)| {
            if usize::try_from(labels[[z, y, x]]) == Ok(class) { 9.0 } else { 0.0 }
        });
        let back = probabilities(logits, &found.properties, &configuration, OutputHead::Softmax, 1.0).unwrap();
        let foreground = back.index_axis(ndarray::Axis(0), 1);
        prop_assert_eq!(foreground.shape(), case.shape);
        for (probability, &label) in foreground.iter().zip(&case.labels) {
            prop_assert_eq!(*probability > 0.9, label == 1);
        }
        for sum in back.sum_axis(ndarray::Axis(0)) {
            prop_assert!((sum - 1.0).abs() < 1e-6);
        }
    }
}
