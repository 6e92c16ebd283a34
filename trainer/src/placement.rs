//! Where in a case a patch is taken.
//!
//! Follows nnU-Net's `nnUNetDataLoader.get_bbox`. The last third of every batch (0.33, rounded) must show foreground: a
//! class present in the case is drawn, then one of its voxels, which becomes the center unless the patch would begin
//! before the case. All others lie anywhere, reaching over the border by half of what the sampled box is larger.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Fraction of a batch that must show foreground.
const FOREGROUND_FRACTION: f64 = 0.33;

/// Whether sample `index` of a batch must show foreground.
pub fn must_show_foreground(index: usize, batch_size: usize) -> bool {
    // Python's `round` is half to even.
    index as f64 >= (batch_size as f64 * (1.0 - FOREGROUND_FRACTION)).round_ties_even()
}

/// Range of the first voxel of the sampled box along one axis, both ends included.
fn range(case: i64, sampled: i64, patch: i64) -> (i64, i64) {
    // Half of the padding, rounded up, on either side.
    let reach = ((sampled - patch).max(sampled - case) + 1) / 2;
    (-reach, case + reach - sampled)
}

/// Draws the first voxel of the sampled box anywhere in the case.
pub fn anywhere(generator: &mut ChaCha8Rng, case: [usize; 3], sampled: [usize; 3], patch: [usize; 3]) -> [i64; 3] {
    let mut lower = [0; 3];
    for axis in 0..3 {
        let (first, last) = range(signed(case[axis]), signed(sampled[axis]), signed(patch[axis]));
        lower[axis] = generator.random_range(first..=last);
    }
    lower
}

/// The first voxel of the sampled box centered on a voxel of the case.
pub fn around(voxel: [usize; 3], case: [usize; 3], sampled: [usize; 3], patch: [usize; 3]) -> [i64; 3] {
    let mut lower = [0; 3];
    for axis in 0..3 {
        let (first, _) = range(signed(case[axis]), signed(sampled[axis]), signed(patch[axis]));
        lower[axis] = first.max(signed(voxel[axis]) - signed(sampled[axis]) / 2);
    }
    lower
}

fn signed(extent: usize) -> i64 {
    i64::try_from(extent).expect("an extent in memory is below 2^63")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};
    use nnunet::fold::Fold;

    fn check(case: i64, sampled: i64, patch: i64, expected: (i64, i64)) {
        assert_eq!(range(case, sampled, patch), expected, "{case} {sampled} {patch}");
    }

    #[test]
    fn ranges_are_those_of_nnunet() {
        // need_to_pad = 33: -33 // 2 = -17, 100 + 16 + 1 - 73.
        check(100, 73, 40, (-17, 44));
        // 24: -12, 100 + 12 - 80.
        check(100, 80, 56, (-12, 32));
        // Case smaller than the patch: 73 - 35 = 38: -19, 35 + 19 - 73.
        check(35, 73, 40, (-19, -19));
        // Odd: 40 - 35 = 5: -3, 35 + 2 + 1 - 40.
        check(35, 40, 40, (-3, -2));
        // Nothing to pad: 0 to 60.
        check(100, 40, 40, (0, 60));
    }

    #[test]
    fn the_last_third_of_a_batch_shows_foreground() {
        let forced = |n: usize| (0..n).filter(|&i| must_show_foreground(i, n)).collect::<Vec<_>>();
        assert_eq!(forced(1), [0; 0]);
        assert_eq!(forced(2), [1]);
        assert_eq!(forced(4), [3]);
        assert_eq!(forced(9), [6, 7, 8]);
        assert_eq!(forced(12), [8, 9, 10, 11]);
    }

    #[test]
    fn a_patch_around_a_voxel_is_centered_but_never_begins_before_its_range() {
        assert_eq!(around([50, 50, 50], [100; 3], [40, 73, 40], [40; 3]), [30, 14, 30]);
        assert_eq!(around([3, 3, 99], [100; 3], [40, 73, 40], [40; 3]), [0, -17, 79]);
    }

    #[test]
    fn every_place_of_the_range_is_drawn() {
        let stream = Stream { seed: 0, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index: 0 };
        let mut generator = stream.generator();
        let drawn: std::collections::BTreeSet<i64> =
            (0..500).map(|_| anywhere(&mut generator, [5, 9, 9], [3, 9, 9], [3, 9, 9])[0]).collect();
        assert_eq!(drawn, (0..=2).collect());
    }
}
