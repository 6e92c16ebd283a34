//! How often each axis is halved, and where kernels grow to three.
//!
//! Axes are pooled together once their spacings are within a factor of two, and as long as the feature maps keep at
//! least four voxels; a patch is rounded up until all its halvings are even.

/// Least extent of a feature map.
const MIN_EXTENT: f64 = 4.0;

/// Strides and kernels per stage, and the patch they fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pooling {
    /// Stride of each stage's first convolution; ones for the first stage.
    pub(super) strides: Vec<Vec<usize>>,
    /// Kernel of each stage; threes for the last.
    pub(super) kernels: Vec<Vec<usize>>,
    /// The patch, rounded up to multiples of `divisor`.
    pub(super) patch: Vec<usize>,
    /// Product of the strides per axis.
    pub(super) divisor: Vec<usize>,
}

impl Pooling {
    /// Decides for voxels of this spacing and a patch that need not be whole.
    pub(super) fn new(spacing: &[f64], patch: &[f64]) -> Self {
        let n_axes = spacing.len();
        let mut spacing = spacing.to_vec();
        let mut extents = patch.to_vec();
        let mut kernel = vec![1; n_axes];
        let mut strides = vec![vec![1; n_axes]];
        let mut kernels = Vec::new();
        let mut divisor = vec![1; n_axes];
        while let Some(axes) = poolable(&spacing, &extents) {
            let finest = spacing.iter().copied().fold(f64::INFINITY, f64::min);
            for (extent, mm) in kernel.iter_mut().zip(&spacing) {
                if mm / finest < 2.0 {
                    *extent = 3;
                }
            }
            let mut stride = vec![1; n_axes];
            for axis in axes {
                stride[axis] = 2;
                divisor[axis] *= 2;
                spacing[axis] *= 2.0;
                extents[axis] = (extents[axis] / 2.0).ceil();
            }
            strides.push(stride);
            kernels.push(kernel.clone());
        }
        kernels.push(vec![3; n_axes]);
        let patch = patch.iter().zip(&divisor).map(|(&extent, &divisor)| round_up(extent, divisor)).collect();
        Self { strides, kernels, patch, divisor }
    }
}

/// The axes to halve next; `None` when the network is deep enough.
fn poolable(spacing: &[f64], extents: &[f64]) -> Option<Vec<usize>> {
    let large: Vec<usize> = (0..spacing.len()).filter(|&axis| extents[axis] >= 2.0 * MIN_EXTENT).collect();
    let finest = large.iter().map(|&axis| spacing[axis]).fold(f64::INFINITY, f64::min);
    let axes: Vec<usize> = large.into_iter().filter(|&axis| spacing[axis] / finest < 2.0).collect();
    match axes[..] {
        [] => None,
        [only] if extents[only] < 3.0 * MIN_EXTENT => None,
        _ => Some(axes),
    }
}

/// The least multiple of `divisor` that is not below `extent`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an extent of a patch")]
fn round_up(extent: f64, divisor: usize) -> usize {
    (extent / divisor as f64).ceil() as usize * divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spacing: &[f64], patch: &[f64], strides: &[&[usize]], kernels: &[&[usize]], rounded: &[usize]) {
        let pooling = Pooling::new(spacing, patch);
        assert_eq!(pooling.strides, strides);
        assert_eq!(pooling.kernels, kernels);
        assert_eq!(pooling.patch, rounded);
    }

    #[test]
    fn an_isotropic_patch_is_halved_until_four_voxels_are_left() {
        let (one, two, three) = (&[1, 1, 1][..], &[2, 2, 2][..], &[3, 3, 3][..]);
        check(&[1.0; 3], &[36.0, 50.0, 35.0], &[one, two, two, two], &[three; 4], &[40, 56, 40]);
    }

    #[test]
    fn thick_slices_are_pooled_and_convolved_last() {
        let strides: &[&[usize]] = &[&[1, 1, 1], &[1, 2, 2], &[2, 2, 2], &[1, 2, 2]];
        let kernels: &[&[usize]] = &[&[1, 3, 3], &[3, 3, 3], &[3, 3, 3], &[3, 3, 3]];
        check(&[3.0, 1.0, 1.0], &[8.0, 32.0, 32.0], strides, kernels, &[8, 32, 32]);
    }

    #[test]
    fn a_lone_axis_needs_twelve_voxels_to_be_halved() {
        let short = Pooling::new(&[1.0, 1.0], &[11.0, 4.0]);
        assert_eq!(short.strides, [[1, 1]]);
        let long = Pooling::new(&[1.0, 1.0], &[12.0, 4.0]);
        assert_eq!(long.strides, [[1, 1], [2, 1]]);
    }
}
