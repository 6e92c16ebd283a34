//! nnU-Net's model of a network's memory: the voxels of all feature maps for one patch.
//!
//! Follows `compute_conv_feature_map_size` of `dynamic_network_architectures`: the output of every convolution counts,
//! the ones on the skips of residual blocks and transposed ones included, and of the heads only the last.

use crate::plans::{ArchitectureArguments, EncoderDepth};

/// Counts the voxels of all feature maps of a network with `n_outputs` channels of logits.
pub(super) fn feature_map_voxels(patch: &[usize], arguments: &ArchitectureArguments, n_outputs: usize) -> f64 {
    let mut extents = patch.to_vec();
    let mut voxels = Vec::with_capacity(arguments.strides.len());
    for stride in &arguments.strides {
        for (extent, stride) in extents.iter_mut().zip(stride) {
            *extent /= stride;
        }
        voxels.push(extents.iter().map(|&extent| extent as f64).product::<f64>());
    }
    // One feature map of each stage, with all its features.
    let maps: Vec<f64> =
        voxels.iter().zip(&arguments.features_per_stage).map(|(voxels, &n)| voxels * n as f64).collect();
    let convs = convolutions(&arguments.encoder);
    let encoder: f64 = maps.iter().zip(convs).map(|(map, n)| map * n as f64).sum();
    // Each decoder stage has the resolution and the features of its skip connection, and a transposed convolution.
    let skips = maps.iter().rev().skip(1).zip(&arguments.n_conv_per_stage_decoder);
    let decoder: f64 = skips.map(|(map, &n)| map * (n + 1) as f64).sum();
    encoder + decoder + n_outputs as f64 * voxels.first().copied().unwrap_or(0.0)
}

/// Convolutions of each encoder stage at its resolution.
fn convolutions(encoder: &EncoderDepth) -> Vec<usize> {
    match encoder {
        EncoderDepth::Convolutions(convs) => convs.clone(),
        // Two per block, and one more: the stem before the first stage, and the projection of the skip that goes past
        // the strided block of every other.
        EncoderDepth::Blocks(blocks) => blocks.iter().map(|n| 2 * n + 1).collect(),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "a count of voxels")]
mod tests {
    use super::*;
    use crate::plans::{ConfigurationName, Plans};

    fn check(encoder: EncoderDepth, n_conv_decoder: usize, expected: f64) {
        let plans = Plans::parse(include_str!("../../tests/golden/plans/hippocampus.json")).unwrap();
        let mut arguments = plans.configuration(&ConfigurationName("2d".into())).unwrap().architecture.arch_kwargs;
        arguments.strides = vec![vec![1, 1], vec![2, 2]];
        arguments.features_per_stage = vec![4, 8];
        arguments.encoder = encoder;
        arguments.n_conv_per_stage_decoder = vec![n_conv_decoder];
        assert_eq!(feature_map_voxels(&[8, 8], &arguments, 3), expected);
    }

    #[test]
    fn two_plain_stages_can_be_counted_by_hand() {
        // Encoder 2·4·64 + 2·8·16 = 768, decoder (2 + 1)·4·64 = 768, head 3·64 = 192.
        check(EncoderDepth::Convolutions(vec![2, 2]), 2, 1728.0);
    }

    #[test]
    fn two_residual_stages_can_be_counted_by_hand() {
        // Stem 4·64 = 256, blocks 2·4·64 = 512 and 3·2·8·16 = 768, skip 8·16 = 128, decoder (1 + 1)·4·64 = 512, head 192.
        check(EncoderDepth::Blocks(vec![1, 3]), 1, 2368.0);
    }
}
