//! One random sample: a patch of a random case, turned, mirrored, with a target per decoder stage.
//!
//! Everything random comes from the sample's own stream, in the order in which it is drawn here.

use nnunet::fold::Fold;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::cases::Cases;
use crate::patch_geometry::PatchGeometry;
use crate::placement::{anywhere, around, must_show_foreground};
use crate::random::{Purpose, Stream};
use crate::spatial::SpatialTransform;
use crate::store::{OUTSIDE, StoreError, StoredCase};
use crate::targets;

/// Image and targets of one patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `[channel, z, y, x]`.
    pub image: Vec<f32>,
    /// Classes `[z, y, x]` per decoder stage, finest first.
    pub targets: Vec<Vec<u8>>,
}

/// Draws samples of one purpose.
#[derive(Debug)]
pub struct Sampler {
    /// Where patches come from.
    pub cases: Cases,
    /// Their size and motion.
    pub geometry: PatchGeometry,
    /// Extents `[z, y, x]` of the targets, finest first.
    pub target_shapes: Vec<[usize; 3]>,
    /// Outputs of the network, background included.
    pub n_classes: usize,
    /// Samples of a batch.
    pub batch_size: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Fold of the run.
    pub fold: Fold,
    /// Training samples are turned and mirrored, validation samples are not.
    pub purpose: Purpose,
}

impl Sampler {
    /// Sample `index` of the batch of an iteration.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the case cannot be read.
    ///
    /// # Panics
    ///
    /// If there are no cases.
    pub fn sample(&self, epoch: u32, iteration: u32, index: u32) -> Result<Sample, StoreError> {
        let (seed, fold, purpose) = (self.seed, self.fold, self.purpose);
        let mut generator = Stream { seed, fold, purpose, epoch, iteration, index }.generator();
        let case = generator.random_range(0..self.cases.len());
        let shows_foreground = must_show_foreground(index as usize, self.batch_size);
        let lower = self.place(&mut generator, self.cases.get(case), shows_foreground)?;
        let transform = match self.purpose {
            Purpose::Training => SpatialTransform::draw(&mut generator, lower, &self.geometry),
            _ => SpatialTransform::crop(lower, &self.geometry),
        };
        let patch = self.geometry.patch;
        let block = self.cases.block(case, transform.reach(patch))?;
        let (mut image, mut labels) = transform.apply(&block, patch);
        // Here the intensity transforms of nnU-Net take their place.
        for &axis in &self.geometry.mirror_axes {
            if generator.random::<f64>() < 0.5 {
                for channel in image.chunks_exact_mut(labels.len()) {
                    mirror(channel, patch, axis);
                }
                mirror(&mut labels, patch, axis);
            }
        }
        let classes = targets::classes(&labels, self.n_classes).map_err(|found| StoreError::Label {
            case: self.cases.get(case).case().clone(),
            found,
            n_classes: self.n_classes,
        })?;
        let targets = self.target_shapes.iter().map(|&shape| targets::downsample(&classes, patch, shape)).collect();
        Ok(Sample { image, targets })
    }

    fn place(
        &self,
        generator: &mut ChaCha8Rng,
        case: &StoredCase,
        shows_foreground: bool,
    ) -> Result<[i64; 3], StoreError> {
        let (shape, sampled, patch) = (case.record.shape, self.geometry.sampled, self.geometry.patch);
        let remembered = case.record.remembered.iter().enumerate();
        let mut present: Vec<_> = remembered.filter(|(_, of)| of.n_voxels > 0).collect();
        if present.len() > 1 {
            // What is merely annotated is no foreground.
            present.retain(|(_, of)| !of.labels.contains(&OUTSIDE));
        }
        if !shows_foreground || present.is_empty() {
            return Ok(anywhere(generator, shape, sampled, patch));
        }
        let (structure, of) = present[generator.random_range(0..present.len())];
        let voxel = case.location(structure, generator.random_range(0..of.n_voxels))?;
        Ok(around(voxel, shape, sampled, patch))
    }
}

/// Reverses `[z, y, x]` along one axis.
fn mirror<T>(values: &mut [T], shape: [usize; 3], axis: usize) {
    let inner: usize = shape[axis + 1..].iter().product();
    let extent = shape[axis];
    for slab in values.chunks_exact_mut(inner * extent) {
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
