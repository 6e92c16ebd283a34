//! One random sample: a patch of a random case, augmented, with a target per decoder stage.
//!
//! Everything random comes from the sample's own stream, in the order in which it is drawn here.

use nnunet::fold::Fold;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::annotation::Annotation;
use crate::augment::Recipe;
use crate::augment::one_hot::OneHot;
use crate::cases::Cases;
use crate::patch_geometry::PatchGeometry;
use crate::placement::{anywhere, around, must_show_foreground};
use crate::random::{Purpose, Stream};
use crate::spatial::SpatialTransform;
use crate::store::{OUTSIDE, Remembered, StoreError, StoredCase};
use crate::targets;

/// Image and targets of one patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `[channel, z, y, x]`; in a cascade, the last channels are the previous stage's foreground labels.
    pub image: Vec<f32>,
    /// Labels `[z, y, x]` per decoder stage, finest first.
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
    /// What the labels stand for.
    pub annotation: Annotation,
    /// Samples of a batch.
    pub batch_size: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Fold of the run.
    pub fold: Fold,
    /// What the random numbers are for.
    pub purpose: Purpose,
    /// How samples are turned and augmented; validation samples are taken as they are.
    pub recipe: Option<Recipe>,
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
        let transform = match self.recipe {
            Some(_) => SpatialTransform::draw(&mut generator, lower, &self.geometry),
            None => SpatialTransform::crop(lower, &self.geometry),
        };
        let patch = self.geometry.patch;
        let reach = transform.reach(patch);
        let (mut image, mut maps) = transform.apply(&*self.cases.block(case, reach)?, patch);
        let n_voxels = maps.len();
        if let Some(previous) = self.cases.previous_block(case, reach)? {
            maps.extend(transform.apply(&previous, patch).1);
        }
        if let Some(recipe) = &self.recipe {
            recipe.apply(&mut generator, &mut image, &mut maps);
        }
        let n_labels = self.annotation.n_labels();
        let unknown = |found| StoreError::Label { case: self.cases.get(case).case().clone(), found, n_labels };
        let (labels, previous) = maps.split_at(n_voxels);
        if !previous.is_empty() {
            let one_hot = OneHot::of(previous, patch, self.annotation.n_foreground());
            let mut one_hot = one_hot.map_err(unknown)?;
            if self.recipe.is_some() {
                one_hot.augment(&mut generator);
            }
            one_hot.append_to(&mut image);
        }
        let labels = targets::inside(labels, n_labels).map_err(unknown)?;
        let targets = self.target_shapes.iter().map(|&shape| targets::downsample(&labels, patch, shape)).collect();
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
        let is_annotated = |of: &Remembered| of.labels.contains(&OUTSIDE);
        if !shows_foreground {
            // Where parts are not annotated, a patch that need not show foreground must still show what is.
            let wanted = self.annotation.ignore().is_some();
            present.retain(|(_, of)| wanted && is_annotated(of));
        } else if present.len() > 1 {
            // What is merely annotated is no foreground.
            present.retain(|(_, of)| !is_annotated(of));
        }
        if present.is_empty() {
            return Ok(anywhere(generator, shape, sampled, patch));
        }
        let (structure, of) = present[generator.random_range(0..present.len())];
        let voxel = case.location(structure, generator.random_range(0..of.n_voxels))?;
        Ok(around(voxel, shape, sampled, patch))
    }
}
