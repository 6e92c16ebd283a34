//! The graph of a network small enough to be read, and what is refused.

use nnunet::plans::{Configuration, ConfigurationName, EncoderDepth, Plans};
use nnunet::topology::UNet;
use prost::Message;
use serde_json::json;

use super::message::{AttributeProto, Extent, ModelProto, NodeProto, ValueInfoProto};
use super::{OnnxError, export, operators};
use crate::weights::{Tensor, WeightFormat, Weights};

/// Two stages of one convolution each, 2 and 3 features, the second `stride`-strided.
fn configuration(kernel: &[usize], stride: &[usize], conv_bias: bool) -> Configuration {
    let text = include_str!("../../../nnunet/tests/golden/plans/hippocampus.json");
    let name = if kernel.len() == 2 { "2d" } else { "3d_fullres" };
    let mut configuration = Plans::parse(text).unwrap().configuration(&ConfigurationName(name.into())).unwrap();
    let mut architecture = serde_json::to_value(&configuration.architecture).unwrap();
    let arguments = &mut architecture["arch_kwargs"];
    arguments["n_stages"] = json!(2);
    arguments["features_per_stage"] = json!([2, 3]);
    arguments["kernel_sizes"] = json!([kernel, kernel]);
    arguments["strides"] = json!([vec![1; kernel.len()], stride]);
    arguments["n_conv_per_stage"] = json!([1, 1]);
    arguments["n_conv_per_stage_decoder"] = json!([1]);
    arguments["conv_bias"] = json!(conv_bias);
    configuration.architecture = serde_json::from_value(architecture).unwrap();
    configuration.patch_size = vec![8; kernel.len()];
    configuration
}

fn network(kernel: &[usize], stride: &[usize], conv_bias: bool) -> UNet {
    UNet::new(&configuration(kernel, stride, conv_bias), 1, 4).unwrap()
}

fn weights(network: &UNet) -> Weights {
    let mut weights = Weights::default();
    for (i, parameter) in network.parameters().into_iter().enumerate() {
        let values = (0..parameter.shape.iter().product()).map(|j: usize| (i * 100 + j) as f32).collect();
        weights.insert(parameter.name, Tensor { shape: parameter.shape, values }).unwrap();
    }
    weights
}

fn attribute(attribute: &AttributeProto) -> String {
    let value = match (attribute.f, attribute.i) {
        (Some(f), None) => f.to_string(),
        (None, Some(i)) => i.to_string(),
        _ => format!("{:?}", attribute.ints),
    };
    format!(" {}={value}", attribute.name())
}

fn node(node: &NodeProto) -> String {
    assert!(node.name() == node.output[0] || node.output == ["logits"]);
    let attributes: String = node.attribute.iter().map(attribute).collect();
    format!("{} {} ({}){attributes}", node.op_type(), node.name(), node.input.join(", "))
}

fn value(value: &ValueInfoProto) -> String {
    let tensor = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    let extents = tensor.shape.as_ref().unwrap().dim.iter().map(|dim| match dim.value.as_ref().unwrap() {
        Extent::Value(value) => value.to_string(),
        Extent::Parameter(name) => name.clone(),
    });
    format!("{}: {} [{}]", value.name(), tensor.elem_type(), extents.collect::<Vec<_>>().join(", "))
}

fn check(network: &UNet, patch: &[usize], expected: &str) {
    let bytes = export(network, &weights(network), patch, WeightFormat::F32).unwrap();
    let model = ModelProto::decode(&bytes[..]).unwrap();
    let graph = model.graph.unwrap();
    let values = graph.input.iter().chain(&graph.output).map(value);
    let listed: Vec<_> = values.chain(graph.node.iter().map(node)).collect();
    assert_eq!(listed, expected.trim().lines().map(str::trim).collect::<Vec<_>>());
}

#[test]
fn a_network_of_three_blocks_becomes_twelve_nodes() {
    check(
        &network(&[3, 3], &[2, 2], true),
        &[8, 4],
        "
        image: 1 [batch, 1, 8, 4]
        logits: 1 [batch, 4, 8, 4]
        Conv encoder.stages.0.0.convs.0.conv (image, encoder.stages.0.0.convs.0.conv.weight, encoder.stages.0.0.convs.0.conv.bias) kernel_shape=[3, 3] pads=[1, 1, 1, 1] strides=[1, 1]
        InstanceNormalization encoder.stages.0.0.convs.0.norm (encoder.stages.0.0.convs.0.conv, encoder.stages.0.0.convs.0.norm.weight, encoder.stages.0.0.convs.0.norm.bias) epsilon=0.00001
        LeakyRelu encoder.stages.0.0.convs.0.nonlin (encoder.stages.0.0.convs.0.norm) alpha=0.01
        Conv encoder.stages.1.0.convs.0.conv (encoder.stages.0.0.convs.0.nonlin, encoder.stages.1.0.convs.0.conv.weight, encoder.stages.1.0.convs.0.conv.bias) kernel_shape=[3, 3] pads=[1, 1, 1, 1] strides=[2, 2]
        InstanceNormalization encoder.stages.1.0.convs.0.norm (encoder.stages.1.0.convs.0.conv, encoder.stages.1.0.convs.0.norm.weight, encoder.stages.1.0.convs.0.norm.bias) epsilon=0.00001
        LeakyRelu encoder.stages.1.0.convs.0.nonlin (encoder.stages.1.0.convs.0.norm) alpha=0.01
        ConvTranspose decoder.transpconvs.0 (encoder.stages.1.0.convs.0.nonlin, decoder.transpconvs.0.weight, decoder.transpconvs.0.bias) kernel_shape=[2, 2] strides=[2, 2]
        Concat decoder.transpconvs.0.concat (decoder.transpconvs.0, encoder.stages.0.0.convs.0.nonlin) axis=1
        Conv decoder.stages.0.convs.0.conv (decoder.transpconvs.0.concat, decoder.stages.0.convs.0.conv.weight, decoder.stages.0.convs.0.conv.bias) kernel_shape=[3, 3] pads=[1, 1, 1, 1] strides=[1, 1]
        InstanceNormalization decoder.stages.0.convs.0.norm (decoder.stages.0.convs.0.conv, decoder.stages.0.convs.0.norm.weight, decoder.stages.0.convs.0.norm.bias) epsilon=0.00001
        LeakyRelu decoder.stages.0.convs.0.nonlin (decoder.stages.0.convs.0.norm) alpha=0.01
        Conv decoder.seg_layers.0 (decoder.stages.0.convs.0.nonlin, decoder.seg_layers.0.weight, decoder.seg_layers.0.bias) kernel_shape=[1, 1] strides=[1, 1]
        ",
    );
}

#[test]
fn a_flat_kernel_is_padded_in_plane_only() {
    let network = network(&[1, 3, 5], &[1, 2, 2], false);
    let bytes = export(&network, &weights(&network), &[3, 4, 4], WeightFormat::F32).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let listed: Vec<_> = graph.node.iter().map(node).collect();
    let conv = "Conv encoder.stages.1.0.convs.0.conv (encoder.stages.0.0.convs.0.nonlin, \
                encoder.stages.1.0.convs.0.conv.weight) \
                kernel_shape=[1, 3, 5] pads=[0, 1, 2, 0, 1, 2] strides=[1, 2, 2]";
    assert_eq!(listed[3], conv);
    let up = "ConvTranspose decoder.transpconvs.0 (encoder.stages.1.0.convs.0.nonlin, decoder.transpconvs.0.weight) \
              kernel_shape=[1, 2, 2] strides=[1, 2, 2]";
    assert_eq!(listed[6], up);
}

#[test]
fn operators_are_exactly_the_declared_ones() {
    let networks = [network(&[3, 3, 3], &[2, 2, 2], true), residual(&[2, 2, 2], true), residual(&[1, 1, 1], true)];
    // No norm by blocks, those of full resolution, and all.
    let patches = [[4, 4, 4], [16, 16, 16], [64, 16, 32]];
    for (network, patch) in networks.iter().flat_map(|network| patches.iter().map(move |patch| (network, patch))) {
        let bytes = export(network, &weights(network), patch, WeightFormat::F32).unwrap();
        let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
        let mut used: Vec<_> = graph.node.iter().map(NodeProto::op_type).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, operators(network, patch, WeightFormat::F32));
    }
}

#[test]
fn a_norm_of_many_voxels_is_written_from_means_of_blocks() {
    let network = network(&[3, 3], &[2, 2], true);
    let bytes = export(&network, &weights(&network), &[96, 44], WeightFormat::F32).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let listed: Vec<_> = graph.node.iter().map(node).collect();
    let norm = "encoder.stages.0.0.convs.0.norm";
    let expected = [
        format!("AveragePool {norm}.mean.blocks (encoder.stages.0.0.convs.0.conv) kernel_shape=[8, 4] strides=[8, 4]"),
        format!("ReduceMean {norm}.mean ({norm}.mean.blocks) axes=[2, 3] keepdims=1"),
        format!("Sub {norm}.centered (encoder.stages.0.0.convs.0.conv, {norm}.mean)"),
        format!("Mul {norm}.square ({norm}.centered, {norm}.centered)"),
        format!("AveragePool {norm}.variance.blocks ({norm}.square) kernel_shape=[8, 4] strides=[8, 4]"),
        format!("ReduceMean {norm}.variance ({norm}.variance.blocks) axes=[2, 3] keepdims=1"),
        format!("Add {norm}.regularized ({norm}.variance, {norm}.epsilon)"),
        format!("Sqrt {norm}.deviation ({norm}.regularized)"),
        format!("Div {norm}.scale ({norm}.weight, {norm}.deviation)"),
        format!("Mul {norm}.scaled ({norm}.centered, {norm}.scale)"),
        format!("Add {norm} ({norm}.scaled, {norm}.bias)"),
    ];
    assert_eq!(listed[1..=expected.len()], expected);
    let dims = |name: &str| graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap().dims.clone();
    assert_eq!(dims(&format!("{norm}.weight")), [2, 1, 1]);
    assert!(dims(&format!("{norm}.epsilon")).is_empty());
    // The level below has a quarter of the voxels.
    assert!(listed.iter().any(|node| node.starts_with("InstanceNormalization encoder.stages.1.0.convs.0.norm ")));
    assert_eq!(dims("encoder.stages.1.0.convs.0.norm.weight"), [3]);
}

/// A stem, and two stages of one residual block each, the second with more features.
fn residual(stride: &[usize], conv_bias: bool) -> UNet {
    let mut configuration = configuration(&vec![3; stride.len()], stride, conv_bias);
    configuration.architecture.network_class_name = "unet.ResidualEncoderUNet".into();
    configuration.architecture.arch_kwargs.encoder = EncoderDepth::Blocks(vec![1, 1]);
    UNet::new(&configuration, 1, 4).unwrap()
}

#[test]
fn a_residual_block_adds_its_shortcut_before_the_rectifier() {
    let network = residual(&[2, 2], false);
    let bytes = export(&network, &weights(&network), &[4, 4], WeightFormat::F32).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    assert_eq!(graph.name(), "ResidualEncoderUNet");
    let listed: Vec<_> = graph.node.iter().map(node_flow).collect();
    let [first, second] = ["encoder.stages.0.blocks.0", "encoder.stages.1.blocks.0"];
    let expected = [
        "Conv encoder.stem.convs.0.conv (image)".to_owned(),
        "InstanceNormalization encoder.stem.convs.0.norm (encoder.stem.convs.0.conv)".into(),
        "LeakyRelu encoder.stem.convs.0.nonlin (encoder.stem.convs.0.norm)".into(),
        format!("Conv {first}.conv1.conv (encoder.stem.convs.0.nonlin)"),
        format!("InstanceNormalization {first}.conv1.norm ({first}.conv1.conv)"),
        format!("LeakyRelu {first}.conv1.nonlin ({first}.conv1.norm)"),
        format!("Conv {first}.conv2.conv ({first}.conv1.nonlin)"),
        format!("InstanceNormalization {first}.conv2.norm ({first}.conv2.conv)"),
        format!("Add {first}.add ({first}.conv2.norm, encoder.stem.convs.0.nonlin)"),
        format!("LeakyRelu {first}.nonlin2 ({first}.add)"),
        format!("Conv {second}.conv1.conv ({first}.nonlin2)"),
        format!("InstanceNormalization {second}.conv1.norm ({second}.conv1.conv)"),
        format!("LeakyRelu {second}.conv1.nonlin ({second}.conv1.norm)"),
        format!("Conv {second}.conv2.conv ({second}.conv1.nonlin)"),
        format!("InstanceNormalization {second}.conv2.norm ({second}.conv2.conv)"),
        format!("AveragePool {second}.skip.0 ({first}.nonlin2)"),
        format!("Conv {second}.skip.1.conv ({second}.skip.0)"),
        format!("InstanceNormalization {second}.skip.1.norm ({second}.skip.1.conv)"),
        format!("Add {second}.add ({second}.conv2.norm, {second}.skip.1.norm)"),
        format!("LeakyRelu {second}.nonlin2 ({second}.add)"),
    ];
    assert_eq!(listed[..expected.len()], expected);
}

/// Operator, name and the inputs that are no weights.
fn node_flow(node: &NodeProto) -> String {
    let is_value = |name: &&String| !name.contains(".weight") && !name.contains(".bias");
    let inputs: Vec<_> = node.input.iter().filter(is_value).map(String::as_str).collect();
    format!("{} {} ({})", node.op_type(), node.name(), inputs.join(", "))
}

#[test]
fn initializers_are_sorted_little_endian_and_without_training_heads() {
    let mut configuration = configuration(&[3, 3], &[2, 2], true);
    let arguments = &mut configuration.architecture.arch_kwargs;
    arguments.n_stages = 3;
    arguments.features_per_stage = vec![1, 2, 3];
    arguments.kernel_sizes.push(vec![3, 3]);
    arguments.strides.push(vec![2, 2]);
    arguments.encoder = EncoderDepth::Convolutions(vec![1; 3]);
    arguments.n_conv_per_stage_decoder.push(1);
    let network = UNet::new(&configuration, 1, 2).unwrap();
    let bytes = export(&network, &weights(&network), &[8, 8], WeightFormat::F32).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let names: Vec<_> = graph.initializer.iter().map(|tensor| tensor.name().to_owned()).collect();
    let mut expected: Vec<_> = network.parameters().into_iter().map(|parameter| parameter.name).collect();
    expected.retain(|name| !name.starts_with("decoder.seg_layers.0."));
    expected.sort_unstable();
    assert_eq!(names, expected);
    let head = graph.initializer.iter().find(|tensor| tensor.name() == "decoder.seg_layers.1.bias").unwrap();
    let values = weights(&network).get("decoder.seg_layers.1.bias").unwrap().values.clone();
    assert_eq!(head.dims, [2]);
    assert_eq!(head.raw_data(), [values[0].to_le_bytes(), values[1].to_le_bytes()].concat());
}

#[test]
fn the_same_weights_give_the_same_bytes() {
    let network = network(&[3, 3], &[2, 2], true);
    let bytes = || export(&network, &weights(&network), &[8, 8], WeightFormat::F32).unwrap();
    assert_eq!(bytes(), bytes());
    // Field by field: ir_version 8, then the producer.
    assert_eq!(bytes()[..17], *b"\x08\x08\x12\x0dunnunet-train");
}

#[test]
fn a_patch_that_cannot_be_halved_is_refused() {
    let network = network(&[3, 3], &[2, 2], true);
    for patch in [&[8, 7][..], &[8, 0], &[8], &[8, 8, 8]] {
        let error = export(&network, &weights(&network), patch, WeightFormat::F32).unwrap_err();
        assert!(matches!(error, OnnxError::Patch { .. }), "{patch:?}: {error}");
    }
}

#[test]
fn weights_of_a_diverged_training_are_refused_by_name() {
    let network = network(&[3, 3], &[2, 2], true);
    let mut weights = weights(&network);
    weights.insert("decoder.seg_layers.0.bias", Tensor { shape: vec![4], values: vec![f32::INFINITY; 4] }).unwrap();
    let OnnxError::Weights { source } = export(&network, &weights, &[8, 8], WeightFormat::F32).unwrap_err() else {
        panic!("no refusal")
    };
    assert_eq!(source.to_string(), "parameter `decoder.seg_layers.0.bias`: value 0 is inf");
}

#[test]
fn half_precision_halves_the_kernels_and_casts_them_where_they_enter() {
    let network = network(&[3, 3], &[2, 2], true);
    let weights = weights(&network).rounded(WeightFormat::F16).unwrap();
    let bytes = export(&network, &weights, &[8, 8], WeightFormat::F16).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let listed: Vec<_> = graph.node.iter().map(node).collect();
    let name = "encoder.stages.0.0.convs.0";
    assert_eq!(listed[0], format!("Cast {name}.conv.weight.f32 ({name}.conv.weight) to=1"));
    let conv = format!("Conv {name}.conv (image, {name}.conv.weight.f32, {name}.conv.bias) ");
    assert!(listed[1].starts_with(&conv), "{}", listed[1]);
    for tensor in &graph.initializer {
        let kernel = tensor.dims.len() > 1;
        let n_values = usize::try_from(tensor.dims.iter().product::<i64>()).unwrap();
        assert_eq!(
            (tensor.data_type(), tensor.raw_data().len()),
            if kernel { (10, 2 * n_values) } else { (1, 4 * n_values) }
        );
    }
    let mut used: Vec<_> = graph.node.iter().map(NodeProto::op_type).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, operators(&network, &[8, 8], WeightFormat::F16));
}
