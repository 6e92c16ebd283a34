//! The cases of an input folder, and how one of them becomes an array.
//!
//! A case that lacks a channel or has one too many is a failed case, not a failed run: the others go on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fs_err as fs;
use imaging::Geometry;
use imaging::file::{self, FileError};
use nnunet::dataset::{DatasetError, group_cases};
use nnunet::preprocess::{PreprocessError, Preprocessed, preprocess};

use super::trace::Seconds;
use crate::model::Model;
use crate::resume::{self, FileDigest};

/// A case that was found, and its channel files in order; or why it cannot be one.
pub(crate) type Found = (String, Result<Vec<PathBuf>, CaseError>);

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

/// Lists the cases of `folder`, sorted by name. Files with another ending are passed over.
///
/// # Errors
///
/// If the folder cannot be read.
pub(crate) fn list(folder: &Path, ending: &str, n_channels: usize) -> io::Result<Vec<Found>> {
    let mut by_case: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(ending).filter(|stem| !stem.starts_with('.')) else { continue };
        by_case.entry(case_of(stem).to_owned()).or_default().push(name);
    }
    let channels = |names: &[String]| {
        let grouped = group_cases(names, ending, n_channels)?;
        let files = grouped.into_values().next().unwrap_or_default();
        Ok(files.iter().map(|file| folder.join(file)).collect())
    };
    Ok(by_case.into_iter().map(|(case, names)| (case, channels(&names))).collect())
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
pub(crate) fn prepare(channels: &[PathBuf], model: &Model) -> Result<Prepared, CaseError> {
    let mut seconds = Seconds::default();
    let start = Instant::now();
    let inputs = resume::inputs(channels).map_err(|source| CaseError::Digest { source })?;
    let image = file::read_image(channels)?;
    seconds.read = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let geometry = image.geometry.clone();
    let preprocessed = preprocess(image, None, &model.plans, &model.configuration)?;
    seconds.preprocess = start.elapsed().as_secs_f64();
    Ok(Prepared { preprocessed, geometry, inputs, seconds })
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
    #[error("the image cannot be read")]
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
        let found = list(folder.path(), ".nii.gz", 2).unwrap();
        let found: Vec<_> =
            found.iter().map(|(case, files)| (case.as_str(), files.as_ref().ok().map(Vec::len))).collect();
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
