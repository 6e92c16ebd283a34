//! What the decoder stages are trained on: the labels of a patch at their resolutions.
//!
//! Follows nnU-Net's `DownsampleSegForDSTransform` (`nearest-exact`): a coarse voxel takes the label of the fine voxel
//! that holds its center. Voxels outside the nonzero region become background.

use nnunet::topology::UNet;

/// Extents `[z, y, x]` of the targets of the `n_heads` finest decoder stages, finest first.
///
/// # Panics
///
/// If the network has fewer stages.
pub fn shapes(topology: &UNet, patch: [usize; 3], n_heads: usize) -> Vec<[usize; 3]> {
    let mut shape = patch;
    let stage = |index: usize| {
        let stride = topology.encoder[index][0].stride();
        let first_axis = 3 - stride.len();
        for (extent, stride) in shape[first_axis..].iter_mut().zip(stride) {
            *extent /= stride;
        }
        shape
    };
    (0..n_heads).map(stage).collect()
}

/// Labels of a data set with `n_labels` of them: whatever is below 0 becomes background.
///
/// # Errors
///
/// The first label that is none of the data set's.
pub fn inside(labels: &[i16], n_labels: usize) -> Result<Vec<u8>, i16> {
    let is_known = |label: i16| label < 0 || u8::try_from(label).is_ok_and(|label| usize::from(label) < n_labels);
    // Looking for the largest label first lets the compiler do several at a time.
    let largest = labels.iter().copied().fold(0, i16::max);
    if !is_known(largest) {
        return Err(labels.iter().copied().find(|&label| !is_known(label)).unwrap_or(largest));
    }
    let inside = |&label: &i16| u8::try_from(label.clamp(0, i16::from(u8::MAX))).unwrap_or(0);
    Ok(labels.iter().map(inside).collect())
}

/// The labels at a coarser resolution.
pub fn downsample(labels: &[u8], from: [usize; 3], to: [usize; 3]) -> Vec<u8> {
    if from == to {
        return labels.to_vec();
    }
    let nearest = |axis: usize| -> Vec<usize> {
        // floor((i + 1/2) · from / to)
        (0..to[axis]).map(|i| (2 * i + 1) * from[axis] / (2 * to[axis])).collect()
    };
    let (rows, columns) = (nearest(1), nearest(2));
    let mut coarse = Vec::with_capacity(to.iter().product());
    for z in nearest(0) {
        for y in &rows {
            let row = &labels[(z * from[1] + y) * from[2]..][..from[2]];
            coarse.extend(columns.iter().map(|&x| row[x]));
        }
    }
    coarse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_voxel_takes_the_label_at_its_center() {
        // Stride 2: fine voxel 1 of each pair; stride 4: voxel 2 of each four.
        assert_eq!(downsample(&[0, 1, 2, 3, 4, 5, 6, 7], [1, 1, 8], [1, 1, 4]), [1, 3, 5, 7]);
        assert_eq!(downsample(&[0, 1, 2, 3, 4, 5, 6, 7], [1, 1, 8], [1, 1, 2]), [2, 6]);
        assert_eq!(downsample(&[0, 1, 2, 3, 4, 5, 6, 7], [2, 2, 2], [1, 2, 1]), [5, 7]);
    }

    #[test]
    fn outside_is_background_and_unknown_labels_are_refused() {
        assert_eq!(inside(&[-1, 0, 3], 4), Ok(vec![0, 0, 3]));
        assert_eq!(inside(&[-1, 0, 3], 3), Err(3));
        assert_eq!(inside(&[300], 1000), Err(300));
    }
}
