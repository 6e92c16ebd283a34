//! Augmentation beside nnU-Net's: the same parameters give the same voxels, random ones the same statistics.
//!
//! `golden/augment/generate.py` made what is compared with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "golden parameters are small")]

use nnunet::fold::Fold;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use trainer::augment::{Recipe, blur, brightness, contrast, gamma, low_resolution, noise};
use trainer::block::Block;
use trainer::patch_geometry::{PatchGeometry, Rotation};
use trainer::random::{Purpose, Stream};
use trainer::spatial::SpatialTransform;

#[derive(Deserialize)]
struct Golden {
    shape: [usize; 3],
    image: Vec<f32>,
    exact: Vec<Exact>,
    statistics: Vec<Statistics>,
}

#[derive(Deserialize)]
struct Exact {
    transform: String,
    parameters: Vec<f64>,
    output: Vec<f32>,
}

#[derive(Deserialize)]
struct Statistics {
    transform: String,
    runs: u32,
    mean: [f64; 5],
    std: [f64; 5],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/augment/golden.json")).unwrap()
}

fn generator(index: u32) -> ChaCha8Rng {
    Stream { seed: 3, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index }.generator()
}

/// The geometry of the script: the patch is its own box.
fn geometry(shape: [usize; 3]) -> PatchGeometry {
    let rotation = Rotation::Volume(std::f64::consts::PI / 6.0);
    PatchGeometry { patch: shape, sampled: shape, rotation, mirror_axes: vec![0, 1, 2] }
}

#[test]
fn the_same_parameters_give_the_voxels_of_nnunet() {
    let golden = golden();
    assert_eq!(golden.exact.len(), 11);
    for case in &golden.exact {
        let mut channel = golden.image[..golden.image.len() / 2].to_vec();
        let [first, ..] = case.parameters[..] else { panic!("no parameters") };
        match case.transform.as_str() {
            "blur" => blur::blur(&mut channel, golden.shape, case.parameters[..].try_into().unwrap()),
            "contrast" => contrast::stretch(&mut channel, first as f32),
            "gamma" => gamma::gamma(&mut channel, first as f32, gamma::Form::Plain),
            "inverted gamma" => gamma::gamma(&mut channel, first as f32, gamma::Form::Inverted),
            "low resolution" => {
                let coarse: Vec<usize> = case.parameters.iter().map(|extent| *extent as usize).collect();
                low_resolution::coarsen(&mut channel, golden.shape, coarse.try_into().unwrap());
            }
            other => panic!("unknown transform `{other}`"),
        }
        for (found, expected) in channel.iter().zip(&case.output) {
            // The script rounds to five digits; intensities reach 5.
            assert!((found - expected).abs() < 3e-5, "{} {:?}: {found}, {expected}", case.transform, case.parameters);
        }
    }
}

/// As the script's `summary`.
fn summary(output: &[f32], image: &[f32], row: usize) -> [f64; 5] {
    let n = output.len() as f64;
    let mean = output.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = output.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let cube = output.iter().map(|v| f64::from(*v).powi(3)).sum::<f64>() / n;
    let steps =
        output.chunks_exact(row).flat_map(|row| row.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs())));
    let step = steps.sum::<f64>() / (n - n / row as f64);
    [f64::from(output != image), mean, variance.sqrt(), cube, step]
}

/// One run of one transform on the image.
fn run(name: &str, generator: &mut ChaCha8Rng, golden: &Golden) -> Vec<f32> {
    let (shape, n) = (golden.shape, golden.image.len() / 2);
    let mut image = golden.image.clone();
    let mut happens = |probability: f64| generator.random::<f64>() < probability;
    let index = name.chars().next().unwrap();
    match index {
        '1' if happens(noise::PROBABILITY) => noise::augment(generator, &mut image),
        '2' if happens(blur::PROBABILITY) => blur::augment(generator, &mut image, shape),
        '3' if happens(brightness::PROBABILITY) => brightness::augment(generator, &mut image, n),
        '4' if happens(contrast::PROBABILITY) => contrast::augment(generator, &mut image, n),
        '5' if happens(low_resolution::PROBABILITY) => low_resolution::augment(generator, &mut image, shape, 0),
        '6' if happens(gamma::Form::Inverted.probability()) => {
            gamma::augment(generator, &mut image, n, gamma::Form::Inverted);
        }
        '7' if happens(gamma::Form::Plain.probability()) => {
            gamma::augment(generator, &mut image, n, gamma::Form::Plain);
        }
        's' | 'a' => {
            let block = Block { lower: [0; 3], shape, image, labels: vec![0; n] };
            let transform = SpatialTransform::draw(generator, [0; 3], &geometry(shape));
            let (mut image, mut labels) = transform.apply(&block, shape);
            if index == 'a' {
                Recipe::new(&geometry(shape), &[false; 2]).apply(generator, &mut image, &mut labels);
            }
            return image;
        }
        '1'..='7' => {}
        _ => panic!("unknown transform `{name}`"),
    }
    image
}

#[test]
fn random_parameters_give_the_statistics_of_nnunet() {
    let golden = golden();
    assert_eq!(golden.statistics.len(), 9);
    for expected in &golden.statistics {
        let runs: Vec<[f64; 5]> = (0..expected.runs)
            .map(|i| summary(&run(&expected.transform, &mut generator(i), &golden), &golden.image, golden.shape[2]))
            .collect();
        let n = f64::from(expected.runs);
        for part in 0..5 {
            let mean = runs.iter().map(|run| run[part]).sum::<f64>() / n;
            let std = (runs.iter().map(|run| (run[part] - mean).powi(2)).sum::<f64>() / n).sqrt();
            // Two samples of n runs: the error of the difference of their means; four of it, and what rounding adds.
            let error = ((std.powi(2) + expected.std[part].powi(2)) / n).sqrt();
            let difference = (mean - expected.mean[part]).abs();
            assert!(
                difference < 4.0 * error + 1e-5,
                "{} {part}: {mean}, {} ± {error}",
                expected.transform,
                expected.mean[part]
            );
            // The deviations agree within a quarter, or rounding.
            let spread = (std - expected.std[part]).abs();
            assert!(spread < 0.25 * expected.std[part] + 1e-4, "{} {part}: deviation {std}", expected.transform);
        }
    }
}
