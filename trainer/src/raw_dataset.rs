//! A raw data set in nnU-Net's layout: `dataset.json`, `imagesTr`, `labelsTr`.
//!
//! Opening it lists the training cases and checks that every one has its channels and its labels; voxels are read
//! case by case, and labels that `dataset.json` does not name are refused then. Cases that `dataset.json` lists under
//! `dataset` are taken from there, see [`nnunet::listed_cases`]. The first problem ends it; [`crate::dataset_check`]
//! lists all of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use imaging::file::{self, FileError};
use imaging::{Image, Volume};
use nnunet::dataset::{CaseId, DatasetError, DatasetJson, LabelSet, group_cases};
use nnunet::listed_cases::{self, ListedError};
use serde_json::Value;

/// Largest description that is read.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Files of one training case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCase {
    /// One file per channel, in order.
    pub channels: Vec<PathBuf>,
    /// The reference.
    pub labels: PathBuf,
}

/// A raw data set, its training cases complete.
#[derive(Debug, Clone)]
pub struct RawDataset {
    /// Its folder.
    pub folder: PathBuf,
    /// `dataset.json`.
    pub json: DatasetJson,
    /// Its labels.
    pub labels: LabelSet,
    /// Training cases.
    pub cases: BTreeMap<CaseId, RawCase>,
}

impl RawDataset {
    /// Opens a data set's folder.
    ///
    /// # Errors
    ///
    /// [`RawDatasetError`] if a file or folder is missing or malformed, or a case lacks a channel or its labels.
    pub fn open(folder: &Path) -> Result<Self, RawDatasetError> {
        let json = read_dataset_json(&folder.join("dataset.json"))?;
        let dataset = |source| RawDatasetError::Dataset { folder: folder.to_owned(), source };
        let labels = json.structures().map_err(dataset)?;
        let n_channels = json.channels().map_err(dataset)?.len();
        let cases = match json.other.get("dataset") {
            Some(listed) => listed_cases_of(folder, listed, n_channels)?,
            None => cases_of_folders(folder, &json.file_ending, n_channels)?,
        };
        if cases.is_empty() {
            return Err(RawDatasetError::NoCases { folder: folder.join("imagesTr"), ending: json.file_ending });
        }
        Ok(Self { folder: folder.to_owned(), json, labels, cases })
    }

    /// Reads image and labels of a case.
    ///
    /// # Errors
    ///
    /// [`RawDatasetError`] if a file cannot be read, grids differ, or a voxel has a label that is not named.
    pub fn read(&self, case: &RawCase) -> Result<(Image, Volume<u8>), RawDatasetError> {
        let unreadable = |source| RawDatasetError::File { source };
        let image = file::read_image(&case.channels).map_err(unreadable)?;
        let (expected, actual) = (self.json.channel_names.len(), image.n_channels());
        if expected != actual {
            return Err(RawDatasetError::ChannelCount { files: case.channels.clone(), expected, actual });
        }
        let labels = file::read_labels(&case.labels).map_err(unreadable)?;
        match unknown(&labels, &self.labels) {
            Some(found) => Err(RawDatasetError::UnknownLabel { path: case.labels.clone(), found }),
            None => Ok((image, labels)),
        }
    }
}

/// The first label that has no name.
fn unknown(labels: &Volume<u8>, names: &LabelSet) -> Option<u8> {
    let mut known = [false; 256];
    for &value in names.structures.iter().flat_map(|structure| &structure.values).chain(&[0]) {
        known[usize::from(value)] = true;
    }
    if let Some(ignore) = names.ignore {
        known[usize::from(ignore)] = true;
    }
    // Labels are numbered without gaps: almost always the highest tells that all are known, and is found fast.
    let highest = labels.voxels.iter().fold(0, |highest, &label| label.max(highest));
    if known[..=usize::from(highest)].iter().all(|&known| known) {
        return None;
    }
    labels.voxels.iter().copied().find(|&label| !known[usize::from(label)])
}

fn cases_of_folders(
    folder: &Path,
    ending: &str,
    n_channels: usize,
) -> Result<BTreeMap<CaseId, RawCase>, RawDatasetError> {
    let (images, references) = (folder.join("imagesTr"), folder.join("labelsTr"));
    let dataset = |source| RawDatasetError::Dataset { folder: folder.to_owned(), source };
    let mut cases = BTreeMap::new();
    for (case, channels) in group_cases(&file_names(&images)?, ending, n_channels).map_err(dataset)? {
        let labels = references.join(format!("{case}{ending}"));
        if !labels.is_file() {
            return Err(RawDatasetError::NoLabels { case, path: labels });
        }
        let channels = channels.iter().map(|name| images.join(name)).collect();
        cases.insert(case, RawCase { channels, labels });
    }
    Ok(cases)
}

fn listed_cases_of(
    folder: &Path,
    listed: &Value,
    n_channels: usize,
) -> Result<BTreeMap<CaseId, RawCase>, RawDatasetError> {
    let (listed, errors) = listed_cases::read(listed, &environment_variable);
    if let Some(source) = errors.into_iter().next() {
        return Err(RawDatasetError::Listed { folder: folder.to_owned(), source });
    }
    let mut cases = BTreeMap::new();
    for (case, files) in listed {
        let (actual, expected) = (files.channels.len(), n_channels);
        let dataset = |source| RawDatasetError::Dataset { folder: folder.to_owned(), source };
        if actual < expected {
            return Err(dataset(DatasetError::MissingChannel { case, channel: actual, expected }));
        }
        if actual > expected {
            return Err(dataset(DatasetError::ExtraChannel { case, actual, expected }));
        }
        let channels: Vec<_> = files.channels.iter().map(|path| folder.join(path)).collect();
        if let Some(path) = channels.iter().find(|path| !path.is_file()) {
            return Err(RawDatasetError::NoImage { case, path: path.clone() });
        }
        let labels = folder.join(files.labels);
        if !labels.is_file() {
            return Err(RawDatasetError::NoLabels { case, path: labels });
        }
        cases.insert(case, RawCase { channels, labels });
    }
    Ok(cases)
}

/// A variable of the environment, for paths that `dataset.json` lists; `None` if it is not set or no text.
pub fn environment_variable(name: &str) -> Option<String> {
    // The system's call panics at such names.
    let is_name = !name.is_empty() && !name.contains(['=', '\0']);
    is_name.then(|| std::env::var(name).ok()).flatten()
}

/// Reads and checks a `dataset.json`.
///
/// # Errors
///
/// [`RawDatasetError`] if it is missing, too large or malformed.
pub fn read_dataset_json(path: &Path) -> Result<DatasetJson, RawDatasetError> {
    let text = read_text(path)?;
    let folder = path.parent().unwrap_or(path).to_owned();
    DatasetJson::parse(&text).map_err(|source| RawDatasetError::Dataset { folder, source })
}

/// Reads a JSON file of bounded size as text.
///
/// # Errors
///
/// [`RawDatasetError::Read`] or [`RawDatasetError::Size`].
pub fn read_text(path: &Path) -> Result<String, RawDatasetError> {
    let unreadable = |source| RawDatasetError::Read { path: path.to_owned(), source };
    let found = fs_err::metadata(path).map_err(unreadable)?.len();
    if found > MAX_JSON_BYTES {
        return Err(RawDatasetError::Size { path: path.to_owned(), limit: MAX_JSON_BYTES, found });
    }
    fs_err::read_to_string(path).map_err(unreadable)
}

fn file_names(folder: &Path) -> Result<Vec<String>, RawDatasetError> {
    let unreadable = |source| RawDatasetError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(unreadable)? {
        // A name that is no UTF-8 cannot end as the data set's files do in a way that `dataset.json` could say.
        if let Ok(name) = entry.map_err(unreadable)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

/// What can be wrong with a raw data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawDatasetError {
    /// `dataset.json` or the file names break a rule.
    #[error("the data set in `{}` breaks a rule", folder.display())]
    Dataset {
        /// Its folder.
        folder: PathBuf,
        /// Which rule.
        source: DatasetError,
    },
    /// `dataset` in `dataset.json` breaks a rule.
    #[error("`dataset` in the `dataset.json` of `{}` cannot be used", folder.display())]
    Listed {
        /// The data set's folder.
        folder: PathBuf,
        /// Which rule.
        source: ListedError,
    },
    /// The files of a case hold more or fewer channels than the data set has.
    #[error("{files:?} hold {actual} channels, `dataset.json` names {expected}")]
    ChannelCount {
        /// The files.
        files: Vec<PathBuf>,
        /// Channels that `dataset.json` names.
        expected: usize,
        /// Channels of the files.
        actual: usize,
    },
    /// A case cannot be read.
    #[error("a file cannot be used")]
    File {
        /// Which, and why.
        source: FileError,
    },
    /// There is no training case.
    #[error("`{}` has no file that ends in `{ending}`", folder.display())]
    NoCases {
        /// The folder of the images.
        folder: PathBuf,
        /// The ending that `dataset.json` names.
        ending: String,
    },
    /// A listed image is not there.
    #[error("case `{case}` has no image `{}`", path.display())]
    NoImage {
        /// The case.
        case: CaseId,
        /// Where the image should be.
        path: PathBuf,
    },
    /// A case has no labels.
    #[error("case `{case}` has no labels `{}`", path.display())]
    NoLabels {
        /// The case.
        case: CaseId,
        /// Where its labels should be.
        path: PathBuf,
    },
    /// A file or folder could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is too large.
    #[error("`{}` has {found} bytes, at most {limit} are read", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
        /// Bytes found.
        found: u64,
    },
    /// A voxel has a label without a name.
    #[error("`{}` has label {found}, which `dataset.json` does not name", path.display())]
    UnknownLabel {
        /// The labels.
        path: PathBuf,
        /// The label.
        found: u8,
    },
}

#[cfg(test)]
mod tests {
    use imaging::{Dimensionality, Geometry, Spacing};
    use ndarray::Array3;

    use super::*;

    const JSON: &str =
        r#"{"channel_names":{"0":"MRI"},"labels":{"background":0,"a":1},"numTraining":1,"file_ending":".nii"}"#;

    fn dataset(folder: &Path, label: u8) {
        for sub in ["imagesTr", "labelsTr"] {
            fs_err::create_dir_all(folder.join(sub)).unwrap();
        }
        fs_err::write(folder.join("dataset.json"), JSON).unwrap();
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let geometry = Geometry::axis_aligned([2, 2, 2], spacing, Dimensionality::Three);
        let map = Volume { voxels: Array3::from_elem((2, 2, 2), 0.5), geometry: geometry.clone() };
        file::write_map(&folder.join("imagesTr/x_0000.nii"), &map).unwrap();
        let labels = Volume { voxels: Array3::from_elem((2, 2, 2), label), geometry };
        file::write_labels(&folder.join("labelsTr/x.nii"), &labels).unwrap();
    }

    #[test]
    fn a_complete_case_is_read() {
        let folder = tempfile::tempdir().unwrap();
        dataset(folder.path(), 1);
        let raw = RawDataset::open(folder.path()).unwrap();
        let (image, labels) = raw.read(raw.cases.values().next().unwrap()).unwrap();
        assert_eq!((image.n_channels(), labels.voxels[[0, 0, 0]]), (1, 1));
    }

    #[test]
    fn a_label_without_a_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        dataset(folder.path(), 2);
        let raw = RawDataset::open(folder.path()).unwrap();
        let error = raw.read(raw.cases.values().next().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("x.nii` has label 2, which `dataset.json` does not name"), "{error}");
    }

    #[test]
    fn listed_cases_are_read_from_where_they_are_listed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        dataset(folder.path(), 1);
        let moved = elsewhere.path().join("labels.nii");
        fs_err::rename(folder.path().join("labelsTr/x.nii"), &moved).unwrap();
        let mut json: Value = serde_json::from_str(JSON).unwrap();
        let open = |json: &Value| {
            fs_err::write(folder.path().join("dataset.json"), json.to_string()).unwrap();
            RawDataset::open(folder.path())
        };
        json["dataset"] = serde_json::json!({"y": {"images": ["./imagesTr/x_0000.nii"], "label": moved}});
        let raw = open(&json).unwrap();
        let case = CaseId::new("y").unwrap();
        assert_eq!(raw.cases.keys().collect::<Vec<_>>(), [&case]);
        assert_eq!(raw.read(&raw.cases[&case]).unwrap().1.voxels[[0, 0, 0]], 1);

        json["dataset"]["y"]["images"] = serde_json::json!(["../x_0000.nii"]);
        assert!(matches!(open(&json), Err(RawDatasetError::Listed { source: ListedError::Outside { .. }, .. })));
        json["dataset"]["y"]["images"] = serde_json::json!(["none.nii"]);
        assert!(matches!(open(&json), Err(RawDatasetError::NoImage { .. })));
        json["dataset"]["y"]["images"] = serde_json::json!([]);
        assert!(matches!(open(&json), Err(RawDatasetError::Dataset { .. })));
    }

    #[test]
    fn missing_labels_and_cases_are_named() {
        let folder = tempfile::tempdir().unwrap();
        dataset(folder.path(), 1);
        fs_err::remove_file(folder.path().join("labelsTr/x.nii")).unwrap();
        assert!(matches!(RawDataset::open(folder.path()), Err(RawDatasetError::NoLabels { .. })));
        fs_err::remove_file(folder.path().join("imagesTr/x_0000.nii")).unwrap();
        assert!(matches!(RawDataset::open(folder.path()), Err(RawDatasetError::NoCases { .. })));
    }
}
