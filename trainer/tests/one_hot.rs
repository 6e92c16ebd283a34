//! A cascade's one-hot channels beside nnU-Net's: the same elements, masks and components, the same statistics.
//!
//! `golden/one_hot/generate.py` made what is compared with.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use nnunet::fold::Fold;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use trainer::augment::one_hot::bit_mask::BitMask;
use trainer::augment::one_hot::components::{Components, Run};
use trainer::augment::one_hot::element::Element;
use trainer::augment::one_hot::operator::Operator;
use trainer::augment::one_hot::{OneHot, operator, removal};
use trainer::random::{Purpose, Stream};

#[derive(Deserialize)]
struct Golden {
    shape: [usize; 3],
    labels: String,
    plane_shape: [usize; 2],
    plane_labels: String,
    balls: Vec<Size>,
    disks: Vec<Size>,
    exact: Vec<Exact>,
    plane_exact: Vec<Exact>,
    one_hot: Vec<String>,
    lumps: String,
    components: Vec<Sizes>,
    plane_components: Vec<Sizes>,
    statistics: Vec<Statistics>,
}

#[derive(Deserialize)]
struct Size {
    radius: f64,
    voxels: Vec<usize>,
}

#[derive(Deserialize)]
struct Exact {
    operator: String,
    radius: f64,
    mask: String,
}

#[derive(Deserialize)]
struct Sizes {
    sizes: Vec<usize>,
    removable: Vec<usize>,
}

#[derive(Deserialize)]
struct Statistics {
    transform: String,
    runs: u32,
    mean: [f64; 7],
    std: [f64; 7],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/one_hot/golden.json")).unwrap()
}

fn one_hot(labels: &str, shape: [usize; 3]) -> OneHot {
    let labels: Vec<i16> = labels.bytes().map(|digit| i16::from(digit - b'0')).collect();
    OneHot::of(&labels, shape, 3).unwrap()
}

/// Eight voxels to a byte, the first in the highest bit.
fn packed(mask: &BitMask) -> String {
    let mut values = vec![0.0; mask.shape().iter().product()];
    mask.write(&mut values);
    let byte =
        |voxels: &[f32]| voxels.iter().enumerate().fold(0_u8, |byte, (i, v)| byte | u8::from(*v > 0.5) << (7 - i));
    values.chunks(8).fold(String::new(), |mut text, voxels| {
        write!(text, "{:02x}", byte(voxels)).unwrap();
        text
    })
}

fn check_sizes(sizes: &[Size], element: fn(f64) -> Element, group: impl Fn((isize, isize)) -> isize) {
    assert_eq!(sizes.len(), 128);
    for size in sizes {
        let element = element(size.radius);
        let lowest = element.rows().iter().map(|row| group((row.z, row.y))).min().unwrap();
        let mut voxels = vec![0; size.voxels.iter().rposition(|n| *n > 0).unwrap() + 1];
        let skipped = size.voxels.iter().position(|n| *n > 0).unwrap();
        for row in element.rows() {
            let (first, last) = element.spans()[row.span];
            let index = usize::try_from(group((row.z, row.y)) - lowest).unwrap() + skipped;
            voxels[index] += usize::try_from(last - first + 1).unwrap();
        }
        assert_eq!(voxels, size.voxels[..voxels.len()], "radius {}", size.radius);
    }
}

#[test]
fn balls_and_disks_have_the_voxels_of_the_reference() {
    let golden = golden();
    check_sizes(&golden.balls, Element::ball, |(z, _)| z);
    check_sizes(&golden.disks, Element::disk, |(_, y)| y);
}

fn check_exact(cases: &[Exact], one_hot: &OneHot, element: fn(f64) -> Element) {
    assert_eq!(cases.len(), 36);
    for case in cases {
        let operator = match case.operator.as_str() {
            "dilation" => Operator::Dilation,
            "erosion" => Operator::Erosion,
            "closing" => Operator::Closing,
            "opening" => Operator::Opening,
            other => panic!("unknown operator `{other}`"),
        };
        let found = packed(&operator.apply(&one_hot.masks()[0], &element(case.radius)));
        assert!(found == case.mask, "{} with radius {}", case.operator, case.radius);
    }
}

#[test]
fn operators_give_the_masks_of_the_reference() {
    let golden = golden();
    let [y, x] = golden.plane_shape;
    check_exact(&golden.exact, &one_hot(&golden.labels, golden.shape), Element::ball);
    check_exact(&golden.plane_exact, &one_hot(&golden.plane_labels, [1, y, x]), Element::disk);
}

#[test]
fn channels_are_those_of_the_reference() {
    let golden = golden();
    let found: Vec<String> = one_hot(&golden.labels, golden.shape).masks().iter().map(packed).collect();
    assert_eq!(found, golden.one_hot);
}

fn check_components(expected: &[Sizes], one_hot: &OneHot) {
    let sizes = |components: Vec<Vec<Run>>| -> Vec<usize> {
        let size = |runs: &Vec<Run>| runs.iter().map(|run| run.range.1 - run.range.0).sum();
        components.iter().map(size).collect()
    };
    for (mask, expected) in one_hot.masks().iter().zip(expected) {
        assert_eq!(sizes(Components::of(mask).into_runs()), expected.sizes);
        assert_eq!(sizes(removal::removable(mask)), expected.removable);
    }
}

#[test]
fn components_that_may_go_are_those_of_the_reference() {
    let golden = golden();
    let [y, x] = golden.plane_shape;
    check_components(&golden.components, &one_hot(&golden.labels, golden.shape));
    check_components(&golden.plane_components, &one_hot(&golden.plane_labels, [1, y, x]));
    let stays = |row: &Sizes| row.removable.len() < row.sizes.len();
    assert!(golden.plane_components.iter().any(stays), "one component is too large to be removed");
}

/// As the script's `summary`.
fn summary(masks: &[BitMask], before: &OneHot) -> [f64; 7] {
    let mut summary = [0.0; 7];
    summary[0] = f64::from(masks != before.masks());
    for (label, mask) in masks.iter().enumerate() {
        let mut values = vec![0.0; mask.shape().iter().product()];
        mask.write(&mut values);
        let steps =
            values.chunks_exact(mask.shape()[2]).flat_map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
        summary[4 + label] = f64::from(steps.sum::<f32>());
        summary[1 + label] = f64::from(values.iter().sum::<f32>());
    }
    summary
}

fn run(transform: &str, generator: &mut ChaCha8Rng, before: &OneHot) -> Vec<BitMask> {
    let mut masks = before.masks().to_vec();
    let mut happens = |probability: f64| generator.random::<f64>() < probability;
    match transform {
        "operator" if happens(operator::PROBABILITY) => operator::augment(generator, &mut masks),
        "removal" if happens(removal::PROBABILITY) => removal::augment(generator, &mut masks),
        "operator" | "removal" => {}
        "both" => {
            let mut both = before.clone();
            both.augment(generator);
            masks = both.masks().to_vec();
        }
        other => panic!("unknown transform `{other}`"),
    }
    masks
}

#[test]
fn random_operators_and_removals_give_the_statistics_of_nnunet() {
    let golden = golden();
    let before = one_hot(&golden.lumps, golden.shape);
    assert_eq!(golden.statistics.len(), 3);
    for expected in &golden.statistics {
        let generator = |index| {
            Stream { seed: 5, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index }.generator()
        };
        let runs: Vec<[f64; 7]> = (0..expected.runs)
            .map(|index| summary(&run(&expected.transform, &mut generator(index), &before), &before))
            .collect();
        let n = f64::from(expected.runs);
        for part in 0..7 {
            let mean = runs.iter().map(|run| run[part]).sum::<f64>() / n;
            let std = (runs.iter().map(|run| (run[part] - mean).powi(2)).sum::<f64>() / n).sqrt();
            // Two samples of n runs: four standard errors of the difference of their means.
            let error = ((std.powi(2) + expected.std[part].powi(2)) / n).sqrt();
            let found = (&expected.transform, part, mean, std);
            assert!((mean - expected.mean[part]).abs() < 4.0 * error + 1e-5, "{found:?}, {}", expected.mean[part]);
            assert!(
                (std - expected.std[part]).abs() < 0.25 * expected.std[part] + 1e-4,
                "{found:?}, {}",
                expected.std[part]
            );
        }
    }
}
