//! Mirroring of a patch along its axes.
//!
//! Follows nnU-Net's `MirrorTransform`: along each axis of the configuration with probability one half, image and
//! labels alike. Draws: one per axis.

/// Of each axis of a sample.
pub const PROBABILITY: f64 = 0.5;

/// Reverses `[z, y, x]` along one axis.
pub fn mirror<T>(values: &mut [T], shape: [usize; 3], axis: usize) {
    let inner: usize = shape[axis + 1..].iter().product();
    let extent = shape[axis];
    for slab in values.chunks_exact_mut(inner * extent) {
        if inner == 1 {
            slab.reverse();
            continue;
        }
        for low in 0..extent / 2 {
            let (front, back) = slab.split_at_mut((extent - 1 - low) * inner);
            front[low * inner..(low + 1) * inner].swap_with_slice(&mut back[..inner]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(axis: usize, expected: [u8; 12]) {
        let mut values: Vec<u8> = (0..12).collect();
        mirror(&mut values, [2, 2, 3], axis);
        assert_eq!(values, expected);
        mirror(&mut values, [2, 2, 3], axis);
        assert_eq!(values, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn mirroring_reverses_one_axis_and_undoes_itself() {
        check(0, [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]);
        check(1, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
        check(2, [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9]);
    }
}
