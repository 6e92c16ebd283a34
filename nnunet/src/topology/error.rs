//! Why an architecture is not built.

/// Why an architecture is not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// An argument that the class would build differently, or does not have.
    #[error("architecture: the argument `{argument}`, here {found}, is not supported")]
    Argument {
        /// The argument of the plans.
        argument: String,
        /// Its value.
        found: String,
    },
    /// A class this crate does not know.
    #[error("architecture: `{field}` is `{found}`, only `{expected}` is supported")]
    Class {
        /// The field of the plans.
        field: &'static str,
        /// The class as found.
        found: String,
        /// The class supported.
        expected: String,
    },
    /// A number that is out of range, or a list of the wrong length.
    #[error("architecture: `{field}` cannot be {found}")]
    Number {
        /// The field of the plans.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// The patch cannot be halved as often as the network does.
    #[error("patch {patch:?} is not a multiple of the network's total stride {total_stride:?}")]
    Patch {
        /// The patch.
        patch: Vec<usize>,
        /// Product of the strides per axis.
        total_stride: Vec<usize>,
    },
}
