//! What a device needs to run a bundle: memory by the plan of the runtime's buffers, and patches of a case.
//!
//! Whatever the case: the libraries, one member's weights (the file, and single-precision kernels in the layout of the
//! provider), and the feature maps that live together in one patch. Per voxel, in floats, at the moment when the second
//! fold or a later one adds a member:
//!
//! - three images: the case, the next one, and the raw file that the next one is made of;
//! - the sums of the fold and of all folds, probabilities and entropy in double precision;
//! - one member's logits on the network's grid with their weights, and its probabilities on the file's grid;
//! - segmentation and map of the best fold so far and of this one.
//!
//! `requires.memory_mib` of the manifest holds for a case of median size, the larger of the two grids; the model card
//! says what a voxel more costs. The plan is exact for the buffers and an estimate for what a provider keeps.

use nnunet::topology::{EncoderBlock, UNet};

use super::Exported;
use super::source::Source;
use crate::validation::STEP;

const BYTES_PER_FLOAT: f64 = 4.0;
const MIB: f64 = (1 << 20) as f64;
const LIBRARIES_MIB: f64 = 256.0;
/// Sums and entropies of a fold and of all folds, each of two floats.
const FLOATS_OF_SUMS: usize = 4;
/// A label of a byte and a map, of two folds, and the weights of overlapping patches.
const FLOATS_OF_RESULTS: f64 = 3.5;

/// The needs of a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Envelope {
    /// Memory that no case changes, MiB.
    pub(super) fixed_mib: f64,
    /// Memory per voxel, bytes.
    pub(super) bytes_per_voxel: f64,
    /// Voxels of a case of median size.
    pub(super) n_voxels: f64,
    /// Patches of such a case that every member sees, mirrored ones among them.
    pub(super) n_patches: usize,
}

impl Envelope {
    /// The needs of these members.
    pub(super) fn new(source: &Source, members: &[Exported]) -> Self {
        let network = &source.network;
        let n_file = members.iter().map(|exported| exported.n_bytes).max().unwrap_or_default();
        let n_parameters: usize = network.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum();
        let features = feature_floats(network, &source.configuration.patch_size) as f64;
        let fixed = n_file as f64 + BYTES_PER_FLOAT * (n_parameters as f64 + features);
        Self {
            fixed_mib: LIBRARIES_MIB + fixed / MIB,
            bytes_per_voxel: bytes_per_voxel(network),
            n_voxels: median_voxels(source),
            n_patches: n_patches(source),
        }
    }

    /// Memory of a case of median size in MiB, rounded up.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a cast saturates")]
    pub(super) fn memory_mib(&self) -> u32 {
        (self.fixed_mib + self.bytes_per_voxel * self.n_voxels / MIB).ceil() as u32
    }
}

fn bytes_per_voxel(network: &UNet) -> f64 {
    let (n_channels, n_outputs) = (network.n_channels, network.n_outputs);
    let floats = 3 * n_channels + FLOATS_OF_SUMS * (n_outputs + 1) + 2 * n_outputs;
    BYTES_PER_FLOAT * (floats as f64 + FLOATS_OF_RESULTS)
}

fn median_voxels(source: &Source) -> f64 {
    let original: usize = source.plans.original_median_shape_after_transp.iter().product();
    let resampled: f64 = source.configuration.median_image_size_in_voxels.iter().product();
    resampled.max(original as f64)
}

/// Positions of the patch, half a patch apart, on the median grid, times the mirrored views.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a cast saturates")]
fn n_patches(source: &Source) -> usize {
    let (patch, median) = (&source.configuration.patch_size, &source.configuration.median_image_size_in_voxels);
    // The median of a 2D configuration lacks the slices.
    let offset = median.len().saturating_sub(patch.len());
    let steps = |(&extent, &median): (&usize, &f64)| {
        let rest = (median - extent as f64).max(0.0);
        (rest / (extent as f64 * STEP)).ceil() as usize + 1
    };
    let in_plane: usize = patch.iter().zip(&median[offset..]).map(steps).product();
    let slices = match patch.len() {
        2 => source.plans.original_median_shape_after_transp[0],
        _ => 1,
    };
    in_plane * slices * (1 << source.mirror_axes.len())
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

    fn network() -> (UNet, Vec<usize>) {
        let plans = Plans::parse(include_str!("../../../nnunet/tests/golden/plans/hippocampus.json")).unwrap();
        let mut configuration = plans.configuration(&ConfigurationName("3d_fullres".into())).unwrap();
        configuration.architecture.arch_kwargs.features_per_stage = vec![2, 4, 8, 10];
        configuration.patch_size = vec![8, 16, 8];
        (UNet::new(&configuration, 1, 3).unwrap(), configuration.patch_size)
    }

    #[test]
    fn feature_maps_shrink_with_every_stride() {
        let (network, patch) = network();
        // 2 · 8·16·8, 4 · 4·8·4, 8 · 2·4·2 and 10 · 1·2·1; the first is the largest.
        assert_eq!(feature_floats(&network, &patch), 2048 + 512 + 128 + 20 + 3 * 2048);
    }

    #[test]
    fn a_voxel_costs_its_images_sums_and_logits() {
        // One channel three times; three outputs and an entropy in two sums of doubles; logits and probabilities; 3.5.
        assert!((bytes_per_voxel(&network().0) - 4.0 * (3.0 + 16.0 + 6.0 + 3.5)).abs() < 1e-12);
        let envelope = Envelope { fixed_mib: 300.5, bytes_per_voxel: 114.0, n_voxels: 1e6, n_patches: 8 };
        // 114e6 bytes are 108.7 MiB.
        assert_eq!(envelope.memory_mib(), 410);
    }
}
