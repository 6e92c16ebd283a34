//! A case whose members come one after the other, fold by fold.
//!
//! Every member's logits are restored slab by slab, added to its fold's sums and forgotten; with the last member of a fold
//! the fold is scored and added to the mean over the folds. So memory depends neither on the number of members nor on that
//! of folds: there are the sums, one member's logits, and the segmentation and maps of the best fold so far.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use imaging::Geometry;
use ndarray::{Array3, Array4, Axis};
use nnunet::fold::Fold;
use nnunet::preprocess::{CaseProperties, PreprocessError};
use nnunet::restore;
use nnunet::segmentation::segmentation;
use nnunet::select::{Selection, select_fold};
use nnunet::uncertainty::{Contours, Ensemble, Measure, SoleMember, slicing_axis};

use super::rules::{Average, Segmentation, Select};
use super::trace::Seconds;
use super::vote::Vote;
use super::{Assessment, Candidate, PredictError, Prediction, Predictor};
use crate::model::ModelMember;

/// The members of a case that were added so far.
pub(crate) struct Running<'a> {
    predictor: &'a Predictor<'a>,
    properties: CaseProperties,
    slicing_axis: Axis,
    /// Of the fold at hand.
    current: Sums,
    /// Instead of sums, where one member is all.
    sole: Option<SoleMember>,
    n_members: usize,
    /// Of the folds before, each as one member; of nobody where there is but one fold.
    overall: Sums,
    folds: Vec<(Fold, Assessment)>,
    leading_scores: Vec<Option<f64>>,
    /// Of the best fold so far, or of the only one.
    best: Option<Candidate>,
    /// What the stages took so far.
    pub(crate) seconds: Seconds,
}

/// Sums of members, and of those who vote.
#[derive(Default)]
struct Sums {
    ensemble: Option<Ensemble>,
    vote: Option<Vote>,
}

impl<'a> Running<'a> {
    /// A case that no member has predicted yet.
    pub(crate) fn new(
        predictor: &'a Predictor<'a>,
        properties: CaseProperties,
        geometry: &Geometry,
        seconds: Seconds,
    ) -> Self {
        Self {
            predictor,
            properties,
            slicing_axis: slicing_axis(geometry),
            current: Sums::default(),
            sole: None,
            n_members: 0,
            overall: Sums::default(),
            folds: Vec::new(),
            leading_scores: Vec::new(),
            best: None,
            seconds,
        }
    }

    /// Adds the logits `[output, z, y, x]` of the next member, on the grid of the network.
    ///
    /// # Errors
    ///
    /// [`PredictError::Restore`] if they cannot be brought back.
    ///
    /// # Panics
    ///
    /// If every member was added before.
    pub(crate) fn add(&mut self, logits: Array4<f32>) -> Result<(), PredictError> {
        let (_, members) = &self.predictor.folds[self.folds.len()];
        let votes = self.predictor.votes(&members[self.n_members]);
        let average = self.predictor.rules.average;
        self.add_slabs(&logits, votes && average == Average::Probabilities)?;
        if votes && average == Average::Logits {
            Vote::add(&mut self.current.vote, logits);
        } else {
            drop(logits);
        }
        self.n_members += 1;
        let start = Instant::now();
        if self.n_members == members.len() {
            self.close_fold()?;
        }
        self.seconds.uncertainty += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Restores the logits of a member and adds them to the sums.
    fn add_slabs(&mut self, logits: &Array4<f32>, votes: bool) -> Result<(), PredictError> {
        let Predictor { methods, model, temperature, .. } = self.predictor;
        let Sums { ensemble, vote } = &mut self.current;
        let grid @ [n_slices, y, x] = self.properties.original_shape;
        let (mut first, mut summing) = (0, Duration::ZERO);
        let mut add = |slab: &Array4<f32>| {
            let start = Instant::now();
            if votes {
                Vote::add_slab(vote, slab, first, n_slices);
            }
            if self.predictor.has_sole_member() {
                self.sole.get_or_insert_with(|| SoleMember::new(grid, model.labels.clone())).add_slab(slab);
            } else {
                let shape = [model.labels.n_outputs(), n_slices, y, x];
                ensemble.get_or_insert_with(|| Ensemble::of_none(methods, shape, &model.labels)).add_slab(slab);
            }
            first += slab.dim().1;
            summing += start.elapsed();
        };
        let start = Instant::now();
        let case = (&self.properties, &model.configuration);
        restore::each_slab(logits, case, model.head, *temperature, &mut add)?;
        self.seconds.restore += start.elapsed().saturating_sub(summing).as_secs_f64();
        self.seconds.uncertainty += summing.as_secs_f64();
        Ok(())
    }

    /// Whether every member was added.
    pub(crate) fn is_complete(&self) -> bool {
        self.folds.len() == self.predictor.folds.len()
    }

    /// The result of a complete case, and what its stages took.
    ///
    /// # Errors
    ///
    /// [`PredictError::Restore`] if the mean over the folds cannot be brought back.
    ///
    /// # Panics
    ///
    /// If the case is not complete.
    pub(crate) fn finish(mut self) -> Result<(Prediction, Seconds), PredictError> {
        let start = Instant::now();
        let selection = match (self.predictor.rules.select, select_fold(&self.leading_scores)) {
            (Select::LowestUncertainty, Selection::Fold(i)) => Some(self.folds[i].0),
            (Select::LowestUncertainty, Selection::Mean) | (Select::Mean, _) => None,
        };
        let overall = std::mem::take(&mut self.overall);
        let (mut result, mean, disagreement) = if let Some(ensemble) = overall.ensemble {
            let (mean_candidate, mean) = self.assess(&ensemble, overall.vote.map(Vote::into_mean).as_ref())?;
            drop(ensemble);
            let best = self.best.take();
            let disagreement = best.as_ref().and_then(|best| self.predictor.disagreement(best, &mean_candidate));
            (best.unwrap_or(mean_candidate), mean, disagreement)
        } else {
            // The mean over a single fold is that fold.
            let only = self.best.take().expect("a complete case has a fold");
            let disagreement = selection.and_then(|_| self.predictor.disagreement(&only, &only));
            (only, self.folds[0].1.clone(), disagreement)
        };
        self.predictor.model.postprocessing.apply(&mut result.segmentation);
        self.seconds.uncertainty += start.elapsed().as_secs_f64();
        Ok((Prediction { selection, result, folds: self.folds, mean, disagreement }, self.seconds))
    }

    /// Scores the fold at hand and adds it to those before.
    fn close_fold(&mut self) -> Result<(), PredictError> {
        let Sums { ensemble, vote } = std::mem::take(&mut self.current);
        let vote = vote.map(Vote::into_mean);
        let (candidate, assessment) = match (self.sole.take(), &ensemble) {
            (Some(sole), _) => {
                let (segmentation, measures) = sole.measured(&self.predictor.methods, self.slicing_axis);
                self.assessed(segmentation, None, measures)
            }
            (None, Some(ensemble)) => self.assess(ensemble, vote.as_ref())?,
            (None, None) => unreachable!("a fold of a model has at least one member"),
        };
        self.leading_scores.push(assessment.scores.first().and_then(|scores| scores.whole));
        let is_best = select_fold(&self.leading_scores) == Selection::Fold(self.folds.len());
        let is_only = self.predictor.folds.len() == 1;
        if is_only || is_best && self.predictor.rules.select == Select::LowestUncertainty {
            self.best = Some(candidate);
        }
        let (fold, _) = &self.predictor.folds[self.folds.len()];
        self.folds.push((*fold, assessment));
        self.n_members = 0;
        if is_only {
            return Ok(());
        }
        match (&mut self.overall.ensemble, ensemble) {
            (Some(overall), Some(ensemble)) => overall.add_ensemble(&ensemble),
            (overall, ensemble) => *overall = ensemble.map(Ensemble::into_member),
        }
        if let Some(vote) = vote {
            Vote::add(&mut self.overall.vote, vote);
        }
        Ok(())
    }

    /// Segments and scores the sums; `vote` is the mean of those who vote, where they are not all members.
    fn assess(&self, ensemble: &Ensemble, vote: Option<&Array4<f32>>) -> Result<(Candidate, Assessment), PredictError> {
        let Predictor { model, methods, keeps_probabilities, .. } = self.predictor;
        let voted = vote.map(|vote| self.probabilities_of(vote)).transpose()?;
        let segmentation = match &voted {
            Some(probabilities) => segmentation(&**probabilities, &model.labels),
            None => ensemble.segmentation(&model.labels),
        };
        let probabilities = keeps_probabilities.then(|| voted.map_or_else(|| ensemble.mean(), Cow::into_owned));
        let contours = Contours::of(&segmentation, &model.labels, self.slicing_axis);
        let measures = methods.iter().map(|&method| ensemble.measure(method, &contours)).collect();
        Ok(self.assessed(segmentation, probabilities, measures))
    }

    fn assessed(
        &self,
        segmentation: Array3<u8>,
        probabilities: Option<Array4<f32>>,
        measures: Vec<Measure>,
    ) -> (Candidate, Assessment) {
        let (maps, scores) = measures.into_iter().map(|measure| (measure.map, measure.scores)).unzip();
        let assessment = Assessment { scores, segmentation: self.predictor.keeps_folds.then(|| segmentation.clone()) };
        (Candidate { segmentation, maps, probabilities }, assessment)
    }

    fn probabilities_of<'v>(&self, vote: &'v Array4<f32>) -> Result<Cow<'v, Array4<f32>>, PreprocessError> {
        match self.predictor.rules.average {
            Average::Probabilities => Ok(Cow::Borrowed(vote)),
            Average::Logits => Ok(Cow::Owned(self.restore(vote.clone())?)),
        }
    }

    fn restore(&self, logits: Array4<f32>) -> Result<Array4<f32>, PreprocessError> {
        let (model, temperature) = (self.predictor.model, self.predictor.temperature);
        restore::probabilities(logits, &self.properties, &model.configuration, model.head, temperature)
    }
}

impl Predictor<'_> {
    /// Whether there is but one member, of which no more than a label and an entropy per voxel is asked for.
    pub(crate) fn has_sole_member(&self) -> bool {
        self.members().nth(1).is_none() && !self.keeps_probabilities
    }

    /// Whether segmentations are made of the mean of all members' probabilities, as uncertainty is. One member is its own
    /// mean, whatever is averaged.
    pub(crate) fn is_of_all_probabilities(&self) -> bool {
        let rules = (self.rules.segmentation, self.rules.average);
        rules == (Segmentation::Mean, Average::Probabilities) || self.members().nth(1).is_none()
    }

    /// Whether segmentations are made of this member beside its part in the sums.
    fn votes(&self, member: &ModelMember) -> bool {
        let is_asked = match self.rules.segmentation {
            Segmentation::Mean => true,
            Segmentation::Best => self.best.contains(&member.member),
        };
        is_asked && !self.is_of_all_probabilities()
    }
}
