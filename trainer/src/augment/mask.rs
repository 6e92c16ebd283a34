//! Zeros outside the nonzero region.
//!
//! Follows nnU-Net's `MaskImageTransform`: channels that were normalized inside the nonzero region only
//! (`use_mask_for_norm`) are 0 outside of it, and stay so whatever augmentation made of them. No draws.

/// Sets a channel to 0 wherever the label is negative.
pub fn zero_outside(channel: &mut [f32], labels: &[i16]) {
    for (value, &label) in channel.iter_mut().zip(labels) {
        *value = if label < 0 { 0.0 } else { *value };
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn only_voxels_outside_become_zero() {
        let mut channel = [1.0, 2.0, 3.0];
        zero_outside(&mut channel, &[0, -1, 4]);
        assert_eq!(channel, [1.0, 0.0, 3.0]);
    }
}
