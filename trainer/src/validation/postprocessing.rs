//! Which postprocessing a training asks for, by its validation, and what follows from it.
//!
//! Dice is that of the result as the runtime gives it. So when the postprocessing changes, the pairs of score and Dice are
//! written anew, and a calibration that was there is fitted anew to the same promise.

use nnunet::calibration::{Calibration, CalibrationError};
use nnunet::evaluation::overlaps;
use nnunet::evaluation::summary::{self, CaseMetrics, Summary};
use nnunet::evaluation::surface::Tolerance;
use nnunet::fold::Fold;
use nnunet::postprocessing::{Postprocessing, PostprocessingFile};

use super::ResultsError;
use super::results::{POSTPROCESSING, Results, read_calibration, segmentations, write_json};
use crate::raw_dataset::RawDataset;
use crate::trained::Trained;
use crate::workers;

/// What was found out.
#[derive(Debug)]
pub struct Determined {
    /// What is in `postprocessing.json` now.
    pub file: PostprocessingFile,
    /// The calibration after it; `None` if there was none before.
    pub calibration: Option<Result<Calibration, CalibrationError>>,
}

/// Determines the postprocessing by the validated cases of these folds, or of all if there are none, and writes it, the
/// scores and the calibration.
///
/// # Errors
///
/// [`ResultsError`] if the training was not validated, or a case of it cannot be compared: a decision rests on all.
pub fn determine(trained: &Trained, raw: &RawDataset, folds: &[Fold]) -> Result<Determined, ResultsError> {
    let mut results = read(trained, raw)?;
    results.cases.retain(|case| folds.is_empty() || folds.contains(&case.fold));
    let file = of_results(&results, trained, raw)?;
    write_json(&trained.folder.join(POSTPROCESSING), &file)?;
    // With the new file in its place, Dice is what it is after postprocessing.
    let results = read(trained, raw)?;
    results.write_scores()?;
    let before = read_calibration(trained)?;
    let calibration = before.map(|before| results.write_calibration(before.promise)).transpose()?;
    Ok(Determined { file, calibration })
}

fn read<'a>(trained: &'a Trained, raw: &RawDataset) -> Result<Results<'a>, ResultsError> {
    let mut results = Results::read(trained, raw, Tolerance::default())?;
    match results.failures.pop() {
        Some((_, case, source)) => Err(ResultsError::Case { case, source: Box::new(source) }),
        None => Ok(results),
    }
}

fn of_results(results: &Results<'_>, trained: &Trained, raw: &RawDataset) -> Result<PostprocessingFile, ResultsError> {
    let labels = &trained.labels;
    let metrics = |case: &super::results::CaseResult, postprocessing: &Postprocessing| {
        let (reference, mut prediction) = segmentations(trained, raw, case.fold, &case.scores.case)?;
        postprocessing.apply(&mut prediction.voxels);
        let overlaps = overlaps(&reference.voxels, &prediction.voxels, labels)?;
        let metrics = overlaps.into_iter().map(|overlap| summary::Metrics { overlap, surface: None });
        let metrics = labels.structures.iter().map(summary::key).zip(metrics).collect();
        Ok::<_, ResultsError>(CaseMetrics { metrics, ..case.metrics.clone() })
    };
    PostprocessingFile::determine(labels, |postprocessing| {
        let cases = workers::map(&results.cases, |case| metrics(case, postprocessing));
        Ok(Summary::of(cases.into_iter().collect::<Result<_, _>>()?, labels, None))
    })
}
