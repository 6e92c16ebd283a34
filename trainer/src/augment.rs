//! What happens to a training patch after it has been taken from its case: intensities, mirroring, masking.
//!
//! Follows `get_training_transforms` of nnU-Net's default trainer, in its order: noise, blur, brightness, contrast, low
//! resolution, gamma of the inverted image, gamma, mirroring, zeros outside the nonzero region. Turning and scaling
//! come before, while the patch is read ([`crate::spatial`]); the one-hot channels of a cascade ([`one_hot`]) and targets
//! ([`crate::targets`]) after. Each transform is
//! applied to a sample with a probability of its own; its file says with which, and which channels it then meets.
//! Departs in drawing every random number from the sample's one stream, in the order of the calls below: whether a
//! transform is applied, then channel by channel what its file says.

pub mod blur;
pub mod brightness;
pub mod contrast;
pub mod elementary;
pub mod factor;
pub mod gamma;
pub mod low_resolution;
pub mod mask;
pub mod mirror;
pub mod moments;
pub mod noise;
pub mod one_hot;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::patch_geometry::{PatchGeometry, Rotation};

/// The transforms of one configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    patch: [usize; 3],
    /// Axes before this one keep their resolution.
    first_low_resolution_axis: usize,
    mirror_axes: Vec<usize>,
    masked_channels: Vec<usize>,
}

impl Recipe {
    /// For training patches of this geometry; `use_mask_for_norm` says of each channel whether it is normalized
    /// inside the nonzero region only and is therefore 0 outside of it.
    pub fn new(geometry: &PatchGeometry, use_mask_for_norm: &[bool]) -> Self {
        let first_low_resolution_axis = match geometry.rotation {
            Rotation::InPlane(_) => 1,
            Rotation::Volume(_) => 0,
        };
        let masked = use_mask_for_norm.iter().enumerate().filter(|(_, uses_mask)| **uses_mask);
        Self {
            patch: geometry.patch,
            first_low_resolution_axis,
            mirror_axes: geometry.mirror_axes.clone(),
            masked_channels: masked.map(|(channel, _)| channel).collect(),
        }
    }

    /// Changes image `[channel, z, y, x]` and label maps `[map, z, y, x]` of one patch. The first map are the labels,
    /// which say what lies outside; others, such as the segmentation of a previous stage, move with it.
    ///
    /// # Panics
    ///
    /// If they are not of the patch's extents, or a map or a masked channel is missing.
    pub fn apply(&self, generator: &mut ChaCha8Rng, image: &mut [f32], label_maps: &mut [i16]) {
        let patch = self.patch;
        let n_voxels = patch.iter().product::<usize>();
        assert!(!label_maps.is_empty() && label_maps.len().is_multiple_of(n_voxels), "maps have the patch's extents");
        assert!(image.len().is_multiple_of(n_voxels), "every channel has the extents of the patch");
        if happens(generator, noise::PROBABILITY) {
            noise::augment(generator, image);
        }
        if happens(generator, blur::PROBABILITY) {
            blur::augment(generator, image, patch);
        }
        if happens(generator, brightness::PROBABILITY) {
            brightness::augment(generator, image, n_voxels);
        }
        if happens(generator, contrast::PROBABILITY) {
            contrast::augment(generator, image, n_voxels);
        }
        if happens(generator, low_resolution::PROBABILITY) {
            low_resolution::augment(generator, image, patch, self.first_low_resolution_axis);
        }
        for form in [gamma::Form::Inverted, gamma::Form::Plain] {
            if happens(generator, form.probability()) {
                gamma::augment(generator, image, n_voxels, form);
            }
        }
        for &axis in &self.mirror_axes {
            if happens(generator, mirror::PROBABILITY) {
                for channel in image.chunks_exact_mut(n_voxels) {
                    mirror::mirror(channel, patch, axis);
                }
                for map in label_maps.chunks_exact_mut(n_voxels) {
                    mirror::mirror(map, patch, axis);
                }
            }
        }
        for &channel in &self.masked_channels {
            mask::zero_outside(&mut image[channel * n_voxels..][..n_voxels], &label_maps[..n_voxels]);
        }
    }
}

/// Draws whether something of this probability happens.
pub(crate) fn happens(generator: &mut ChaCha8Rng, probability: f64) -> bool {
    generator.random::<f64>() < probability
}

#[cfg(test)]
mod tests {
    use nnunet::fold::Fold;

    use super::*;
    use crate::random::{Purpose, Stream};
    use crate::store::OUTSIDE;

    const PATCH: [usize; 3] = [4, 6, 5];

    fn recipe(use_mask_for_norm: &[bool]) -> Recipe {
        Recipe::new(&PatchGeometry::of_patch(&PATCH), use_mask_for_norm)
    }

    fn generator(index: u32) -> ChaCha8Rng {
        Stream { seed: 1, fold: Fold(0), purpose: Purpose::Training, epoch: 0, iteration: 0, index }.generator()
    }

    /// Two channels; every seventh voxel lies outside.
    fn patch() -> (Vec<f32>, Vec<i16>) {
        let image = (0..240_u16).map(|i| f32::from(i * 37 % 101) / 50.0 - 1.0).collect();
        let labels = (0..120_i16).map(|i| if i % 7 == 0 { OUTSIDE } else { i % 3 }).collect();
        (image, labels)
    }

    #[test]
    fn masked_channels_are_zero_outside_and_others_are_not() {
        let mut nonzero_outside = 0;
        for index in 0..50 {
            let (mut image, mut labels) = patch();
            recipe(&[false, true]).apply(&mut generator(index), &mut image, &mut labels);
            let outside = |channel: usize| {
                let values = image[channel * 120..][..120].iter().zip(&labels);
                values.filter(|(value, label)| **label == OUTSIDE && **value != 0.0).count()
            };
            assert_eq!(outside(1), 0, "sample {index}");
            nonzero_outside += outside(0);
        }
        assert!(nonzero_outside > 50 * 10, "{nonzero_outside}");
    }

    #[test]
    fn the_same_stream_gives_the_same_patch_and_another_stream_another() {
        let make = |index| {
            let (mut image, mut labels) = patch();
            recipe(&[false, false]).apply(&mut generator(index), &mut image, &mut labels);
            (image, labels)
        };
        assert_eq!(make(3), make(3));
        assert_ne!(make(3), make(4));
    }

    #[test]
    fn a_second_map_moves_with_the_labels_and_changes_nothing_else() {
        for index in 0..20 {
            let ((mut image, mut labels), (mut other_image, mut maps)) = (patch(), patch());
            maps.extend(labels.iter().map(|label| 10 * label));
            recipe(&[false, true]).apply(&mut generator(index), &mut image, &mut labels);
            recipe(&[false, true]).apply(&mut generator(index), &mut other_image, &mut maps);
            let (first, second) = maps.split_at(120);
            assert_eq!((image, &labels[..]), (other_image, first), "sample {index}");
            assert!(second.iter().eq(labels.iter().map(|label| 10 * label).collect::<Vec<_>>().iter()));
        }
    }

    #[test]
    fn labels_move_but_are_never_changed() {
        let (_, before) = patch();
        let sorted = |mut labels: Vec<i16>| {
            labels.sort_unstable();
            labels
        };
        for index in 0..20 {
            let (mut image, mut labels) = patch();
            recipe(&[false, false]).apply(&mut generator(index), &mut image, &mut labels);
            assert!(image.iter().all(|value| value.is_finite()));
            assert_eq!(sorted(labels), sorted(before.clone()));
        }
    }
}
