//! ONNX files written from the topology; libtorch has no exporter of its own.
//!
//! `tch` offers none, and tracing through Python would bring Python into the training machine. A U-Net is about
//! a dozen operators, so the file is put together here: opset 17, one input `image` and one output `logits`, both
//! `[batch, channel, (z,) y, x]` with a free batch axis and the patch as the other extents. The same network and
//! weights give the same bytes: no times, no paths, sorted initializers, stable names.
//!
//! Kernels of half precision are cast to single precision where they enter, so that every provider computes as it does
//! with single precision; a runtime folds the cast of a constant when it loads the file. A graph that computes in half
//! precision is not written: whether that is faster or fails is the provider's, which may choose it by itself.

mod graph;
mod message;
#[cfg(test)]
mod tests;

use nnunet::topology::{EncoderBlock, UNet};
use prost::Message;

use crate::weights::{WeightFormat, Weights, WeightsError};

/// `ir_version` of every file.
pub const IR_VERSION: u32 = 8;
/// Version of the operator set `ai.onnx`.
pub const OPSET: u32 = 17;
/// Operators that the file of any network uses.
const OPERATORS: [&str; 4] = ["Concat", "Conv", "ConvTranspose", "LeakyRelu"];
/// Those of an instance norm of few voxels.
const NORM: [&str; 1] = ["InstanceNormalization"];
/// Those of an instance norm of many.
const NORM_BY_BLOCKS: [&str; 7] = ["Add", "AveragePool", "Div", "Mul", "ReduceMean", "Sqrt", "Sub"];
/// Name of the input.
const INPUT: &str = "image";
/// Name of the output.
const OUTPUT: &str = "logits";
/// Protobuf's limit for one message.
const MAX_BYTES: usize = 0x7fff_ffff;

/// Every operator that the file of `network` for patches of extent `patch`, `[(z,) y, x]`, uses, sorted.
pub fn operators(network: &UNet, patch: &[usize], format: WeightFormat) -> Vec<&'static str> {
    let mut operators = OPERATORS.to_vec();
    let mut extent = patch.to_vec();
    for blocks in &network.encoder {
        extent = graph::divided(&extent, blocks[0].stride());
        operators.extend_from_slice(if graph::is_by_blocks(&extent) { &NORM_BY_BLOCKS } else { &NORM });
    }
    operators.extend((format == WeightFormat::F16).then_some("Cast"));
    for block in network.encoder.iter().flatten() {
        if let EncoderBlock::Residual(block) = block {
            operators.push("Add");
            operators.extend(block.shortcut.pooling.is_some().then_some("AveragePool"));
        }
    }
    operators.sort_unstable();
    operators.dedup();
    operators
}

/// Writes `network` with `weights`, [rounded](Weights::rounded) to `format`, for patches of extent `patch`, `[(z,) y, x]`.
///
/// # Errors
///
/// [`OnnxError::Weights`] if the weights are not those of the network or not finite, [`OnnxError::Patch`] if the
/// network cannot halve the patch, [`OnnxError::Size`] if the file would pass 2 GiB.
pub fn export(network: &UNet, weights: &Weights, patch: &[usize], format: WeightFormat) -> Result<Vec<u8>, OnnxError> {
    weights.check(network)?;
    let total_stride = network.total_stride();
    let fits = |(extent, stride): (&usize, &usize)| *extent > 0 && extent % stride == 0;
    if patch.len() != network.n_axes || !patch.iter().zip(&total_stride).all(fits) {
        return Err(OnnxError::Patch { patch: patch.to_vec(), total_stride });
    }
    encode(&message::ModelProto {
        ir_version: Some(IR_VERSION.into()),
        producer_name: Some("unnunet-train".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph::build(network, (weights, format), patch)),
        opset_import: vec![message::OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET.into()) }],
    })
}

fn encode(model: &message::ModelProto) -> Result<Vec<u8>, OnnxError> {
    let n_bytes = model.encoded_len();
    if n_bytes > MAX_BYTES {
        return Err(OnnxError::Size { n_bytes, limit: MAX_BYTES });
    }
    Ok(model.encode_to_vec())
}

/// Why a network cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The patch does not fit the network.
    #[error("patch {patch:?} is not a positive multiple of the network's total stride {total_stride:?}")]
    Patch {
        /// The patch.
        patch: Vec<usize>,
        /// Product of the strides per axis.
        total_stride: Vec<usize>,
    },
    /// The file would be larger than protobuf allows.
    #[error("the network needs an ONNX file of {n_bytes} bytes, one file holds at most {limit}")]
    Size {
        /// Size of the file.
        n_bytes: usize,
        /// Largest size.
        limit: usize,
    },
    /// The weights do not fit the network.
    #[error("the weights cannot be exported")]
    Weights {
        /// Which parameter and why.
        #[from]
        source: WeightsError,
    },
}
