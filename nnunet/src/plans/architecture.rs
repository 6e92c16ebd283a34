//! The `architecture` block of a configuration: the network's class and its arguments.
//!
//! nnU-Net plans two classes, which differ in one field: the stages of `PlainConvUNet` count convolutions, those of
//! `ResidualEncoderUNet` residual blocks. Arguments that neither planner writes are kept, and it is up to
//! [`crate::topology`] to refuse what it would build wrongly.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a network is built: the class and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Class of `dynamic_network_architectures`.
    pub network_class_name: String,
    /// Arguments of that class; [`crate::topology::UNet::new`] reads them.
    pub arch_kwargs: ArchitectureArguments,
    /// Arguments that name Python objects.
    #[serde(rename = "_kw_requires_import")]
    pub kw_requires_import: Vec<String>,
}

/// Arguments of `PlainConvUNet` or `ResidualEncoderUNet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchitectureArguments {
    /// Resolution levels.
    pub n_stages: usize,
    /// Feature maps per level.
    pub features_per_stage: Vec<usize>,
    /// `torch.nn.modules.conv.Conv2d` or `…Conv3d`.
    pub conv_op: String,
    /// Kernel per level, `[z, y, x]` or `[y, x]`.
    pub kernel_sizes: Vec<Vec<usize>>,
    /// Stride of each level's first convolution.
    pub strides: Vec<Vec<usize>>,
    /// What each encoder level consists of.
    #[serde(flatten)]
    pub encoder: EncoderDepth,
    /// Convolutions per decoder level, deepest first.
    pub n_conv_per_stage_decoder: Vec<usize>,
    /// Whether convolutions have a bias.
    pub conv_bias: bool,
    /// `torch.nn.modules.instancenorm.InstanceNorm2d` or `…3d`.
    pub norm_op: String,
    /// `eps` and `affine`.
    pub norm_op_kwargs: NormArguments,
    /// Always `null` in nnU-Net's own plans.
    pub dropout_op: Option<String>,
    /// Always `null` in nnU-Net's own plans.
    pub dropout_op_kwargs: Option<Value>,
    /// `torch.nn.LeakyReLU`.
    pub nonlin: String,
    /// `inplace`, and `negative_slope` where it is not 0.01.
    pub nonlin_kwargs: NonlinearityArguments,
    /// Arguments that no planner of nnU-Net writes.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What each encoder level consists of, and how many of it, full resolution first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncoderDepth {
    /// Plain convolutions, in `PlainConvUNet`.
    #[serde(rename = "n_conv_per_stage")]
    Convolutions(Vec<usize>),
    /// Residual blocks of two convolutions each, in `ResidualEncoderUNet`.
    #[serde(rename = "n_blocks_per_stage")]
    Blocks(Vec<usize>),
}

/// Arguments of the instance norm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NormArguments {
    /// Added to the variance.
    pub eps: f64,
    /// Whether scale and shift are learned.
    pub affine: bool,
}

/// Arguments of the leaky rectifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NonlinearityArguments {
    /// Has no effect on results.
    pub inplace: bool,
    /// Slope below zero; 0.01 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_slope: Option<f64>,
}
