//! What a validation says: agreement per case and structure, pairs of score and Dice, and the calibration over all folds.
//!
//! Every validated case of every fold counts, whichever of them were predicted today: `fold_<f>/validation/summary.json`
//! is nnU-Net's with surfaces beside, `crossval_results_folds_<f>_<f>…/summary.json` the same over all folds, and
//! `calibration.json` and `postprocessing.json` lie beside the folds, from where an export takes them.

use std::io;
use std::path::{Path, PathBuf};

use imaging::{Volume, atomic_file, file};
use nnunet::calibration::{self, Calibration, CalibrationError, Promise};
use nnunet::dataset::CaseId;
use nnunet::evaluation::summary::{self, CaseMetrics, Summary, SurfaceRule};
use nnunet::evaluation::surface::Tolerance;
use nnunet::evaluation::{mean_defined, overlaps};
use nnunet::fold::Fold;
use nnunet::postprocessing::{Postprocessing, PostprocessingFile};
use serde::Serialize;

use super::scores::{FoldScores, ScoredCase};
use super::{CaseScores, MemberFacts, ResultsError};
use crate::raw_dataset::{RawDataset, read_text};
use crate::trained::{FoldRun, Trained};
use crate::workers;

/// Name of the calibration in a training's folder.
pub const CALIBRATION: &str = "calibration.json";
/// Name of the postprocessing in a training's folder.
pub const POSTPROCESSING: &str = "postprocessing.json";

/// A validated case, compared with its reference.
#[derive(Debug)]
pub struct CaseResult {
    /// The fold that never saw it.
    pub fold: Fold,
    /// Who predicted it, how unsure.
    pub scores: CaseScores,
    /// Agreement before postprocessing.
    pub metrics: CaseMetrics,
    /// Dice of every structure, in the order of the labels, after postprocessing.
    pub structures: Vec<Option<f64>>,
}

impl CaseResult {
    /// Mean Dice over the structures that are defined.
    pub fn dice(&self) -> Option<f64> {
        mean_defined(self.structures.iter().copied())
    }
}

/// Everything that was validated so far.
#[derive(Debug)]
pub struct Results<'a> {
    trained: &'a Trained,
    postprocessing: Postprocessing,
    /// By fold, each in the order of its split.
    pub cases: Vec<CaseResult>,
    /// Cases that were validated but cannot be compared.
    pub failures: Vec<(Fold, CaseId, ResultsError)>,
}

impl<'a> Results<'a> {
    /// Compares every validated case with its reference, as many at a time as there are threads.
    ///
    /// # Errors
    ///
    /// [`ResultsError::Nothing`] if no case was validated; [`ResultsError::Postprocessing`] or [`ResultsError::Read`] if
    /// the training has a postprocessing that cannot be used. A case that cannot be compared is among the failures.
    pub fn read(trained: &'a Trained, raw: &RawDataset, tolerance: Tolerance) -> Result<Self, ResultsError> {
        let postprocessing = read_postprocessing(trained)?;
        let listed = validated(trained);
        let compare = |&(fold, case): &(Fold, &CaseId)| {
            let compared = Comparison { trained, raw, tolerance, postprocessing: &postprocessing };
            (fold, case.clone(), compared.case(fold, case))
        };
        let mut cases = Vec::new();
        let mut failures = Vec::new();
        for (fold, case, result) in workers::map(&listed, compare) {
            match result {
                Ok(result) => cases.push(result),
                Err(error) => failures.push((fold, case, error)),
            }
        }
        if listed.is_empty() {
            return Err(ResultsError::Nothing { folder: trained.folder.clone() });
        }
        Ok(Self { trained, postprocessing, cases, failures })
    }

    /// The folds with a validated case, ascending.
    pub fn folds(&self) -> Vec<Fold> {
        let mut folds: Vec<Fold> = self.cases.iter().map(|case| case.fold).collect();
        folds.dedup();
        folds
    }

    /// Writes `scores.json` and `scores.csv` of every fold.
    ///
    /// # Errors
    ///
    /// [`ResultsError`] naming the file.
    pub fn write_scores(&self) -> Result<(), ResultsError> {
        for of_fold in self.cases.chunk_by(|a, b| a.fold == b.fold) {
            let first = &of_fold[0];
            let (fold, members, temperature) = (first.fold, first.scores.members.clone(), first.scores.temperature);
            let cases = of_fold.iter().map(|case| self.scored(case)).collect();
            FoldScores::new(fold, members, temperature, self.postprocessing.steps(), cases)
                .write(&self.trained.validation_folder(fold))?;
        }
        Ok(())
    }

    fn scored(&self, case: &CaseResult) -> ScoredCase {
        let names = self.trained.labels.structures.iter().map(|structure| structure.name.clone());
        ScoredCase {
            case: case.scores.case.clone(),
            dice: case.dice(),
            structures: names.zip(case.structures.iter().copied()).collect(),
            scores: case.scores.scores.clone(),
        }
    }

    /// Writes `summary.json` of every fold and over all folds, which is returned with its path.
    ///
    /// # Errors
    ///
    /// [`ResultsError`] naming the file.
    pub fn write_summaries(&self, tolerance: Tolerance) -> Result<(PathBuf, Summary), ResultsError> {
        let summary = |cases: &[CaseResult]| {
            let metrics = cases.iter().map(|case| case.metrics.clone()).collect();
            Summary::of(metrics, &self.trained.labels, Some(SurfaceRule { tolerance_mm: tolerance }))
        };
        for of_fold in self.cases.chunk_by(|a, b| a.fold == b.fold) {
            let folder = self.trained.validation_folder(of_fold[0].fold);
            write_json(&folder.join("summary.json"), &summary(of_fold))?;
        }
        let numbers: Vec<String> = self.folds().iter().map(|fold| fold.0.to_string()).collect();
        let folder = self.trained.folder.join(format!("crossval_results_folds_{}", numbers.join("_")));
        fs_err::create_dir_all(&folder).map_err(|source| ResultsError::Write { source })?;
        let path = folder.join("summary.json");
        let over_all = summary(&self.cases);
        write_json(&path, &over_all)?;
        Ok((path, over_all))
    }

    /// Fits `calibration.json` to the cases of all folds, or removes the one that is there if they do not allow for any.
    ///
    /// # Errors
    ///
    /// [`ResultsError::Write`]; that the cases do not allow for one is no error of this kind.
    pub fn write_calibration(&self, promise: Promise) -> Result<Result<Calibration, CalibrationError>, ResultsError> {
        let path = self.trained.folder.join(CALIBRATION);
        let pair = |case: &CaseResult| calibration::ScoredCase {
            case: case.scores.case.to_string(),
            score: case.scores.by(promise.method).and_then(|scores| scores.score),
            dice: case.dice(),
        };
        // A case of another temperature was predicted by an earlier run and has other scores; so has one of another method.
        let is_of = |case: &&CaseResult| {
            case.scores.temperature.to_bits() == promise.temperature.to_bits()
                && case.scores.by(promise.method).is_some()
        };
        let pairs: Vec<_> = self.cases.iter().filter(is_of).map(pair).collect();
        let fitted = Calibration::fit(&pairs, promise);
        match &fitted {
            Ok(calibration) => write_json(&path, calibration)?,
            Err(_) => remove(&path)?,
        }
        Ok(fitted)
    }
}

/// The validated cases of every fold, in the order of its split.
fn validated(trained: &Trained) -> Vec<(Fold, &CaseId)> {
    let of_fold = |(&fold, run)| {
        let run: &FoldRun = run;
        let folder = trained.validation_folder(fold);
        let is_there = move |case: &&CaseId| super::record::path(&folder, case).is_file();
        run.split.val.iter().filter(is_there).map(move |case| (fold, case))
    };
    trained.runs.iter().flat_map(of_fold).collect()
}

struct Comparison<'a> {
    trained: &'a Trained,
    raw: &'a RawDataset,
    tolerance: Tolerance,
    postprocessing: &'a Postprocessing,
}

impl Comparison<'_> {
    fn case(&self, fold: Fold, case: &CaseId) -> Result<CaseResult, ResultsError> {
        let labels = &self.trained.labels;
        let scores = CaseScores::read(&self.trained.validation_folder(fold), case)?;
        self.check_members(fold, &scores.members)?;
        let (reference, mut prediction) = segmentations(self.trained, self.raw, fold, case)?;
        let spacing = reference.geometry.spacing();
        let metrics = summary::compare(&reference.voxels, &prediction.voxels, labels, spacing, self.tolerance)?;
        self.postprocessing.apply(&mut prediction.voxels);
        let overlaps = overlaps(&reference.voxels, &prediction.voxels, labels)?;
        let shown = |path: PathBuf| path.display().to_string();
        let metrics = CaseMetrics {
            metrics,
            prediction_file: shown(prediction_file(self.trained, fold, case)),
            reference_file: self.raw.cases.get(case).map(|files| shown(files.labels.clone())).unwrap_or_default(),
        };
        let structures = overlaps.iter().map(|overlap| overlap.dice).collect();
        Ok(CaseResult { fold, scores, metrics, structures })
    }

    /// Nobody but the fold's members of today may have predicted.
    fn check_members(&self, fold: Fold, found: &[MemberFacts]) -> Result<(), ResultsError> {
        let expected: Vec<String> = self.trained.members(fold)?.iter().map(ToString::to_string).collect();
        let found: Vec<String> = found.iter().map(|facts| facts.member.clone()).collect();
        if found == expected { Ok(()) } else { Err(ResultsError::OtherMembers { expected, found }) }
    }
}

/// Reference and prediction of a case, on the same grid.
pub(super) fn segmentations(
    trained: &Trained,
    raw: &RawDataset,
    fold: Fold,
    case: &CaseId,
) -> Result<(Volume<u8>, Volume<u8>), ResultsError> {
    let files = raw.cases.get(case).ok_or_else(|| ResultsError::NoCase { folder: raw.folder.clone() })?;
    let reference = file::read_labels(&files.labels)?;
    let prediction = file::read_labels(&prediction_file(trained, fold, case))?;
    reference.geometry.same_grid(&prediction.geometry)?;
    Ok((reference, prediction))
}

fn prediction_file(trained: &Trained, fold: Fold, case: &CaseId) -> PathBuf {
    trained.validation_folder(fold).join(format!("{case}{}", trained.file_ending))
}

/// The training's postprocessing; nothing if it has none.
fn read_postprocessing(trained: &Trained) -> Result<Postprocessing, ResultsError> {
    let path = trained.folder.join(POSTPROCESSING);
    if !path.exists() {
        return Ok(Postprocessing::default());
    }
    let refuse = |source| ResultsError::Postprocessing { path: path.clone(), source };
    Ok(PostprocessingFile::parse(&read_text(&path)?, &trained.labels).map_err(refuse)?.postprocessing())
}

/// The training's calibration, if it has one.
///
/// # Errors
///
/// [`ResultsError::Read`] or [`ResultsError::ReadCalibration`] if it cannot be used.
pub fn read_calibration(trained: &Trained) -> Result<Option<Calibration>, ResultsError> {
    let path = trained.folder.join(CALIBRATION);
    if !path.exists() {
        return Ok(None);
    }
    let refuse = |source| ResultsError::ReadCalibration { path: path.clone(), source };
    Calibration::parse(&read_text(&path)?).map(Some).map_err(refuse)
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ResultsError> {
    let refuse = |source| ResultsError::Json { path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(value).map_err(refuse)?;
    atomic_file::write(path, &text).map_err(|source| ResultsError::Write { source })
}

fn remove(path: &Path) -> Result<(), ResultsError> {
    match fs_err::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ResultsError::Write { source }),
        _ => Ok(()),
    }
}
