//! Dice of validation patches, pooled over an epoch.
//!
//! Counts voxels of all patches together, as nnU-Net does, so it is no Dice of cases; hence its name. It decides which
//! checkpoint is the best. Classes are predicted by the highest logit, regions by a probability above one half; voxels
//! with the ignore label are not counted.

use tch::{Device, Kind, TchError, Tensor};

use crate::annotation::{Annotation, Outputs};

/// How often a label meets a prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    annotation: Annotation,
    /// One table `[label, prediction]` for classes; for regions one each, with predictions no and yes.
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Nothing counted yet.
    pub fn new(annotation: &Annotation) -> Self {
        let n_labels = annotation.n_labels();
        let counts = match annotation.outputs() {
            Outputs::Classes(n_classes) => vec![vec![0; n_labels * n_classes]],
            Outputs::Regions(regions) => vec![vec![0; n_labels * 2]; regions.len()],
        };
        Self { annotation: annotation.clone(), counts }
    }

    /// Counts a batch: logits `[n, output, …]` against labels `[n, …]` (64-bit).
    ///
    /// # Errors
    ///
    /// libtorch's own.
    ///
    /// # Panics
    ///
    /// If a target is no label of the data set.
    pub fn add(&mut self, logits: &Tensor, target: &Tensor) -> Result<(), TchError> {
        match self.annotation.outputs() {
            Outputs::Classes(_) => count(&mut self.counts[0], target, &logits.f_argmax(1, false)?, &self.annotation),
            Outputs::Regions(_) => {
                let predicted = logits.f_sigmoid()?.f_gt(0.5)?;
                for (region, counts) in (0..).zip(&mut self.counts) {
                    count(counts, target, &predicted.f_select(1, region)?, &self.annotation)?;
                }
                Ok(())
            }
        }
    }

    /// Dice per foreground structure; `None` where neither reference nor prediction has a voxel.
    pub fn dice(&self) -> Vec<Option<f64>> {
        match self.annotation.outputs() {
            Outputs::Classes(n_classes) => {
                let foreground = (1..=u8::MAX).take(n_classes - 1);
                foreground.map(|label| self.dice_of(&self.counts[0], &[label], label.into())).collect()
            }
            Outputs::Regions(regions) => {
                regions.iter().zip(&self.counts).map(|(region, counts)| self.dice_of(counts, region, 1)).collect()
            }
        }
    }

    /// Dice of what has one of `labels` and what was predicted as `wanted`.
    fn dice_of(&self, counts: &[u64], labels: &[u8], wanted: usize) -> Option<f64> {
        let n_predictions = counts.len() / self.annotation.n_labels();
        let (mut both, mut in_reference, mut in_prediction) = (0, 0, 0);
        for (label, row) in (0..=u8::MAX).zip(counts.chunks_exact(n_predictions)) {
            if Some(label) == self.annotation.ignore() {
                continue;
            }
            in_prediction += row[wanted];
            if labels.contains(&label) {
                in_reference += row.iter().sum::<u64>();
                both += row[wanted];
            }
        }
        let total = in_reference + in_prediction;
        (total > 0).then(|| 2.0 * both as f64 / total as f64)
    }
}

/// Adds the pairs of labels and predictions to a table of both.
fn count(table: &mut [u64], labels: &Tensor, predictions: &Tensor, annotation: &Annotation) -> Result<(), TchError> {
    let extent = |n: usize| i64::try_from(n).expect("a network has few outputs");
    let n_predictions = extent(table.len() / annotation.n_labels());
    let pairs = labels.f_mul_scalar(n_predictions)?.f_add(predictions)?.f_reshape([-1])?;
    let counts = pairs.f_bincount(None::<&Tensor>, extent(table.len()))?.f_to_kind(Kind::Int64)?.f_to(Device::Cpu)?;
    let mut values = vec![0_i64; table.len()];
    assert_eq!(counts.numel(), values.len(), "targets are labels of the data set");
    counts.f_copy_data(&mut values, table.len())?;
    for (total, value) in table.iter_mut().zip(values) {
        *total += value.unsigned_abs();
    }
    Ok(())
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
        let mut confusion = Confusion::new(&Annotation::of_classes(4));
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
