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
//!
//! Logits are divided by a temperature that [`temperature`] fits beforehand: scores and Dice of one temperature say nothing
//! of another, and so it must be known before the first score.

mod error;
mod members;
pub mod postprocessing;
mod record;
pub mod results;
pub mod scores;
mod stages;
pub mod temperature;

use std::path::PathBuf;

use bundle_format::Digest;
use imaging::file;
use imaging::{Geometry, Volume, npz};
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::mirroring::Mirroring;
use nnunet::preprocess::{Preprocessed, preprocess};
use nnunet::restore::{self, OutputHead};
use nnunet::sliding_window::SlidingWindow;
use nnunet::uncertainty::{Contours, Ensemble, UncertaintyMethod, slicing_axis};
use tch::Device;

pub use error::{ResultsError, ValidationError};
pub use record::{CaseScores, MemberFacts, MethodScores};

use crate::raw_dataset::{RawCase, RawDataset};
use crate::stage_predictions::Predictor;
use crate::trained::Trained;
use members::Members;
use stages::Stages;

/// How far the patch moves, as a fraction of it.
pub(crate) const STEP: f64 = 0.5;
/// Name of the array of probabilities, as in nnU-Net's files.
pub const PROBABILITIES: &str = "probabilities";

/// What is the same for every case.
#[derive(Debug)]
pub struct Validator<'a> {
    trained: &'a Trained,
    raw: &'a RawDataset,
    options: Options,
    stages: Stages,
}

/// What a user may choose.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where networks run.
    pub device: Device,
    /// What is left of the probabilities.
    pub probabilities: Probabilities,
    /// What happens to cases that are done.
    pub done: DoneCases,
    /// A method that is wanted beside the entropies, which cost nothing.
    pub uncertainty: UncertaintyMethod,
}

impl Options {
    /// How cases are scored.
    fn methods(&self) -> Vec<UncertaintyMethod> {
        let mut methods = UncertaintyMethod::ENTROPIES.to_vec();
        if !methods.contains(&self.uncertainty) {
            methods.push(self.uncertainty);
        }
        methods
    }
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
    pub fn new(trained: &'a Trained, raw: &'a RawDataset, options: Options) -> Result<Self, ValidationError> {
        Ok(Self { trained, raw, options, stages: Stages::of(trained)? })
    }

    /// Makes a fold ready.
    ///
    /// # Errors
    ///
    /// [`ValidationError`] if the fold was not trained to its end, or its folder cannot be made.
    ///
    /// # Panics
    ///
    /// Never: the step is a constant.
    pub fn fold(&self, fold: Fold) -> Result<FoldValidator<'_>, ValidationError> {
        let members = Members::new(self.trained, fold, self.options.device)?;
        let uncertainty = self.options.uncertainty;
        uncertainty.check_members(members.facts().len()).map_err(|source| ValidationError::TooFew { fold, source })?;
        let folder = self.trained.validation_folder(fold);
        record::make_folder(&folder)?;
        let run = self.trained.run(fold)?;
        let mirroring = Mirroring::along(&run.mirror_axes, self.trained.network.n_axes)?;
        let patch = self.trained.configuration.patch_zyx();
        let window = SlidingWindow::new(patch, self.trained.labels.n_outputs(), STEP, &mirroring);
        let window = window.expect("half a patch is a step");
        Ok(FoldValidator { validator: self, fold, folder, members, window, cases: &run.split.val })
    }
}

/// One fold's validation.
#[derive(Debug)]
pub struct FoldValidator<'a> {
    validator: &'a Validator<'a>,
    fold: Fold,
    folder: PathBuf,
    members: Members<'a>,
    window: SlidingWindow,
    cases: &'a [CaseId],
}

/// A case as the networks see it.
struct Prepared {
    /// Of the raw image.
    geometry: Geometry,
    preprocessed: Preprocessed,
    /// Digest of the previous stage's segmentation, in a cascade.
    previous: Option<Digest>,
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

    /// Names and weights of the members.
    pub fn members(&self) -> &[MemberFacts] {
        self.members.facts()
    }

    /// Predicts a case at a temperature, unless that is done; `on_member` is called after every member.
    ///
    /// # Errors
    ///
    /// [`ValidationError`] naming what is missing or fails; the case is not done then.
    pub fn case(
        &mut self,
        case: &CaseId,
        temperature: f32,
        on_member: &mut dyn FnMut(),
    ) -> Result<Validated, ValidationError> {
        if self.is_done(case, temperature) {
            return Ok(Validated::Already);
        }
        let Validator { trained, stages, .. } = self.validator;
        let Prepared { geometry, preprocessed, previous } = self.prepare(case)?;
        let mut next = stages.start_next(&preprocessed.properties)?;
        let (head, methods) = (OutputHead::of(&trained.labels), self.validator.options.methods());
        let [n_slices, y, x] = preprocessed.properties.original_shape;
        let shape = [trained.labels.n_outputs(), n_slices, y, x];
        let mut ensemble = Ensemble::of_none(&methods, shape, &trained.labels);
        for index in 0..self.n_members() {
            let logits = self.members.logits(index, &self.window, &preprocessed.image)?;
            let (properties, configuration) = (&preprocessed.properties, &trained.configuration);
            for mean in &mut next {
                let to = (properties, mean.shape());
                let logits = logits.clone();
                mean.add(restore::next_stage_probabilities(logits, to, configuration, head, temperature)?);
            }
            let case = (properties, configuration);
            restore::each_slab(&logits, case, head, temperature, &mut |slab| ensemble.add_slab(slab))?;
            on_member();
        }
        let by = self.predictor(temperature);
        stages.write_next(case, &next, &trained.labels, by)?;
        self.write(case, (by, previous), &ensemble, geometry)?;
        Ok(Validated::Anew)
    }

    /// What the networks see of a case: in a cascade, the previous stage's segmentation behind the image.
    fn prepare(&self, case: &CaseId) -> Result<Prepared, ValidationError> {
        let Validator { trained, stages, .. } = self.validator;
        let image = file::read_image(&self.files(case)?.channels)?;
        let geometry = image.geometry.clone();
        let mut preprocessed = preprocess(image, None, &trained.plans, &trained.configuration)?;
        let previous = stages.append_previous(case, &mut preprocessed.image, &trained.labels)?;
        Ok(Prepared { geometry, preprocessed, previous })
    }

    fn files(&self, case: &CaseId) -> Result<&'a RawCase, ValidationError> {
        let raw = self.validator.raw;
        raw.cases.get(case).ok_or_else(|| ValidationError::NoCase { folder: raw.folder.clone() })
    }

    fn prediction(&self, case: &CaseId) -> PathBuf {
        self.folder.join(format!("{case}{}", self.validator.trained.file_ending))
    }

    fn predictor(&self, temperature: f32) -> Predictor<'_> {
        Predictor { members: self.members.facts(), temperature }
    }

    fn is_done(&self, case: &CaseId, temperature: f32) -> bool {
        let Validator { options, stages, .. } = self.validator;
        let by = self.predictor(temperature);
        let npz = self.folder.join(format!("{case}.npz"));
        options.done == DoneCases::Keep
            && self.prediction(case).is_file()
            && (options.probabilities == Probabilities::Drop || npz.is_file())
            && stages.have_next(case, by)
            && CaseScores::read(&self.folder, case).is_ok_and(|scores| {
                scores.are_of(by, stages.previous_digest(case)) && scores.by(options.uncertainty).is_some()
            })
    }

    fn write(
        &self,
        case: &CaseId,
        (by, previous): (Predictor<'_>, Option<Digest>),
        ensemble: &Ensemble,
        geometry: Geometry,
    ) -> Result<(), ValidationError> {
        let Validator { trained, options, .. } = self.validator;
        let segmentation = ensemble.segmentation(&trained.labels);
        let contours = Contours::of(&segmentation, &trained.labels, slicing_axis(&geometry));
        let score = |method| MethodScores::new(method, &ensemble.measure(method, &contours).scores, &trained.labels);
        let scores = options.methods().into_iter().map(score).collect();
        if options.probabilities == Probabilities::Keep {
            let path = self.folder.join(format!("{case}.npz"));
            npz::write(&path, PROBABILITIES, &ensemble.mean()).map_err(|source| ValidationError::Write { source })?;
        }
        file::write_labels(&self.prediction(case), &Volume { voxels: segmentation, geometry })?;
        CaseScores::new(case, by, previous, scores).write(&self.folder)
    }
}
