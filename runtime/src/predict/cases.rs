//! The cases of an input folder, and how one of them becomes an array.
//!
//! A case that lacks a channel or has one too many is a failed case, not a failed run: the others go on. In a cascade, a
//! case's segmentation by the previous stage is preprocessed as a reference in training is, and its labels become further
//! channels; follows nnU-Net's `predict_from_files` with a folder of the previous stage.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fs_err as fs;
use imaging::file::{self, FileError};
use imaging::{Geometry, GridMismatch, Volume};
use nnunet::dataset::{DatasetError, group_cases};
use nnunet::preprocess::{PreprocessError, Preprocessed, preprocess};
use nnunet::previous_stage::{self, UnknownLabel};

use super::trace::Seconds;
use crate::model::Model;
use crate::resume::{self, FileDigest};

/// A case that was found, and its files; or why it cannot be one.
pub(crate) type Found = (String, Result<CaseFiles, CaseError>);

/// The files that a case is read from.
#[derive(Debug, Clone)]
pub(crate) struct CaseFiles {
    /// One per channel, in order.
    pub(crate) channels: Vec<PathBuf>,
    /// What the previous stage of a cascade made of the case.
    pub(crate) previous_stage: Option<PathBuf>,
}

impl CaseFiles {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        self.channels.iter().chain(&self.previous_stage).map(PathBuf::as_path)
    }
}

/// Where cases are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folders<'a> {
    /// Of images.
    pub(crate) input: &'a Path,
    /// Of segmentations by the previous stage, in a cascade.
    pub(crate) previous_stage: Option<&'a Path>,
}

/// A case, read and preprocessed.
pub(crate) struct Prepared {
    /// What the networks see.
    pub(crate) preprocessed: Preprocessed,
    /// The grid of the image files.
    pub(crate) geometry: Geometry,
    /// The files that it was read from.
    pub(crate) inputs: Vec<FileDigest>,
    /// What reading and preprocessing took.
    pub(crate) seconds: Seconds,
}

/// Lists the cases of the input folder, sorted by name. Files with another ending are passed over.
///
/// # Errors
///
/// If the folder cannot be read.
pub(crate) fn list(folders: Folders<'_>, ending: &str, n_channels: usize) -> io::Result<Vec<Found>> {
    let mut by_case: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(folders.input)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(ending).filter(|stem| !stem.starts_with('.')) else { continue };
        by_case.entry(case_of(stem).to_owned()).or_default().push(name);
    }
    let files = |case: &str, names: &[String]| {
        let grouped = group_cases(names, ending, n_channels)?;
        let files = grouped.into_values().next().unwrap_or_default();
        let channels = files.iter().map(|file| folders.input.join(file)).collect();
        let previous_stage = folders.previous_stage.map(|folder| folder.join(format!("{case}{ending}")));
        Ok(CaseFiles { channels, previous_stage })
    };
    let found = |(case, names): (String, Vec<String>)| {
        let files = files(&case, &names);
        (case, files)
    };
    Ok(by_case.into_iter().map(found).collect())
}

/// The stem without `_NNNN`. A file without channel number is a case of its own, so that its error spoils no other.
fn case_of(stem: &str) -> &str {
    let is_channel = |digits: &str| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    stem.rsplit_once('_').filter(|(_, digits)| is_channel(digits)).map_or(stem, |(case, _)| case)
}

/// Reads a case and preprocesses it.
///
/// # Errors
///
/// [`CaseError`] naming the file or the step.
pub(crate) fn prepare(files: &CaseFiles, model: &Model) -> Result<Prepared, CaseError> {
    let mut seconds = Seconds::default();
    let start = Instant::now();
    let inputs = resume::inputs(files.all()).map_err(|source| CaseError::Digest { source })?;
    let image = file::read_image(&files.channels)?;
    let previous = files.previous_stage.as_deref().map(|path| read_previous(path, &image.geometry)).transpose()?;
    seconds.read = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let geometry = image.geometry.clone();
    let mut preprocessed = preprocess(image, previous, &model.plans, &model.configuration)?;
    if let Some((path, previous)) = files.previous_stage.as_ref().zip(preprocessed.labels.take()) {
        let image = previous_stage::append(&preprocessed.image, &previous.view(), &model.labels);
        preprocessed.image = image.map_err(|source| CaseError::PreviousLabel { path: path.clone(), source })?;
    }
    seconds.preprocess = start.elapsed().as_secs_f64();
    Ok(Prepared { preprocessed, geometry, inputs, seconds })
}

fn read_previous(path: &Path, geometry: &Geometry) -> Result<Volume<u8>, CaseError> {
    let segmentation = file::read_labels(path).map_err(|source| CaseError::Previous { source })?;
    geometry.same_grid(&segmentation.geometry).map_err(|source| {
        let path = path.to_owned();
        CaseError::PreviousGrid { path, source }
    })?;
    Ok(segmentation)
}

/// Why a case cannot be predicted at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CaseError {
    /// Its files are not one per channel.
    #[error("the files are not one per channel")]
    Channels {
        /// Which is missing or too many.
        #[from]
        source: DatasetError,
    },
    /// A file cannot be read to the end.
    #[error("a file of the case cannot be read")]
    Digest {
        /// Which and why.
        source: io::Error,
    },
    /// It does not fit the plans.
    #[error("the image cannot be preprocessed")]
    Preprocess {
        /// Why.
        #[from]
        source: PreprocessError,
    },
    /// The previous stage's segmentation cannot be read.
    #[error("the previous stage's segmentation cannot be read")]
    Previous {
        /// Which and why.
        source: FileError,
    },
    /// The previous stage's segmentation lies elsewhere than the image.
    #[error("`{}` does not lie on the image", path.display())]
    PreviousGrid {
        /// The segmentation.
        path: PathBuf,
        /// What differs.
        source: GridMismatch,
    },
    /// The previous stage's segmentation has other labels than the bundle.
    #[error("`{}` cannot be used", path.display())]
    PreviousLabel {
        /// The segmentation.
        path: PathBuf,
        /// Which label.
        source: UnknownLabel,
    },
    /// A file cannot be read.
    #[error("the image cannot be read")]
    Read {
        /// Which and why.
        #[from]
        source: FileError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], expected: &[(&str, Option<usize>)]) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let folders = Folders { input: folder.path(), previous_stage: None };
        let found = list(folders, ".nii.gz", 2).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(case, files)| (case.as_str(), files.as_ref().ok().map(|files| files.channels.len())))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn cases_are_sorted_and_other_files_passed_over() {
        check(
            &["b_0001.nii.gz", "a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "notes.txt", ".a_0000.nii.gz"],
            &[("a", Some(2)), ("b", Some(2))],
        );
    }

    #[test]
    fn a_case_with_wrong_channels_does_not_stop_the_others() {
        check(
            &["a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "c_0000.nii.gz", "c_0001.nii.gz", "c_0002.nii.gz"],
            &[("a", Some(2)), ("b", None), ("c", None)],
        );
        check(&["a.nii.gz", "x_12.nii.gz"], &[("a", None), ("x_12", None)]);
    }
}
