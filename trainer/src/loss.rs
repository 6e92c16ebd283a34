//! Soft Dice plus cross-entropy, summed over decoder stages with falling weights.
//!
//! Follows nnU-Net v2's `_build_loss`: for classes `DC_and_CE_loss` (softmax, background left out of Dice), for regions
//! `DC_and_BCE_loss` (a sigmoid and a binary cross-entropy per region, none left out), both with
//! `MemoryEfficientSoftDiceLoss` (smooth 1e-5) inside `DeepSupervisionWrapper`. Voxels with the ignore label count
//! nowhere; where only part of the voxels count, the cross-entropy of regions is divided by their number and not by
//! that of voxels times regions, as nnU-Net does. Departs where nnU-Net divides by zero: a network with a single
//! decoder stage weights that stage by 1.
//!
//! The loss is a function of sums over voxels ([`sums`]), and sums of parts of a batch add up: so the loss of a batch
//! whose images lie on several devices is the loss of the batch, where nnU-Net's means of means differ from it when
//! devices have unequal shares.

pub mod sums;

use tch::{TchError, Tensor};

use crate::annotation::Annotation;
use sums::StageSums;

/// Whether Dice is computed per image or over the batch as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiceOver {
    /// The mean of every image's Dice.
    Images,
    /// Sums over the batch before dividing, as for 2D patches, of which many hold no foreground.
    Batch,
}

impl DiceOver {
    /// What the plans' `batch_dice` asks for.
    pub fn of_plans(batch_dice: bool) -> Self {
        if batch_dice { Self::Batch } else { Self::Images }
    }
}

/// Weights of the decoder stages' losses, finest first: 1, 1/2, 1/4, …, the coarsest dropped, normalized to sum 1.
///
/// The result is as long as there are stages with a loss.
pub fn deep_supervision_weights(n_heads: usize) -> Vec<f64> {
    let n_used = n_heads.saturating_sub(1).max(1);
    let raw: Vec<f64> = std::iter::successors(Some(1.0), |weight| Some(weight / 2.0)).take(n_used).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| weight / sum).collect()
}

/// The loss of a data set's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What the outputs stand for.
    pub annotation: Annotation,
    /// Over what Dice sums.
    pub dice_over: DiceOver,
}

impl Loss {
    /// Sum over stages of weight times loss.
    ///
    /// `logits[i]` is `[n, output, (z,) y, x]`, `targets[i]` the label of each voxel `[n, (z,) y, x]` (64-bit).
    ///
    /// # Errors
    ///
    /// libtorch's own, if the shapes disagree or a target is no label.
    ///
    /// # Panics
    ///
    /// If there is not one target and one weight per stage, or no stage.
    pub fn deep_supervision(&self, logits: &[Tensor], targets: &[Tensor], weights: &[f64]) -> Result<Tensor, TchError> {
        self.of_sums(&[self.sums(logits, targets)?], weights)
    }

    /// Cross-entropy minus mean soft Dice of one stage; a tensor without axes.
    ///
    /// # Errors
    ///
    /// As [`Loss::deep_supervision`].
    pub fn of_stage(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor, TchError> {
        StageSums::of(&self.annotation, logits, target)?.loss(&self.annotation, self.dice_over)
    }

    /// What the loss of these images needs of every stage.
    ///
    /// # Errors
    ///
    /// As [`Loss::deep_supervision`].
    ///
    /// # Panics
    ///
    /// If there is not one target per stage.
    pub fn sums(&self, logits: &[Tensor], targets: &[Tensor]) -> Result<Vec<StageSums>, TchError> {
        assert!(logits.len() == targets.len(), "one target per stage");
        let stages = logits.iter().zip(targets);
        stages.map(|(logits, target)| StageSums::of(&self.annotation, logits, target)).collect()
    }

    /// The loss of a batch from the sums of its parts, which lie on one device, in the order of the images.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    ///
    /// # Panics
    ///
    /// If there is no part, no stage, or not one weight per stage.
    pub fn of_sums(&self, parts: &[Vec<StageSums>], weights: &[f64]) -> Result<Tensor, TchError> {
        assert!(parts.iter().all(|part| part.len() == weights.len()), "one weight per stage");
        let mut total: Option<Tensor> = None;
        for (stage, &weight) in weights.iter().enumerate() {
            let parts: Vec<&StageSums> = parts.iter().map(|part| &part[stage]).collect();
            let weighted = StageSums::join(&parts)?.loss(&self.annotation, self.dice_over)?.f_mul_scalar(weight)?;
            total = Some(match total {
                Some(total) => total.f_add(&weighted)?,
                None => weighted,
            });
        }
        Ok(total.expect("a network has at least one stage"))
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::weights::Weights;

    /// Single precision; values and gradients are of order 1 and below.
    const TOLERANCE: f64 = 1e-6;

    fn check(key: &str, dice_over: DiceOver) {
        let golden = Weights::from_bytes(include_bytes!("../tests/golden/loss.safetensors")).unwrap();
        let tensor = |name: String| {
            let tensor = golden.get(&name).unwrap();
            let shape: Vec<i64> = tensor.shape.iter().map(|&extent| extent.try_into().unwrap()).collect();
            Tensor::from_slice(&tensor.values).reshape(shape)
        };
        let logits = [0, 1].map(|i| tensor(format!("logits.{i}")).set_requires_grad(true));
        let targets = [0, 1].map(|i| tensor(format!("target.{i}")).to_kind(Kind::Int64));

        let loss = Loss { annotation: Annotation::of_classes(3), dice_over };
        let loss = loss.deep_supervision(&logits, &targets, &deep_supervision_weights(3)).unwrap();
        loss.backward();
        let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(difference(&loss, &tensor(format!("{key}.loss"))) < TOLERANCE);
        for (i, logits) in logits.iter().enumerate() {
            assert!(difference(&logits.grad(), &tensor(format!("{key}.gradient.{i}"))) < TOLERANCE);
        }
    }

    #[test]
    fn loss_and_gradient_are_nnunets() {
        check("images", DiceOver::Images);
        check("batch", DiceOver::Batch);
    }

    #[test]
    fn the_coarsest_stage_counts_only_where_it_is_alone() {
        assert_eq!(deep_supervision_weights(4), [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0]);
        assert_eq!(deep_supervision_weights(2), [1.0]);
        assert_eq!(deep_supervision_weights(1), [1.0]);
    }
}
