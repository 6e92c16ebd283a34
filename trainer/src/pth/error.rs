//! Why a checkpoint of nnU-Net was not read.

use super::container::ContainerError;
use super::pickle::PickleError;
use crate::weights::WeightsError;

/// Why a checkpoint of nnU-Net was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// Two names of one parameter hold different values.
    #[error("`{alias}` is another name of `{name}`, but holds other values")]
    Alias {
        /// The parameter.
        name: String,
        /// Its other name.
        alias: String,
    },
    /// The file is not what `torch.save` writes.
    #[error("the file is no checkpoint that can be read")]
    Container {
        /// Why.
        #[from]
        source: ContainerError,
    },
    /// A field has a value of the wrong kind or range.
    #[error("`{field}` of the checkpoint cannot be {found}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it is.
        found: String,
    },
    /// A field is missing.
    #[error("the checkpoint has no `{field}`")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// There are more names than any network gives its parameters.
    #[error("the checkpoint names {found} parameters, the network of the plans at most {limit}")]
    Names {
        /// Most names.
        limit: usize,
        /// Names found.
        found: usize,
    },
    /// A parameter is no tensor.
    #[error("parameter `{name}` is {found}, expected a tensor")]
    NoTensor {
        /// The parameter.
        name: String,
        /// What it is.
        found: String,
    },
    /// The pickle is not plain data.
    #[error("the checkpoint's pickle is refused")]
    Pickle {
        /// Why.
        #[from]
        source: PickleError,
    },
    /// A parameter has another shape than in the network of the plans.
    #[error("parameter `{name}` has shape {found:?}, the network of the plans expects {expected:?}")]
    Shape {
        /// The parameter.
        name: String,
        /// Shape in the network.
        expected: Vec<usize>,
        /// Shape in the checkpoint.
        found: Vec<usize>,
    },
    /// The network of the plans has no such parameter.
    #[error("the network of the plans has no parameter `{name}`")]
    Unknown {
        /// The name in the checkpoint.
        name: String,
    },
    /// The weights are incomplete or not finite.
    #[error("the weights are not those of the network")]
    Weights {
        /// Which parameter, and why.
        #[from]
        source: WeightsError,
    },
}
