//! Why a case could not be stored or read.

use std::io;
use std::path::PathBuf;

use nnunet::dataset::CaseId;

/// Why a case could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The description is of another version.
    #[error("`{}` has format {found}, expected {expected}; preprocess the case again", path.display())]
    Format {
        /// The description.
        path: PathBuf,
        /// The version known here.
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// The description is malformed.
    #[error("`{}` does not describe a preprocessed case", path.display())]
    Json {
        /// The description.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A voxel has a label that the data set does not name.
    #[error("case `{case}` has label {found}, the data set names {n_labels} labels from 0")]
    Label {
        /// The case.
        case: CaseId,
        /// The label.
        found: i16,
        /// Labels of the data set, background and the ignore label included.
        n_labels: usize,
    },
    /// A remembered voxel lies outside the case.
    #[error("`{}` names voxel {found:?} of a case of shape {shape:?}", path.display())]
    Location {
        /// The locations.
        path: PathBuf,
        /// Extents of the case.
        shape: [usize; 3],
        /// The voxel.
        found: [usize; 3],
    },
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The extents are not those of an array in memory.
    #[error("`{}` describes a case of shape {found:?}", path.display())]
    Shape {
        /// The description.
        path: PathBuf,
        /// Extents found.
        found: [usize; 3],
    },
    /// A file has another size than described.
    #[error("`{}` has {found} bytes, expected {expected}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes described.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A case could not be written.
    #[error("cannot store case `{case}`")]
    Write {
        /// The case.
        case: CaseId,
        /// What the system said, with the file.
        source: io::Error,
    },
}
