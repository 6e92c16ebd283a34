//! ONNX pre-flight: what a model file may hold before ONNX Runtime sees a byte of it (step 10).
//!
//! A signature says who made a model, not that it is harmless: a stolen key or
//! a careless vendor can sign a file that names other files, brings functions
//! or operators of its own, or declares shapes that no memory holds. So every
//! message is walked with an allow-list of fields, operators and types; what
//! is not on it is refused by name. Numbers of fields are those of
//! `onnx.proto` of IR version 10.
//!
//! Departs from ONNX where its readers are lenient: a field that may occur
//! once must not occur twice (protobuf merges the two), fields that nobody
//! needs for a network are refused (metadata, sparse tensors, quantization
//! annotations, training), and so are external data, control flow and
//! functions. Values that a graph computes are not bounded here; the runtime
//! compares its inputs and outputs with the plans.

mod tensor;
mod walk;
mod wire;

use std::collections::BTreeSet;
use std::io::{self, BufRead, Seek};
use std::ops::RangeInclusive;

use crate::manifest::OnnxProfile;
use crate::rule::Rule;

/// Operators that may reach ONNX Runtime: those of nnU-Net's networks, and of
/// the exporters that write them. None calls another graph.
pub const OPERATORS: [&str; 26] = [
    "Add",
    "AveragePool",
    "Cast",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Div",
    "Gather",
    "Identity",
    "InstanceNormalization",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Pad",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Sqrt",
    "Sub",
    "Unsqueeze",
];
/// Versions of the file format that this reader knows.
const IR_VERSIONS: RangeInclusive<u32> = 7..=10;
/// Versions of the operator set in which the operators above mean what they do.
const OPSETS: RangeInclusive<u32> = 13..=21;

/// What a model file that passed holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnnxFacts {
    /// Operators in use, sorted.
    pub operators: BTreeSet<String>,
    /// Nodes of the graph.
    pub n_nodes: u64,
    /// Values of all initializers.
    pub n_parameters: u64,
}

/// Checks the `n_bytes` of a model file, from its beginning.
///
/// Weights are passed over, not read; memory does not grow with them.
///
/// # Errors
///
/// [`OnnxError`] names the first thing that is not allowed.
pub fn check_onnx<R: BufRead + Seek>(model: R, n_bytes: u64, profile: &OnnxProfile) -> Result<OnnxFacts, OnnxError> {
    walk::Walk::new(model, profile).model(n_bytes)
}

/// Why a model file is not handed to ONNX Runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The bytes are no protocol buffer, or one with two readings.
    #[error("byte {offset} is not part of a well-formed message")]
    Structure {
        /// Where reading stopped.
        offset: u64,
    },

    /// A field that no network needs, or of another type than ONNX's.
    #[error("field {number} of `{message}` is not allowed")]
    Field {
        /// The message of ONNX.
        message: &'static str,
        /// The field's number.
        number: u32,
    },

    /// A field that is there once is there twice.
    #[error("field {number} of `{message}` occurs twice")]
    Repeated {
        /// The message of ONNX.
        message: &'static str,
        /// The field's number.
        number: u32,
    },

    /// A field without which the file means nothing.
    #[error("`{message}` has no `{field}`")]
    Missing {
        /// The message of ONNX.
        message: &'static str,
        /// The field.
        field: &'static str,
    },

    /// Too much of something.
    #[error("{actual} {what}, the limit is {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        actual: u64,
        /// How many there may be.
        limit: u64,
    },

    /// The file format is of another version than the manifest states, or an unknown one.
    #[error("IR version {actual}, the manifest states {stated}, this program reads {}", range(&IR_VERSIONS))]
    IrVersion {
        /// What the file states.
        actual: u64,
        /// What the manifest states.
        stated: u32,
    },

    /// The operator set is of another version than the manifest states, or an unknown one.
    #[error("operator set {actual}, the manifest states {stated}, this program knows {}", range(&OPSETS))]
    Opset {
        /// What the file states.
        actual: u64,
        /// What the manifest states.
        stated: u32,
    },

    /// Operators of somebody's own.
    #[error("the operator domain `{domain}` is not allowed, only `ai.onnx`")]
    Domain {
        /// The domain.
        domain: String,
    },

    /// An operator that is not on the list of this program.
    #[error("the operator `{operator}` of the node `{node}` is not allowed")]
    Operator {
        /// The operator.
        operator: String,
        /// The node.
        node: String,
    },

    /// An operator that the manifest does not announce.
    #[error("the operator `{operator}` of the node `{node}` is not in the manifest")]
    OperatorUnlisted {
        /// The operator.
        operator: String,
        /// The node.
        node: String,
    },

    /// A graph inside a graph.
    #[error("the attribute `{attribute}` holds a graph")]
    Subgraph {
        /// The attribute.
        attribute: String,
    },

    /// A function defined by the file.
    #[error("the file defines functions")]
    Function,

    /// A tensor whose values lie in another file.
    #[error("the tensor `{tensor}` lies outside of the file")]
    External {
        /// The tensor.
        tensor: String,
    },

    /// A tensor has other values than its extents and type say.
    #[error("the tensor `{tensor}` has {actual} {unit}, its extents and type give {expected}")]
    TensorSize {
        /// The tensor.
        tensor: String,
        /// `bytes` or `values`.
        unit: &'static str,
        /// What the file holds.
        actual: u64,
        /// What extents and type ask for.
        expected: u64,
    },

    /// An element type that is not a number of common size.
    #[error("`{tensor}` has the element type {element}, which is not allowed")]
    ElementType {
        /// The tensor or value.
        tensor: String,
        /// Number of the type in ONNX.
        element: u64,
    },

    /// An extent below 0 of a tensor, or below 1 of a value.
    #[error("`{tensor}` has the extent {extent}")]
    Extent {
        /// The tensor or value.
        tensor: String,
        /// The extent.
        extent: i64,
    },

    /// Two initializers have the same name.
    #[error("the initializer `{tensor}` is there twice")]
    InitializerTwice {
        /// The name.
        tensor: String,
    },

    /// The bytes could not be read.
    #[error("cannot read the model")]
    Read {
        /// What the system said.
        source: io::Error,
    },
}

impl OnnxError {
    /// The rule that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Structure { .. } => Rule::OnnxStructure,
            Self::Field { .. } | Self::Repeated { .. } | Self::Missing { .. } => Rule::OnnxFields,
            Self::Limit { .. } => Rule::OnnxLimits,
            Self::IrVersion { .. } | Self::Opset { .. } => Rule::OnnxVersion,
            Self::Domain { .. } => Rule::OnnxDomain,
            Self::Operator { .. } => Rule::OnnxOperator,
            Self::OperatorUnlisted { .. } => Rule::OnnxOperatorListed,
            Self::Subgraph { .. } | Self::Function => Rule::OnnxOneGraph,
            Self::External { .. } => Rule::OnnxSelfContained,
            Self::TensorSize { .. } | Self::InitializerTwice { .. } => Rule::OnnxTensorSize,
            Self::ElementType { .. } | Self::Extent { .. } => Rule::OnnxType,
            Self::Read { .. } => Rule::Io,
        }
    }
}

fn range(versions: &RangeInclusive<u32>) -> String {
    format!("{} to {}", versions.start(), versions.end())
}
