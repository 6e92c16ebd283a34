//! Dice of validation patches, pooled over an epoch.
//!
//! Counts voxels of all patches together, as nnU-Net does, so it is no Dice of cases; hence its name. It decides which
//! checkpoint is the best.

use tch::{Kind, TchError, Tensor};

/// Counts of reference class against predicted class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    n_classes: usize,
    /// `[reference, prediction]`.
    counts: Vec<u64>,
}

impl Confusion {
    /// Nothing counted yet; class 0 is background.
    pub fn new(n_classes: usize) -> Self {
        Self { n_classes, counts: vec![0; n_classes * n_classes] }
    }

    /// Counts a batch: logits `[n, class, …]` against classes `[n, …]` (64-bit).
    ///
    /// # Errors
    ///
    /// libtorch's own.
    ///
    /// # Panics
    ///
    /// If a target is no class of the logits.
    pub fn add(&mut self, logits: &Tensor, target: &Tensor) -> Result<(), TchError> {
        let n = i64::try_from(self.n_classes).expect("a network has few outputs");
        let prediction = logits.f_argmax(1, false)?;
        let pairs = target.f_mul_scalar(n)?.f_add(&prediction)?.f_reshape([-1])?;
        let counts = pairs.f_bincount(None::<&Tensor>, n * n)?.f_to_kind(Kind::Int64)?.f_to(tch::Device::Cpu)?;
        let mut values = vec![0_i64; self.counts.len()];
        assert_eq!(counts.numel(), values.len(), "targets are classes of the network");
        counts.f_copy_data(&mut values, self.counts.len())?;
        for (total, value) in self.counts.iter_mut().zip(values) {
            *total += value.unsigned_abs();
        }
        Ok(())
    }

    /// Dice per foreground class; `None` where neither reference nor prediction has a voxel.
    pub fn dice(&self) -> Vec<Option<f64>> {
        (1..self.n_classes).map(|class| self.dice_of(class)).collect()
    }

    fn dice_of(&self, class: usize) -> Option<f64> {
        let n = self.n_classes;
        let both = self.counts[class * n + class];
        let in_reference: u64 = self.counts[class * n..(class + 1) * n].iter().sum();
        let in_prediction: u64 = self.counts.iter().skip(class).step_by(n).sum();
        let total = in_reference + in_prediction;
        (total > 0).then(|| 2.0 * both as f64 / total as f64)
    }
}

/// Mean of the defined values.
pub fn mean(values: &[Option<f64>]) -> Option<f64> {
    let defined: Vec<f64> = values.iter().copied().flatten().collect();
    (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
}

/// Exponential moving average with weights 0.9 and 0.1, begun by the first value; an undefined value leaves it.
pub fn moving_average(average: Option<f64>, value: Option<f64>) -> Option<f64> {
    match (average, value) {
        (Some(average), Some(value)) => Some(0.9 * average + 0.1 * value),
        (average, value) => average.or(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_counts_all_patches_together() {
        let mut confusion = Confusion::new(4);
        // Voxels predicted 0, 1, 1, 2 against the reference 0, 1, 2, 2.
        let one_hot = |classes: [i64; 4]| Tensor::from_slice(&classes).one_hot(4).transpose(0, 1).unsqueeze(0);
        let logits = one_hot([0, 1, 1, 2]).to_kind(Kind::Float);
        let target = Tensor::from_slice(&[0_i64, 1, 2, 2]).unsqueeze(0);
        confusion.add(&logits, &target).unwrap();
        assert_eq!(confusion.dice(), [Some(2.0 / 3.0), Some(2.0 / 3.0), None]);
        confusion.add(&logits, &target).unwrap();
        assert_eq!(mean(&confusion.dice()), Some(2.0 / 3.0));
    }

    #[test]
    fn the_average_begins_with_the_first_value_and_skips_undefined_ones() {
        assert_eq!(moving_average(None, Some(0.5)), Some(0.5));
        assert_eq!(moving_average(Some(0.5), Some(1.0)), Some(0.55));
        assert_eq!(moving_average(Some(0.5), None), Some(0.5));
        assert_eq!(mean(&[None, None]), None);
    }
}
