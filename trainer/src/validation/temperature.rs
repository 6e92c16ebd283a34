//! `temperature.json`: the temperature of a training, fitted to validation cases before any of them is scored.
//!
//! A temperature is one number, for which a few cases of every fold are enough, and it must be known before scores are
//! made. So a dozen cases of each fold, spread over its split, are predicted by all members first, and only the logits of
//! a few thousand voxels of each ([`nnunet::temperature::draw`]) are kept: memory is bounded by cases, not by volumes or
//! members. Then all cases are predicted at the fitted temperature. Fitting and scoring in one pass would ask for every
//! member's logits of every case at once, or for scores at temperatures that nobody uses.
//!
//! What was fitted stays: folds that are validated later are validated at the same temperature, because a training has
//! one, and one is in a bundle. It is fitted anew when a member of the folds that it was fitted to is no longer the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use imaging::{atomic_file, file};
use nnunet::dataset::CaseId;
use nnunet::fold::Fold;
use nnunet::restore::{labels_of_crop, logits_of_crop};
use nnunet::temperature::draw::Drawn;
use nnunet::temperature::{self, SampledCase, TemperatureError};
use serde::{Deserialize, Serialize};

use super::members::Members;
use super::{FoldValidator, MemberFacts, Prepared, ResultsError, ValidationError};
use crate::random::{Purpose, Stream};
use crate::raw_dataset::read_text;
use crate::trained::Trained;

/// Version of this file's format.
const FORMAT: u32 = 1;
/// Most cases of a fold that are sampled.
const MAX_CASES: usize = 12;
/// Most voxels of a case that are drawn.
const MAX_VOXELS: usize = 2048;
/// Fewest, where there are many members and outputs.
const MIN_VOXELS: usize = 64;
/// Most logits of a case that are kept, 4 MiB.
const MAX_LOGITS: usize = 1 << 20;

/// A fitted temperature and what it was fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperatureRecord {
    format: u32,
    /// Divides the logits.
    pub temperature: f32,
    /// Negative log-likelihood per voxel at a temperature of 1, bits.
    pub bits_before: f64,
    /// The same at the fitted one.
    pub bits_after: f64,
    /// Voxels that it was fitted to.
    pub n_voxels: usize,
    /// Cases that they lie in.
    pub cases: Vec<CaseId>,
    /// The members of every fold that gave cases.
    pub members: BTreeMap<Fold, Vec<MemberFacts>>,
}

impl TemperatureRecord {
    /// What was fitted before, unless a member has changed since.
    ///
    /// # Errors
    ///
    /// [`ResultsError`] if the file is no such record, or the members of today cannot be listed.
    pub fn read(trained: &Trained) -> Result<Option<Self>, ResultsError> {
        let path = path(trained);
        if !path.is_file() {
            return Ok(None);
        }
        let refuse = |source| ResultsError::Json { path: path.clone(), source };
        let record: Self = serde_json::from_str(&read_text(&path)?).map_err(refuse)?;
        // Written by `fit`, which keeps to the range of a calibration.
        if record.format != FORMAT || !(0.01..=100.0).contains(&record.temperature) {
            return Err(ResultsError::Temperature { path, format: record.format, found: record.temperature });
        }
        for (&fold, members) in &record.members {
            if !trained.runs.contains_key(&fold) || Members::facts_of(trained, fold)? != *members {
                return Ok(None);
            }
        }
        Ok(Some(record))
    }

    /// Fits to what was sampled and writes the file.
    ///
    /// # Errors
    ///
    /// [`ResultsError::Write`]; that no temperature fits is no error of this kind.
    pub fn fit(trained: &Trained, sampled: &Sampled) -> Result<Result<Self, TemperatureError>, ResultsError> {
        let fitted = match temperature::fit(&sampled.cases, &trained.labels) {
            Ok(fitted) => fitted,
            Err(error) => return Ok(Err(error)),
        };
        let record = Self {
            format: FORMAT,
            temperature: fitted.temperature,
            bits_before: fitted.bits_before,
            bits_after: fitted.bits_after,
            n_voxels: sampled.cases.iter().map(|case| case.drawn.len()).sum(),
            cases: sampled.names.clone(),
            members: sampled.members.clone(),
        };
        let path = path(trained);
        let text =
            serde_json::to_vec_pretty(&record).map_err(|source| ResultsError::Json { path: path.clone(), source })?;
        atomic_file::write(&path, &text).map_err(|source| ResultsError::Write { source })?;
        Ok(Ok(record))
    }
}

fn path(trained: &Trained) -> PathBuf {
    trained.folder.join("temperature.json")
}

/// Voxels of the cases of several folds.
#[derive(Debug, Default)]
pub struct Sampled {
    cases: Vec<SampledCase>,
    names: Vec<CaseId>,
    members: BTreeMap<Fold, Vec<MemberFacts>>,
}

impl Sampled {
    /// Adds a case.
    pub fn add(&mut self, fold: &FoldValidator<'_>, case: &CaseId, sampled: SampledCase) {
        self.cases.push(sampled);
        self.names.push(case.clone());
        self.members.entry(fold.fold).or_insert_with(|| fold.members().to_vec());
    }
}

impl<'a> FoldValidator<'a> {
    /// The cases that are sampled, spread over the split.
    pub fn cases_to_sample(&self) -> Vec<&'a CaseId> {
        let n = self.cases.len().min(MAX_CASES);
        (0..n).map(|i| &self.cases[i * self.cases.len() / n]).collect()
    }

    /// Predicts a case and keeps its logits at a few voxels; `on_member` is called after every member.
    ///
    /// # Errors
    ///
    /// [`ValidationError`] naming what is missing or fails.
    pub fn sample(&mut self, case: &CaseId, on_member: &mut dyn FnMut()) -> Result<SampledCase, ValidationError> {
        let trained = self.validator.trained;
        let Prepared { geometry, preprocessed, .. } = self.prepare(case)?;
        let reference = file::read_labels(&self.files(case)?.labels)?;
        geometry.same_grid(&reference.geometry)?;
        let n_logits = self.n_members() * trained.labels.n_outputs();
        let n = (MAX_LOGITS / n_logits.max(1)).clamp(MIN_VOXELS, MAX_VOXELS);
        let of_crop = labels_of_crop(&reference.voxels, &preprocessed.properties);
        let drawn = Drawn::new(&of_crop, &trained.labels, n, &mut self.stream(case).generator());
        let mut members = Vec::with_capacity(self.n_members());
        for index in 0..self.n_members() {
            let logits = self.members.logits(index, &self.window, &preprocessed.image)?;
            let logits = logits_of_crop(logits, &preprocessed.properties, &trained.configuration)?;
            members.push(drawn.pick(&logits));
            on_member();
        }
        Ok(SampledCase { drawn, members })
    }

    fn stream(&self, case: &CaseId) -> Stream {
        let position = self.cases.iter().position(|other| other == case).unwrap_or_default();
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        Stream { seed: 0, fold: self.fold, purpose: Purpose::Temperature, epoch: 0, iteration: 0, index }
    }
}
