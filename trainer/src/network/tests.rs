//! Logits of small networks beside those of the reference.

use nnunet::plans::{Configuration, ConfigurationName, EncoderDepth, Plans};

use super::*;

/// Single precision through seven layers, relative to logits of order 10.
const TOLERANCE: f64 = 2e-4;

fn topology(name: &str, change: impl FnOnce(&mut Configuration)) -> UNet {
    let plans = Plans::parse(include_str!("../../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
    let mut configuration = plans.configuration(&ConfigurationName(name.into())).unwrap();
    let arguments = &mut configuration.architecture.arch_kwargs;
    arguments.n_stages = 3;
    arguments.features_per_stage = vec![3, 4, 5];
    arguments.encoder = EncoderDepth::Convolutions(vec![2, 1, 2]);
    arguments.n_conv_per_stage_decoder = vec![1, 2];
    change(&mut configuration);
    UNet::new(&configuration, 2, 3).unwrap()
}

fn check(golden: &[u8], topology: &UNet) {
    let golden = Weights::from_bytes(golden).unwrap();
    let mut weights = Weights::default();
    for (name, tensor) in golden.iter().filter(|(name, _)| name.contains("coder")) {
        weights.insert(name, tensor.clone()).unwrap();
    }
    let tensor = |name: &str| {
        let tensor = golden.get(name).unwrap();
        Tensor::from_slice(&tensor.values).reshape(extents(&tensor.shape))
    };
    let network = Network::new(topology, &weights, Device::Cpu).unwrap();
    let heads = network.heads(&tensor("image"), network.n_heads()).unwrap();
    assert_eq!(heads.len(), topology.decoder.len());
    for (i, head) in heads.iter().enumerate() {
        let difference = (head - tensor(&format!("logits.{i}"))).abs().max().double_value(&[]);
        assert!(difference < TOLERANCE, "head {i}: {difference}");
    }
    assert_eq!(network.logits(&tensor("image")).unwrap(), heads[0]);
    assert_eq!(network.weights().unwrap(), weights);
}

#[test]
fn logits_are_those_of_nnunet_in_2d() {
    let topology = topology("2d", |configuration| {
        configuration.patch_size = vec![4, 8];
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.kernel_sizes = vec![vec![3, 3], vec![3, 3], vec![1, 3]];
        arguments.strides = vec![vec![1, 1], vec![2, 2], vec![1, 2]];
    });
    check(include_bytes!("../../tests/golden/network_2d.safetensors"), &topology);
}

#[test]
fn logits_are_those_of_nnunet_in_3d_with_anisotropic_kernels_and_another_slope() {
    let topology = topology("3d_fullres", |configuration| {
        configuration.patch_size = vec![4, 8, 8];
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.kernel_sizes = vec![vec![1, 3, 3], vec![3, 3, 3], vec![3, 3, 3]];
        arguments.strides = vec![vec![1, 1, 1], vec![1, 2, 2], vec![2, 2, 2]];
        arguments.nonlin_kwargs.negative_slope = Some(0.2);
    });
    check(include_bytes!("../../tests/golden/network_3d.safetensors"), &topology);
}

/// Stages that are strided with and without more features, and more features without a stride.
fn residual(name: &str, change: impl FnOnce(&mut Configuration)) -> UNet {
    topology(name, |configuration| {
        configuration.architecture.network_class_name = "unet.ResidualEncoderUNet".into();
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.n_stages = 4;
        arguments.features_per_stage = vec![3, 3, 4, 5];
        arguments.encoder = EncoderDepth::Blocks(vec![1, 2, 2, 1]);
        arguments.n_conv_per_stage_decoder = vec![1, 2, 1];
        change(configuration);
    })
}

#[test]
fn logits_of_a_residual_encoder_are_those_of_nnunet_in_2d() {
    let topology = residual("2d", |configuration| {
        configuration.patch_size = vec![4, 8];
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.kernel_sizes = vec![vec![3, 3], vec![3, 3], vec![1, 3], vec![3, 3]];
        arguments.strides = vec![vec![1, 1], vec![2, 2], vec![1, 2], vec![1, 1]];
    });
    check(include_bytes!("../../tests/golden/residual/network_2d.safetensors"), &topology);
}

#[test]
fn logits_of_a_residual_encoder_are_those_of_nnunet_in_3d_without_biases_and_with_another_slope() {
    let topology = residual("3d_fullres", |configuration| {
        configuration.patch_size = vec![4, 8, 8];
        let arguments = &mut configuration.architecture.arch_kwargs;
        arguments.kernel_sizes = vec![vec![1, 3, 3], vec![3, 3, 3], vec![3, 3, 3], vec![3, 3, 3]];
        arguments.strides = vec![vec![1, 1, 1], vec![1, 2, 2], vec![2, 2, 2], vec![1, 1, 1]];
        arguments.conv_bias = false;
        arguments.nonlin_kwargs.negative_slope = Some(0.2);
    });
    check(include_bytes!("../../tests/golden/residual/network_3d.safetensors"), &topology);
}
