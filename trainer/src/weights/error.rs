//! What can be wrong with weights and their files.

use std::io;
use std::path::PathBuf;

use safetensors::SafeTensorError;

/// What can be wrong with the content of a weights file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Sizes, offsets or the header are wrong.
    #[error("the content is not safetensors")]
    Safetensors {
        /// Where and why.
        #[from]
        source: SafeTensorError,
    },
    /// The header is ambiguous.
    #[error("the header is ambiguous")]
    Header {
        /// Where and why.
        source: serde_json::Error,
    },
    /// A tensor is of another type.
    #[error("tensor `{name}` is of type {found}, expected F32")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
}

/// Why weights could not be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A tensor has too few or too many values.
    #[error("tensor `{name}` of shape {shape:?} has {found} values")]
    Count {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its values.
        found: usize,
    },
    /// A value is too large for half precision.
    #[error("parameter `{name}`: value {index} is {found}, half precision ends at 65504")]
    BeyondHalf {
        /// The parameter.
        name: String,
        /// Index in C order.
        index: usize,
        /// The value.
        found: f32,
    },
    /// The content of a file is wrong.
    #[error("`{}` is no weights file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// The network has a parameter that the weights lack.
    #[error("the weights lack the parameter `{name}`")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// A value is infinite or not a number: the training diverged.
    #[error("parameter `{name}`: value {index} is {found}")]
    NotFinite {
        /// The parameter.
        name: String,
        /// Index in C order.
        index: usize,
        /// The value.
        found: f32,
    },
    /// A file could not be read.
    #[error("cannot read weights from `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A parameter has another shape than the network asks for.
    #[error("parameter `{name}` has shape {found:?}, the network expects {expected:?}")]
    Shape {
        /// The parameter.
        name: String,
        /// Shape in the network.
        expected: Vec<usize>,
        /// Shape in the weights.
        found: Vec<usize>,
    },
    /// A file is too large.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Largest size that is read.
        limit: u64,
    },
    /// The weights have a parameter that the network lacks.
    #[error("the network has no parameter `{name}`")]
    Unknown {
        /// The parameter.
        name: String,
    },
    /// A file could not be written.
    #[error("cannot write weights")]
    Write {
        /// What the system said, with the file.
        source: io::Error,
    },
}
