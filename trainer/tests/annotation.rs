//! Loss, gradient, pseudo-Dice and learning rate are nnU-Net's for classes, regions and an ignore label.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bundle_format::Digest;
use ndarray::{Array3, Array4};
use nnunet::dataset::{CaseId, DatasetJson, LabelSet};
use nnunet::fold::Fold;
use nnunet::foreground::structures;
use nnunet::preprocess::{CaseProperties, Preprocessed};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};
use trainer::annotation::Annotation;
use trainer::cases::Cases;
use trainer::loss::{DiceOver, Loss, deep_supervision_weights};
use trainer::patch_geometry::PatchGeometry;
use trainer::pseudo_dice::Confusion;
use trainer::random::Purpose;
use trainer::sample::Sampler;
use trainer::schedule::{Decay, Schedule};
use trainer::store::Store;
use trainer::targets;

/// Single precision; losses and gradients are of order 1 and below.
const TOLERANCE: f64 = 2e-6;

#[derive(Deserialize)]
struct Golden {
    /// Extents of the finest stage; every stage halves them.
    shape: [usize; 3],
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    /// `labels` and `regions_class_order` of `dataset.json`.
    labels: Map<String, Value>,
    batch_dice: bool,
    map: Vec<u8>,
    logits: Vec<Vec<f64>>,
    loss: f64,
    gradients: Vec<Vec<f64>>,
    pseudo_dice: Vec<Option<f64>>,
}

/// The labels of a `dataset.json` with these entries.
fn label_set(entries: &Map<String, Value>) -> LabelSet {
    let mut dataset = json!({"channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"});
    dataset.as_object_mut().unwrap().extend(entries.clone());
    DatasetJson::parse(&dataset.to_string()).unwrap().structures().unwrap()
}

/// `[image, output, z, y, x]` of a stage.
fn logits(values: &[f64], shape: [usize; 3]) -> Tensor {
    let [z, y, x] = shape.map(|extent| i64::try_from(extent).unwrap());
    Tensor::from_slice(values).to_kind(Kind::Float).reshape([2, -1, z, y, x])
}

/// Labels `[image, z, y, x]` at a stage's resolution.
fn stage_labels(map: &[u8], from: [usize; 3], to: [usize; 3]) -> Tensor {
    let coarse: Vec<u8> = map.chunks(map.len() / 2).flat_map(|image| targets::downsample(image, from, to)).collect();
    let [z, y, x] = to.map(|extent| i64::try_from(extent).unwrap());
    Tensor::from_slice(&coarse).to_kind(Kind::Int64).reshape([2, z, y, x])
}

fn check(case: &Case, shape: [usize; 3]) {
    let named = format!("{:?}, batch Dice {}", case.labels["labels"], case.batch_dice);
    let annotation = Annotation::of(&label_set(&case.labels));
    let shapes = [shape, shape.map(|extent| extent / 2)];
    let targets = shapes.map(|to| stage_labels(&case.map, shape, to));
    let inputs: Vec<_> =
        case.logits.iter().zip(shapes).map(|(values, shape)| logits(values, shape).set_requires_grad(true)).collect();
    let loss = Loss { annotation: annotation.clone(), dice_over: DiceOver::of_plans(case.batch_dice) };
    let value = loss.deep_supervision(&inputs, &targets, &deep_supervision_weights(3)).unwrap();
    value.backward();
    assert!((value.double_value(&[]) - case.loss).abs() < TOLERANCE, "{named}: loss {value:?}, not {}", case.loss);
    for ((input, expected), shape) in inputs.iter().zip(&case.gradients).zip(shapes) {
        let difference = (input.grad() - logits(expected, shape)).abs().max().double_value(&[]);
        assert!(difference < TOLERANCE, "{named}: gradient differs by {difference}");
    }
    let mut confusion = Confusion::new(&annotation);
    confusion.add(&inputs[0].detach(), &targets[0]).unwrap();
    let found = confusion.dice();
    assert_eq!(found.len(), case.pseudo_dice.len(), "{named}");
    for (found, expected) in found.iter().zip(&case.pseudo_dice) {
        assert_eq!(found.is_some(), expected.is_some(), "{named}");
        // nnU-Net counts in single precision.
        assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-6, "{named}: {found:?} {expected:?}");
    }
}

#[test]
fn loss_gradient_and_pseudo_dice_are_nnunets() {
    let golden: Golden = serde_json::from_str(include_str!("golden/annotation/losses.json")).unwrap();
    assert_eq!(golden.cases.len(), 10);
    for case in &golden.cases {
        check(case, golden.shape);
    }
}

#[test]
fn one_cycle_has_nnunets_rates() {
    let golden: BTreeMap<u32, Vec<f64>> = serde_json::from_str(include_str!("golden/annotation/rates.json")).unwrap();
    assert_eq!(golden.len(), 3);
    for (n_epochs, rates) in golden {
        let schedule = Schedule::new(n_epochs, 1, 0.8, Decay::Unnunet).unwrap();
        let found: Vec<f64> = (0..n_epochs).map(|epoch| schedule.rate(epoch)).collect();
        let largest = found.iter().zip(&rates).map(|(found, rate)| (found - rate).abs()).fold(0.0, f64::max);
        // The last bit of a power.
        assert!(found.len() == rates.len() && largest < 1e-17, "{n_epochs}: {largest}");
    }
}

const SHAPE: [usize; 3] = [1, 24, 64];

/// A case of which only the last ten columns are annotated, with a square of label 1 among them.
fn case() -> Preprocessed {
    let label = |y: usize, x: usize| match x {
        0..54 => 2,
        _ => i16::from((10..13).contains(&y) && (58..61).contains(&x)),
    };
    let labels = Array3::from_shape_fn(SHAPE, |(_, y, x)| label(y, x));
    let properties = CaseProperties::unchanged(SHAPE);
    Preprocessed { image: Array4::zeros((1, 1, 24, 64)), labels: Some(labels), properties }
}

/// How many of 60 patches show an annotated voxel, and how many the structure, of a batch of which a third must.
fn n_showing(name_of_two: &str) -> (usize, usize) {
    let entries = json!({"labels": {"background": 0, "square": 1, name_of_two: 2}});
    let set = label_set(entries.as_object().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = (Store::new(folder.path()), CaseId::new("a").unwrap());
    store.write(&id, Digest::of(b""), &case(), &structures(&set)).unwrap();
    let geometry = PatchGeometry::of_patch(&[8, 8]);
    let sampler = Sampler {
        cases: Cases::open(&store, &[id], u64::MAX).unwrap(),
        target_shapes: vec![geometry.patch],
        geometry,
        annotation: Annotation::of(&set),
        batch_size: 3,
        seed: 1,
        fold: Fold(0),
        purpose: Purpose::Training,
        recipe: None,
    };
    let patches = (0..60).map(|number| sampler.sample(0, number / 3, number % 3).unwrap().targets.swap_remove(0));
    let patches: Vec<_> = patches.collect();
    let count = |shows: fn(&u8) -> bool| patches.iter().filter(|patch| patch.iter().any(shows)).count();
    (count(|&label| label != 2), count(|&label| label == 1))
}

#[test]
fn with_an_ignore_label_every_patch_shows_something_annotated() {
    let (annotated, square) = n_showing("ignore");
    assert_eq!(annotated, 60);
    assert!((20..60).contains(&square), "{square}");
    // As a class of its own, the same label draws patches from everywhere.
    let (not_two, _) = n_showing("rest");
    assert!(not_two < 50, "{not_two}");
}
