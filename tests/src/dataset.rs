//! Writing cases as a raw nnU-Net data set.
//!
//! `imagesTr`/`labelsTr` are nnU-Net's; `labelsTs` beside `imagesTs` is what
//! nnU-Net's own data sets use for references that no training may see.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use imaging::Volume;
use imaging::nifti::{self, NiftiError};
use serde_json::{Map, Value, json};

/// A phantom could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A folder or `dataset.json` could not be written.
    #[error("cannot write the data set")]
    File {
        /// Names the path.
        #[from]
        source: io::Error,
    },
    /// An image or a reference could not be written.
    #[error("cannot write a phantom")]
    Nifti {
        /// Names the path.
        #[from]
        source: NiftiError,
    },
}

/// Which folders a case goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `imagesTr` and `labelsTr`.
    Training,
    /// `imagesTs` and `labelsTs`.
    Test,
}

impl Part {
    fn folders(self) -> [&'static str; 2] {
        match self {
            Self::Training => ["imagesTr", "labelsTr"],
            Self::Test => ["imagesTs", "labelsTs"],
        }
    }
}

/// A data set of one channel that is being written.
#[derive(Debug)]
pub struct RawDataset {
    folder: PathBuf,
    labels: Vec<&'static str>,
}

impl RawDataset {
    /// Makes the folders of the data set `name` inside `raw`.
    ///
    /// `labels[i]` names the label `i`; the first is the background.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`] if a folder cannot be made.
    pub fn create(raw: &Path, name: &str, labels: &[&'static str]) -> Result<Self, WriteError> {
        let folder = raw.join(name);
        for part in [Part::Training, Part::Test] {
            for inner in part.folders() {
                fs::create_dir_all(folder.join(inner))?;
            }
        }
        Ok(Self { folder, labels: labels.to_vec() })
    }

    /// Writes one case.
    ///
    /// # Errors
    ///
    /// [`WriteError::Nifti`] if a file cannot be written.
    pub fn add(&self, part: Part, case: &str, image: &Volume<f32>, reference: &Volume<u8>) -> Result<(), WriteError> {
        let [image_path, reference_path] = self.paths(part, case);
        nifti::write_map(&image_path, image)?;
        nifti::write_labels(&reference_path, reference)?;
        Ok(())
    }

    /// As [`RawDataset::add`], with intensities rounded to the 16-bit integers that scanners store.
    ///
    /// # Errors
    ///
    /// [`WriteError::Nifti`] if a file cannot be written.
    pub fn add_scan(
        &self,
        part: Part,
        case: &str,
        image: &Volume<f32>,
        reference: &Volume<u8>,
    ) -> Result<(), WriteError> {
        #[expect(clippy::cast_possible_truncation, reason = "saturates, as a detector does")]
        let voxels = image.voxels.mapv(|value| value.round() as i16);
        let scan = Volume { voxels, geometry: image.geometry.clone() };
        let [image_path, reference_path] = self.paths(part, case);
        nifti::write_intensities(&image_path, &scan)?;
        nifti::write_labels(&reference_path, reference)?;
        Ok(())
    }

    fn paths(&self, part: Part, case: &str) -> [PathBuf; 2] {
        let [images, references] = part.folders().map(|folder| self.folder.join(folder));
        [images.join(format!("{case}_0000.nii.gz")), references.join(format!("{case}.nii.gz"))]
    }

    /// Writes `dataset.json`; returns the data set's folder.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`] if it cannot be written.
    pub fn finish(self, n_training: usize) -> Result<PathBuf, WriteError> {
        let labels: Map<String, Value> =
            self.labels.iter().enumerate().map(|(value, name)| ((*name).to_owned(), json!(value))).collect();
        let dataset = json!({
            "channel_names": { "0": "MRI" },
            "labels": labels,
            "numTraining": n_training,
            "file_ending": ".nii.gz",
        });
        fs::write(self.folder.join("dataset.json"), format!("{dataset:#}\n"))?;
        Ok(self.folder)
    }
}
