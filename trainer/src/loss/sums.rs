//! The sums over voxels that the loss of one decoder stage is made of.
//!
//! Everything but these sums belongs to one image alone, so images may lie on several devices. Sums of Dice are kept
//! per image and channel, because only the whole batch knows whether they are added before they are divided (nnU-Net
//! gathers its sums from all devices for the same reason, with `AllGatherGrad`); of the cross-entropy there is one sum,
//! and the number that divides it.

use tch::{Device, Kind, Reduction, TchError, Tensor};

use super::DiceOver;
use crate::annotation::{Annotation, Outputs};

const SMOOTH: f64 = 1e-5;
const SMALLEST_DENOMINATOR: f64 = 1e-8;
/// No target has this value; libtorch's default.
const NO_INDEX: i64 = -100;

/// Sums of one stage over the images of a batch, or of a part of it.
#[derive(Debug)]
pub struct StageSums {
    /// Cross-entropy of all values that count; a tensor without axes.
    cross_entropy: Tensor,
    /// What divides it; a tensor without axes.
    n_counted: Tensor,
    /// Probability where the reference is, `[n, channel]`.
    both: Tensor,
    /// Probability, `[n, channel]`.
    predicted: Tensor,
    /// Voxels of the reference, `[n, channel]`.
    reference: Tensor,
}

impl StageSums {
    /// Of logits `[n, output, (z,) y, x]` against labels `[n, (z,) y, x]` (64-bit).
    pub(super) fn of(annotation: &Annotation, logits: &Tensor, target: &Tensor) -> Result<Self, TchError> {
        let (reference, mask) = tch::no_grad(|| {
            let reference = annotation.channels(target)?;
            Ok::<_, TchError>((reference, annotation.mask(target)?))
        })?;
        let mask = mask.as_ref();
        match annotation.outputs() {
            Outputs::Classes(_) => {
                let log_probabilities = logits.f_log_softmax(1, Kind::Float)?;
                let ignore = annotation.ignore().map_or(NO_INDEX, i64::from);
                let cross_entropy = log_probabilities.f_nll_loss_nd(target, None::<&Tensor>, Reduction::Sum, ignore)?;
                let n_foreground = reference.size()[1] - 1;
                let foreground = log_probabilities.f_exp()?.f_narrow(1, 1, n_foreground)?;
                let reference = reference.f_narrow(1, 1, n_foreground)?;
                Self::new(cross_entropy, number(mask, target)?, [&foreground, &reference], mask)
            }
            Outputs::Regions(_) => {
                let cross_entropy = binary_cross_entropy(logits, &reference, mask)?;
                Self::new(cross_entropy, number(mask, &reference)?, [&logits.f_sigmoid()?, &reference], mask)
            }
        }
    }

    /// The reference has no voxel where the mask has none.
    fn new(
        cross_entropy: Tensor,
        n_counted: Tensor,
        [probabilities, reference]: [&Tensor; 2],
        mask: Option<&Tensor>,
    ) -> Result<Self, TchError> {
        let spatial: Vec<i64> = (2..).take(probabilities.dim() - 2).collect();
        let sum = |tensor: &Tensor| tensor.f_sum_dim_intlist(&spatial[..], false, Kind::Float);
        let predicted = match mask {
            Some(mask) => sum(&probabilities.f_mul(mask)?)?,
            None => sum(probabilities)?,
        };
        let both = sum(&probabilities.f_mul(reference)?)?;
        Ok(Self { cross_entropy, n_counted, both, predicted, reference: sum(reference)? })
    }

    /// The sums of several parts as those of one, in their order; at least one part.
    pub(super) fn join(parts: &[&Self]) -> Result<Self, TchError> {
        let all = |field: fn(&Self) -> &Tensor| -> Vec<Tensor> {
            parts.iter().map(|part| field(part).shallow_clone()).collect()
        };
        let join = |field: fn(&Self) -> &Tensor| match &all(field)[..] {
            [one] => Ok(one.shallow_clone()),
            several => Tensor::f_cat(several, 0),
        };
        let add = |field: fn(&Self) -> &Tensor| match &all(field)[..] {
            [one] => Ok(one.shallow_clone()),
            several => Tensor::f_stack(several, 0)?.f_sum(Kind::Float),
        };
        Ok(Self {
            cross_entropy: add(|part| &part.cross_entropy)?,
            n_counted: add(|part| &part.n_counted)?,
            both: join(|part| &part.both)?,
            predicted: join(|part| &part.predicted)?,
            reference: join(|part| &part.reference)?,
        })
    }

    /// Mean cross-entropy, 0 where no voxel counts, minus mean soft Dice; a tensor without axes.
    pub(super) fn loss(&self, annotation: &Annotation, dice_over: DiceOver) -> Result<Tensor, TchError> {
        let smallest = match annotation.outputs() {
            Outputs::Classes(_) => 1.0,
            Outputs::Regions(_) => SMALLEST_DENOMINATOR,
        };
        let cross_entropy = self.cross_entropy.f_div(&self.n_counted.f_clamp_min(smallest)?)?;
        let sum = |per_image: &Tensor| match dice_over {
            DiceOver::Images => Ok(per_image.shallow_clone()),
            DiceOver::Batch => per_image.f_sum_dim_intlist(&[0_i64][..], false, Kind::Float),
        };
        let numerator = sum(&self.both)?.f_mul_scalar(2.0)?.f_add_scalar(SMOOTH)?;
        let denominator = sum(&self.predicted)?.f_add(&sum(&self.reference)?)?.f_add_scalar(SMOOTH)?;
        let dice = numerator.f_div(&denominator.f_clamp_min(SMALLEST_DENOMINATOR)?)?.f_mean(Kind::Float)?;
        cross_entropy.f_sub(&dice)
    }

    /// A copy on a device that knows nothing of how it came about, and whose gradient can be asked for.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn leaf(&self, device: Device) -> Result<Self, TchError> {
        let copy = |tensor: &Tensor| tensor.f_detach()?.f_to(device);
        let leaf = |tensor: &Tensor| copy(tensor)?.f_set_requires_grad(true);
        Ok(Self {
            cross_entropy: leaf(&self.cross_entropy)?,
            n_counted: copy(&self.n_counted)?,
            both: leaf(&self.both)?,
            predicted: leaf(&self.predicted)?,
            reference: copy(&self.reference)?,
        })
    }

    /// A scalar whose gradient is that which the loss has through these sums, as the leaf learned it.
    ///
    /// # Errors
    ///
    /// libtorch's own.
    pub fn weighted_by_gradient(&self, leaf: &Self) -> Result<Tensor, TchError> {
        let weighted = |own: &Tensor, leaf: &Tensor| -> Result<Tensor, TchError> {
            own.f_mul(&leaf.f_grad()?.f_to(own.device())?)?.f_sum(Kind::Float)
        };
        let cross_entropy = weighted(&self.cross_entropy, &leaf.cross_entropy)?;
        cross_entropy.f_add(&weighted(&self.both, &leaf.both)?)?.f_add(&weighted(&self.predicted, &leaf.predicted)?)
    }
}

/// How many values count: those of the mask, or all.
fn number(mask: Option<&Tensor>, values: &Tensor) -> Result<Tensor, TchError> {
    match mask {
        Some(mask) => mask.f_sum(Kind::Float),
        None => Tensor::f_full([0_i64; 0], values.numel() as f64, (Kind::Float, values.device())),
    }
}

/// Sum over voxels and regions.
fn binary_cross_entropy(logits: &Tensor, reference: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
    let of =
        |reduction| logits.f_binary_cross_entropy_with_logits(reference, None::<&Tensor>, None::<&Tensor>, reduction);
    match mask {
        None => of(Reduction::Sum),
        Some(mask) => of(Reduction::None)?.f_mul(mask)?.f_sum(Kind::Float),
    }
}
