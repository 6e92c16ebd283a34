//! nnU-Net's model of a network's memory: the voxels of all feature maps for one patch.

/// Counts the voxels of every convolution's output, transposed convolutions and the last head included.
///
/// `n_convs` is the number of convolutions of every stage, in encoder and decoder alike.
pub(super) fn feature_map_voxels(
    patch: &[usize],
    strides: &[Vec<usize>],
    features: &[usize],
    n_convs: usize,
    n_outputs: usize,
) -> f64 {
    let mut extents = patch.to_vec();
    let mut voxels = Vec::with_capacity(strides.len());
    for stride in strides {
        for (extent, stride) in extents.iter_mut().zip(stride) {
            *extent /= stride;
        }
        voxels.push(extents.iter().map(|&extent| extent as f64).product::<f64>());
    }
    let n_convs = n_convs as f64;
    let encoder = voxels.iter().zip(features).map(|(voxels, &features)| n_convs * features as f64 * voxels);
    // Each decoder stage has the resolution and the features of its skip connection.
    let skips = voxels.iter().zip(features).take(strides.len().saturating_sub(1));
    let decoder = skips.map(|(voxels, &features)| (n_convs + 1.0) * features as f64 * voxels);
    let head = n_outputs as f64 * voxels.first().copied().unwrap_or(0.0);
    encoder.sum::<f64>() + decoder.sum::<f64>() + head
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "a count of voxels")]
mod tests {
    use super::*;

    #[test]
    fn two_stages_can_be_counted_by_hand() {
        // Encoder 2·4·64 + 2·8·16 = 768, decoder (2 + 1)·4·64 = 768, head 3·64 = 192.
        let found = feature_map_voxels(&[8, 8], &[vec![1, 1], vec![2, 2]], &[4, 8], 2, 3);
        assert_eq!(found, 1728.0);
    }
}
