//! One case of the report: what its trace says, how it agrees with its reference, and where it is most uncertain.
//!
//! What cannot be had is named among the case's problems and left out; the rest of the case, and the other cases, go
//! on. A reference or an image that is not there is no problem but a remark.

use std::error::Error;
use std::path::{Path, PathBuf};

use imaging::file::{self, FileError, Format};
use imaging::{GridMismatch, Volume};
use ndarray::{Array3, Axis};
use nnunet::calibration::Decision;
use nnunet::dataset::{CaseId, LabelSet, Structure};
use nnunet::evaluation::{ShapeMismatch, mean_defined, overlaps};

use super::Sources;
use super::folder::{ListedCase, RunReport, Status, Trace};
use super::slice::{Slice, Volumes};

/// The remark of a case without reference.
pub(super) const NO_REFERENCE: &str = "no reference";
/// The remark of a case without image.
pub(super) const NO_IMAGE: &str = "no image";

/// A case of the report.
#[derive(Debug)]
pub(super) struct Case {
    /// As the run names it.
    pub(super) name: String,
    /// Its trace; `None` if the case failed or the trace says nothing.
    pub(super) trace: Option<Trace>,
    /// Score of the result, by the first method.
    pub(super) score: Option<f64>,
    /// With its reference; `None` without one.
    pub(super) agreement: Option<Agreement>,
    /// Where it is most uncertain; empty unless it was chosen.
    pub(super) slices: Vec<Slice>,
    /// Why it failed when it was predicted.
    pub(super) failure: Vec<String>,
    /// What the report could not read.
    pub(super) problems: Vec<String>,
    /// What else a reader should know.
    pub(super) remarks: Vec<String>,
}

/// What became of a case, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It could not be predicted.
    Failed,
    /// Something of it could not be read.
    Problem,
    /// Someone should look at it.
    Review,
    /// The run is not calibrated.
    Done,
    /// Fit for use.
    Accept,
}

impl State {
    /// Its name on the page.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Problem => "unreadable",
            Self::Review => "review",
            Self::Done => "done",
            Self::Accept => "accept",
        }
    }
}

/// Dice of a case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agreement {
    /// Mean over the structures where it is defined.
    pub(super) mean: Option<f64>,
    /// Structure by structure.
    pub(super) structures: Vec<(String, Option<f64>)>,
}

impl Case {
    /// What the run and the trace say of a case.
    pub(super) fn listed(listed: &ListedCase, folder: &Path, run: &RunReport) -> Self {
        let mut case = Self {
            name: listed.case.clone(),
            trace: None,
            score: None,
            agreement: None,
            slices: Vec::new(),
            failure: Vec::new(),
            problems: Vec::new(),
            remarks: Vec::new(),
        };
        match listed.status {
            Status::Failed => case.failure.push(listed.error.join(": ")),
            Status::Done => {
                let trace = case.id().and_then(|id| Trace::read(folder, &id, run).map_err(|error| chain(&error)));
                case.trace = case.keep(trace);
            }
        }
        case.score = case.trace.as_ref().zip(run.method()).and_then(|(trace, method)| trace.score(method));
        case
    }

    /// Leaves nothing of the case but the reason.
    pub(super) fn forget(&mut self, problem: &str) {
        (self.trace, self.score) = (None, None);
        self.problems.push(problem.to_owned());
    }

    /// What became of it.
    pub(super) fn state(&self) -> State {
        if !self.failure.is_empty() {
            return State::Failed;
        }
        if !self.problems.is_empty() {
            return State::Problem;
        }
        match self.trace.as_ref().and_then(|trace| trace.expectation).map(|expected| expected.decision) {
            Some(Decision::Accept) => State::Accept,
            Some(Decision::Review) => State::Review,
            None => State::Done,
        }
    }

    /// Dice, the mean over the structures; `None` without a reference or where it is undefined.
    pub(super) fn dice(&self) -> Option<f64> {
        self.agreement.as_ref().and_then(|agreement| agreement.mean)
    }

    /// Compares the case with its reference, and takes its `n_slices` most uncertain slices.
    pub(super) fn look(&mut self, sources: &Sources<'_>, n_slices: usize) {
        if sources.reference.is_none() && n_slices == 0 || self.trace.is_none() {
            return;
        }
        let files = self.files();
        let Some(files) = self.keep(files) else { return };
        let segmentation = read_labels(&sources.folder.join(&files.segmentation)).map_err(|error| chain(&error));
        let Some(segmentation) = self.keep(segmentation) else { return };
        let reference =
            sources.reference.and_then(|folder| self.reference(&folder.join(&files.segmentation), &segmentation));
        if let Some(reference) = &reference {
            let agreement = agreement(reference, &segmentation.voxels, sources.labels);
            self.agreement = self.keep(agreement.map_err(|error| chain(&error)));
        }
        if n_slices > 0 {
            let map = first_channel(&sources.folder.join(&files.map), &segmentation, Channels::One);
            let Some(map) = self.keep(map.map_err(|error| chain(&error))) else { return };
            let image = sources.images.and_then(|folder| self.image(&folder.join(&files.image), &segmentation));
            self.slices = Volumes { segmentation, map, reference, image }.most_uncertain_slices(n_slices);
        }
    }

    fn id(&self) -> Result<CaseId, String> {
        CaseId::new(self.name.as_str()).map_err(|error| chain(&error))
    }

    fn files(&self) -> Result<Files, String> {
        let id = self.id()?;
        let channel = self.trace.as_ref().and_then(Trace::first_channel);
        let (image, ending) = channel.ok_or("the trace names no channel file of the case")?;
        let map_ending = Format::of(ending).map_or(ending, |format| format.map_ending(ending));
        Ok(Files {
            segmentation: format!("{id}{ending}"),
            map: format!("{id}_uncertainty{map_ending}"),
            image: image.to_owned(),
        })
    }

    fn reference(&mut self, path: &Path, segmentation: &Volume<u8>) -> Option<Array3<u8>> {
        if !path.is_file() {
            self.remarks.push(NO_REFERENCE.to_owned());
            return None;
        }
        let read = || -> Result<_, LookError> {
            let reference = read_labels(path)?;
            same_grid(segmentation, &reference.geometry, path)?;
            Ok(reference.voxels)
        };
        self.keep(read().map_err(|error| chain(&error)))
    }

    fn image(&mut self, path: &Path, segmentation: &Volume<u8>) -> Option<Array3<f32>> {
        if !path.is_file() {
            self.remarks.push(NO_IMAGE.to_owned());
            return None;
        }
        self.keep(first_channel(path, segmentation, Channels::Mean).map_err(|error| chain(&error)))
    }

    /// The value, or its error among the problems.
    fn keep<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// Names of the files of a case.
struct Files {
    segmentation: String,
    map: String,
    image: String,
}

/// What becomes of the channels of one file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channels {
    /// There is one.
    One,
    /// Color becomes gray.
    Mean,
}

fn read_labels(path: &Path) -> Result<Volume<u8>, LookError> {
    is_file(path)?;
    Ok(file::read_labels(path)?)
}

/// A pipe would be waited for.
fn is_file(path: &Path) -> Result<(), LookError> {
    if path.is_file() { Ok(()) } else { Err(LookError::NoFile { path: path.to_owned() }) }
}

fn first_channel(path: &Path, segmentation: &Volume<u8>, channels: Channels) -> Result<Array3<f32>, LookError> {
    is_file(path)?;
    let image = file::read_image(&[path])?;
    match channels {
        Channels::One if image.n_channels() != 1 => {
            return Err(LookError::Channels { path: path.to_owned(), found: image.n_channels() });
        }
        // A map beside a picture is of another format, which says more of the grid than the picture can.
        Channels::One if image.geometry.shape() == segmentation.geometry.shape() => {}
        _ => same_grid(segmentation, &image.geometry, path)?,
    }
    image.voxels.mean_axis(Axis(0)).ok_or(LookError::Channels { path: path.to_owned(), found: 0 })
}

fn same_grid(segmentation: &Volume<u8>, found: &imaging::Geometry, path: &Path) -> Result<(), LookError> {
    segmentation.geometry.same_grid(found).map_err(|source| LookError::Grid { path: path.to_owned(), source })
}

fn agreement(
    reference: &Array3<u8>,
    segmentation: &Array3<u8>,
    labels: Option<&LabelSet>,
) -> Result<Agreement, ShapeMismatch> {
    let found;
    let labels = if let Some(labels) = labels {
        labels
    } else {
        found = labels_of(reference, segmentation);
        &found
    };
    let overlaps = overlaps(reference, segmentation, labels)?;
    let names = labels.structures.iter().map(|structure| structure.name.clone());
    let structures: Vec<_> = names.zip(overlaps.iter().map(|overlap| overlap.dice)).collect();
    Ok(Agreement { mean: mean_defined(structures.iter().map(|(_, dice)| *dice)), structures })
}

/// Every label of either map as a structure, for want of a `dataset.json`.
fn labels_of(reference: &Array3<u8>, segmentation: &Array3<u8>) -> LabelSet {
    let mut is_there = [false; 256];
    for &label in reference.iter().chain(segmentation) {
        is_there[usize::from(label)] = true;
    }
    let structure = |label: u8| Structure { name: format!("label {label}"), values: vec![label] };
    let structures = (1..=u8::MAX).filter(|&label| is_there[usize::from(label)]).map(structure).collect();
    LabelSet { structures, ignore: None, regions_class_order: None }
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    // A transparent variant repeats its source.
    texts.dedup();
    texts.join(": ")
}

/// Why an image, a map or a reference cannot be used.
#[derive(Debug, thiserror::Error)]
enum LookError {
    /// A map of several channels.
    #[error("`{}` has {found} channels, expected 1", path.display())]
    Channels { path: PathBuf, found: usize },
    /// It cannot be read.
    #[error(transparent)]
    File {
        #[from]
        source: FileError,
    },
    /// Nothing, or a folder, or a pipe.
    #[error("`{}` is no file", path.display())]
    NoFile { path: PathBuf },
    /// It lies elsewhere.
    #[error("`{}` is not on the grid of the segmentation", path.display())]
    Grid { path: PathBuf, source: GridMismatch },
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;

    use super::*;

    #[test]
    fn without_names_every_label_of_either_map_is_a_structure() {
        let found = agreement(&arr3(&[[[0, 1, 7]]]), &arr3(&[[[3, 1, 0]]]), None).unwrap();
        let expected = [("label 1", 1.0), ("label 3", 0.0), ("label 7", 0.0)];
        assert_eq!(found.structures, expected.map(|(name, dice)| (name.to_owned(), Some(dice))));
        assert_eq!(found.mean, Some(1.0 / 3.0));
    }

    #[test]
    fn nothing_in_either_map_has_no_dice() {
        let found = agreement(&arr3(&[[[0]]]), &arr3(&[[[0]]]), None).unwrap();
        assert_eq!((found.mean, found.structures), (None, Vec::new()));
    }
}
