//! What of an architecture is built, and what is refused.

use super::{ArchitectureArguments, EncoderDepth, MAX_FEATURES, TopologyError};
use crate::plans::Architecture;

/// Most stages a network may have; ten halvings leave one voxel of 1024.
const MAX_STAGES: usize = 12;

/// The arguments, if the network they describe is built as `dynamic_network_architectures` would.
pub(super) fn arguments(architecture: &Architecture, n_axes: usize) -> Result<&ArchitectureArguments, TopologyError> {
    let arguments = &architecture.arch_kwargs;
    let class = architecture.network_class_name.as_str();
    let is_residual = class.ends_with(".ResidualEncoderUNet");
    let expected_class = if is_residual { ".ResidualEncoderUNet" } else { ".PlainConvUNet" };
    for (field, found, expected) in [
        ("network_class_name", class, expected_class.to_owned()),
        ("conv_op", &arguments.conv_op, format!(".Conv{n_axes}d")),
        ("norm_op", &arguments.norm_op, format!(".InstanceNorm{n_axes}d")),
        ("nonlin", &arguments.nonlin, ".LeakyReLU".to_owned()),
    ] {
        if !found.ends_with(&expected) {
            return Err(TopologyError::Class { field, found: found.to_owned(), expected: expected[1..].to_owned() });
        }
    }
    if let Some(found) = &arguments.dropout_op {
        return Err(TopologyError::Class { field: "dropout_op", found: found.clone(), expected: "null".into() });
    }
    if let Some((argument, value)) = arguments.other.iter().next() {
        return Err(TopologyError::Argument { argument: argument.clone(), found: value.to_string() });
    }
    if is_residual != matches!(arguments.encoder, EncoderDepth::Blocks(_)) {
        let (argument, found) = depth(&arguments.encoder);
        return Err(TopologyError::Argument { argument: argument.to_owned(), found: format!("{found:?}") });
    }
    check_numbers(arguments, n_axes)?;
    Ok(arguments)
}

/// The argument that says how deep each stage is, and its value.
fn depth(encoder: &EncoderDepth) -> (&'static str, &[usize]) {
    match encoder {
        EncoderDepth::Convolutions(convs) => ("n_conv_per_stage", convs),
        EncoderDepth::Blocks(blocks) => ("n_blocks_per_stage", blocks),
    }
}

fn check_numbers(arguments: &ArchitectureArguments, n_axes: usize) -> Result<(), TopologyError> {
    let (depth_field, depth) = depth(&arguments.encoder);
    let n = arguments.n_stages;
    let ensure =
        |good: bool, field, found: String| if good { Ok(()) } else { Err(TopologyError::Number { field, found }) };
    let per_axis = |lists: &[Vec<usize>], allowed: fn(usize) -> bool| {
        lists.len() == n && lists.iter().all(|list| list.len() == n_axes && list.iter().all(|&value| allowed(value)))
    };
    let counts = |list: &[usize], len: usize, max: usize| {
        list.len() == len && list.iter().all(|value| (1..=max).contains(value))
    };
    let (features, decoder) = (&arguments.features_per_stage, &arguments.n_conv_per_stage_decoder);
    let norm = &arguments.norm_op_kwargs;
    let slope = arguments.nonlin_kwargs.negative_slope.unwrap_or(0.01);
    ensure((2..=MAX_STAGES).contains(&n), "n_stages", n.to_string())?;
    ensure(counts(features, n, MAX_FEATURES), "features_per_stage", format!("{features:?}"))?;
    ensure(counts(depth, n, 64), depth_field, format!("{depth:?}"))?;
    ensure(counts(decoder, n - 1, 64), "n_conv_per_stage_decoder", format!("{decoder:?}"))?;
    let odd = |extent| extent % 2 == 1 && extent < 16;
    ensure(per_axis(&arguments.kernel_sizes, odd), "kernel_sizes", format!("{:?}", arguments.kernel_sizes))?;
    let strides = &arguments.strides;
    ensure(per_axis(strides, |stride| (1..=8).contains(&stride)), "strides", format!("{strides:?}"))?;
    ensure(strides[0].iter().all(|&stride| stride == 1), "strides of the first stage", format!("{:?}", strides[0]))?;
    ensure(norm.affine, "norm_op_kwargs.affine", norm.affine.to_string())?;
    ensure(norm.eps.is_finite() && norm.eps > 0.0, "norm_op_kwargs.eps", norm.eps.to_string())?;
    ensure((0.0..1.0).contains(&slope), "nonlin_kwargs.negative_slope", slope.to_string())
}
