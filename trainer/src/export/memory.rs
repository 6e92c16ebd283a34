//! How much memory a device needs to run a bundle: an estimate for a case of median size.
//!
//! Counted are the libraries, one member's weights twice (the file's and the kernels' own layout), the feature maps
//! that live together in one patch, and the volumes of the pipeline: the channels, and four floats per voxel and
//! output (logits, probabilities, and the two running sums). A larger case needs more.

use nnunet::topology::{EncoderBlock, UNet};

use super::source::Source;

const BYTES_PER_FLOAT: f64 = 4.0;
const LIBRARIES_MIB: f64 = 256.0;
const VOLUMES_PER_OUTPUT: usize = 4;

/// The estimate in MiB, rounded up; `n_model_bytes` is the size of the largest ONNX file.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a cast saturates")]
pub(super) fn memory_mib(source: &Source, n_model_bytes: usize) -> u32 {
    let network = &source.network;
    let n_voxels = median_voxels(source);
    let volumes = (network.n_channels + VOLUMES_PER_OUTPUT * network.n_outputs) as f64 * n_voxels;
    let floats = volumes + feature_floats(network, &source.configuration.patch_size) as f64;
    let bytes = floats * BYTES_PER_FLOAT + 2.0 * n_model_bytes as f64;
    (LIBRARIES_MIB + bytes / f64::from(1 << 20)).ceil() as u32
}

fn median_voxels(source: &Source) -> f64 {
    let original: usize = source.plans.original_median_shape_after_transp.iter().product();
    let resampled: f64 = source.configuration.median_image_size_in_voxels.iter().product();
    resampled.max(original as f64)
}

/// Floats of all skip connections and of the largest feature map times those alive at once: input, output and scratch,
/// and in a residual block its shortcut.
fn feature_floats(network: &UNet, patch: &[usize]) -> usize {
    let is_residual = |block: &EncoderBlock| matches!(block, EncoderBlock::Residual(_));
    let alive = if network.encoder.iter().flatten().any(is_residual) { 4 } else { 3 };
    let mut extent = patch.to_vec();
    let mut maps = Vec::with_capacity(network.encoder.len());
    for blocks in &network.encoder {
        for (extent, stride) in extent.iter_mut().zip(blocks[0].stride()) {
            *extent /= stride;
        }
        maps.push(blocks[0].n_features() * extent.iter().product::<usize>());
    }
    maps.iter().sum::<usize>() + alive * maps.iter().max().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nnunet::plans::{ConfigurationName, Plans};

    use super::*;

    #[test]
    fn feature_maps_shrink_with_every_stride() {
        let plans = Plans::parse(include_str!("../../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let mut configuration = plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap();
        configuration.architecture.arch_kwargs.features_per_stage = vec![2, 4, 8, 10];
        configuration.patch_size = vec![8, 16, 8];
        let network = UNet::new(&configuration, 1, 3).unwrap();
        // 2 · 8·16·8, 4 · 4·8·4, 8 · 2·4·2 and 10 · 1·2·1; the first is the largest.
        assert_eq!(feature_floats(&network, &configuration.patch_size), 2048 + 512 + 128 + 20 + 3 * 2048);
    }
}
