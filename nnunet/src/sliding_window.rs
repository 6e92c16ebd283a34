//! Sliding-window prediction of a whole case.
//!
//! A network sees patches of one size. Patches are laid over the image so that neighbors overlap, and their logits
//! are averaged with the weights of an [`ImportanceMap`].
//!
//! Follows nnU-Net v2's `compute_steps_for_sliding_window` and `nnUNetPredictor`: the same patch positions, an image
//! smaller than the patch lies in the middle of zeros, a 2D configuration visits every slice. Departs from it by
//! adding up in `f32` instead of half precision, and by never making the padded copy: a patch is cut out of the image
//! with zeros around it, and only what lies inside the image is kept.
//!
//! The positions form a grid, and the weights are a product over the axes. So the weights that a voxel has received
//! are a product of three sums, and no volume of weights is needed.

mod grid;
mod sums;

use ndarray::{Array4, Array5, ArrayView5, Axis, s};

use crate::importance_map::ImportanceMap;
use crate::mirroring::{Mirroring, flip};
use grid::{AxisGrid, Span};
use sums::Sums;

/// Something that turns patches into logits.
pub trait PatchNetwork {
    /// Why a patch could not be predicted.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Predicts a batch `[n, channel, z, y, x]` and shows its logits `[n, output, z, y, x]` where they lie, which spares a
    /// copy.
    ///
    /// # Errors
    ///
    /// Whatever keeps the network from running.
    fn predict<T>(
        &mut self,
        batch: ArrayView5<'_, f32>,
        use_logits: impl FnOnce(ArrayView5<'_, f32>) -> T,
    ) -> Result<T, Self::Error>;
}

/// How patches are laid over a case.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    patch: [usize; 3],
    n_outputs: usize,
    step_fraction: f64,
    importance: ImportanceMap,
    flips: Vec<Vec<usize>>,
}

impl SlidingWindow {
    /// A window of a `[z, y, x]` patch over a network with `n_outputs` logits, moving by at most `step_fraction` of
    /// the patch. A patch of one slice visits every slice.
    ///
    /// # Errors
    ///
    /// [`StepError`] if `step_fraction` is not in `(0, 1]`.
    ///
    /// # Panics
    ///
    /// If an extent of the patch or `n_outputs` is 0.
    pub fn new(
        patch: [usize; 3],
        n_outputs: usize,
        step_fraction: f64,
        mirroring: &Mirroring,
    ) -> Result<Self, StepError> {
        assert!(n_outputs > 0 && patch.iter().all(|&extent| extent > 0), "a patch has voxels and a network outputs");
        if !(step_fraction > 0.0 && step_fraction <= 1.0) {
            return Err(StepError { step_fraction });
        }
        let importance = ImportanceMap::new(patch);
        Ok(Self { patch, n_outputs, step_fraction, importance, flips: mirroring.combinations() })
    }

    /// Patches that [`SlidingWindow::logits`] predicts for an image of this shape, mirrored ones among them.
    pub fn n_patches(&self, shape: [usize; 3]) -> usize {
        let n_positions: usize = self.grids(shape).iter().map(AxisGrid::len).product();
        n_positions * self.flips.len()
    }

    /// Predicts an image `[channel, z, y, x]`: logits `[output, z, y, x]` on the same grid.
    ///
    /// `on_patch` is called after every patch, for progress.
    ///
    /// # Errors
    ///
    /// [`WindowError::Network`] if the network fails, [`WindowError::OutputShape`] if it returns another shape than
    /// one patch of `n_outputs` logits, [`WindowError::NotFinite`] if a logit is infinite or not a number.
    pub fn logits<N: PatchNetwork>(
        &self,
        image: &Array4<f32>,
        network: &mut N,
        on_patch: &mut dyn FnMut(),
    ) -> Result<Array4<f32>, WindowError<N::Error>> {
        let (n_channels, z, y, x) = image.dim();
        let grids = self.grids([z, y, x]);
        let mut sums = Sums::new([self.n_outputs, z, y, x]);
        let [patch_z, patch_y, patch_x] = self.patch;
        let mut patch = Array5::zeros((1, n_channels, patch_z, patch_y, patch_x));
        for in_z in grids[0].spans() {
            for in_y in grids[1].spans() {
                for in_x in grids[2].spans() {
                    let place = Place { z: in_z.clone(), y: in_y.clone(), x: in_x };
                    for axes in &self.flips {
                        place.cut(image, axes, &mut patch);
                        let added = network.predict(patch.view(), |logits| self.add(&place, &logits, axes, &mut sums));
                        added.map_err(|source| WindowError::Network { source })??;
                        on_patch();
                    }
                }
            }
        }
        // Every voxel has received the weights of its patches, once for every flip.
        let totals = [0, 1, 2].map(|axis| grids[axis].totals(self.importance.along(axis)));
        sums.into_mean(totals, self.flips.len() as f64).ok_or(WindowError::NotFinite)
    }

    fn grids(&self, shape: [usize; 3]) -> [AxisGrid; 3] {
        [0, 1, 2].map(|axis| AxisGrid::new(shape[axis], self.patch[axis], self.step_fraction))
    }

    /// Adds the weighted logits of one patch, turned around along `axes`, to the part of the image it covers.
    fn add<E>(
        &self,
        place: &Place,
        logits: &ArrayView5<'_, f32>,
        axes: &[usize],
        sums: &mut Sums,
    ) -> Result<(), WindowError<E>>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let [z, y, x] = self.patch;
        let expected = [1, self.n_outputs, z, y, x];
        if logits.shape() != expected {
            return Err(WindowError::OutputShape { expected: expected.to_vec(), actual: logits.shape().to_vec() });
        }
        let mut logits = logits.index_axis(Axis(0), 0);
        flip(&mut logits, axes);
        let [z, y, x] = place.in_patch();
        let weights = self.importance.weights();
        let weights = weights.slice(s![z.clone(), y.clone(), x.clone()]);
        sums.add(place, &logits.slice(s![.., z, y, x]), &weights);
        Ok(())
    }
}

/// Where one patch lies.
struct Place {
    z: Span,
    y: Span,
    x: Span,
}

impl Place {
    fn in_image(&self) -> [std::ops::Range<usize>; 3] {
        [self.z.in_image.clone(), self.y.in_image.clone(), self.x.in_image.clone()]
    }

    fn in_patch(&self) -> [std::ops::Range<usize>; 3] {
        [self.z.in_patch.clone(), self.y.in_patch.clone(), self.x.in_patch.clone()]
    }

    /// Cuts the patch out of the image, zeros around it, turned around along `axes`.
    fn cut(&self, image: &Array4<f32>, axes: &[usize], patch: &mut Array5<f32>) {
        let mut target = patch.index_axis_mut(Axis(0), 0);
        let [z, y, x] = self.in_image();
        let source = image.slice(s![.., z, y, x]);
        if source.shape() != target.shape() {
            target.fill(0.0);
        }
        flip(&mut target, axes);
        let [z, y, x] = self.in_patch();
        target.slice_mut(s![.., z, y, x]).assign(&source);
    }
}

/// A step that does not cover the image.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a step of {step_fraction} patches is not between 0 (excluded) and 1")]
pub struct StepError {
    /// The step asked for.
    pub step_fraction: f64,
}

/// Why a case could not be predicted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError<E: std::error::Error + Send + Sync + 'static> {
    /// The network failed.
    #[error("a patch could not be predicted")]
    Network {
        /// Why.
        source: E,
    },
    /// A logit is infinite or not a number, so no segmentation could be trusted.
    #[error("the network returned a logit that is not finite")]
    NotFinite,
    /// The network returned another shape than one patch.
    #[error("the network returned logits of shape {actual:?}, expected one patch of {expected:?}")]
    OutputShape {
        /// `[1, output, z, y, x]`.
        expected: Vec<usize>,
        /// What came back.
        actual: Vec<usize>,
    },
}

#[cfg(test)]
mod tests;
