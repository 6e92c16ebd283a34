//! Tests of the temperature: by hand, as a property, and against data drawn from a known one.

use ndarray::Array3;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::dataset::DatasetJson;

fn labels(text: &str) -> LabelSet {
    let dataset = format!(
        r#"{{"channel_names":{{"0":"MRI"}},"labels":{text},"regions_class_order":[1,2],"file_ending":".nii.gz"}}"#
    );
    DatasetJson::parse(&dataset).unwrap().structures().unwrap()
}

fn classes() -> LabelSet {
    labels(r#"{"background":0,"a":1}"#)
}

fn regions() -> LabelSet {
    labels(r#"{"background":0,"whole":[1,2],"core":[2]}"#)
}

/// All voxels of a row, whose weights are then alike.
fn row(values: &[u8], labels: &LabelSet) -> Drawn {
    let reference = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
    Drawn::new(&reference.view(), labels, 2 * values.len(), &mut ChaCha8Rng::seed_from_u64(0))
}

fn case(values: &[u8], members: &[Vec<f32>], labels: &LabelSet) -> SampledCase {
    SampledCase { drawn: row(values, labels), members: members.to_vec() }
}

#[test]
fn a_network_that_is_wrong_once_in_four_has_the_temperature_of_this_risk() {
    // Logits [0, z], three of four right: sigmoid(z / T) is 3/4 at T = z / ln 3.
    let one = [0.0, 4.0].repeat(4);
    let fitted = fit(&[case(&[1, 1, 1, 0], &[one], &classes())], &classes()).unwrap();
    assert_eq!(fitted.temperature.to_bits(), 3.641_f32.to_bits());
    let entropy = -(0.75 * 0.75_f64.log2() + 0.25 * 0.25_f64.log2());
    assert!((fitted.bits_after - entropy).abs() < 1e-9, "{fitted:?}");
    let before = (3.0 * (-4.0_f64).exp().ln_1p() + 4.0_f64.exp().ln_1p()) / (4.0 * LN_2);
    assert!((fitted.bits_before - before).abs() < 1e-12, "{fitted:?}");
}

#[test]
fn a_region_is_a_question_of_its_own() {
    // Both regions are answered right three times of four, with logits of 4.
    let one = [4.0, 4.0].repeat(4);
    let fitted = fit(&[case(&[2, 2, 2, 0], &[one], &regions())], &regions()).unwrap();
    assert_eq!(fitted.temperature.to_bits(), 3.641_f32.to_bits());
    let entropy = -(0.75 * 0.75_f64.log2() + 0.25 * 0.25_f64.log2());
    assert!((fitted.bits_after - 2.0 * entropy).abs() < 1e-9, "{fitted:?}");
}

#[test]
fn the_likelihood_is_that_of_the_mean_of_probabilities() {
    let members = [vec![0.0, 2.0], vec![1.0, 0.0]];
    let found = case(&[1], &members, &classes()).bits(&classes(), 1.0);
    let p = |a: f64, b: f64| b.exp() / (a.exp() + b.exp());
    let expected = -f64::midpoint(p(0.0, 2.0), p(1.0, 0.0)).log2();
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    // Members that contradict each other make the mean unsure; each must be sharper than alone.
    let voxels = [1, 1, 1, 0];
    let members = [[0.0, 4.0].repeat(4), [0.0, 1.0].repeat(4)];
    let both = fit(&[case(&voxels, &members, &classes())], &classes()).unwrap();
    let first = fit(&[case(&voxels, &members[..1], &classes())], &classes()).unwrap();
    assert!(both.temperature < first.temperature, "{both:?} {first:?}");
}

#[test]
fn every_case_counts_alike() {
    let (right, wrong) = ([1, 1, 1, 1], [0]);
    let cases = [case(&right, &[[0.0, 4.0].repeat(4)], &classes()), case(&wrong, &[vec![0.0, 1.0]], &classes())];
    let bits: Vec<_> = cases.iter().map(|case| case.bits(&classes(), 1.0)).collect();
    let fitted = fit(&cases, &classes()).unwrap();
    assert!((fitted.bits_before - f64::midpoint(bits[0], bits[1])).abs() < 1e-12);
}

#[test]
fn what_has_no_temperature_gets_none() {
    let check = |values: &[u8], logits: Vec<f32>, limit| {
        let error = fit(&[case(values, &[logits], &classes())], &classes()).unwrap_err();
        assert_eq!(error, TemperatureError::AtLimit { limit });
    };
    check(&[1, 1], [0.0, 1.0].repeat(2), 0.05);
    check(&[0, 0], [0.0, 1.0].repeat(2), 20.0);
    assert_eq!(fit(&[], &classes()), Err(TemperatureError::NoVoxel));
    assert_eq!(
        fit(&[SampledCase { drawn: Drawn::default(), members: vec![] }], &classes()),
        Err(TemperatureError::NoVoxel)
    );
}

#[test]
fn enormous_logits_do_not_overflow() {
    let mut logits = [0.0, 3e4].repeat(7);
    logits.extend([3e4, 0.0]);
    let bits = case(&[1; 8], &[logits], &classes()).bits(&classes(), 0.05);
    assert!((bits - 3e4 / 0.05 / LN_2 / 8.0).abs() < 1e-3, "{bits}");
    assert_eq!(softplus(-1e5).to_bits(), 0.0_f64.to_bits());
}

/// Logits of a case whose references are drawn from their own softmax at a temperature of one.
fn honest(n: usize, seed: u64) -> (Vec<u8>, Vec<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n)
        .map(|_| {
            let logit = 6.0 * rng.random::<f32>() - 3.0;
            let p = 1.0 / (1.0 + (-f64::from(logit)).exp());
            (u8::from(rng.random::<f64>() < p), [0.0, logit])
        })
        .fold((Vec::new(), Vec::new()), |(mut values, mut logits), (value, pair)| {
            values.push(value);
            logits.extend(pair);
            (values, logits)
        })
}

#[test]
fn a_network_that_says_what_it_knows_keeps_its_temperature() {
    let (values, logits) = honest(20_000, 3);
    let fitted = fit(&[case(&values, &[logits], &classes())], &classes()).unwrap();
    // The Fisher information of ln T is about 0.35 per voxel, a standard error of 0.012.
    assert!((fitted.temperature - 1.0).abs() < 0.05, "{fitted:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn logits_that_are_scaled_scale_the_temperature(factor in 0.25_f32..4.0, seed in 0_u64..1000) {
        let (values, logits) = honest(300, seed);
        let (_, others) = honest(300, seed + 1000);
        let temperature = |factor: f32| {
            let scaled = [&logits, &others].map(|logits| logits.iter().map(|logit| logit * factor).collect());
            fit(&[case(&values, &scaled[..1], &classes())], &classes()).map(|fitted| fitted.temperature)
        };
        let (one, scaled) = (temperature(1.0).unwrap(), temperature(factor).unwrap());
        // Four decimals of a temperature of 0.1 at least.
        prop_assert!((scaled / (one * factor) - 1.0).abs() < 2e-3, "{} {} {}", one, scaled, factor);
    }

    #[test]
    fn no_temperature_is_worse_than_none(seed in 0_u64..1000) {
        let (values, logits) = honest(300, seed);
        let fitted = fit(&[case(&values, &[logits], &classes())], &classes()).unwrap();
        prop_assert!(fitted.bits_after <= fitted.bits_before + 1e-6);
    }
}
