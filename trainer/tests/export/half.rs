//! Weights in half precision: smaller files, nearly the same logits, and what is refused.

use bundle_format::{BundleContents as _, IntactBundle, Token};
use nnunet::fold::Fold;
use nnunet::plans::ConfigurationName;
use trainer::export::Request;
use trainer::weights::WeightFormat;

use super::{Training, open, tensors, weights};

#[test]
fn half_precision_makes_bundles_of_half_the_size_whose_probe_is_theirs() {
    let training = Training::new("3d_fullres");
    let export = |weights| {
        let configure = |request: &mut Request| {
            request.configuration = ConfigurationName("3d_fullres".into());
            request.weights = weights;
        };
        training.export(configure).unwrap();
        let bundle = open(&training.path("out/model.unb"));
        let model = bundle.manifest().members[0].model.clone();
        let n_bytes = bundle.read(&model).unwrap().len();
        (bundle, n_bytes)
    };
    let n_kernels: usize = training
        .network
        .parameters()
        .iter()
        .filter(|p| p.shape.len() > 1)
        .map(|p| p.shape.iter().product::<usize>())
        .sum();
    let (single, n_single) = export(WeightFormat::F32);
    let (half, n_half) = export(WeightFormat::F16);
    // Two bytes less for every value of a kernel, and the names of a few casts more.
    assert!(n_half < n_single - 2 * n_kernels + 1200, "{n_half} {n_single} {n_kernels}");
    let operators = |bundle: &IntactBundle| bundle.manifest().onnx.operators.clone();
    assert!(
        operators(&half).contains(&Token::new("Cast").unwrap())
            && !operators(&single).contains(&Token::new("Cast").unwrap())
    );
    let member = half.manifest().members[0].id.to_string();
    let [of_single, of_half] = [&single, &half].map(|bundle| tensors(bundle, "selftest/expected.bin"));
    let [of_single, of_half] = [&of_single, &of_half].map(|logits| &logits.get(&member).unwrap().values);
    let largest = of_single.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    let difference = of_single.iter().zip(of_half).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    // A kernel's rounding is 2^-11 of a value at most, and a handful of layers follow each other.
    assert!(difference > 0.0 && difference < 0.01 * largest, "{difference} {largest}");
    assert_eq!(half.manifest().provenance.checkpoints_sha256, single.manifest().provenance.checkpoints_sha256);
}

#[test]
fn a_kernel_beyond_half_precision_is_refused_by_name() {
    let training = Training::new("2d");
    let mut weights = weights(&training.network, 3);
    let name = "encoder.stages.0.0.convs.0.conv.weight";
    let mut tensor = weights.get(name).unwrap().clone();
    tensor.values[5] = 7e4;
    weights.insert(name, tensor).unwrap();
    training.checkpoint(Fold(1), 9, &weights);
    let error = training.export(|request| request.weights = WeightFormat::F16).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(error.to_string(), "member `fold_1/checkpoint_9` cannot be exported");
    assert_eq!(source, format!("parameter `{name}`: value 5 is 70000, half precision ends at 65504"));
    assert_eq!(fs_err::read_dir(training.path("out")).unwrap().count(), 0, "nothing is left behind");
    training.export(|request| request.weights = WeightFormat::F32).unwrap();
}
