//! Augmentation of labels, of slices and of volumes turned in their plane, beside nnU-Net's.
//!
//! `golden/augment_planes/generate.py` made what is compared with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f64::consts::PI;

use nnunet::fold::Fold;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use trainer::augment::Recipe;
use trainer::block::Block;
use trainer::patch_geometry::{PatchGeometry, Rotation};
use trainer::random::{Purpose, Stream};
use trainer::spatial::SpatialTransform;
use trainer::targets;

#[derive(Deserialize)]
struct Golden {
    turned: Vec<Turned>,
    targets: Vec<Targets>,
    statistics: Vec<Statistics>,
}

#[derive(Deserialize)]
struct Turned {
    #[serde(rename = "box")]
    sampled: Vec<usize>,
    patch: Vec<usize>,
    affine: Vec<Vec<f64>>,
    image: Vec<f32>,
    labels: Vec<i16>,
    patch_image: Vec<f32>,
    patch_labels: Vec<i16>,
}

#[derive(Deserialize)]
struct Targets {
    shape: Vec<usize>,
    labels: Vec<u8>,
    coarse: Vec<Coarse>,
}

#[derive(Deserialize)]
struct Coarse {
    shape: Vec<usize>,
    labels: Vec<u8>,
}

#[derive(Deserialize)]
struct Statistics {
    name: String,
    shape: Vec<usize>,
    image: Vec<f32>,
    labels: Vec<i16>,
    runs: u32,
    mean: [f64; 9],
    std: [f64; 9],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/augment_planes/golden.json")).unwrap()
}

/// Extents with a first axis of one voxel where there are two.
fn zyx(extents: &[usize]) -> [usize; 3] {
    match *extents {
        [y, x] => [1, y, x],
        _ => extents.try_into().unwrap(),
    }
}

#[test]
fn a_turned_and_scaled_patch_has_the_voxels_and_labels_of_nnunet() {
    let golden = golden();
    assert_eq!(golden.turned.len(), 6);
    for case in golden.turned {
        let (sampled, patch) = (zyx(&case.sampled), zyx(&case.patch));
        let mut matrix = [[1.0, 0.0, 0.0], [0.0; 3], [0.0; 3]];
        let first = 3 - case.affine.len();
        for (row, values) in case.affine.iter().enumerate() {
            matrix[first + row] = [0.0; 3];
            matrix[first + row][first..].copy_from_slice(values);
        }
        let center = sampled.map(|extent| (extent as f64 - 1.0) / 2.0);
        let block = Block { lower: [0; 3], shape: sampled, image: case.image, labels: case.labels };
        let (image, labels) = SpatialTransform::Affine { center, matrix }.apply(&block, patch);
        let named = format!("{:?} of {:?} by {:?}", case.patch, case.sampled, case.affine);
        for (found, expected) in image.iter().zip(&case.patch_image) {
            // The script rounds to five digits; values and their steps reach 6, places are exact to 1e-6 of a voxel.
            assert!((found - expected).abs() < 3e-5, "{named}: {found}, {expected}");
        }
        assert_eq!(image.len(), case.patch_image.len());
        assert_eq!(labels, case.patch_labels, "{named}");
        assert!(labels.iter().any(|&label| label > 0) && labels.contains(&-1), "{named}");
    }
}

#[test]
fn targets_of_coarser_stages_are_those_of_nnunet() {
    for case in golden().targets {
        for coarse in case.coarse {
            let found = targets::downsample(&case.labels, zyx(&case.shape), zyx(&coarse.shape));
            assert_eq!(found, coarse.labels, "{:?} to {:?}", case.shape, coarse.shape);
        }
    }
}

/// As the script's function of this name.
fn summary(image: &[f32], labels: &[u8], row: usize) -> [f64; 9] {
    let n = labels.len() as f64;
    let (first, second) = image.split_at(labels.len());
    let mean = first.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let variance = first.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let steps = first.chunks_exact(row).flat_map(|row| row.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs())));
    let step = steps.sum::<f64>() / (n - n / row as f64);
    let zeros = second.iter().filter(|value| **value == 0.0).count() as f64 / n;
    let share = |label: u8| labels.iter().map(|&l| f64::from(u8::from(l == label))).sum::<f64>() / n;
    let [zero, one, two, three] = [0, 1, 2, 3].map(share);
    let columns: Vec<f64> = (0..labels.len()).filter(|&i| labels[i] == 2).map(|i| (i % row) as f64).collect();
    let column = if columns.is_empty() { -1.0 } else { columns.iter().sum::<f64>() / columns.len() as f64 };
    [mean, variance.sqrt(), step, zeros, zero, one, two, three, column]
}

/// The geometry of the script: the patch is its own box.
fn geometry(name: &str, patch: [usize; 3]) -> PatchGeometry {
    let (rotation, mirror_axes) = match name {
        "2d" => (Rotation::InPlane(PI), vec![1, 2]),
        "elongated 2d" => (Rotation::InPlane(PI / 12.0), vec![1, 2]),
        "dummy 2d" => (Rotation::InPlane(PI), vec![0, 1, 2]),
        "3d" => (Rotation::Volume(PI / 6.0), vec![0, 1, 2]),
        other => panic!("unknown geometry `{other}`"),
    };
    PatchGeometry { patch, sampled: patch, rotation, mirror_axes }
}

fn generator(index: u32) -> ChaCha8Rng {
    Stream { seed: 4, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index }.generator()
}

/// Rows of `summary`, one per run.
fn runs(case: &Statistics) -> Vec<[f64; 9]> {
    let shape = zyx(&case.shape);
    let geometry = geometry(&case.name, shape);
    // What the script's shapes stand for is what the planner's would be.
    let planned = PatchGeometry::of_patch(&case.shape);
    assert_eq!((planned.rotation, &planned.mirror_axes), (geometry.rotation, &geometry.mirror_axes), "{}", case.name);
    let block = Block { lower: [0; 3], shape, image: case.image.clone(), labels: case.labels.clone() };
    let recipe = Recipe::new(&geometry, &[false, true]);
    let run = |index| {
        let mut generator = generator(index);
        let transform = SpatialTransform::draw(&mut generator, [0; 3], &geometry);
        let (mut image, mut labels) = transform.apply(&block, shape);
        recipe.apply(&mut generator, &mut image, &mut labels);
        summary(&image, &targets::inside(&labels, 4).unwrap(), shape[2])
    };
    (0..case.runs).map(run).collect()
}

#[test]
fn the_whole_recipe_has_the_statistics_of_nnunet_in_every_geometry() {
    let golden = golden();
    assert_eq!(golden.statistics.len(), 4);
    for expected in &golden.statistics {
        let runs = runs(expected);
        let n = f64::from(expected.runs);
        for part in 0..9 {
            let mean = runs.iter().map(|run| run[part]).sum::<f64>() / n;
            let std = (runs.iter().map(|run| (run[part] - mean).powi(2)).sum::<f64>() / n).sqrt();
            // Two samples of n runs: the error of the difference of their means; four of it, and what rounding adds.
            let error = ((std.powi(2) + expected.std[part].powi(2)) / n).sqrt();
            let (name, expected_mean) = (&expected.name, expected.mean[part]);
            assert!(
                (mean - expected_mean).abs() < 4.0 * error + 1e-5,
                "{name} {part}: {mean}, {expected_mean} ± {error}"
            );
            let spread = (std - expected.std[part]).abs();
            assert!(
                spread < 0.25 * expected.std[part] + 1e-4,
                "{name} {part}: deviation {std}, {}",
                expected.std[part]
            );
        }
    }
}
