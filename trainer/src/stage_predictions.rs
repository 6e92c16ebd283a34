//! What one stage of a cascade leaves for the next: a segmentation per case, on the grid of the next stage's cases.
//!
//! `<training>/predicted_next_stage/<configuration>` as in nnU-Net, in the form of the store: `<case>.labels` holds one
//! byte per voxel, `[z, y, x]` in C order without header, and `<case>.json` describes it, with who predicted and the
//! digest of the labels. The description is written last: where it is, the prediction is complete. Departs from nnU-Net,
//! whose last checkpoint predicts: here it is the mean over all members of the fold that never saw the case.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bundle_format::Digest;
use imaging::atomic_file;
use ndarray::Array3;
use nnunet::dataset::CaseId;
use nnunet::plans::ConfigurationName;
use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::raw_dataset::{RawDatasetError, read_text};
use crate::store::{Part, StoreError};
use crate::validation::MemberFacts;

/// Version of the description.
const FORMAT: u32 = 1;
/// What the folder of all next stages is called, as in nnU-Net.
const FOLDER: &str = "predicted_next_stage";

/// The predictions for one next stage.
#[derive(Debug, Clone)]
pub struct StagePredictions {
    folder: PathBuf,
}

/// Description of one prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionRecord {
    format: u32,
    /// The case.
    pub case: CaseId,
    /// Who predicted it.
    pub members: Vec<MemberFacts>,
    /// What their logits were divided by.
    pub temperature: f32,
    /// Extents `[z, y, x]`.
    pub shape: [usize; 3],
    /// Digest of the labels.
    pub labels: Digest,
}

/// A complete prediction.
#[derive(Debug, Clone)]
pub struct StoredPrediction {
    path: PathBuf,
    /// What the file holds.
    pub record: PredictionRecord,
}

/// Who predicted, and how.
#[derive(Debug, Clone, Copy)]
pub struct Predictor<'a> {
    /// All members of a fold.
    pub members: &'a [MemberFacts],
    /// What their logits were divided by.
    pub temperature: f32,
}

impl StagePredictions {
    /// Those of a training for a next stage; they need not exist yet.
    pub fn new(training: &Path, next: &ConfigurationName) -> Self {
        Self { folder: training.join(FOLDER).join(&next.0) }
    }

    /// The description of a case's prediction, which is there when the prediction is.
    pub fn path(&self, case: &CaseId) -> PathBuf {
        self.folder.join(format!("{case}.json"))
    }

    /// Whether a case is complete and was predicted so.
    pub fn holds(&self, case: &CaseId, by: Predictor<'_>) -> bool {
        let is_by = |record: &PredictionRecord| {
            record.members == by.members && record.temperature.to_bits() == by.temperature.to_bits()
        };
        self.open(case).is_ok_and(|stored| is_by(&stored.record))
    }

    /// Writes a prediction; the description appears last, and not before the labels are on the disk.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn write(&self, case: &CaseId, labels: &Array3<u8>, by: Predictor<'_>) -> io::Result<()> {
        let labels = labels.as_standard_layout();
        let bytes = labels.as_slice().expect("an array in standard layout is one slice");
        let (z, y, x) = labels.dim();
        let record = PredictionRecord {
            format: FORMAT,
            case: case.clone(),
            members: by.members.to_vec(),
            temperature: by.temperature,
            shape: [z, y, x],
            labels: Digest::of(bytes),
        };
        let text = serde_json::to_vec_pretty(&record)?;
        fs_err::create_dir_all(&self.folder)?;
        let staged = atomic_file::stage(&self.labels_path(case), |file| file.write_all(bytes))?;
        match fs_err::remove_file(self.path(case)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(source),
            _ => {}
        }
        staged.commit()?;
        atomic_file::write(&self.path(case), &text)
    }

    /// Opens a prediction and checks that its file has the size described.
    ///
    /// # Errors
    ///
    /// [`PredictionError`] if a file is missing, or the description is malformed or does not fit the labels.
    pub fn open(&self, case: &CaseId) -> Result<StoredPrediction, PredictionError> {
        let path = self.path(case);
        let record: PredictionRecord = serde_json::from_str(&read_text(&path)?)
            .map_err(|source| PredictionError::Json { path: path.clone(), source })?;
        if record.format != FORMAT || record.case != *case {
            return Err(PredictionError::Other { path, format: record.format, found: record.case });
        }
        let n_voxels = record.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        let path = self.labels_path(case);
        let found = fs_err::metadata(&path).map_err(|source| PredictionError::Labels { source })?.len();
        match n_voxels.filter(|&n| n > 0 && n as u64 == found) {
            Some(_) => Ok(StoredPrediction { path, record }),
            None => Err(PredictionError::Size { path, shape: record.shape, found }),
        }
    }

    fn labels_path(&self, case: &CaseId) -> PathBuf {
        self.folder.join(format!("{case}.labels"))
    }
}

impl StoredPrediction {
    /// Voxels `lower..upper`, as labels of a block without an image.
    ///
    /// # Errors
    ///
    /// [`StoreError::Read`].
    ///
    /// # Panics
    ///
    /// If the block is empty or does not lie in the case.
    pub fn read_block(&self, lower: [usize; 3], upper: [usize; 3]) -> Result<Block, StoreError> {
        let part = Part::new(self.record.shape, lower, upper);
        let labels = part.read(&self.path, 1, |[label]: [u8; 1]| i16::from(label))?;
        Ok(Block { lower, shape: part.shape(), image: Vec::new(), labels })
    }

    /// All labels, which are compared with their digest.
    ///
    /// # Errors
    ///
    /// [`PredictionError::Labels`], or [`PredictionError::Digest`] if they are not those that were written.
    ///
    /// # Panics
    ///
    /// Never: a prediction that was opened has a byte per voxel, or is refused here.
    pub fn read(&self) -> Result<Array3<u8>, PredictionError> {
        let bytes = fs_err::read(&self.path).map_err(|source| PredictionError::Labels { source })?;
        if Digest::of(&bytes) != self.record.labels {
            return Err(PredictionError::Digest { path: self.path.clone() });
        }
        let (shape, found) = (self.record.shape, bytes.len() as u64);
        Array3::from_shape_vec(shape, bytes).map_err(|_| PredictionError::Size {
            path: self.path.clone(),
            shape,
            found,
        })
    }
}

impl From<RawDatasetError> for PredictionError {
    fn from(source: RawDatasetError) -> Self {
        Self::Read { source: Box::new(source) }
    }
}

/// Why a prediction of the previous stage cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictionError {
    /// The labels changed since they were written.
    #[error("`{}` is not what its description has the digest of", path.display())]
    Digest {
        /// The labels.
        path: PathBuf,
    },
    /// The prediction lies on another grid than the case.
    #[error("`{}` has shape {found:?}, the preprocessed case {expected:?}", path.display())]
    Grid {
        /// The description.
        path: PathBuf,
        /// Extents of the case.
        expected: [usize; 3],
        /// Extents of the prediction.
        found: [usize; 3],
    },
    /// The description is malformed.
    #[error("`{}` does not describe a prediction", path.display())]
    Json {
        /// The description.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The labels cannot be read.
    #[error("the labels of a prediction cannot be read")]
    Labels {
        /// What the system said, with the file.
        source: io::Error,
    },
    /// The description is of another case or version.
    #[error("`{}` has format {format} and describes case `{found}`", path.display())]
    Other {
        /// The description.
        path: PathBuf,
        /// Its version.
        format: u32,
        /// Its case.
        found: CaseId,
    },
    /// The description cannot be read.
    #[error("a prediction is missing")]
    Read {
        /// Which, and why.
        source: Box<RawDatasetError>,
    },
    /// The labels have another size than described.
    #[error("`{}` has {found} bytes, its description says shape {shape:?}", path.display())]
    Size {
        /// The labels.
        path: PathBuf,
        /// Extents described.
        shape: [usize; 3],
        /// Bytes found.
        found: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: &[u8]) -> Vec<MemberFacts> {
        vec![MemberFacts { member: "fold_0/checkpoint_3".into(), weights: Digest::of(weights) }]
    }

    fn written(folder: &Path) -> (StagePredictions, CaseId) {
        let predictions = StagePredictions::new(folder, &ConfigurationName("next".into()));
        let case = CaseId::new("a").unwrap();
        let labels = Array3::from_shape_fn((2, 3, 4), |(z, y, x)| u8::try_from(100 * z + 10 * y + x).unwrap());
        let members = members(b"w");
        predictions.write(&case, &labels, Predictor { members: &members, temperature: 1.0 }).unwrap();
        (predictions, case)
    }

    #[test]
    fn a_block_holds_the_labels_of_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (predictions, case) = written(folder.path());
        let stored = predictions.open(&case).unwrap();
        let block = stored.read_block([1, 1, 1], [2, 3, 3]).unwrap();
        assert_eq!((&block.labels[..], block.shape, block.n_channels()), (&[111, 112, 121, 122][..], [1, 2, 2], 0));
        assert_eq!(stored.read().unwrap()[[1, 2, 3]], 123);
        assert_eq!(predictions.path(&case), folder.path().join("predicted_next_stage/next/a.json"));
    }

    #[test]
    fn a_prediction_is_held_only_complete_and_by_the_same_members() {
        let folder = tempfile::tempdir().unwrap();
        let (predictions, case) = written(folder.path());
        let holds = |weights: &[u8], temperature| {
            predictions.holds(&case, Predictor { members: &members(weights), temperature })
        };
        assert!(holds(b"w", 1.0) && !holds(b"other", 1.0) && !holds(b"w", 2.0));
        fs_err::write(predictions.labels_path(&case), b"short").unwrap();
        assert!(!holds(b"w", 1.0));
        assert!(matches!(predictions.open(&case), Err(PredictionError::Size { found: 5, .. })));
    }

    #[test]
    fn hostile_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (predictions, case) = written(folder.path());
        let good = fs_err::read_to_string(predictions.path(&case)).unwrap();
        let compact = serde_json::from_str::<serde_json::Value>(&good).unwrap().to_string();
        let refused = |from: &str, to: &str| {
            assert!(compact.contains(from), "{from}");
            fs_err::write(predictions.path(&case), compact.replacen(from, to, 1)).unwrap();
            predictions.open(&case).unwrap_err().to_string()
        };
        assert!(refused("[2,3,4]", "[2,3,0]").contains("24 bytes"));
        assert!(refused("[2,3,4]", "[4294967296,4294967296,4294967296]").contains("24 bytes"));
        assert!(refused(r#""format":1"#, r#""format":2"#).contains("format 2"));
        assert!(refused(r#""case":"a""#, r#""case":"b""#).contains("case `b`"));
        assert!(refused(r#""format":1"#, r#""format":1,"more":1"#).contains("does not describe"));

        fs_err::write(predictions.path(&case), good).unwrap();
        fs_err::write(predictions.labels_path(&case), [9; 24]).unwrap();
        let stored = predictions.open(&case).unwrap();
        assert!(matches!(stored.read(), Err(PredictionError::Digest { .. })));
    }
}
