//! Which configuration, or which two of them together, is best by cross-validation.
//!
//! Follows nnU-Net v2 `find_best_configuration.py`: every configuration is judged by the mean Dice over structures of its
//! validation cases, every pair by that of the mean of their probabilities; of equals the first, which is the simpler,
//! wins, and its postprocessing is determined by the same cases. Segmentations of a pair lie in
//! `<results>/<data set>/ensembles/<name>`, named as nnU-Net names them. Departs from it by refusing to compare trainings
//! whose cases are not the same.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use imaging::file::{self, FileError};
use imaging::npz::{self, NpzError};
use imaging::{Volume, atomic_file};
use ndarray::Array3;
use nnunet::dataset::CaseId;
use nnunet::evaluation::summary::{CaseMetrics, Metrics, Summary, key};
use nnunet::evaluation::surface::Tolerance;
use nnunet::evaluation::{ShapeMismatch, overlaps};
use nnunet::fold::Fold;
use nnunet::postprocessing::PostprocessingFile;
use nnunet::segmentation::segmentation;

use crate::raw_dataset::RawDataset;
use crate::trained::Trained;
use crate::validation::results::{POSTPROCESSING, Results};
use crate::validation::{PROBABILITIES, ResultsError, postprocessing};
use crate::workers;

/// One configuration, or two that are averaged.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// As nnU-Net would name it.
    pub name: String,
    /// Its trainings.
    pub models: Vec<&'a Trained>,
    /// How it did.
    pub summary: Summary,
}

/// What was found out about the postprocessing of a candidate.
#[derive(Debug)]
pub struct Postprocessed {
    /// Content of the file.
    pub file: PostprocessingFile,
    /// Where it lies: in the folder of a training, from where an export takes it, or of a pair.
    pub path: PathBuf,
}

impl Candidate<'_> {
    /// Mean Dice over the structures; `None` if none is defined.
    pub fn dice(&self) -> Option<f64> {
        self.summary.foreground_mean.dice
    }
}

/// The comparison of a data set's trainings.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The raw data set.
    pub raw: &'a RawDataset,
    /// The folds whose validation counts.
    pub folds: &'a [Fold],
}

impl Comparison<'_> {
    /// Judges a configuration by its validation.
    ///
    /// # Errors
    ///
    /// [`BestError::NotValidated`] if a case of the folds is missing, [`BestError::Case`] if one cannot be compared.
    pub fn single<'t>(&self, trained: &'t Trained) -> Result<Candidate<'t>, BestError> {
        let name = folder_name(trained);
        let mut results = Results::read(trained, self.raw, Tolerance::default())?;
        if let Some((_, case, source)) = results.failures.pop() {
            return Err(BestError::Case { case, source: Box::new(source) });
        }
        for (fold, case) in self.cases(trained)? {
            if !results.cases.iter().any(|result| result.fold == fold && result.scores.case == *case) {
                return Err(BestError::NotValidated { fold, case: case.clone(), training: name });
            }
        }
        results.cases.retain(|case| self.folds.contains(&case.fold));
        let metrics = results.cases.into_iter().map(|case| case.metrics).collect();
        Ok(Candidate { name, models: vec![trained], summary: Summary::of(metrics, &trained.labels, None) })
    }

    /// Averages the probabilities of two configurations, writes the segmentations below `ensembles` and judges them.
    ///
    /// # Errors
    ///
    /// [`BestError::OtherCases`] if the two did not validate the same cases, [`BestError::Probabilities`] if those of a
    /// case were not kept.
    pub fn pair<'t>(
        &self,
        (one, other): (&'t Trained, &'t Trained),
        ensembles: &Path,
    ) -> Result<Candidate<'t>, BestError> {
        let folds: Vec<String> = self.folds.iter().map(|fold| fold.0.to_string()).collect();
        let name = format!("ensemble___{}___{}___{}", folder_name(one), folder_name(other), folds.join("_"));
        let [of_one, of_other] = [one, other].map(|trained| self.files(trained));
        let (of_one, of_other) = (of_one?, of_other?);
        if one.labels != other.labels || !of_one.keys().eq(of_other.keys()) {
            return Err(BestError::OtherCases { one: folder_name(one), other: folder_name(other) });
        }
        let folder = ensembles.join(&name);
        fs_err::create_dir_all(&folder).map_err(|source| BestError::Write { source })?;
        let listed: Vec<_> = of_one.iter().zip(of_other.values()).collect();
        let cases = workers::map(&listed, |((case, one_file), other_file)| {
            let output = folder.join(format!("{case}{}", one.file_ending));
            self.average(one, case, [one_file, other_file], &output)
        });
        let summary = Summary::of(cases.into_iter().collect::<Result<_, _>>()?, &one.labels, None);
        let text = serde_json::to_vec_pretty(&summary).map_err(|source| BestError::Write { source: source.into() })?;
        atomic_file::write(&folder.join("summary.json"), &text).map_err(|source| BestError::Write { source })?;
        Ok(Candidate { name, models: vec![one, other], summary })
    }

    /// Determines the postprocessing of a candidate and writes it; of a single one as `determine-postprocessing` does.
    ///
    /// # Errors
    ///
    /// [`BestError`] if a segmentation cannot be read again, or the file not be written.
    pub fn postprocess(&self, candidate: &Candidate<'_>, ensembles: &Path) -> Result<Postprocessed, BestError> {
        if let [trained] = candidate.models[..] {
            let file = postprocessing::determine(trained, self.raw, self.folds)?.file;
            return Ok(Postprocessed { file, path: trained.folder.join(POSTPROCESSING) });
        }
        let folder = ensembles.join(&candidate.name);
        let trained = candidate.models[0];
        let cases: Vec<&CaseId> = self.files(trained)?.into_keys().collect();
        let file = PostprocessingFile::determine(&trained.labels, |steps| {
            let of_cases = workers::map(&cases, |case| {
                let path = folder.join(format!("{case}{}", trained.file_ending));
                let mut prediction = file::read_labels(&path)?.voxels;
                steps.apply(&mut prediction);
                self.metrics(trained, case, &prediction, &path)
            });
            let of_cases = of_cases.into_iter().collect::<Result<_, BestError>>()?;
            Ok::<_, BestError>(Summary::of(of_cases, &trained.labels, None))
        })?;
        let path = folder.join(POSTPROCESSING);
        let text = serde_json::to_vec_pretty(&file).map_err(|source| BestError::Write { source: source.into() })?;
        atomic_file::write(&path, &text).map_err(|source| BestError::Write { source })?;
        Ok(Postprocessed { file, path })
    }

    /// Agreement of a segmentation with the reference of its case.
    fn metrics(
        &self,
        trained: &Trained,
        case: &CaseId,
        prediction: &Array3<u8>,
        path: &Path,
    ) -> Result<CaseMetrics, BestError> {
        let labels = &trained.labels;
        let of_raw = self.raw.cases.get(case).ok_or_else(|| BestError::NoReference { case: case.clone() })?;
        let reference = file::read_labels(&of_raw.labels)?;
        let metrics = overlaps(&reference.voxels, prediction, labels)?;
        let metrics = metrics.into_iter().map(|overlap| Metrics { overlap, surface: None });
        Ok(CaseMetrics {
            metrics: labels.structures.iter().map(key).zip(metrics).collect(),
            prediction_file: path.display().to_string(),
            reference_file: of_raw.labels.display().to_string(),
        })
    }

    fn average(
        &self,
        trained: &Trained,
        case: &CaseId,
        files: [&PathBuf; 2],
        output: &Path,
    ) -> Result<CaseMetrics, BestError> {
        let labels = &trained.labels;
        let of_raw = self.raw.cases.get(case).ok_or_else(|| BestError::NoReference { case: case.clone() })?;
        let reference = file::read_labels(&of_raw.labels)?;
        let (z, y, x) = reference.voxels.dim();
        let read = |path: &PathBuf| {
            npz::read(path, PROBABILITIES, [labels.n_outputs(), z, y, x])
                .map_err(|source| BestError::Probabilities { case: case.clone(), source })
        };
        let mut mean = read(files[0])?;
        mean.zip_mut_with(&read(files[1])?, |mean, other| *mean = f32::midpoint(*mean, *other));
        let prediction = segmentation(&mean, labels);
        let metrics = self.metrics(trained, case, &prediction, output)?;
        file::write_labels(output, &Volume { voxels: prediction, geometry: reference.geometry })?;
        Ok(metrics)
    }

    fn cases<'t>(&self, trained: &'t Trained) -> Result<Vec<(Fold, &'t CaseId)>, BestError> {
        let mut cases = Vec::new();
        for &fold in self.folds {
            cases.extend(trained.run(fold).map_err(ResultsError::from)?.split.val.iter().map(|case| (fold, case)));
        }
        Ok(cases)
    }

    /// Where the probabilities of every case lie.
    fn files<'t>(&self, trained: &'t Trained) -> Result<BTreeMap<&'t CaseId, PathBuf>, BestError> {
        let file = |fold, case: &CaseId| trained.validation_folder(fold).join(format!("{case}.npz"));
        Ok(self.cases(trained)?.into_iter().map(|(fold, case)| (case, file(fold, case))).collect())
    }
}

/// The first of the candidates with the highest mean Dice; `None` if no Dice is defined.
pub fn best<'a, 't>(candidates: &'a [Candidate<'t>]) -> Option<&'a Candidate<'t>> {
    best_of(candidates.iter())
}

/// As [`best`], of some of the candidates.
pub fn best_of<'a, 't: 'a>(candidates: impl Iterator<Item = &'a Candidate<'t>>) -> Option<&'a Candidate<'t>> {
    let better = |best: &'a Candidate<'t>, next: &'a Candidate<'t>| if next.dice() > best.dice() { next } else { best };
    candidates.reduce(better).filter(|best| best.dice().is_some())
}

fn folder_name(trained: &Trained) -> String {
    trained.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Why trainings cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BestError {
    /// A case was validated but cannot be compared with its reference.
    #[error("case `{case}` cannot be compared")]
    Case {
        /// The case.
        case: CaseId,
        /// Why.
        source: Box<ResultsError>,
    },
    /// A reference cannot be read, or a segmentation not written.
    #[error("a file cannot be used")]
    File {
        /// Which, and why.
        #[from]
        source: FileError,
    },
    /// The raw data set lacks the case.
    #[error("case `{case}` has no reference in the raw data set")]
    NoReference {
        /// The case.
        case: CaseId,
    },
    /// A case is missing.
    #[error("case `{case}` of {fold} was not validated in `{training}`; run `unnunet-train validate`")]
    NotValidated {
        /// The case.
        case: CaseId,
        /// Its fold.
        fold: Fold,
        /// The training's folder.
        training: String,
    },
    /// Two trainings have not the same labels and cases.
    #[error("`{one}` and `{other}` did not validate the same cases with the same labels")]
    OtherCases {
        /// One training.
        one: String,
        /// The other.
        other: String,
    },
    /// The probabilities of a case were not kept.
    #[error(
        "an ensemble needs the probabilities of case `{case}`: validate with `--npz`, or compare without ensembles"
    )]
    Probabilities {
        /// The case.
        case: CaseId,
        /// Which file, and why.
        source: NpzError,
    },
    /// A validation cannot be used.
    #[error(transparent)]
    Results {
        /// Why.
        source: Box<ResultsError>,
    },
    /// Prediction and reference differ in shape.
    #[error("an ensemble cannot be compared with its reference")]
    Shape {
        /// How they differ.
        #[from]
        source: ShapeMismatch,
    },
    /// A file cannot be written.
    #[error("a result cannot be written")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}

impl From<ResultsError> for BestError {
    fn from(source: ResultsError) -> Self {
        Self::Results { source: Box::new(source) }
    }
}
