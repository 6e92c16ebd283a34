//! Before and behind a stage of a cascade: the segmentation that it sees, and the one that it leaves for the next.
//!
//! Follows nnU-Net's `perform_actual_validation`: one-hot channels of the previous stage's segmentation behind those of
//! the image, and logits resampled to the grid of the next stage's preprocessed cases. Departs in taking the mean over
//! all members there, as everywhere in a validation, and in finding that grid from image and plans, so that the next
//! stage need not be preprocessed yet.

use bundle_format::Digest;
use ndarray::{Array4, Zip};
use nnunet::dataset::{CaseId, LabelSet};
use nnunet::plans::{Configuration, ConfigurationName};
use nnunet::preprocess::CaseProperties;
use nnunet::previous_stage;
use nnunet::segmentation::segmentation;

use super::ValidationError;
use crate::stage_predictions::{PredictionError, Predictor, StagePredictions};
use crate::trained::{Trained, TrainedError};

/// The stages beside the one that is validated.
#[derive(Debug)]
pub(super) struct Stages {
    previous: Option<(ConfigurationName, StagePredictions)>,
    next: Vec<(Configuration, StagePredictions)>,
}

impl Stages {
    /// Those that the plans name.
    pub(super) fn of(trained: &Trained) -> Result<Self, ValidationError> {
        let previous = trained.configuration.previous_stage().map(|name| {
            let predictions = StagePredictions::new(&trained.folder_of(&name), &trained.name);
            (name, predictions)
        });
        let refuse = |source| TrainedError::Plans { path: trained.folder.join("plans.json"), source };
        let next = trained.configuration.next_stages().into_iter().map(|name| {
            let configuration = trained.plans.configuration(&name).map_err(refuse)?;
            Ok((configuration, StagePredictions::new(&trained.folder, &name)))
        });
        Ok(Self { previous, next: next.collect::<Result<_, TrainedError>>()? })
    }

    /// Puts the previous stage's segmentation of a case behind the channels of its image; returns its digest.
    pub(super) fn append_previous(
        &self,
        case: &CaseId,
        image: &mut Array4<f32>,
        labels: &LabelSet,
    ) -> Result<Option<Digest>, ValidationError> {
        let Some((name, predictions)) = &self.previous else { return Ok(None) };
        let refuse = |source| ValidationError::Previous { configuration: name.clone(), source: Box::new(source) };
        let prediction = predictions.open(case).map_err(refuse)?;
        let (_, z, y, x) = image.dim();
        if prediction.record.shape != [z, y, x] {
            let (expected, found) = ([z, y, x], prediction.record.shape);
            return Err(refuse(PredictionError::Grid { path: predictions.path(case), expected, found }));
        }
        let segmentation = prediction.read().map_err(refuse)?;
        *image = previous_stage::append(image, &segmentation.view(), labels)
            .map_err(|source| ValidationError::PreviousLabel { configuration: name.clone(), source })?;
        Ok(Some(prediction.record.labels))
    }

    /// Digest of the previous stage's segmentation of a case; `None` if there is none.
    pub(super) fn previous_digest(&self, case: &CaseId) -> Option<Digest> {
        let (_, predictions) = self.previous.as_ref()?;
        predictions.open(case).ok().map(|prediction| prediction.record.labels)
    }

    /// Whether every next stage has its segmentation of a case, by these members.
    pub(super) fn have_next(&self, case: &CaseId, by: Predictor<'_>) -> bool {
        self.next.iter().all(|(_, predictions)| predictions.holds(case, by))
    }

    /// A mean for every next stage, of no member yet.
    pub(super) fn start_next(&self, properties: &CaseProperties) -> Result<Vec<Mean>, ValidationError> {
        let start = |(configuration, _): &(Configuration, _)| {
            let shape = properties.shape_in(configuration)?;
            Ok(Mean { shape, sum: None, n_members: 0 })
        };
        self.next.iter().map(start).collect()
    }

    /// Writes the segmentation of a case for every next stage.
    pub(super) fn write_next(
        &self,
        case: &CaseId,
        means: &[Mean],
        labels: &LabelSet,
        by: Predictor<'_>,
    ) -> Result<(), ValidationError> {
        for ((_, predictions), mean) in self.next.iter().zip(means) {
            let mean = mean.probabilities().ok_or(ValidationError::NoMember)?;
            let write = predictions.write(case, &segmentation(&mean, labels), by);
            write.map_err(|source| ValidationError::Write { source })?;
        }
        Ok(())
    }
}

/// Mean probabilities on the grid of a next stage.
#[derive(Debug)]
pub(super) struct Mean {
    shape: [usize; 3],
    sum: Option<Array4<f32>>,
    n_members: u16,
}

impl Mean {
    /// Extents of the grid.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Adds those of a member.
    pub(super) fn add(&mut self, probabilities: Array4<f32>) {
        match &mut self.sum {
            Some(sum) => Zip::from(sum).and(&probabilities).par_for_each(|sum, &p| *sum += p),
            None => self.sum = Some(probabilities),
        }
        self.n_members += 1;
    }

    fn probabilities(&self) -> Option<Array4<f32>> {
        let n_members = f32::from(self.n_members);
        self.sum.as_ref().map(|sum| sum.mapv(|sum| sum / n_members))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_mean_is_that_of_its_members_and_none_of_nobody() {
        let mut mean = Mean { shape: [1, 1, 2], sum: None, n_members: 0 };
        assert_eq!(mean.probabilities(), None);
        mean.add(array![[[[0.5, 1.0]]]]);
        mean.add(array![[[[0.25, 0.0]]]]);
        assert_eq!(mean.probabilities(), Some(array![[[[0.375, 0.5]]]]));
    }
}
