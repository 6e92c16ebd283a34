//! Soft Dice plus cross-entropy, summed over decoder stages with falling weights.
//!
//! Follows nnU-Net v2's `DC_and_CE_loss` with `MemoryEfficientSoftDiceLoss` (smooth 1e-5, background left out of Dice)
//! inside its `DeepSupervisionWrapper`. Departs where nnU-Net divides by zero: a network with a single decoder stage
//! weights that stage by 1.

use tch::{Kind, Reduction, TchError, Tensor};

const SMOOTH: f64 = 1e-5;
const SMALLEST_DENOMINATOR: f64 = 1e-8;
/// No target has this value; libtorch's default.
const IGNORE_INDEX: i64 = -100;

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

/// Sum over stages of weight times loss.
///
/// `logits[i]` is `[n, class, (z,) y, x]`, `targets[i]` the class of each voxel `[n, (z,) y, x]` (64-bit).
///
/// # Errors
///
/// libtorch's own, if the shapes disagree or a target is no class.
///
/// # Panics
///
/// If there is not one target and one weight per stage, or no stage.
pub fn deep_supervision(
    logits: &[Tensor],
    targets: &[Tensor],
    weights: &[f64],
    dice_over: DiceOver,
) -> Result<Tensor, TchError> {
    assert!(logits.len() == targets.len() && logits.len() == weights.len(), "one target and one weight per stage");
    let mut total: Option<Tensor> = None;
    for ((logits, target), &weight) in logits.iter().zip(targets).zip(weights) {
        let weighted = dice_and_cross_entropy(logits, target, dice_over)?.f_mul_scalar(weight)?;
        total = Some(match total {
            Some(total) => total.f_add(&weighted)?,
            None => weighted,
        });
    }
    Ok(total.expect("a network has at least one stage"))
}

/// Cross-entropy minus mean foreground soft Dice of one stage; a tensor without axes.
///
/// # Errors
///
/// As [`deep_supervision`].
pub fn dice_and_cross_entropy(logits: &Tensor, target: &Tensor, dice_over: DiceOver) -> Result<Tensor, TchError> {
    let log_probabilities = logits.f_log_softmax(1, Kind::Float)?;
    let cross_entropy = log_probabilities.f_nll_loss_nd(target, None::<&Tensor>, Reduction::Mean, IGNORE_INDEX)?;
    let dice = soft_dice(&log_probabilities.f_exp()?, target, dice_over)?;
    cross_entropy.f_sub(&dice)
}

fn soft_dice(probabilities: &Tensor, target: &Tensor, dice_over: DiceOver) -> Result<Tensor, TchError> {
    let one_hot = tch::no_grad(|| probabilities.f_zeros_like()?.f_scatter_value_(1, &target.f_unsqueeze(1)?, 1.0))?;
    let n_foreground = probabilities.size()[1] - 1;
    let foreground = probabilities.f_narrow(1, 1, n_foreground)?;
    let reference = one_hot.f_narrow(1, 1, n_foreground)?;
    let spatial: Vec<i64> = (2..).take(probabilities.dim() - 2).collect();
    let sum = |tensor: &Tensor| {
        let per_image = tensor.f_sum_dim_intlist(&spatial[..], false, Kind::Float)?;
        match dice_over {
            DiceOver::Images => Ok(per_image),
            DiceOver::Batch => per_image.f_sum_dim_intlist(&[0_i64][..], false, Kind::Float),
        }
    };
    let numerator = sum(&foreground.f_mul(&reference)?)?.f_mul_scalar(2.0)?.f_add_scalar(SMOOTH)?;
    let denominator = sum(&foreground)?.f_add(&sum(&reference)?)?.f_add_scalar(SMOOTH)?;
    numerator.f_div(&denominator.f_clamp_min(SMALLEST_DENOMINATOR)?)?.f_mean(Kind::Float)
}

#[cfg(test)]
mod tests {
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
        let loss = deep_supervision(&logits, &targets, &deep_supervision_weights(3), dice_over).unwrap();
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
