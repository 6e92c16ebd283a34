//! Validation: the cases that a fold never saw, predicted by every member of it, on their own grids.
//!
//! What is done to a case is what the runtime will do to a new one: read, preprocessed without its labels, half steps,
//! Gaussian weights, mirroring along every axis, logits resampled, then softmax; the mean over the members is the
//! prediction, their maps are its scores. So score and Dice of these cases say what to expect of a new case. Departs
//! from nnU-Net's `perform_actual_validation` by starting from the raw files: its preprocessed cases were normalized
//! with the labels at hand, which no new case has. In a cascade, the first stage also leaves the segmentation of every
//! case for the next, and the second sees it. Segmentations lie in `fold_<f>/validation` as nnU-Net's do, what is
//! known about them in `fold_<f>/validation/scores/<case>.json`, which is written last: where it is, and was made by the
//! same members, a case is not predicted again.

mod error;
mod members;
mod record;
pub mod results;
pub mod scores;
mod stages;

use std::path::PathBuf;

use bundle_format::Digest;
use imaging::file;
use imaging::{Geometry, Volume, npz};
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::mirroring::Mirroring;
use nnunet::preprocess::preprocess;
use nnunet::restore::{self, OutputHead};
use nnunet::sliding_window::SlidingWindow;
use nnunet::uncertainty::{Contours, Ensemble, UncertaintyMethod, slicing_axis};
use tch::Device;

pub use error::{ResultsError, ValidationError};
pub use record::{CaseScores, MemberFacts, MethodScores};

use crate::raw_dataset::RawDataset;
use crate::stage_predictions::Predictor;
use crate::trained::Trained;
use members::Members;
use stages::Stages;

/// How far the patch moves, as a fraction of it.
const STEP: f64 = 0.5;
/// Name of the array of probabilities, as in nnU-Net's files.
pub const PROBABILITIES: &str = "probabilities";

/// What is the same for every case.
#[derive(Debug)]
pub struct Validator<'a> {
    trained: &'a Trained,
    raw: &'a RawDataset,
    options: Options,
    window: SlidingWindow,
    stages: Stages,
}

/// What a user may choose.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Divides the logits before softmax.
    pub temperature: f32,
    /// Where networks run.
    pub device: Device,
    /// What is left of the probabilities.
    pub probabilities: Probabilities,
    /// What happens to cases that are done.
    pub done: DoneCases,
}

/// Whether a case's probabilities are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probabilities {
    /// They become `<case>.npz`, for ensembles of configurations.
    Keep,
    /// Only the segmentation is left.
    Drop,
}

/// What happens to a case that was predicted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoneCases {
    /// It stays.
    Keep,
    /// It is predicted again.
    PredictAgain,
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validated {
    /// It was predicted.
    Anew,
    /// It had been, by the same members.
    Already,
}

impl<'a> Validator<'a> {
    /// A validator of a training on its raw data set.
    ///
    /// # Errors
    ///
    /// [`ValidationError::Trained`] if the plans name a next stage that they have not.
    ///
    /// # Panics
    ///
    /// Never: the step is a constant, and a network's axes are those of its patch.
    pub fn new(trained: &'a Trained, raw: &'a RawDataset, options: Options) -> Result<Self, ValidationError> {
        let n_axes = trained.network.n_axes;
        let axes: Vec<usize> = (0..n_axes).collect();
        let mirroring = Mirroring::along(&axes, n_axes).expect("all axes of a network are its own");
        let patch = trained.configuration.patch_zyx();
        let window = SlidingWindow::new(patch, trained.labels.n_outputs(), STEP, &mirroring);
        let (window, stages) = (window.expect("half a patch is a step"), Stages::of(trained)?);
        Ok(Self { trained, raw, options, window, stages })
    }

    /// Makes a fold ready.
    ///
    /// # Errors
    ///
    /// [`ValidationError`] if the fold was not trained to its end, or its folder cannot be made.
    pub fn fold(&self, fold: Fold) -> Result<FoldValidator<'_>, ValidationError> {
        let members = Members::new(self.trained, fold, self.options.device)?;
        let folder = self.trained.validation_folder(fold);
        record::make_folder(&folder)?;
        let cases = &self.trained.run(fold)?.split.val;
        Ok(FoldValidator { validator: self, folder, members, cases })
    }
}

/// One fold's validation.
#[derive(Debug)]
pub struct FoldValidator<'a> {
    validator: &'a Validator<'a>,
    folder: PathBuf,
    members: Members<'a>,
    cases: &'a [CaseId],
}

impl<'a> FoldValidator<'a> {
    /// The cases to be predicted.
    pub fn cases(&self) -> &'a [CaseId] {
        self.cases
    }

    /// Members that predict each of them.
    pub fn n_members(&self) -> usize {
        self.members.facts().len()
    }

    /// Predicts a case, unless that is done; `on_member` is called after every member.
    ///
    /// # Errors
    ///
    /// [`ValidationError`] naming what is missing or fails; the case is not done then.
    pub fn case(&mut self, case: &CaseId, on_member: &mut dyn FnMut()) -> Result<Validated, ValidationError> {
        if self.is_done(case) {
            return Ok(Validated::Already);
        }
        let Validator { trained, raw, stages, .. } = self.validator;
        let files = raw.cases.get(case).ok_or_else(|| ValidationError::NoCase { folder: raw.folder.clone() })?;
        let image = file::read_image(&files.channels)?;
        let geometry = image.geometry.clone();
        let mut preprocessed = preprocess(image, None, &trained.plans, &trained.configuration)?;
        let previous = stages.append_previous(case, &mut preprocessed.image, &trained.labels)?;
        let mut next = stages.start_next(&preprocessed.properties)?;
        let head = OutputHead::of(&trained.labels);
        let temperature = self.validator.options.temperature;
        let mut ensemble: Option<Ensemble> = None;
        for index in 0..self.n_members() {
            let logits = self.members.logits(index, &self.validator.window, &preprocessed.image)?;
            let (properties, configuration) = (&preprocessed.properties, &trained.configuration);
            for mean in &mut next {
                let to = (properties, mean.shape());
                let logits = logits.clone();
                mean.add(restore::next_stage_probabilities(logits, to, configuration, head, temperature)?);
            }
            let probabilities = restore::probabilities(logits, properties, configuration, head, temperature)?;
            match &mut ensemble {
                Some(ensemble) => ensemble.add(&probabilities),
                None => ensemble = Some(Ensemble::new(&probabilities, head)),
            }
            on_member();
        }
        let ensemble = ensemble.ok_or(ValidationError::NoMember)?;
        stages.write_next(case, &next, &trained.labels, self.predictor())?;
        self.write(case, &ensemble, previous, geometry)?;
        Ok(Validated::Anew)
    }

    fn prediction(&self, case: &CaseId) -> PathBuf {
        self.folder.join(format!("{case}{}", self.validator.trained.file_ending))
    }

    fn predictor(&self) -> Predictor<'_> {
        Predictor { members: self.members.facts(), temperature: self.validator.options.temperature }
    }

    fn is_done(&self, case: &CaseId) -> bool {
        let Validator { options, stages, .. } = self.validator;
        let npz = self.folder.join(format!("{case}.npz"));
        options.done == DoneCases::Keep
            && self.prediction(case).is_file()
            && (options.probabilities == Probabilities::Drop || npz.is_file())
            && stages.have_next(case, self.predictor())
            && CaseScores::read(&self.folder, case)
                .is_ok_and(|scores| scores.are_of(self.predictor(), stages.previous_digest(case)))
    }

    fn write(
        &self,
        case: &CaseId,
        ensemble: &Ensemble,
        previous: Option<Digest>,
        geometry: Geometry,
    ) -> Result<(), ValidationError> {
        let Validator { trained, options, .. } = self.validator;
        let segmentation = ensemble.segmentation(&trained.labels);
        let contours = Contours::of(&segmentation, &trained.labels, slicing_axis(geometry.spacing()));
        let scores = UncertaintyMethod::ALL
            .map(|method| MethodScores::new(method, &contours.scores(&ensemble.map(method)), &trained.labels));
        if options.probabilities == Probabilities::Keep {
            let path = self.folder.join(format!("{case}.npz"));
            npz::write(&path, PROBABILITIES, &ensemble.mean()).map_err(|source| ValidationError::Write { source })?;
        }
        file::write_labels(&self.prediction(case), &Volume { voxels: segmentation, geometry })?;
        CaseScores::new(case, self.predictor(), previous, scores.into()).write(&self.folder)
    }
}
