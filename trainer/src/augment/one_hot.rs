//! The segmentation of a cascade's previous stage as channels of the image: one per foreground label, 1 inside, else 0.
//!
//! Follows nnU-Net's `MoveSegAsOneHotToDataTransform` and what its default trainer does to these channels afterwards, so
//! that a network does not come to trust the previous stage: random operators, then random removal of components. Both
//! come last, when the patch has been turned, mirrored and masked, and only in training.

pub mod bit_mask;
pub mod components;
pub mod element;
pub mod operator;
pub mod removal;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::happens;
use bit_mask::BitMask;

/// One mask per foreground label of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneHot {
    masks: Vec<BitMask>,
}

impl OneHot {
    /// Masks of the labels 1 to `n_labels` of a segmentation `[z, y, x]`; what lies below is in none.
    ///
    /// # Errors
    ///
    /// The first label that is above.
    ///
    /// # Panics
    ///
    /// If the segmentation has not the extents of the patch.
    pub fn of(segmentation: &[i16], patch: [usize; 3], n_labels: usize) -> Result<Self, i16> {
        assert!(segmentation.len() == patch.iter().product::<usize>(), "a label per voxel");
        let mut masks = vec![BitMask::empty(patch); n_labels];
        for (number, row) in segmentation.chunks_exact(patch[2]).enumerate() {
            for (x, &label) in row.iter().enumerate() {
                if label > 0 {
                    let mask = usize::try_from(label - 1).ok().and_then(|index| masks.get_mut(index));
                    mask.ok_or(label)?.insert(number, x);
                }
            }
        }
        Ok(Self { masks })
    }

    /// The masks, by label.
    pub fn masks(&self) -> &[BitMask] {
        &self.masks
    }

    /// Changes the masks as training does. Draws: whether operators are applied and what they draw, then the same of
    /// the removal.
    pub fn augment(&mut self, generator: &mut ChaCha8Rng) {
        if happens(generator, operator::PROBABILITY) {
            operator::augment(generator, &mut self.masks);
        }
        if happens(generator, removal::PROBABILITY) {
            removal::augment(generator, &mut self.masks);
        }
    }

    /// Adds the masks to an image `[channel, z, y, x]` as further channels.
    pub fn append_to(&self, image: &mut Vec<f32>) {
        for mask in &self.masks {
            let before = image.len();
            image.resize(before + mask.shape().iter().product::<usize>(), 0.0);
            mask.write(&mut image[before..]);
        }
    }
}

/// The channels in random order.
fn order(generator: &mut ChaCha8Rng, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, generator.random_range(0..=last));
    }
    order
}

/// Those of the channels that something of this probability happens to.
fn chosen(generator: &mut ChaCha8Rng, order: Vec<usize>, probability: f64) -> Vec<usize> {
    order.into_iter().filter(|_| happens(generator, probability)).collect()
}

#[cfg(test)]
mod tests {
    use nnunet::fold::Fold;

    use super::*;
    use crate::random::{Purpose, Stream};

    const PATCH: [usize; 3] = [1, 2, 3];

    #[test]
    fn a_label_becomes_a_channel_and_background_none() {
        let one_hot = OneHot::of(&[-1, 0, 1, 2, 2, 1], PATCH, 2).unwrap();
        let mut image = vec![0.5; 6];
        one_hot.append_to(&mut image);
        let expected = [[0.5; 6], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]];
        assert_eq!(image, expected.concat());
        assert_eq!(OneHot::of(&[0, 1, 2, 3, 0, 0], PATCH, 2), Err(3));
    }

    #[test]
    fn channels_never_overlap_whatever_happens_to_them() {
        let patch = [9, 10, 70];
        let labels: Vec<i16> = (0..6300_i16).map(|i| (i / 13 + i / 700) % 4).collect();
        let mut n_changed = 0;
        for index in 0..40 {
            let stream = Stream { seed: 1, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index };
            let before = OneHot::of(&labels, patch, 3).unwrap();
            let mut one_hot = before.clone();
            one_hot.augment(&mut stream.generator());
            let mut image = Vec::new();
            one_hot.append_to(&mut image);
            let sums = (0..6300).map(|i| image[i] + image[6300 + i] + image[12_600 + i]);
            assert!(sums.into_iter().all(|sum| sum < 1.5), "sample {index}");
            n_changed += usize::from(one_hot != before);
        }
        // 1 - (0.6 + 0.4 / 8) · (0.8 + 0.2 / 8) = 0.46 of the samples are touched.
        assert!((10..=28).contains(&n_changed), "{n_changed}");
    }
}
